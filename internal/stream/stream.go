package stream

import (
	"slices"

	"github.com/marketprism/marketprism/internal/book"
	"github.com/marketprism/marketprism/internal/market"
)

// Stream is the state of one instrument. It is not safe for concurrent use.
type Stream struct {
	cfg      Config
	channels [market.NumKinds]*channel
	order    []*channel

	books  books
	refuse refusal
}

// New makes a stream that knows nothing yet.
func New(cfg Config) *Stream {
	if cfg.MaxPending == 0 {
		cfg.MaxPending = DefaultMaxPending
	}
	if cfg.MaxUnasked == 0 || cfg.MaxUnasked > cfg.MaxPending {
		cfg.MaxUnasked = cfg.MaxPending
	}
	s := &Stream{cfg: cfg}
	s.books.checksums, _ = cfg.Rules.(Checksummer)
	return s
}

// Step takes one record as it was received. The record may be changed, and is
// referred to by out until the caller resets its batch.
func (s *Stream) Step(r market.Record, out *Output) {
	h := r.Head()
	h.Epoch = s.cfg.Epoch
	market.Stamp(r)
	c := s.channel(r.Kind())
	c.stats.Received++
	switch c.proof {
	case Contiguous:
		if t, ok := r.(*market.Trade); ok {
			s.trade(c, t, out)
			return
		}
	case Chained:
		if d, ok := r.(*market.BookDelta); ok {
			s.delta(c, d, out)
			return
		}
	case Rising:
		if h.Seq.OK {
			s.rising(c, r, out)
			return
		}
	}
	h.Flags |= market.FlagUnverifiable
	s.resume(c, h, market.OptInt{}, out)
	s.emit(c, r, out)
}

// emit passes a record on.
func (s *Stream) emit(c *channel, r market.Record, out *Output) {
	h := r.Head()
	c.stats.Records++
	if h.Flags.Has(market.FlagSuspect) {
		c.stats.Suspect++
	}
	c.stats.LastTime = max(c.stats.LastTime, h.TS)
	c.stats.LastReceived = max(c.stats.LastReceived, h.ReceiveTime)
	if h.Seq.OK {
		if !c.stats.FirstSeq.OK {
			c.stats.FirstSeq = h.Seq
		}
		c.stats.LastSeq = h.Seq
	}
	out.Records = append(out.Records, r)
}

// rising takes a record whose sequence number never falls.
func (s *Stream) rising(c *channel, r market.Record, out *Output) {
	h := r.Head()
	if c.last.OK && h.Seq.V <= c.last.V {
		if c.recent.has(h.Seq.V) {
			c.stats.Duplicates++
			return
		}
		c.stats.OutOfOrder++
	} else {
		c.last = h.Seq
	}
	// A number that jumps shows what came twice or late, not what never came.
	h.Flags |= market.FlagUnverifiable
	s.resume(c, h, market.OptInt{}, out)
	c.recent.add(h.Seq.V)
	s.emit(c, r, out)
}

// trade takes a trade of a channel with contiguous identifiers. One that stands
// for several names, in PrevSeq, the last before them.
func (s *Stream) trade(c *channel, t *market.Trade, out *Output) {
	id, ok := t.Number()
	if !ok {
		t.Flags |= market.FlagUnverifiable
		s.emit(c, t, out)
		return
	}
	if c.last.OK && id <= c.last.V {
		if !s.fill(c, id, t.ReceiveTime, out) {
			c.stats.Duplicates++
			return
		}
		c.stats.OutOfOrder++
		s.emit(c, t, out)
		return
	}
	before := t.PrevSeq
	if !before.OK {
		before = market.Int(id - 1)
	}
	s.reach(c, &t.Header, before, out)
	c.last = market.Int(id)
	s.emit(c, t, out)
}

// reach settles what lies between the channel's last record and the one with
// header h, before which missing is the last sequence number.
func (s *Stream) reach(c *channel, h *market.Header, missing market.OptInt, out *Output) {
	switch {
	case c.outage != nil:
		s.resume(c, h, missing, out)
	case c.last.OK && missing.OK && missing.V > c.last.V:
		g := s.openGap(c, market.CauseSequence, h.ReceiveTime)
		g.ToSeq, g.ToTime = missing, h.TS
		s.addHole(c, g, h.ReceiveTime, out)
	}
}

// Backfilled takes trades that were fetched for a request, and what was fetched with
// them. done says that no more will come: what is still missing of the range is
// marked.
func (s *Stream) Backfilled(req Request, in *market.Batch, done bool, now int64, out *Output) {
	c := s.channel(market.KindTrade)
	if in != nil {
		s.fillFrom(c, in, now, out)
	}
	if !done {
		return
	}
	for i := len(c.holes) - 1; i >= 0; i-- {
		if g := &c.holes[i].gap; g.FromSeq.V == req.From && g.ToSeq.V == req.To {
			s.giveUp(c, i, now, out)
		}
	}
}

// fillFrom takes the trades that are missing. A liquidation that an exchange shows as
// a trade stands behind that trade and has its number: it was missed with it, and
// with it alone.
func (s *Stream) fillFrom(c *channel, in *market.Batch, now int64, out *Output) {
	missed, filled := int64(0), false
	for r := range in.All() {
		of := c
		switch r := r.(type) {
		case *market.Trade:
			if missed, filled = r.Number(); filled {
				filled = s.fill(c, missed, now, out)
			}
			if !filled {
				continue
			}
		case *market.Liquidation:
			if !filled || !r.Seq.OK || r.Seq.V != missed {
				continue
			}
			of = s.channel(market.KindLiquidation)
			of.stats.Received++
		default:
			continue
		}
		h := r.Head()
		h.Epoch = s.cfg.Epoch
		h.Flags |= market.FlagBackfilled
		market.Stamp(r)
		s.emit(of, r, out)
	}
}

// Lacks reports whether any of the trades that a RequestTrades was about is still
// missing: they may have come late, or in answer to another one.
func (s *Stream) Lacks(req Request) bool {
	c := s.channel(market.KindTrade)
	for i := range c.holes {
		for _, m := range c.holes[i].missing {
			if m.from <= req.To && req.From <= m.to {
				return true
			}
		}
	}
	return false
}

// Interrupted says that nothing can be received of the given kinds from now on,
// or that nothing came for too long. Every channel is meant where kinds is
// empty. Cause is one of the market.Cause constants.
func (s *Stream) Interrupted(cause string, now int64, out *Output, kinds ...market.Kind) {
	for _, c := range s.order {
		derived := c.stats.Received == 0
		if derived || (len(kinds) > 0 && !slices.Contains(kinds, c.kind)) {
			continue
		}
		if c.proof == Chained {
			s.bookDown()
		}
		s.interrupt(c, cause, now, out)
	}
}

// Resume tells a new stream what is stored of a channel: the highest sequence
// number, where the channel has one, and the time of its last record. What lies
// between it and the first record to come is a gap of the given cause.
func (s *Stream) Resume(k market.Kind, lastSeq market.OptInt, lastTime int64, cause string, now int64, out *Output) {
	c := s.channel(k)
	c.last = lastSeq
	c.stats.LastTime = lastTime
	s.interrupt(c, cause, now, out)
}

// Continue tells a new stream, in place of Resume, that whoever recorded a channel
// before it did so until after this stream began to listen: nothing lies between.
// Records up to lastSeq, where the channel has numbers that never fall, are known.
func (s *Stream) Continue(k market.Kind, lastSeq market.OptInt, lastTime int64) {
	c := s.channel(k)
	c.last = lastSeq
	c.stats.LastTime = lastTime
}

// Reopen takes up an entry of the ledger that was open when an earlier stream of
// this instrument ended. It is not written again until it changes.
func (s *Stream) Reopen(g *market.Gap, out *Output) {
	k, ok := market.ParseKind(g.Channel)
	if !ok || !g.FromSeq.OK || !g.ToSeq.OK || g.ToSeq.V < g.FromSeq.V {
		return
	}
	c := s.channel(k)
	if k == market.KindTrade && s.cfg.Backfills {
		out.Requests = append(out.Requests, Request{Kind: RequestTrades, From: g.FromSeq.V, To: g.ToSeq.V})
	}
	c.holes = append(c.holes, hole{gap: *g, missing: []span{{g.FromSeq.V, g.ToSeq.V}}})
}

// Finish marks whatever is still open: the owner will fetch nothing more.
func (s *Stream) Finish(now int64, out *Output) {
	for _, c := range s.order {
		for len(c.holes) > 0 {
			s.giveUp(c, 0, now, out)
		}
		if c.outage != nil && c.outage.FromTime == 0 {
			c.outage = nil // nothing came, and nothing is known before it
		}
		if c.outage != nil {
			c.outage.Outcome = market.OutcomeMarked
			s.write(c.outage, now, out)
			c.outage = nil
		}
	}
}

// Instrument is the stream's.
func (s *Stream) Instrument() *market.Instrument { return s.cfg.Instrument }

// Book gives access to the book for reading until the next step, and its state. A
// live book whose best levels lie beyond the reach of its last snapshot is not
// proven any more, and answers stale.
func (s *Stream) Book() (*book.Book, BookStatus) {
	b := &s.books
	st := BookStatus{State: b.state, Seq: b.seq, Time: b.time, Received: b.received}
	st.ProvenBids, st.ProvenAsks = b.book.Proven()
	if b.state == Live && b.book.Narrow(1) {
		st.State = Stale
	}
	return &b.book, st
}

// BookState is the state and the sequence number of [Stream.Book], and costs
// little.
func (s *Stream) BookState() (BookState, int64) {
	b := &s.books
	if b.state == Live && b.book.Narrow(1) {
		return Stale, b.seq
	}
	return b.state, b.seq
}
