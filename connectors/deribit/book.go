package deribit

import (
	"github.com/marketprism/marketprism/internal/market"
)

// aBook is a notification of a book as it is read.
type aBook struct {
	snapshot, change bool
	id, prev, at     int64
	bids, asks       []market.Level
	hasBids, hasAsks bool
}

// whole reports whether nothing is missing.
func (b *aBook) whole() bool {
	return b.at > 0 && b.id >= 0 && b.hasBids && b.hasAsks && (b.snapshot || b.change && b.prev >= 0)
}

func (b *aBook) add(m *message) {
	r := market.Add[market.BookDelta](m.out)
	head(&r.Header, m)
	r.ExchangeTime, r.Seq, r.Bids, r.Asks = b.at, market.Int(b.id), b.bids, b.asks
	if b.snapshot {
		r.IsSnapshot, r.Flags = true, market.FlagSnapshot
		return
	}
	r.PrevSeq = market.Int(b.prev)
}

// book reads {"type":"snapshot"|"change","timestamp":…,"instrument_name":…,"change_id":…,
// "prev_change_id":…,"bids":[["new"|"change"|"delete",price,amount],…],"asks":[…]}.
// https://docs.deribit.com/subscriptions/orderbook/bookinstrument_nameinterval
func (d *decoder) book(m *message) {
	s := &d.s
	b := aBook{id: -1, prev: -1}
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "type":
			word := s.String()
			b.snapshot, b.change = string(word) == "snapshot", string(word) == "change"
		case "timestamp":
			b.at = d.time()
		case "change_id":
			b.id = s.Int()
		case "prev_change_id":
			if isDigit(s.Peek()) {
				b.prev = s.Int()
			} else {
				s.Null()
			}
		case "bids":
			b.bids, b.hasBids = d.levels(m.out), true
		case "asks":
			b.asks, b.hasAsks = d.levels(m.out), true
		default:
			s.Skip()
		}
	}
	if !b.whole() {
		s.Fail("a book without its type, timestamp, change_id, bids, asks or, if a change, prev_change_id")
	}
	if s.Err() == nil {
		b.add(m)
	}
}

// levels reads [[action, price, amount],…]. The amounts are absolute, whether the
// level is new or changed; that of one that is deleted becomes 0, whatever is said.
func (d *decoder) levels(out *market.Batch) []market.Level {
	s := &d.s
	mark := out.LevelMark()
	s.Array()
	for s.Element() {
		s.Array()
		if !s.Element() {
			s.Fail("a level without an action")
			return nil
		}
		gone := false
		switch action := s.String(); string(action) {
		case "new", "change":
		case "delete":
			gone = true
		default:
			s.Fail("a level with an unknown action")
			return nil
		}
		if !s.Element() {
			s.Fail("a level without a price")
			return nil
		}
		l := market.Level{Price: s.Decimal()}
		if !s.Element() {
			s.Fail("a level without an amount")
			return nil
		}
		l.Amount = s.Decimal()
		for s.Element() {
			s.Skip()
		}
		if !l.Price.IsSet() || !l.Amount.IsSet() && !gone {
			s.Fail("a level without a number")
			return nil
		}
		if gone {
			l.Amount = deleted(l.Amount)
		}
		out.Level(l)
	}
	if s.Err() != nil {
		return nil
	}
	return out.LevelsFrom(mark)
}

// deleted is the amount of a level that is gone: 0, in the digits sent.
func deleted(sent market.Decimal) market.Decimal {
	if sent.IsZero() {
		return sent
	}
	return market.NewDecimal(0, 0)
}
