package deribit

import "github.com/marketprism/marketprism/internal/market"

// aQuote is a quote as it is read.
type aQuote struct {
	market.Quote
	at       int64
	bid, ask bool // their prices were given, if only as null
}

// whole reports whether nothing is missing.
func (q *aQuote) whole() bool { return q.at > 0 && q.bid && q.ask }

// quote reads {"timestamp":…,"best_bid_price":…,"best_bid_amount":…,"best_ask_price":…,"best_ask_amount":…}.
// https://docs.deribit.com/subscriptions/market-data/quoteinstrument_name
func (d *decoder) quote(m *message) {
	s := &d.s
	var q aQuote
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "timestamp":
			q.at = d.time()
		case "best_bid_price":
			q.BidPrice, q.bid = s.Decimal(), true
		case "best_bid_amount":
			q.BidAmount = s.Decimal()
		case "best_ask_price":
			q.AskPrice, q.ask = s.Decimal(), true
		case "best_ask_amount":
			q.AskAmount = s.Decimal()
		default:
			s.Skip()
		}
	}
	if !q.whole() {
		s.Fail("a quote without timestamp or its prices")
	}
	if s.Err() == nil {
		q.add(m)
	}
}

// add makes the record; a side without a price, or with 0, is empty.
func (q *aQuote) add(m *message) {
	if !q.BidPrice.IsSet() || q.BidPrice.IsZero() {
		q.BidPrice, q.BidAmount = market.Decimal{}, market.Decimal{}
	}
	if !q.AskPrice.IsSet() || q.AskPrice.IsZero() {
		q.AskPrice, q.AskAmount = market.Decimal{}, market.Decimal{}
	}
	r := market.Add[market.BookTicker](m.out)
	head(&r.Header, m)
	r.ExchangeTime, r.Flags, r.Quote = q.at, market.FlagUnverifiable|market.FlagUnkeyed, q.Quote
}
