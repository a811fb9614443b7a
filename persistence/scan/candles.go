package scan

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// candleChunk is how many candles one Next yields at most.
const candleChunk = 256

// candleColumns are what a candle needs of a trade.
var candleColumns = []string{"price", "amount", "quote_amount"}

// Candles computes candles from trades; see [persistence.Reader]. Open and close are those of the first
// and the last trade by ts and id; volume is the exact sum of amounts;
// quote_volume is the exact sum of quote_amount, absent unless every trade has
// one; a trade without a price counts in none. An interval without trades has no
// candle.
func (r *Reader) Candles(ctx context.Context, q persistence.CandleQuery) (persistence.Rows, error) {
	if err := r.Gate.Enter(); err != nil {
		return nil, err
	}
	defer r.Gate.Leave()
	cut, err := parseInterval(q.Interval)
	if err != nil {
		return nil, err
	}
	schema := r.Schemas[market.KindTrade]
	has, err := schema.ProjectLean(candleColumns)
	if err != nil {
		return nil, err
	}
	from, to := bounds(q.From, q.To)
	if q.Cursor != "" {
		at, err := parseCandleCursor(q)
		if err != nil {
			return nil, err
		}
		open, end := cut.bucket(at)
		if q.Newest {
			to = min(to, open)
		} else {
			from = max(from, end)
		}
	}
	origin, err := originFilter(ctx, r.Layers, q.Origin, persistence.OriginPreferCollected, market.KindTrade, &q.Stream)
	if err != nil {
		return nil, err
	}
	v, err := pin(ctx, r.Layers, Selection{Kind: market.KindTrade, Stream: &q.Stream, From: from, To: to, Has: has, Newest: q.Newest, Reads: persistence.ReadsOf(ctx)})
	if err != nil {
		return nil, err
	}
	return &candles{
		reader: r, views: v, query: q, cut: cut, now: r.Now().UnixNano(), origin: origin, spans: v.open(&q.Stream),
		price: schema.Column("price"), amount: schema.Column("amount"), quote: schema.Column("quote_amount"),
	}, nil
}

type candles struct {
	reader               *Reader
	views                *views // nil once closed
	query                persistence.CandleQuery
	cut                  interval
	now                  int64
	origin               persistence.OriginFilter
	price, amount, quote int
	spans                spans
	span                 part.Span
	taken                int
	lastOpen             int64
	done                 bool
	err                  error
	cur                  bucket
}

// bucket is a candle in the making.
type bucket struct {
	trades      int64
	open, end   int64
	instrument  *market.Instrument
	origin      market.Origin
	first, last market.Decimal // in the direction of the scan
	high, low   market.Decimal
	// plain: all prices so far have one scale, and the coefficients stand for last,
	// high and low.
	plain                       bool
	scale                       uint8
	lastCoef, highCoef, lowCoef int64
	volume, quoteVolume         sum
	quoteless                   bool
}

// Next implements [persistence.Rows].
func (c *candles) Next(ctx context.Context, into *market.Batch) (int, error) {
	if c.views == nil {
		return 0, persistence.ErrClosed
	}
	if err := c.reader.Gate.Enter(); err != nil {
		return 0, err
	}
	defer c.reader.Gate.Leave()
	if c.err != nil {
		return 0, c.err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	n := 0
	for n < candleChunk && !c.done && !c.full() {
		if c.span.Lo >= c.span.Hi {
			span, err := c.spans.Next(ctx)
			if errors.Is(err, io.EOF) {
				c.done = true
				n += c.emit(into)
				break
			}
			if err != nil {
				if ctx.Err() == nil {
					err = c.views.failed(err)
					c.err = err
				}
				return n, err
			}
			c.span = span
		}
		n += c.aggregate(into)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (c *candles) full() bool { return c.query.Limit > 0 && c.taken >= c.query.Limit }

// aggregate takes rows of the span until a candle is complete; it returns the
// number of candles emitted.
func (c *candles) aggregate(into *market.Batch) int {
	b := c.span.Block
	for c.span.Lo < c.span.Hi {
		row := c.span.Lo
		if c.query.Newest {
			row = c.span.Hi - 1
		}
		ts := b.TS(row)
		if c.cur.trades > 0 && (ts < c.cur.open || ts >= c.cur.end) {
			return c.emit(into)
		}
		if c.query.Newest {
			c.span.Hi--
		} else {
			c.span.Lo++
		}
		if wanted(c.origin, b.Origin(row)) {
			c.take(b, row, ts)
		}
	}
	return 0
}

// take adds a trade to the candle in the making.
func (c *candles) take(b *part.Block, row int, ts int64) {
	k := &c.cur
	coef, scale, short := b.Decimal(c.price, row)
	if short && k.trades > 0 && k.plain && scale == k.scale {
		k.lastCoef, k.highCoef, k.lowCoef = coef, max(k.highCoef, coef), min(k.lowCoef, coef)
		c.volumes(b, row)
		return
	}
	price := b.DecimalAt(c.price, row)
	if !price.IsSet() {
		return
	}
	if k.trades == 0 {
		open, end := c.cut.bucket(ts)
		*k = bucket{open: open, end: end, instrument: b.Instrument(row), origin: b.Origin(row), first: price, high: price, low: price,
			plain: short, scale: scale, lastCoef: coef, highCoef: coef, lowCoef: coef}
	}
	k.settle()
	k.plain = false
	k.last = price
	if price.Cmp(k.high) > 0 {
		k.high = price
	} else if price.Cmp(k.low) < 0 {
		k.low = price
	}
	if short && k.trades == 0 {
		k.plain = true
	}
	c.volumes(b, row)
}

// settle makes decimals of the coefficients.
func (k *bucket) settle() {
	if k.plain {
		k.last, k.high, k.low = market.NewDecimal(k.lastCoef, k.scale), market.NewDecimal(k.highCoef, k.scale), market.NewDecimal(k.lowCoef, k.scale)
	}
}

// volumes counts a trade and adds its amounts.
func (c *candles) volumes(b *part.Block, row int) {
	k := &c.cur
	k.trades++
	if coef, scale, ok := b.Decimal(c.amount, row); ok {
		k.volume.addCoef(coef, scale)
	} else {
		k.volume.add(b.DecimalAt(c.amount, row))
	}
	if quote := b.DecimalAt(c.quote, row); quote.IsSet() {
		k.quoteVolume.add(quote)
	} else {
		k.quoteless = true
	}
}

// emit writes the candle in the making, if there is one.
func (c *candles) emit(into *market.Batch) int {
	k := &c.cur
	if k.trades == 0 {
		return 0
	}
	k.settle()
	r := market.Add[market.Candle](into)
	r.Instrument, r.Origin, r.TS = k.instrument, k.origin, k.open
	r.Interval, r.OpenTime, r.CloseTime = c.cut.word, k.open, k.end-1
	r.Open, r.Close = k.first, k.last
	if c.query.Newest {
		r.Open, r.Close = k.last, k.first
	}
	r.High, r.Low, r.Volume = k.high, k.low, k.volume.decimal()
	if !k.quoteless {
		r.QuoteVolume = k.quoteVolume.decimal()
	}
	r.Trades, r.Closed = market.Int(k.trades), c.now >= k.end
	c.lastOpen = k.open
	c.taken++
	k.trades = 0
	return 1
}

// Cursor implements [persistence.Rows].
func (c *candles) Cursor() string {
	if c.done || c.taken == 0 {
		return ""
	}
	raw := []byte{cursorVersion, byte(market.KindCandle), 0}
	if c.query.Newest {
		raw[2] = 1
	}
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(raw, uint64(c.lastOpen)))
}

func parseCandleCursor(q persistence.CandleQuery) (int64, error) {
	raw, err := base64.RawURLEncoding.DecodeString(q.Cursor)
	if err != nil || len(raw) != 11 || raw[0] != cursorVersion || raw[1] != byte(market.KindCandle) || (raw[2] == 1) != q.Newest {
		return 0, fmt.Errorf("%w: not of this candle query", persistence.ErrCursor)
	}
	return int64(binary.BigEndian.Uint64(raw[3:])), nil
}

// Close implements [persistence.Rows].
func (c *candles) Close() error {
	if c.views != nil {
		c.views.release()
		c.views = nil
	}
	return nil
}
