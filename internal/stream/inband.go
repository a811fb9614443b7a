package stream

import "github.com/marketprism/marketprism/internal/market"

// inBand takes a change or a snapshot of a channel that begins with a snapshot.
//
// The rules, for every exchange of that kind:
//
//  1. A chain belongs to the connection on which its snapshot came. Changes of
//     another one, while both are open, are left out.
//  2. A snapshot replaces the book, whatever its number, and everything that
//     waited for it: on its connection all of that came before.
//  3. A change follows when the exchange's [BookRules] say so; numbers may jump and
//     may fall, so that none is compared with another here.
//  4. A change that does not follow makes the book stale and asks for a new
//     subscription. What comes until its snapshot is kept only to notice the one
//     that was missing, late.
func (s *Stream) inBand(c *channel, d *market.BookDelta, out *Output) {
	b := &s.books
	switch {
	case d.IsSnapshot:
		s.begin(c, d, out)
	case b.state == Live && d.Conn != b.conn:
		c.stats.Dropped++
	case b.state == Stale && d.Conn != b.conn:
		c.stats.Dropped++
		s.requestBook(out)
	default:
		s.change(c, d, out)
	}
}

// begin starts a chain with a snapshot that came on the channel.
func (s *Stream) begin(c *channel, d *market.BookDelta, out *Output) {
	b := &s.books
	for _, w := range b.pending {
		if !w.emitted {
			c.stats.Dropped++
		}
	}
	clear(b.pending)
	b.pending = b.pending[:0]
	if b.state == Live && d.Seq.V != b.seq {
		s.skipped(c, d, out)
	}
	b.asked, b.conn = false, d.Conn
	s.replace(c, d, out)
}

// skipped marks what lies between a live book and the snapshot that replaces it:
// nothing shows which changes there were.
func (s *Stream) skipped(c *channel, d *market.BookDelta, out *Output) {
	g := s.openGap(c, market.CauseSequence, d.ReceiveTime)
	g.Outcome, g.FromSeq, g.ToSeq = market.OutcomeMarked, d.Seq, d.Seq
	if d.Seq.V > s.books.seq {
		g.FromSeq = market.Int(s.books.seq + 1)
	}
	g.ToTime = max(d.TS, g.FromTime)
	s.write(&g, d.ReceiveTime, out)
}

// broken opens the ledger entry of what is missing before a change that does not
// follow.
func (s *Stream) broken(c *channel, d *market.BookDelta, out *Output) {
	if !s.cfg.SnapshotsInBand {
		s.reach(c, &d.Header, before(d), out)
		return
	}
	if c.outage == nil && !c.last.OK {
		return // nothing came before: nothing is known to be missing
	}
	if c.last.OK && s.cfg.Rules.Follow(c.last.V, d) == market.Next {
		s.resume(c, &d.Header, before(d), out)
		return // the book was given up, not a change lost
	}
	if u := c.outage; u != nil && u.FromTime == 0 {
		c.outage = nil
		s.endUnknown(c, u, &d.Header, before(d), out)
		return
	}
	var g market.Gap
	if c.outage != nil {
		g, c.outage = *c.outage, nil
	} else {
		g = s.openGap(c, market.CauseSequence, d.ReceiveTime)
	}
	// The change before this one is missing for certain; without its number, this
	// one's is the nearest. Numbers that have fallen say nothing of the beginning.
	g.ToSeq, g.ToTime = before(d), d.TS
	if !g.ToSeq.OK {
		g.ToSeq = d.Seq
	}
	if !g.FromSeq.OK || g.FromSeq.V > g.ToSeq.V {
		g.FromSeq = g.ToSeq
	}
	s.addHole(c, g, d.ReceiveTime, out)
}

// reached notes that the channel has come to a number: the highest, unless numbers
// may fall.
func (c *channel) reached(seq market.OptInt, mayFall bool) {
	if mayFall || !c.last.OK || seq.V > c.last.V {
		c.last = seq
	}
}

// AwaitsBook reports whether a snapshot or a new subscription has been asked for
// and not come yet.
func (s *Stream) AwaitsBook() bool { return s.books.asked }
