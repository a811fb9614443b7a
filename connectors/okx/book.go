package okx

import (
	"github.com/marketprism/marketprism/internal/market"
)

// book reads {"asks":[…],"bids":[…],"ts":…,"checksum":…,"prevSeqId":…,"seqId":…}.
// The checksum is 0 since June 2026, which is none; the ids were absent before 2023.
func (d *decoder) book(m *message) {
	s := &d.s
	var f bookFields
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "asks":
			f.asks, f.hasAsks = d.levels(m), true
		case "bids":
			f.bids, f.hasBids = d.levels(m), true
		case "ts":
			f.at = d.time()
		case "checksum":
			f.checksum = s.Int()
		case "prevSeqId":
			f.prev = market.Int(s.Int())
		case "seqId":
			f.seq = market.Int(s.Int())
		default:
			s.Skip()
		}
	}
	if problem := f.problem(m.action); problem != "" {
		s.Fail(problem)
	}
	if s.Err() == nil {
		f.add(m)
	}
}

// bookFields are the members of a book's data.
type bookFields struct {
	bids, asks       []market.Level
	hasBids, hasAsks bool
	at, checksum     int64
	seq, prev        market.OptInt
}

// problem says what is wrong; "" for nothing.
func (f *bookFields) problem(a action) string {
	switch {
	case a == noAction:
		return "a book that is neither snapshot nor update"
	case !f.hasBids || !f.hasAsks || f.at == 0:
		return "a book without asks, bids or ts"
	case f.seq.OK && f.seq.V < 0:
		return "a seqId below zero"
	}
	return ""
}

func (f *bookFields) add(m *message) {
	b := market.Add[market.BookDelta](m.out)
	m.head(&b.Header, m.inst, f.at)
	b.Bids, b.Asks, b.Seq = f.bids, f.asks, f.seq
	if f.prev.V >= 0 { // a snapshot has -1
		b.PrevSeq = f.prev
	}
	if f.checksum != 0 {
		b.Checksum = market.Int(f.checksum)
	}
	if m.action == snapshot {
		b.IsSnapshot, b.Flags = true, market.FlagSnapshot
	}
}

// quote reads {"asks":[[price,contracts,"0",orders]],"bids":[…],"ts":…,"seqId":…}:
// the best level a side, none for an empty one.
func (d *decoder) quote(m *message) {
	s := &d.s
	var f bookFields
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "asks":
			f.asks, f.hasAsks = d.levels(m), true
		case "bids":
			f.bids, f.hasBids = d.levels(m), true
		case "ts":
			f.at = d.time()
		case "seqId":
			f.seq = market.Int(s.Int())
		default:
			s.Skip()
		}
	}
	if problem := f.problem(update); problem != "" {
		s.Fail(problem)
	}
	if s.Err() == nil {
		f.addQuote(m)
	}
}

func (f *bookFields) addQuote(m *message) {
	t := market.Add[market.BookTicker](m.out)
	m.head(&t.Header, m.inst, f.at)
	t.Seq = f.seq
	if len(f.bids) > 0 {
		t.BidPrice, t.BidAmount = f.bids[0].Price, f.bids[0].Amount
	}
	if len(f.asks) > 0 {
		t.AskPrice, t.AskAmount = f.asks[0].Price, f.asks[0].Amount
	}
}
