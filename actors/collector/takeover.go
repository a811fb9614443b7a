package collector

import (
	"slices"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// handedOver: nobody else records the stream any more.
type handedOver struct {
	// seamless: whoever did, did so without a hole until after this stream was ready.
	seamless bool
}

// How long a stream that is being taken over waits before it says that it is ready.
const (
	// bookPatience is for the snapshot that its book begins with: where thousands are
	// wanted at once it takes minutes.
	bookPatience = time.Second
	// channelPatience is for channels that the exchange does not acknowledge.
	channelPatience = 15 * time.Second
)

// takeover is how a stream that another node may have begins: it listens, holds what
// comes and fetches its book, says that it is ready, and asks what is stored once the
// other has let go. So what lies between what is stored and what was held is nothing,
// or it is known.
//
//	listens ── all channels up, book there ──► ready ── handedOver ──► asks storage (doc.go)
type takeover struct {
	waits bool
	since int64 // Unix ns
	// listened: it did so before it asked what is stored.
	listened bool
	asked    bool // for the book
	there    bool // the book, or the exchange has none to give
	// upAt is when all channels were up, Unix ns; 0 while they are not.
	upAt int64
	// seamless are the kinds of which nothing lies between what is stored and what was
	// held.
	seamless kindSet
}

// start reports whether the stream may ask at once what is stored.
func (t *takeover) start(s *streamActor) bool {
	if s.opts.Handoff == nil || s.route.begun.Load() {
		return true
	}
	t.waits, t.listened, t.since = true, true, s.venue.now()
	s.route.offered.Store(false)
	t.offer(s)
	return false
}

// offer says that the stream is ready, once it is.
func (t *takeover) offer(s *streamActor) {
	if !t.waits {
		return
	}
	streamed := kindSet(s.route.want.Load()) & s.venue.made.Load().streamed
	up, now := streamed&kindSet(s.route.up.Load()), s.venue.now()
	switch {
	case up == streamed:
	case up == 0 || now-t.since < int64(channelPatience):
		t.upAt = 0
		return
	}
	if t.upAt == 0 {
		t.upAt = now
	}
	if !t.hasBook(s, up) && now-t.upAt < int64(bookPatience) {
		return
	}
	if !s.route.offered.Swap(true) {
		t.seamless = up
	}
	s.opts.Handoff.Ready(s.route.instrument.ID())
}

// hasBook reports whether the stream has the snapshot that its book begins with, or
// needs none; else it asks for it.
func (t *takeover) hasBook(s *streamActor, up kindSet) bool {
	if t.there || !s.hasBook() || s.config.SnapshotsInBand || !up.has(market.KindBookDelta) {
		return true
	}
	if !t.asked {
		t.asked = true
		e := &s.errands
		e.book, e.bookAt = &errand{route: s.route, born: s.born, kind: connectors.NeedSnapshot}, s.venue.now()
		e.send(s, e.book)
	}
	return false
}

// bookFetched holds the book.
func (t *takeover) bookFetched(s *streamActor, m *fetched) {
	s.errands.book = nil
	t.there = true
	if m.err == nil {
		s.holding().note(m)
	}
	t.offer(s)
}

// end begins.
func (t *takeover) end(s *streamActor, m handedOver) {
	if !t.waits {
		return
	}
	t.waits = false
	if !m.seamless {
		t.seamless = 0
	}
	if s.phase == resuming {
		s.remember()
	}
}

// orphaned reports whether nobody has let go of the stream: whoever had it is gone, and
// may have been what the journal hangs on.
func (t *takeover) orphaned() bool { return t.listened && t.seamless == 0 }

// expectBook makes the step function keep changes for the book that was held, or that
// is on its way.
func (t *takeover) expectBook(s *streamActor) {
	if !t.asked {
		return
	}
	t.asked = false
	if !t.there && s.errands.book == nil {
		return
	}
	s.stream.Subscribed(&s.desk.out)
	s.desk.out.Requests = slices.DeleteFunc(s.desk.out.Requests, func(r stream.Request) bool { return r.Kind == stream.RequestSnapshot })
	s.stream.SnapshotAsked(true)
}
