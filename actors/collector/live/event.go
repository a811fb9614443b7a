package live

import (
	"context"
	"sync"

	"github.com/marketprism/marketprism/internal/market"
)

// what an event is.
type what uint8

const (
	// aRecord goes to those who follow its kind; aState, of a book, to those who
	// follow the book.
	aRecord what = iota
	aState
	// The rest is for the relay: followers to begin, one to leave, one that came
	// back, a stream that ended, a subscription that is to be told where it is.
	begins
	leaves
	comesBack
	ends
	marks
)

// event is something that the relay handles, in the order of a stream's actor.
type event struct {
	what     what
	kind     market.Kind
	snapshot bool  // the whole book
	received int64 // Unix ns; 0 for what is not news
	source   *Source
	// n is the relay's number, from 1; 0 for what only one client is given.
	n uint64

	once sync.Once
	text []byte            // in the one JSON form
	book *market.BookDelta // of a snapshot: its text is made by the first who writes it

	said  *said // of another node; nil: this one's
	begin *beginning
	sub   *Subscription // leaves, comesBack, marks
	back  *comeback
}

// bytes is the record's text, shared: do not change it. Safe for concurrent use.
func (e *event) bytes() []byte {
	if e.book != nil {
		e.once.Do(func() {
			var form market.JSON
			e.text = form.Append(make([]byte, 0, e.size()), e.book)
		})
	}
	return e.text
}

// levelBytes is what a level of a snapshot takes, about.
const levelBytes = 40

// size is what the event takes, in bytes.
func (e *event) size() int {
	if e.book != nil {
		return 512 + levelBytes*(len(e.book.Bids)+len(e.book.Asks))
	}
	return 64 + len(e.text)
}

// queue brings events from many goroutines to the relay.
type queue struct {
	limit int
	ready chan struct{} // holds one token while there is something

	mu      sync.Mutex
	events  []*event
	lost    []*Source
	dropped uint64
}

func newQueue(limit int) *queue { return &queue{limit: limit, ready: make(chan struct{}, 1)} }

// put adds a stream's event, or drops it when the queue is full: then, and until
// the relay has come to it, everything of that stream is dropped.
func (q *queue) put(e *event) {
	q.mu.Lock()
	if s := e.source; s.lost || len(q.events) >= q.limit {
		if !s.lost {
			s.lost = true
			q.lost = append(q.lost, s)
		}
		q.dropped++
	} else {
		q.events = append(q.events, e)
	}
	q.mu.Unlock()
	q.poke()
}

// control adds what must not be dropped; it is bounded by what clients and actors
// have begun.
func (q *queue) control(e *event) {
	q.mu.Lock()
	q.events = append(q.events, e)
	q.mu.Unlock()
	q.poke()
}

func (q *queue) poke() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take waits for events and exchanges them for a spare slice. The streams in lost
// have lost something after these.
func (q *queue) take(ctx context.Context, spare []*event) (events []*event, lost []*Source, err error) {
	select {
	case <-q.ready:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	events, q.events = q.events, spare
	lost, q.lost = q.lost, nil
	for _, s := range lost {
		s.lost = false
	}
	return events, lost, nil
}

func (q *queue) losses() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}
