package stream

import "github.com/marketprism/marketprism/internal/market"

// maxHeld bounds the ledger entries that wait for the journal; the oldest go
// first and are counted by the entries that follow.
const maxHeld = 4096

// refusal is what the journal did not take.
type refusal struct {
	active bool
	held   []market.Gap
	lost   [market.NumKinds]*market.Gap
}

// Refusing reports whether records are being refused: the owner calls
// [Stream.Accepting] when the journal has room again.
func (s *Stream) Refusing() bool { return s.refuse.active }

// Refused says that the journal did not take records that were emitted. Calls
// need not come in the order of the records: what was on its way is known to be
// refused later than what was not sent because of it. Ledger entries are held,
// trades will be asked for again, and the book's chain will begin anew with a
// snapshot of the book as it then stands.
func (s *Stream) Refused(cause string, records []market.Record, now int64) {
	r := &s.refuse
	r.active = true
	for _, rec := range records {
		if g, ok := rec.(*market.Gap); ok {
			s.hold(*g)
			continue
		}
		h := rec.Head()
		g := r.lost[rec.Kind()]
		if g == nil {
			c := s.channel(rec.Kind())
			entry := s.openGap(c, cause, now)
			entry.FromTime, entry.FromSeq, entry.ToSeq = h.TS, lostFrom(rec), market.OptInt{}
			r.lost[rec.Kind()], g = &entry, &entry
		}
		g.FromTime, g.ToTime = min(g.FromTime, h.TS), max(g.ToTime, h.TS)
		if from := lostFrom(rec); from.OK && (!g.FromSeq.OK || from.V < g.FromSeq.V) {
			g.FromSeq = from
		}
		if to := lostTo(rec); to.OK && (!g.ToSeq.OK || to.V > g.ToSeq.V) {
			g.ToSeq = to
		}
	}
}

// lostFrom is the first sequence number that goes with a record.
func lostFrom(r market.Record) market.OptInt {
	switch r := r.(type) {
	case *market.BookDelta:
		if p := before(r); p.OK && !r.IsSnapshot {
			return market.Int(p.V + 1)
		}
		return r.Seq
	}
	return lostTo(r)
}

func lostTo(r market.Record) market.OptInt {
	if t, ok := r.(*market.Trade); ok {
		if n, numeric := t.Number(); numeric {
			return market.Int(n)
		}
	}
	return r.Head().Seq
}

// hold keeps a ledger entry until the journal accepts it; a later word on the
// same hole replaces the earlier.
func (s *Stream) hold(g market.Gap) {
	held := s.refuse.held
	for i := range held {
		if held[i].Channel == g.Channel && held[i].FromSeq == g.FromSeq && held[i].FromTime == g.FromTime {
			held[i] = g
			return
		}
	}
	if len(held) == maxHeld {
		held = held[1:]
	}
	s.refuse.held = append(held, g)
}

// Accepting says that the journal has room again: the ledger is written, what
// can be fetched is asked for, and the book's chain begins anew.
func (s *Stream) Accepting(now int64, out *Output) {
	r := &s.refuse
	if !r.active {
		return
	}
	held, lost := r.held, r.lost
	*r = refusal{}
	for i := range held {
		s.write(&held[i], now, out)
	}
	for k, g := range lost {
		if g == nil {
			continue
		}
		c := s.channel(market.Kind(k))
		switch {
		case c.kind == market.KindTrade && g.FromSeq.OK && g.ToSeq.OK:
			s.addHole(c, *g, now, out)
		case c.kind == market.KindBookDelta:
			s.restartChain(c, now, out)
			fallthrough
		default:
			g.Outcome = market.OutcomeMarked
			s.write(g, now, out)
		}
	}
}

// restartChain begins the journalled chain anew with the book as it stands.
func (s *Stream) restartChain(c *channel, now int64, out *Output) {
	b := &s.books
	if b.state != Live || b.untimed != nil {
		return // the snapshot to come begins it
	}
	rec := market.Add[market.BookDelta](&out.own)
	rec.Header = market.Header{
		Instrument: s.cfg.Instrument, ExchangeTime: b.time, ReceiveTime: now, Seq: market.Int(b.seq),
		Epoch: s.cfg.Epoch, Flags: market.FlagSnapshot,
	}
	rec.IsSnapshot = true
	out.levels[0] = b.book.AppendBids(out.levels[0][:0], -1)
	out.levels[1] = b.book.AppendAsks(out.levels[1][:0], -1)
	rec.Bids, rec.Asks = out.own.CopyLevels(out.levels[0]), out.own.CopyLevels(out.levels[1])
	market.Stamp(rec)
	s.emit(c, rec, out)
}
