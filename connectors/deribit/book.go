package deribit

import (
	"github.com/marketprism/marketprism/internal/market"
)

// book reads {"type":"snapshot"|"change","timestamp":…,"instrument_name":…,"change_id":…,
// "prev_change_id":…,"bids":[["new"|"change"|"delete",price,amount],…],"asks":[…]}.
// https://docs.deribit.com/subscriptions/orderbook/bookinstrument_nameinterval
func (d *decoder) book(m *message) {
	s := &d.s
	var bids, asks []market.Level
	id, prev, at := int64(-1), int64(-1), int64(0)
	snapshot, change, hasBids, hasAsks := false, false, false, false
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "type":
			word := s.String()
			snapshot, change = string(word) == "snapshot", string(word) == "change"
		case "timestamp":
			at = d.time()
		case "change_id":
			id = s.Int()
		case "prev_change_id":
			if isDigit(s.Peek()) {
				prev = s.Int()
			} else {
				s.Null()
			}
		case "bids":
			bids, hasBids = d.levels(m.out), true
		case "asks":
			asks, hasAsks = d.levels(m.out), true
		default:
			s.Skip()
		}
	}
	if at == 0 || id < 0 || !hasBids || !hasAsks || !snapshot && !change || change && prev < 0 {
		s.Fail("a book without its type, timestamp, change_id, bids, asks or, if a change, prev_change_id")
	}
	if s.Err() != nil {
		return
	}
	b := market.Add[market.BookDelta](m.out)
	head(&b.Header, m)
	b.ExchangeTime, b.Seq, b.Bids, b.Asks = at, market.Int(id), bids, asks
	if snapshot {
		b.IsSnapshot, b.Flags = true, market.FlagSnapshot
		return
	}
	b.PrevSeq = market.Int(prev)
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
		if gone && !l.Amount.IsZero() {
			l.Amount = market.NewDecimal(0, 0)
		}
		out.Level(l)
	}
	if s.Err() != nil {
		return nil
	}
	return out.LevelsFrom(mark)
}
