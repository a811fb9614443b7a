package simulator

import (
	"math"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// IntervalLength is the length of a candle's interval: "1m", "4h", "1d", "1w",
// "1M", in any case of letters but m and M; false for what is none.
func IntervalLength(text string) (time.Duration, bool) {
	n := 0
	for len(text) > 0 && text[0]-'0' <= 9 && n < 1000 {
		n, text = n*10+int(text[0]-'0'), text[1:]
	}
	units := map[string]time.Duration{
		"s": time.Second, "m": time.Minute, "h": time.Hour, "H": time.Hour, "d": 24 * time.Hour, "D": 24 * time.Hour,
		"w": 7 * 24 * time.Hour, "W": 7 * 24 * time.Hour, "M": 30 * 24 * time.Hour,
	}
	u, ok := units[text]
	return time.Duration(n) * u, ok && n > 0
}

// bounds is the interval that holds a time: its beginning and its end, exclusive.
// Weeks begin on Mondays, months on their first, in UTC.
func bounds(interval string, t int64) (from, to int64) {
	length, ok := IntervalLength(interval)
	if !ok {
		length = time.Minute
	}
	switch interval[len(interval)-1] {
	case 'w', 'W':
		const monday = 4 * day // the first after the beginning of Unix time
		week := 7 * day
		from = (t-monday)/week*week + monday
		return from, from + week
	case 'M':
		at := time.Unix(0, t).UTC()
		first := time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
		return first.UnixNano(), first.AddDate(0, 1, 0).UnixNano()
	}
	from = t / int64(length) * int64(length)
	return from, from + int64(length)
}

// candle gathers the trades of an interval.
type candle struct {
	interval               string
	from, to               int64
	open, high, low, close int64 // cells
	volume, bought         int64 // steps
	quote, boughtQuote     float64
	trades, first, last    int64
}

func newCandle(interval string, t, cell int64) *candle {
	c := &candle{interval: interval}
	c.from, c.to = bounds(interval, t)
	c.open, c.high, c.low, c.close = cell, cell, cell, cell
	return c
}

// take adds the trades of the engine's last step.
func (c *candle) take(e *engine) {
	for i, f := range e.fills {
		id := e.trades - int64(len(e.fills)) + 1 + int64(i)
		if c.trades == 0 {
			c.open, c.high, c.low, c.first = f.cell, f.cell, f.cell, id
		}
		c.high, c.low, c.close, c.last = max(c.high, f.cell), min(c.low, f.cell), f.cell, id
		c.trades++
		worth := float64(f.amount*e.step) * float64(e.priceCoef(f.cell)) // without their points
		c.volume, c.quote = c.volume+f.amount, c.quote+worth
		if e.taker == market.Buy {
			c.bought, c.boughtQuote = c.bought+f.amount, c.boughtQuote+worth
		}
	}
}

// record is the candle as it is told.
func (c *candle) record(e *engine, t int64, closed bool) *Candle {
	worth := func(sum float64) market.Decimal {
		scale := e.priceScale + e.amountScale
		kept := min(scale, 4)
		return market.NewDecimal(int64(sum/math.Pow10(int(scale-kept))), kept)
	}
	return &Candle{
		Candle: market.Candle{
			Header:   market.Header{Instrument: e.instrument, ExchangeTime: t},
			Interval: c.interval, OpenTime: c.from, CloseTime: c.to - int64(time.Millisecond),
			Open: e.price(c.open), High: e.price(c.high), Low: e.price(c.low), Close: e.price(c.close),
			Volume: e.amount(c.volume), QuoteVolume: worth(c.quote), Trades: market.Int(c.trades), Closed: closed,
		},
		FirstID: c.first, LastID: c.last,
		BoughtVolume: e.amount(c.bought), BoughtQuoteVolume: worth(c.boughtQuote),
	}
}

// warmSteps bounds how far back a candle is made again when somebody asks for it.
const warmSteps = 100_000

// candleNow is the candle of an interval up to the engine's step, made from the
// trades of the interval, of a long interval those of its last steps.
func (e *engine) candleNow(interval string, t int64) *candle {
	from, _ := bounds(interval, t)
	first := max(0, e.stepAt(from)+1, e.now-warmSteps)
	past := e.at(first - 1)
	c := newCandle(interval, t, past.lastCell)
	for past.now < e.now {
		past.next()
		if len(past.fills) > 0 && past.time(past.now) >= from {
			c.take(past)
		}
	}
	return c
}

// pastCandle is about what a candle of the past was: the price at its beginning,
// its end and between, and the usual number of trades.
func (p *spec) pastCandle(interval string, t int64) *candle {
	from, to := bounds(interval, t)
	cell := func(t int64) int64 { return p.middle(max(0, p.stepAt(t)) / chunkSteps) }
	c := &candle{interval: interval, from: from, to: to, open: cell(from), close: cell(to)}
	c.high, c.low = max(c.open, c.close)+2, max(1, min(c.open, c.close)-2)
	first, last := max(0, p.stepAt(from)+1), max(0, p.stepAt(to))
	c.first, c.last = first/windowSteps*windowTrades+1, last/windowSteps*windowTrades
	if c.trades = c.last - c.first + 1; c.trades <= 0 {
		c.trades, c.first, c.last = 0, 0, 0
	}
	c.volume = int64(p.usual * 0.45 * float64(c.trades))
	c.bought = c.volume / 2
	c.quote = float64(c.volume*p.step) * float64(p.priceCoef((c.high+c.low)/2))
	c.boughtQuote = c.quote / 2
	return c
}
