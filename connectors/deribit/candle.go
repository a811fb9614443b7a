package deribit

import (
	"github.com/marketprism/marketprism/internal/market"
)

// candle reads {"tick":open time,"open":…,"high":…,"low":…,"close":…,"volume":base,"cost":quote}.
// https://docs.deribit.com/subscriptions/market-data/charttradesinstrument_nameresolution
func (d *decoder) candle(m *message) {
	s := &d.s
	var c market.Candle
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "tick":
			c.OpenTime = d.time()
		case "open":
			c.Open = s.Decimal()
		case "high":
			c.High = s.Decimal()
		case "low":
			c.Low = s.Decimal()
		case "close":
			c.Close = s.Decimal()
		case "volume":
			c.Volume = s.Decimal()
		case "cost":
			c.QuoteVolume = s.Decimal()
		default:
			s.Skip()
		}
	}
	if c.OpenTime == 0 || !c.Open.IsSet() || !c.High.IsSet() || !c.Low.IsSet() || !c.Close.IsSet() || !c.Volume.IsSet() {
		s.Fail("a candle without tick, open, high, low, close or volume")
	}
	if s.Err() != nil {
		return
	}
	head(&c.Header, m)
	c.Flags, c.Interval = market.FlagUnverifiable, m.topic.interval
	*market.Add[market.Candle](m.out) = c
}
