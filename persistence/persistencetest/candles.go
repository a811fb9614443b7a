package persistencetest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

func contextWithDeadline(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 10*time.Millisecond)
}

// candlesFromTrades: candles are what the trades in reading order make of them.
func candlesFromTrades(t *testing.T, s Subject) {
	f := newFixture(t, s)
	g := NewGenerator(5)
	btc := Instruments()[0]
	id := btc.ID()
	for range 6 {
		b := &market.Batch{}
		for range 400 {
			r := market.Add[market.Trade](b)
			r.Instrument, r.ID, r.TS = btc, market.NumID(g.Int64N(1e6)), Base+g.Int64N(int64(3*time.Hour))
			r.Price, r.Amount = market.NewDecimal(1+g.Int64N(1e9), uint8(g.IntN(4))), g.decimal()
			r.QuoteAmount = market.NewDecimal(g.Int64N(1e6), 2)
			if g.IntN(10) == 0 {
				r.Origin = market.External
			}
		}
		f.apply(b)
		if g.IntN(2) == 0 {
			f.publishAll()
		}
	}
	for _, interval := range []struct {
		word string
		ns   int64
	}{{"1s", 1e9}, {"1m", 60e9}, {"1h", 3600e9}} {
		for _, newest := range []bool{false, true} {
			q := persistence.CandleQuery{Stream: id, Interval: interval.word, Newest: newest, Limit: 7}
			want := f.naiveCandles(id, interval.ns, newest)
			var got []string
			for {
				rows, err := f.engine.Candles(t.Context(), q)
				f.must(err)
				page, cursor, err := drainCandles(t.Context(), rows)
				f.must(err)
				got = append(got, page...)
				if cursor == "" {
					break
				}
				q.Cursor = cursor
			}
			f.same(fmt.Sprintf("%s candles, newest %v", interval.word, newest), got, want)
		}
	}
}

func drainCandles(ctx context.Context, rows persistence.Rows) (texts []string, cursor string, err error) {
	var b market.Batch
	for {
		if _, err := rows.Next(ctx, &b); err != nil {
			break
		}
	}
	for c := range market.Rows[market.Candle](&b) {
		trades, _ := c.Trades.V, c.Trades.OK
		texts = append(texts, fmt.Sprintf("%d-%d o%s h%s l%s c%s v%s q%s n%d", c.OpenTime, c.CloseTime,
			rat(c.Open), rat(c.High), rat(c.Low), rat(c.Close), rat(c.Volume), rat(c.QuoteVolume), trades))
	}
	return texts, rows.Cursor(), rows.Close()
}

func rat(d market.Decimal) string {
	if !d.IsSet() {
		return "-"
	}
	r, _ := new(big.Rat).SetString(d.String())
	return r.RatString()
}

// trade reads the decimals of a trade out of its text.
func (f *fixture) trade(text string) (trade struct {
	Price, Amount market.Decimal
	QuoteAmount   market.Decimal `json:"quote_amount"`
}) {
	f.t.Helper()
	_, form, _ := strings.Cut(text, " ")
	f.must(json.Unmarshal([]byte(form), &trade))
	return trade
}

// naiveCandles folds the model's trades.
func (f *fixture) naiveCandles(id market.StreamID, ns int64, newest bool) []string {
	type candle struct {
		open, high, low, last, volume, quote *big.Rat
		n                                    int
	}
	byTime := map[int64]*candle{}
	var order []int64
	records := f.model.selected(persistence.Query{Kind: market.KindTrade, Stream: &id, Origin: persistence.OriginCollected})
	for _, r := range records {
		trade := f.trade(r.text)
		price, _ := new(big.Rat).SetString(trade.Price.String())
		at := r.ts - r.ts%ns
		c := byTime[at]
		if c == nil {
			c = &candle{open: price, high: price, low: price, volume: new(big.Rat), quote: new(big.Rat)}
			byTime[at] = c
			order = append(order, at)
		}
		if price.Cmp(c.high) > 0 {
			c.high = price
		}
		if price.Cmp(c.low) < 0 {
			c.low = price
		}
		c.last = price
		if trade.Amount.IsSet() {
			v, _ := new(big.Rat).SetString(trade.Amount.String())
			c.volume.Add(c.volume, v)
			c.n |= 1 << 30 // volume present
		}
		v, _ := new(big.Rat).SetString(trade.QuoteAmount.String())
		c.quote.Add(c.quote, v)
		c.n++
	}
	var texts []string
	for i := range order {
		at := order[i]
		if newest {
			at = order[len(order)-1-i]
		}
		c := byTime[at]
		volume := "-"
		if c.n&(1<<30) != 0 {
			volume = c.volume.RatString()
		}
		texts = append(texts, fmt.Sprintf("%d-%d o%s h%s l%s c%s v%s q%s n%d", at, at+ns-1,
			c.open.RatString(), c.high.RatString(), c.low.RatString(), c.last.RatString(), volume, c.quote.RatString(), c.n&^(1<<30)))
	}
	return texts
}
