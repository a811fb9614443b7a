package deribit

import (
	"github.com/marketprism/marketprism/internal/market"
)

// candle reads {"tick":open time,"open":…,"high":…,"low":…,"close":…,"volume":base,"cost":quote}.
// https://docs.deribit.com/subscriptions/market-data/charttradesinstrument_nameresolution
//
// Deribit does not say which values of an interval are its last. They are known when
// the next interval begins on the same connection, which leaves nothing out in
// between: they are given once more then, as closed. After a connection was lost
// nobody knows, and the interval that ran at that time stays open.
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
	last := m.topic.candle
	together := last != nil && last.Conn == c.Conn
	if together && c.OpenTime > last.OpenTime {
		final := *last
		final.ReceiveTime, final.Closed = c.ReceiveTime, true
		*market.Add[market.Candle](m.out) = final
	}
	c.Closed = together && c.OpenTime < last.OpenTime
	*market.Add[market.Candle](m.out) = c
	if !c.Closed {
		d.candles = append(d.candles, running{m.topic, c})
	}
}

// running is a candle that a frame brought, of an interval that goes on.
type running struct {
	of     *topic
	candle market.Candle
}

// keep remembers the candles of a frame that has turned out whole.
func (d *decoder) keep() {
	for i := range d.candles {
		of := d.candles[i].of
		if of.candle == nil {
			of.candle = new(market.Candle)
		}
		*of.candle = d.candles[i].candle
	}
	d.candles = d.candles[:0]
}
