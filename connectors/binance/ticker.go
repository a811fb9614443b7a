package binance

import (
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// bookTicker reads {"u":…,"s":…,"b":bid,"B":amount,"a":ask,"A":amount}; futures
// add e, T and E. A side with price 0 is empty.
func (d *decoder) bookTicker(m message) verdict {
	s := &d.s
	var inst *market.Instrument
	var q market.Quote
	id, at, hasSymbol := int64(-1), int64(0), false
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "s":
			inst, hasSymbol = d.instrument(s.String()), true
		case "u":
			id = s.Int()
		case "b":
			q.BidPrice = s.Decimal()
		case "B":
			q.BidAmount = s.Decimal()
		case "a":
			q.AskPrice = s.Decimal()
		case "A":
			q.AskAmount = s.Decimal()
		case "T":
			at = d.time()
		default:
			s.Skip()
		}
	}
	if !hasSymbol || id < 0 || !q.BidPrice.IsSet() || !q.BidAmount.IsSet() || !q.AskPrice.IsSet() || !q.AskAmount.IsSet() || d.futures && at == 0 {
		s.Fail("a bookTicker without s, u, b, B, a, A or its time")
	}
	if inst == nil || s.Err() != nil {
		return verdict{connectors.UnknownSymbol, d.index.bookTicker}
	}
	addQuote(m, inst, at, id, q)
	return verdict{connectors.Records, d.index.bookTicker}
}

func addQuote(m message, inst *market.Instrument, at, id int64, q market.Quote) {
	if q.BidPrice.IsZero() {
		q.BidPrice, q.BidAmount = market.Decimal{}, market.Decimal{}
	}
	if q.AskPrice.IsZero() {
		q.AskPrice, q.AskAmount = market.Decimal{}, market.Decimal{}
	}
	t := market.Add[market.BookTicker](m.out)
	head(&t.Header, inst, m)
	t.ExchangeTime, t.Seq, t.Quote = at, market.Int(id), q
}

// ticker reads the rolling 24 hours: {"e":"24hrTicker","E":…,"s":…,"c":last,…};
// best bid and ask are the spot market's.
func (d *decoder) ticker(m message) verdict {
	s := &d.s
	var inst *market.Instrument
	var t market.Ticker
	hasSymbol := false
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "s":
			inst, hasSymbol = d.instrument(s.String()), true
		case "E":
			t.ExchangeTime = d.time()
		case "p":
			t.Change = s.Decimal()
		case "P":
			t.ChangePercent = s.Decimal()
		case "c":
			t.Last = s.Decimal()
		case "o":
			t.Open = s.Decimal()
		case "h":
			t.High = s.Decimal()
		case "l":
			t.Low = s.Decimal()
		case "v":
			t.Volume = s.Decimal()
		case "q":
			t.QuoteVolume = s.Decimal()
		case "b":
			t.BidPrice = s.Decimal()
		case "a":
			t.AskPrice = s.Decimal()
		case "O":
			t.WindowOpen = d.time()
		case "C":
			t.WindowClose = d.time()
		default:
			s.Skip()
		}
	}
	if !hasSymbol || t.ExchangeTime == 0 || !t.Last.IsSet() {
		s.Fail("a 24hrTicker without s, E or c")
	}
	if inst == nil || s.Err() != nil {
		return verdict{connectors.UnknownSymbol, d.index.ticker}
	}
	head(&t.Header, inst, m)
	t.Flags = market.FlagUnverifiable
	*market.Add[market.Ticker](m.out) = t
	return verdict{connectors.Records, d.index.ticker}
}
