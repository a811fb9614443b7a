package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

const maxCandles = 100_000

// candle is one row of candles, for the documentation.
type candle struct {
	Timestamp   time.Time `json:"timestamp" required:"true" doc:"open time"`
	Symbol      string    `json:"symbol" required:"true" doc:"as asked"`
	Exchange    string    `json:"exchange" required:"true" doc:"as asked"`
	Interval    string    `json:"interval" required:"true" doc:"such as 1m, 4h, 1d, 1w, 1M"`
	Open        number    `json:"open" required:"true"`
	High        number    `json:"high" required:"true"`
	Low         number    `json:"low" required:"true"`
	Close       number    `json:"close" required:"true"`
	Volume      number    `json:"volume" required:"true" doc:"in base"`
	QuoteVolume number    `json:"quote_volume,omitzero"`
	Trades      int64     `json:"trades,omitempty" doc:"how many; absent where that is not known"`
	Closed      bool      `json:"closed" required:"true" doc:"false while the interval is still running"`
	OpenTime    int64     `json:"open_time_ns" required:"true" doc:"first instant inside, Unix ns"`
	CloseTime   int64     `json:"close_time_ns" required:"true" doc:"last instant inside"`
	further
}

// candleHead opens the answer of candles.
type candleHead struct {
	success
	Interval string `json:"interval" required:"true" doc:"such as 1m, 4h, 1d, 1w, 1M"`
	Source   string `json:"source" enum:"trades,exchange" required:"true" doc:"what they are made of: trades, or the exchange's own candles"`
}

// candleList is the answer of candles, for the documentation.
type candleList struct {
	candleHead
	Data []candle `json:"data" required:"true" doc:"in the order asked for, by open time"`
	listTail
}

func (f *service) candleRoutes() []chassis.Route {
	return []chassis.Route{{
		Method: http.MethodGet, Path: base + "candles/{exchange}/{symbol}", ID: "candles", Tag: tagQuery,
		Summary: "Candles, computed from trades or as the exchange sent them",
		Description: "`from` and `to` bound the open time. Candles are computed from collected trades where there are any, else from POSTed ones; " +
			"an interval without a trade has no candle.",
		Params: params(facade.PathParams(), facade.MarketParam(),
			chassis.Param{Name: "interval", Default: "1m", Example: "15m", Doc: intervalDoc},
			chassis.Param{Name: "source", Enum: []string{"trades", "exchange"}, Default: "trades"},
			chassis.Param{Name: "order", Enum: []string{"asc", "desc"}, Default: "desc", Doc: "By open time."},
			paramLimit(500, maxCandles), paramFrom, paramTo, paramCursor, paramOrigin, paramNumbers),
		Responses: []chassis.Response{{Body: candleList{}}},
		Handler:   f.candles,
	}}
}

const intervalDoc = "A whole number up to 10000 (months: 1200) and s, m, h, d, w or M: 1s, 15m, 4h, 1d, 1w, 1M. Counted from the Unix epoch in UTC; weeks from a Monday, months from January of year 0."

// intervalOf reads ?interval=.
func intervalOf(q *chassis.Query) market.Interval {
	each, ok := market.ParseInterval(q.Text("interval", "1m"))
	if !ok {
		q.Refuse("interval", "must be a whole number and one of s, m, h, d, w, M, such as 1s, 15m, 4h, 1d, 1w or 1M")
		each, _ = market.ParseInterval("1m")
	}
	return each
}

// opening is the first open time at or after t, Unix ns, so that a range of trades
// that begins and ends there makes whole candles; 0 for the zero time.
func opening(each market.Interval, t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return each.Next(t.UnixNano())
}

// candleQuery is what a request for candles asks.
type candleQuery struct {
	persistence.CandleQuery
	from, to time.Time
	source   string
	rows     *rowWriter
}

func (f *service) candles(w http.ResponseWriter, r *http.Request) error {
	f.reads.Add(1)
	ctx, q := watched(r.Context()), chassis.QueryOf(r)
	asked, err := facade.AskedOf(r, q)
	if err != nil {
		return err
	}
	var c candleQuery
	c.from, c.to = q.Range("from", "to")
	each := intervalOf(q)
	c.CandleQuery = persistence.CandleQuery{
		Interval: each.String(), From: opening(each, c.from), To: opening(each, c.to),
		Limit: q.Limit(500, maxCandles), Newest: q.OneOf("order", "desc", "asc", "desc") == "desc", Origin: originOf(q),
	}
	c.source = q.OneOf("source", "trades", "trades", "exchange")
	c.rows = newRowWriter(asked, q)
	if err := q.Err(); err != nil {
		return err
	}
	kind := market.KindTrade
	if c.source == "exchange" {
		kind = market.KindCandle
	}
	i, listed, err := f.find(ctx, asked, kind)
	if err != nil {
		return err
	}
	c.Stream = i.ID()
	scope := fmt.Sprintf("candles %s %s %s %d %d %t %d", c.source, c.Interval, c.Stream, c.From, c.To, c.Newest, c.Origin)
	s, err := chassis.NewArray(w, r, candleHead{succeeded, c.Interval, c.source}, "data")
	if err != nil {
		return err
	}
	defer s.Release()
	write := f.tradeCandles
	if c.source == "exchange" {
		write = f.exchangeCandles
	}
	cursor, err := write(ctx, q, scope, &c, s)
	if err != nil {
		return err
	}
	if s.Rows() == 0 && !listed {
		if err := f.known(ctx, kind, i); err != nil {
			return err
		}
	}
	watchOf(ctx).tell(s, s.Rows())
	return f.closeList(ctx, s, scope, cursor)
}

// tradeCandles streams candles that the store computes.
func (f *service) tradeCandles(ctx context.Context, q *chassis.Query, scope string, c *candleQuery, s *chassis.Stream) (cursor string, err error) {
	q.Cursor(scope, &c.Cursor)
	if err := q.Err(); err != nil {
		return "", err
	}
	view, err := f.Branch.Candles(ctx, c.CandleQuery)
	if err != nil {
		return "", fmt.Errorf("computing candles of %v: %w", c.Stream, err)
	}
	defer release(ctx, view)
	if err := f.each(ctx, view, c.writer(s)); err != nil {
		return "", err
	}
	return view.Cursor(), nil
}

// errEnough ends a scan that has what was asked for.
var errEnough = errors.New("enough")

// exchangeCandles streams stored candles of one interval. A store keeps all
// intervals of a stream in one table, so that the limit and the cursor, which is
// an open time, are counted here.
func (f *service) exchangeCandles(ctx context.Context, q *chassis.Query, scope string, c *candleQuery, s *chassis.Stream) (cursor string, err error) {
	query := persistence.Query{Kind: market.KindCandle, Stream: &c.Stream, From: nanos(c.from), To: nanos(c.to), Newest: c.Newest, Origin: c.Origin}
	var after string
	if q.Cursor(scope, &after) {
		t, err := chassis.ParseTime(after)
		switch {
		case err != nil:
			return "", fmt.Errorf("%w: %w", persistence.ErrCursor, err)
		case c.Newest:
			query.To = t.UnixNano()
		default:
			query.From = t.UnixNano() + 1
		}
	}
	if err := q.Err(); err != nil {
		return "", err
	}
	view, err := f.Branch.Query(ctx, query)
	if err != nil {
		return "", fmt.Errorf("opening a view of candles of %v: %w", c.Stream, err)
	}
	defer release(ctx, view)
	write := c.writer(s)
	var last int64
	err = f.each(ctx, view, func(record market.Record) error {
		one := record.(*market.Candle)
		if one.Interval != c.Interval {
			return nil
		}
		if s.Rows() == c.Limit {
			return errEnough
		}
		last = one.TS
		return write(one)
	})
	if errors.Is(err, errEnough) {
		return chassis.FormatTime(time.Unix(0, last)), nil
	}
	return "", err
}

func (c *candleQuery) writer(s *chassis.Stream) func(market.Record) error {
	return func(record market.Record) error {
		return s.WriteFunc(func(dst []byte) ([]byte, error) { return c.rows.candle(dst, record.(*market.Candle)), nil })
	}
}

func (w *rowWriter) candle(dst []byte, c *market.Candle) []byte {
	dst = w.begin(dst, &c.Header)
	dst = appendText(dst, `,"interval":`, c.Interval)
	dst = w.required(dst, `,"open":`, c.Open)
	dst = w.required(dst, `,"high":`, c.High)
	dst = w.required(dst, `,"low":`, c.Low)
	dst = w.required(dst, `,"close":`, c.Close)
	dst = w.required(dst, `,"volume":`, c.Volume)
	dst = w.further(dst, `,"quote_volume":`, c.QuoteVolume)
	dst = appendOptInt(dst, `,"trades":`, c.Trades)
	if c.Closed {
		dst = append(dst, `,"closed":true`...)
	} else {
		dst = append(dst, `,"closed":false`...)
	}
	dst = appendInt(dst, `,"open_time_ns":`, c.OpenTime)
	dst = appendInt(dst, `,"close_time_ns":`, c.CloseTime)
	return w.end(dst, &c.Header)
}
