package stream

import (
	"slices"

	"github.com/marketprism/marketprism/internal/book"
	"github.com/marketprism/marketprism/internal/market"
)

// BookState says what may be believed of a book.
type BookState uint8

// The states; doc.go draws how they follow each other.
const (
	// Syncing: there is no book.
	Syncing BookState = iota
	// Live: the book is proven right at its sequence number.
	Live
	// Stale: the book was right, and something since is missing.
	Stale
)

// String is the word that every answer with a book carries.
func (b BookState) String() string {
	switch b {
	case Live:
		return "live"
	case Stale:
		return "stale"
	}
	return "syncing"
}

// BookStatus goes with every view of a book.
type BookStatus struct {
	State BookState
	// Seq is the exchange's sequence number that the book stands at.
	Seq int64
	// Time is the event time of the last change, Received its receive time; Unix
	// ns, 0 when not known.
	Time, Received int64
	// ProvenBids and ProvenAsks are the levels, from the best on, among which none
	// can be missing.
	ProvenBids, ProvenAsks int
}

// books is the book and what is needed to keep it right.
type books struct {
	book     book.Book
	state    BookState
	seq      int64
	time     int64
	received int64
	// fresh: the book stands at a snapshot, and the next change is the first
	// after it.
	fresh bool
	// untimed is an accepted snapshot that waits for the time of its first change.
	untimed *market.BookDelta
	// pending are changes that the book does not hold yet, or that a snapshot on
	// its way may need, in chain order.
	pending []waiting
	// asked: a snapshot was requested and not answered yet; underWay: the exchange has
	// been asked for it. refreshing: it is to replace the start of a live book, so that
	// what is applied is kept for it.
	asked      bool
	underWay   bool
	refreshing bool
	// refreshed is when a refresh was asked for last, by the receive time of
	// changes; applied counts the changes since the reach was looked at.
	refreshed int64
	applied   int
	checksums Checksummer
	// conn is the connection of an in-band chain.
	conn int64
	// joins is where the chain of another owner ends; nil: none, or it was passed.
	joins *ending
}

// waiting is a buffered change.
type waiting struct {
	delta *market.BookDelta
	// emitted: it was applied and passed on already.
	emitted bool
}

func (s *Stream) bookDown() {
	if s.books.state == Live {
		s.books.state = Stale
	}
}

// Subscribed says that the book channel is subscribed: changes from now on will
// be received, so that a snapshot taken from now on can be spliced.
func (s *Stream) Subscribed(out *Output) {
	if s.cfg.Rules != nil && s.books.state != Live {
		s.requestBook(out)
	}
}

// RefreshBook asks for a new snapshot, whatever the state; a live book stays
// live meanwhile.
func (s *Stream) RefreshBook(out *Output) {
	if s.cfg.Rules != nil {
		s.books.refreshing = s.books.state == Live && !s.cfg.SnapshotsInBand
		s.requestBook(out)
	}
}

func (s *Stream) requestBook(out *Output) {
	if s.books.asked {
		return
	}
	s.books.asked, s.books.underWay = true, false
	kind := RequestSnapshot
	if s.cfg.SnapshotsInBand {
		kind = RequestResubscribe
	}
	out.Requests = append(out.Requests, Request{Kind: kind})
}

// SnapshotAsked says whether the exchange is being asked for the snapshot: what is
// received from now on is kept until it is there. An owner who sets
// [Config.MaxUnasked] says so before the call is made, and takes it back when the call
// has failed and is to be made again later.
func (s *Stream) SnapshotAsked(now bool) {
	s.books.underWay = now
	s.trimPending(s.channel(market.KindBookDelta))
}

// delta takes a change, or a snapshot that came on the channel.
func (s *Stream) delta(c *channel, d *market.BookDelta, out *Output) {
	b := &s.books
	if s.cfg.SnapshotsInBand {
		s.inBand(c, d, out)
		return
	}
	if d.IsSnapshot {
		b.asked = false
		s.replace(c, d, out)
		s.drain(c, out)
		return
	}
	s.change(c, d, out)
}

// change takes a change.
func (s *Stream) change(c *channel, d *market.BookDelta, out *Output) {
	b := &s.books
	if b.state != Live {
		s.buffer(c, d, out)
		return
	}
	switch s.follows(d) {
	case market.Next:
		if b.refreshing {
			b.pending = append(b.pending, waiting{clone(d), true})
			s.trimPending(c)
		}
		s.apply(c, d, out)
		s.widen(d.ReceiveTime, out)
	case market.Old:
		s.old(c)
	case market.Hole:
		b.state = Stale
		s.broken(c, d, out)
		s.await(c, d, len(b.pending), out)
	}
}

// widen asks for a new snapshot when the price has moved towards the edge of the
// last one.
func (s *Stream) widen(now int64, out *Output) {
	b := &s.books
	if b.applied++; b.applied < reachEvery || b.asked || b.state != Live || !s.cfg.Refresh {
		return
	}
	b.applied = 0
	pause := now - b.refreshed // below 0 once the clock was set back
	if (pause >= refreshPause || pause < 0) && b.book.Narrow(min(narrowBook, s.cfg.SnapshotLimit)) {
		b.refreshed = now
		s.RefreshBook(out)
	}
}

// old counts a change whose effect the book holds.
func (s *Stream) old(c *channel) {
	if s.books.fresh {
		c.stats.Dropped++
	} else {
		c.stats.Duplicates++
	}
}

// before is the last sequence number before a change.
func before(d *market.BookDelta) market.OptInt {
	switch {
	case d.PrevSeq.OK:
		return d.PrevSeq
	case d.FirstSeq.OK:
		return market.Int(d.FirstSeq.V - 1)
	}
	return market.OptInt{}
}

func (s *Stream) follows(d *market.BookDelta) market.Continuity {
	if s.books.fresh {
		return s.cfg.Rules.Splice(s.books.seq, d)
	}
	return s.cfg.Rules.Follow(s.books.seq, d)
}

// buffer takes a change while the book is not live.
func (s *Stream) buffer(c *channel, d *market.BookDelta, out *Output) {
	b := &s.books
	if b.state == Stale {
		switch s.follows(d) {
		case market.Next:
			// The chain goes on, or what was missing came late.
			s.resume(c, &d.Header, before(d), out)
			if len(b.pending) > 0 {
				c.stats.OutOfOrder++
			}
			s.apply(c, d, out)
			s.drain(c, out)
			return
		case market.Old:
			s.old(c)
			return
		case market.Hole:
		}
	}
	at, known := b.place(s.cfg.Rules, d)
	if known {
		c.stats.Duplicates++
		return
	}
	if at == len(b.pending) {
		follows := at > 0 && s.cfg.Rules.Follow(b.pending[at-1].delta.Seq.V, d) == market.Next
		if !follows {
			s.broken(c, d, out)
		}
	} else {
		c.stats.OutOfOrder++
	}
	s.await(c, d, at, out)
}

// place finds where a change stands in the pending chain; known reports that it
// is there already.
func (b *books) place(rules BookRules, d *market.BookDelta) (at int, known bool) {
	n := len(b.pending)
	if n == 0 || rules.Follow(b.pending[n-1].delta.Seq.V, d) == market.Next {
		return n, false
	}
	for i, w := range b.pending {
		if w.delta.Seq == d.Seq {
			return i, true
		}
		if rules.Follow(d.Seq.V, w.delta) == market.Next {
			return i, false
		}
	}
	return n, false
}

// await buffers a change at its place and asks for a snapshot.
func (s *Stream) await(c *channel, d *market.BookDelta, at int, out *Output) {
	b := &s.books
	c.reached(d.Seq, s.cfg.SnapshotsInBand)
	b.pending = slices.Insert(b.pending, at, waiting{delta: clone(d)})
	s.trimPending(c)
	s.requestBook(out)
}

func (s *Stream) trimPending(c *channel) {
	b := &s.books
	limit := s.cfg.MaxPending
	if b.asked && !b.underWay {
		limit = s.cfg.MaxUnasked
	}
	over := len(b.pending) - limit
	if over <= 0 {
		return
	}
	for _, w := range b.pending[:over] {
		if !w.emitted {
			c.stats.Dropped++
		}
	}
	b.pending = slices.Delete(b.pending, 0, over)
}

func clone(d *market.BookDelta) *market.BookDelta {
	own := *d
	own.Bids, own.Asks = slices.Clone(d.Bids), slices.Clone(d.Asks)
	return &own
}

// Snapshot takes the answer to a RequestSnapshot. A snapshot that is older than
// the changes that were kept is refused and asked for again.
func (s *Stream) Snapshot(d *market.BookDelta, out *Output) {
	b := &s.books
	c := s.channel(market.KindBookDelta)
	c.stats.Received++
	if s.cfg.SnapshotsInBand {
		c.stats.Dropped++ // the chain is not this one's
		return
	}
	b.asked = false
	d = clone(d)
	d.Epoch = s.cfg.Epoch
	contained := 0
	for contained < len(b.pending) && s.cfg.Rules.Splice(d.Seq.V, b.pending[contained].delta) == market.Old {
		contained++
	}
	if s.tooOld(d.Seq.V, contained) {
		c.stats.Dropped++
		if s.endRefresh() {
			return
		}
		s.requestBook(out)
		return
	}
	for _, w := range b.pending[:contained] {
		if !w.emitted {
			c.stats.Dropped++
		}
	}
	b.pending = slices.Delete(b.pending, 0, contained)
	s.replace(c, d, out)
	s.drain(c, out)
}

// tooOld reports whether a snapshot ends before the changes that were kept begin,
// contained being those that it holds; or before the book, when none was kept.
func (s *Stream) tooOld(seq int64, contained int) bool {
	b := &s.books
	if contained < len(b.pending) {
		return s.cfg.Rules.Splice(seq, b.pending[contained].delta) == market.Hole
	}
	return b.state != Syncing && seq < b.seq
}

// SnapshotFailed says that a RequestSnapshot or RequestResubscribe was given up;
// the next change that needs one asks again.
func (s *Stream) SnapshotFailed() {
	s.books.asked = false
	s.endRefresh()
}

// endRefresh gives up a refresh; the live book that is there stays.
func (s *Stream) endRefresh() bool {
	b := &s.books
	if b.state != Live {
		return false
	}
	b.refreshing, b.pending = false, b.pending[:0]
	return true
}

// replace begins a new chain with a snapshot.
func (s *Stream) replace(c *channel, d *market.BookDelta, out *Output) {
	b := &s.books
	d.IsSnapshot = true
	d.Flags |= market.FlagSnapshot
	extent := book.Whole
	if n := s.cfg.SnapshotLimit; n > 0 && (len(d.Bids) >= n || len(d.Asks) >= n) {
		extent = book.Cut
	}
	if b.state != Syncing || c.stats.Resyncs > 0 {
		c.stats.Resyncs++
	}
	b.book.Replace(d.Bids, d.Asks, extent)
	b.state, b.fresh, b.refreshing = Live, true, false
	b.seq, b.received = d.Seq.V, d.ReceiveTime
	c.reached(d.Seq, s.cfg.SnapshotsInBand)
	if b.untimed = d; d.ExchangeTime != 0 {
		s.emitSnapshot(c, d.ExchangeTime, out)
	}
	s.verify(c, d, out)
}

// emitSnapshot passes on the snapshot that began the chain, once its time is
// known.
func (s *Stream) emitSnapshot(c *channel, eventTime int64, out *Output) {
	d := s.books.untimed
	s.books.untimed = nil
	// Without a time of its own the snapshot stands at that of the first change
	// after it; ts, seq order keeps it in front.
	d.ExchangeTime = eventTime
	market.Stamp(d)
	s.books.time = eventTime
	if s.stored(d) {
		return
	}
	s.books.joins = nil
	s.settle(c, d, market.OutcomeMarked, out)
	s.emit(c, d, out)
}

// settle closes the holes and the interruption that the chain has passed.
func (s *Stream) settle(c *channel, d *market.BookDelta, outcome string, out *Output) {
	if g := c.outage; g != nil && g.FromTime == 0 {
		c.outage = nil
		s.endUnknown(c, g, &d.Header, market.OptInt{}, out)
	}
	if c.outage != nil {
		g := c.outage
		c.outage = nil
		g.ToTime, g.Outcome = d.TS, outcome
		if outcome == market.OutcomeMarked && g.FromSeq.OK && d.Seq.OK && d.Seq.V >= g.FromSeq.V {
			g.ToSeq = d.Seq // the snapshot holds what was missed up to here
		}
		s.write(g, d.ReceiveTime, out)
	}
	for i := 0; i < len(c.holes); {
		h := &c.holes[i]
		if !s.passed(h, d) {
			if !s.cfg.SnapshotsInBand {
				return // holes are in order
			}
			i++
			continue
		}
		h.gap.ToTime = d.TS
		if outcome == market.OutcomeHealed {
			h.missing = nil
		}
		s.giveUp(c, i, d.ReceiveTime, out)
	}
}

// passed reports whether the chain, at d, has passed a hole. Numbers of an in-band
// chain need not rise: a snapshot passes every hole, a change the one that ends
// with it.
func (s *Stream) passed(h *hole, d *market.BookDelta) bool {
	if s.cfg.SnapshotsInBand {
		return d.IsSnapshot || h.gap.ToSeq.V == d.Seq.V
	}
	return h.gap.ToSeq.V <= d.Seq.V
}

// drain applies what is pending as far as the chain goes.
func (s *Stream) drain(c *channel, out *Output) {
	b := &s.books
	for len(b.pending) > 0 && b.state != Syncing {
		w := b.pending[0]
		switch s.follows(w.delta) {
		case market.Next:
			b.pending = slices.Delete(b.pending, 0, 1)
			s.applyWaiting(c, w, out)
		case market.Old:
			b.pending = slices.Delete(b.pending, 0, 1)
			if !w.emitted {
				c.stats.Dropped++
			}
		case market.Hole:
			b.state = Stale
			s.requestBook(out)
			return
		}
	}
	if b.state == Stale {
		b.state = Live
	}
}

func (s *Stream) applyWaiting(c *channel, w waiting, out *Output) {
	if !w.emitted {
		s.apply(c, w.delta, out)
		return
	}
	b := &s.books
	if b.untimed != nil {
		s.emitSnapshot(c, w.delta.TS, out)
	}
	b.book.Apply(w.delta.Bids, w.delta.Asks)
	b.seq, b.fresh = w.delta.Seq.V, false
}

// apply puts a change that follows into the book and passes it on.
func (s *Stream) apply(c *channel, d *market.BookDelta, out *Output) {
	b := &s.books
	if b.untimed != nil {
		s.emitSnapshot(c, d.TS, out)
	}
	s.cut(d, out)
	b.book.Apply(d.Bids, d.Asks)
	b.seq, b.fresh = d.Seq.V, false
	b.time, b.received = d.TS, d.ReceiveTime
	c.reached(d.Seq, s.cfg.SnapshotsInBand)
	if b.joins != nil {
		s.join(c, d, out)
		return
	}
	if len(c.holes) > 0 {
		s.settle(c, d, market.OutcomeHealed, out)
	}
	emitted := len(out.Records)
	s.emit(c, d, out)
	if s.verify(c, d, out) && s.cfg.Tops {
		s.top(d, out)
	} else if s.books.state != Live {
		out.Records[emitted].Head().Flags |= market.FlagSuspect
		c.stats.Suspect++
	}
}

// verify checks the book after a whole update; a wrong one is forgotten.
func (s *Stream) verify(c *channel, d *market.BookDelta, out *Output) bool {
	b := &s.books
	cause := ""
	if b.book.Crossed() {
		c.stats.Crossed++
		cause = market.CauseCrossed
	}
	// 0 means that the exchange sends none.
	if b.checksums != nil && d.Checksum.OK && d.Checksum.V != 0 {
		n := b.checksums.ChecksumDepth()
		out.levels[0] = b.book.AppendBids(out.levels[0][:0], n)
		out.levels[1] = b.book.AppendAsks(out.levels[1][:0], n)
		if b.checksums.Checksum(s.cfg.Instrument, out.levels[0], out.levels[1]) == d.Checksum.V {
			c.stats.ChecksumOK++
		} else {
			c.stats.ChecksumWrong++
			cause = market.CauseChecksum
		}
	}
	if cause == "" {
		return true
	}
	g := s.openGap(c, cause, d.ReceiveTime)
	g.FromSeq, g.ToSeq, g.FromTime = d.Seq, d.Seq, d.TS
	s.addHole(c, g, d.ReceiveTime, out)
	b.book.Clear()
	b.state, b.untimed, b.joins = Syncing, nil, nil
	s.requestBook(out)
	return false
}
