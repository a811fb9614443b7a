package live

import (
	"bytes"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// Books is what a stream's actor answers about its book.
type Books interface {
	// BookState is the book's state and sequence number; ok is false when the
	// stream keeps none.
	BookState() (state string, seq int64, ok bool)
	// WholeBook is the book as an is_snapshot record of its own; nil when there is
	// none to show.
	WholeBook() *market.BookDelta
}

// Source is one stream as its followers know it. The methods are for the stream's
// actor, one call at a time; nil is a Source that nobody can follow.
type Source struct {
	hub        *Hub
	instrument *market.Instrument
	folded     [2]string // its spellings
	// wake makes the actor call Stepped soon. It never blocks and may be called
	// from any goroutine.
	wake func()

	follows atomic.Uint32 // kinds that somebody takes
	asked   atomic.Bool   // somebody waits to be begun

	mu     sync.Mutex
	closed bool
	joins  []*join
	takers [market.NumKinds]int32

	// The actor's.
	rebuilt bool   // within this step the book began anew
	told    string // the state that followers know
	last    []lastRecord

	// The relay's: nil until somebody follows.
	*roster

	// The queue's.
	lost bool
}

// roster is who follows a stream.
type roster struct {
	lanes [market.NumKinds][]*lane
	keeps [market.NumKinds]keep
}

// lastRecord is the text of the newest record of a standing kind.
type lastRecord struct {
	kind   market.Kind
	aspect string
	text   []byte
}

// join is a client that wants to follow a stream.
type join struct {
	sub    *Subscription
	source *Source
	kinds  kinds
	again  *lane // of a follower that fell behind
}

// hasBook reports whether the join is given a whole book.
func (j *join) hasBook() bool { return j.kinds.has(market.KindBookDelta) }

// beginning is what those that join are given.
type beginning struct {
	joins []*join
	book  *event // nil: there is none to show
	state *event // nil: the stream keeps no book
	last  []*event
}

// Follows reports whether somebody takes a kind's records.
func (s *Source) Follows(k market.Kind) bool {
	return s != nil && kinds(s.follows.Load()).has(k)
}

// Asked reports whether somebody waits for Stepped.
func (s *Source) Asked() bool { return s != nil && s.asked.Load() }

// Wants reports whether [Source.Publish] would look at a record of a kind.
func (s *Source) Wants(k market.Kind) bool { return s != nil && (standing.has(k) || s.Follows(k)) }

// Publish passes on a record, whose text is its one JSON form. The text is copied
// when somebody takes it. It never blocks.
func (s *Source) Publish(r market.Record, text []byte) {
	if s == nil {
		return
	}
	k, h := r.Kind(), r.Head()
	if standing.has(k) {
		s.remember(r, text)
	}
	if !s.Follows(k) {
		return
	}
	if d, ok := r.(*market.BookDelta); ok {
		// The record of a new snapshot may be older than changes that followers were
		// given already; Stepped shows them the book as it is after this step.
		s.rebuilt = s.rebuilt || d.IsSnapshot
		if s.rebuilt {
			return
		}
	}
	s.hub.queue.put(&event{kind: k, source: s, received: h.ReceiveTime, text: bytes.Clone(text)})
}

func (s *Source) remember(r market.Record, text []byte) {
	k, a := r.Kind(), aspect(r)
	for i := range s.last {
		if l := &s.last[i]; l.kind == k && l.aspect == a {
			l.text = append(l.text[:0], text...)
			return
		}
	}
	s.last = append(s.last, lastRecord{k, a, bytes.Clone(text)})
}

// Stepped says that the records of a step have been published: what follows of it
// for the book is told, and those that wait are begun.
func (s *Source) Stepped(b Books) {
	if s == nil {
		return
	}
	if s.Follows(market.KindBookDelta) {
		s.tellBook(b)
	}
	s.rebuilt = false
	if s.asked.Load() {
		s.begin(b)
	}
}

func (s *Source) tellBook(b Books) {
	state, seq, ok := b.BookState()
	if !ok {
		return
	}
	if s.rebuilt {
		if e := s.whole(b); e != nil {
			s.hub.queue.put(e)
		}
	}
	if state != s.told {
		s.told = state
		s.hub.queue.put(s.stateEvent(state, seq))
	}
}

func (s *Source) whole(b Books) *event {
	d := b.WholeBook()
	if d == nil {
		return nil
	}
	return &event{kind: market.KindBookDelta, snapshot: true, source: s, book: d}
}

// begin starts those that wait, at what the stream is now.
func (s *Source) begin(b Books) {
	s.mu.Lock()
	joins := s.joins
	s.joins = nil
	s.asked.Store(false)
	s.mu.Unlock()
	var all kinds
	for _, j := range joins {
		all |= j.kinds
	}
	start := &beginning{joins: joins}
	if state, seq, ok := b.BookState(); ok && all.has(market.KindBookDelta) {
		s.told = state
		start.book, start.state = s.whole(b), s.stateEvent(state, seq)
	}
	for i := range s.last {
		if l := &s.last[i]; all.has(l.kind) {
			start.last = append(start.last, &event{kind: l.kind, source: s, text: bytes.Clone(l.text)})
		}
	}
	s.hub.queue.control(&event{what: begins, source: s, begin: start})
}

// stateEvent tells of a book's state.
func (s *Source) stateEvent(state string, seq int64) *event {
	return &event{what: aState, kind: market.KindBookDelta, source: s, received: time.Now().UnixNano(), text: s.stateText(state, seq)}
}

func (s *Source) stateText(state string, seq int64) []byte {
	i := s.instrument
	dst := market.AppendJSONString([]byte(`{"exchange":`), i.Exchange)
	dst = market.AppendJSONString(append(dst, `,"market":`...), i.Market.String())
	dst = market.AppendJSONString(append(dst, `,"symbol":`...), i.Symbol)
	dst = market.AppendJSONString(append(dst, `,"state":`...), state)
	return append(strconv.AppendInt(append(dst, `,"seq":`...), seq, 10), '}')
}

// ask puts a client on the list of those to be begun. False says that the stream
// has ended.
func (s *Source) ask(j *join) bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	s.joins = append(s.joins, j)
	s.asked.Store(true)
	s.mu.Unlock()
	s.wake()
	return true
}

func (s *Source) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// take counts kinds that one more, or by -1 one less, takes.
func (s *Source) take(k kinds, by int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	follows := kinds(s.follows.Load())
	k.each(func(k market.Kind) {
		if s.takers[k] += by; s.takers[k] > 0 {
			follows |= kindsOf(k)
		} else {
			follows &^= kindsOf(k)
		}
	})
	s.follows.Store(uint32(follows))
}

// Close says that the stream has ended for good. It is not for the actor, but for
// whoever has seen its end.
func (s *Source) Close() {
	if s == nil {
		return
	}
	s.hub.forget(s)
	s.mu.Lock()
	s.closed = true
	joins := slices.Clone(s.joins)
	s.joins = nil
	s.mu.Unlock()
	e := s.stateEvent("ended", 0)
	e.what, e.begin = ends, &beginning{joins: joins}
	s.hub.queue.control(e)
}
