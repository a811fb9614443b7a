package deribit

import (
	"github.com/marketprism/marketprism/internal/market"
)

// aTicker is a ticker as it is read.
type aTicker struct {
	at                          int64
	last, bid, ask, mark, index market.Decimal
	interest, funding           market.Decimal
	high, low, change, volume   market.Decimal
	volumeUSD, volumeNotional   market.Decimal
}

// ticker reads {"timestamp":…,"last_price":…,"best_bid_price":…,"best_ask_price":…,"mark_price":…,
// "index_price":…,"open_interest":…,"current_funding":…,"stats":{…}} and gives a
// record for each kind of the channel that it has a value for. A best price of 0 is
// an empty side.
// https://docs.deribit.com/subscriptions/market-data/tickerinstrument_nameinterval
func (d *decoder) ticker(m *message) {
	s := &d.s
	var t aTicker
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "timestamp":
			t.at = d.time()
		case "last_price":
			t.last = s.Decimal()
		case "best_bid_price":
			t.bid = s.Decimal()
		case "best_ask_price":
			t.ask = s.Decimal()
		case "mark_price":
			t.mark = s.Decimal()
		case "index_price":
			t.index = s.Decimal()
		case "open_interest":
			t.interest = s.Decimal()
		case "current_funding":
			t.funding = s.Decimal()
		case "stats":
			d.stats(&t)
		default:
			s.Skip()
		}
	}
	if t.at == 0 {
		s.Fail("a ticker without timestamp")
	}
	if s.Err() == nil {
		t.add(m)
		t.addDerivative(m, d.market)
	}
}

// stats reads the last 24 hours: {"volume":base,"volume_usd":…,"volume_notional":quote,
// "price_change":percent,"low":…,"high":…}; null where nothing was traded.
func (d *decoder) stats(t *aTicker) {
	s := &d.s
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "volume":
			t.volume = s.Decimal()
		case "volume_usd":
			t.volumeUSD = s.Decimal()
		case "volume_notional":
			t.volumeNotional = s.Decimal()
		case "price_change":
			t.change = s.Decimal()
		case "low":
			t.low = s.Decimal()
		case "high":
			t.high = s.Decimal()
		default:
			s.Skip()
		}
	}
}

func (t *aTicker) add(m *message) {
	r := market.Add[market.Ticker](m.out)
	head(&r.Header, m)
	r.ExchangeTime, r.Flags = t.at, market.FlagUnverifiable
	r.Last, r.High, r.Low, r.Volume, r.ChangePercent = t.last, t.high, t.low, t.volume, t.change
	r.QuoteVolume = t.volumeNotional
	if !r.QuoteVolume.IsSet() && m.topic.inverse {
		r.QuoteVolume = t.volumeUSD
	}
	if !t.bid.IsZero() {
		r.BidPrice = t.bid
	}
	if !t.ask.IsZero() {
		r.AskPrice = t.ask
	}
}

// addDerivative adds what is no statistic.
func (t *aTicker) addDerivative(m *message, of market.Market) {
	if t.mark.IsSet() {
		r := market.Add[market.MarkPrice](m.out)
		head(&r.Header, m)
		r.ExchangeTime, r.Flags, r.Price = t.at, market.FlagUnverifiable, t.mark
	}
	if t.index.IsSet() {
		r := market.Add[market.IndexPrice](m.out)
		head(&r.Header, m)
		r.ExchangeTime, r.Flags, r.Price = t.at, market.FlagUnverifiable, t.index
	}
	if t.interest.IsSet() && of != market.Spot {
		r := market.Add[market.OpenInterest](m.out)
		head(&r.Header, m)
		r.ExchangeTime, r.Flags = t.at, market.FlagUnverifiable
		if m.topic.inverse {
			r.Quote = t.interest
		} else {
			r.Base = t.interest
		}
	}
	if t.funding.IsSet() && of == market.Perpetual {
		r := market.Add[market.Funding](m.out)
		head(&r.Header, m)
		r.ExchangeTime, r.Flags, r.Rate, r.IntervalHours = t.at, market.FlagUnverifiable, t.funding, market.Int(8)
	}
}
