package deribit

import (
	"github.com/marketprism/marketprism/internal/market"
)

// volatilityIndex reads {"volatility":…,"timestamp":…,"index_name":"btc_usd"}.
// https://docs.deribit.com/subscriptions/market-data/deribit_volatility_indexindex_name
func (d *decoder) volatilityIndex(m *message) {
	value, at := d.index("volatility")
	if d.s.Err() != nil {
		return
	}
	r := market.Add[market.VolatilityIndex](m.out)
	head(&r.Header, m)
	r.ExchangeTime, r.Flags, r.Value = at, market.FlagUnverifiable, value
	r.Index = m.topic.name[len("deribit_volatility_index."):]
}

// priceIndex reads {"price":…,"timestamp":…,"index_name":"btc_usd"}.
// https://docs.deribit.com/subscriptions/market-data/deribit_price_indexindex_name
func (d *decoder) priceIndex(m *message) {
	value, at := d.index("price")
	if d.s.Err() != nil {
		return
	}
	r := market.Add[market.IndexPrice](m.out)
	head(&r.Header, m)
	r.ExchangeTime, r.Flags, r.Price = at, market.FlagUnverifiable, value
}

// index reads the value of an index, under its key, and its time.
func (d *decoder) index(name string) (value market.Decimal, at int64) {
	s := &d.s
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "timestamp":
			at = d.time()
		case name:
			value = s.Decimal()
		default:
			s.Skip()
		}
	}
	if at == 0 || !value.IsSet() {
		s.Fail("an index without its value or timestamp")
	}
	return value, at
}
