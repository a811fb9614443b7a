package binance

import (
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// candle reads {"e":"kline","E":…,"s":…,"k":{"t":open,"T":close,"i":"1m","o":…,"c":…,"h":…,"l":…,"v":…,"n":trades,"x":closed,"q":…}}.
func (d *decoder) candle(m message) verdict {
	s := &d.s
	var inst *market.Instrument
	var c market.Candle
	hasSymbol, interval := false, -1
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "s":
			inst, hasSymbol = d.instrument(s.String()), true
		case "E":
			c.ExchangeTime = d.time()
		case "k":
			interval = d.candleBody(&c)
		default:
			s.Skip()
		}
	}
	if !hasSymbol || c.ExchangeTime == 0 || c.OpenTime == 0 || c.CloseTime == 0 ||
		!c.Open.IsSet() || !c.High.IsSet() || !c.Low.IsSet() || !c.Close.IsSet() || !c.Volume.IsSet() {
		s.Fail("a kline without s, E, or k with t, T, i, o, c, h, l and v")
	}
	channel := -1
	if interval >= 0 {
		channel = d.index.candles[interval]
	}
	switch {
	case s.Err() != nil:
		return verdict{connectors.UnknownChannel, channel}
	case interval < 0:
		return verdict{connectors.UnknownChannel, -1}
	case inst == nil:
		return verdict{connectors.UnknownSymbol, channel}
	}
	head(&c.Header, inst, m)
	c.Flags = market.FlagUnverifiable
	*market.Add[market.Candle](m.out) = c
	return verdict{connectors.Records, channel}
}

// candleBody reads the object k and returns the place of its interval in
// intervals, or -1.
func (d *decoder) candleBody(c *market.Candle) int {
	s := &d.s
	interval := -1
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "i":
			name := s.String()
			for i, known := range intervals {
				if string(name) == known {
					interval, c.Interval = i, known
				}
			}
		case "t":
			c.OpenTime = d.time()
		case "T":
			c.CloseTime = d.time()
		case "o":
			c.Open = s.Decimal()
		case "c":
			c.Close = s.Decimal()
		case "h":
			c.High = s.Decimal()
		case "l":
			c.Low = s.Decimal()
		case "v":
			c.Volume = s.Decimal()
		case "q":
			c.QuoteVolume = s.Decimal()
		case "n":
			c.Trades = market.Int(s.Int())
		case "x":
			c.Closed = s.Bool()
		default:
			s.Skip()
		}
	}
	return interval
}
