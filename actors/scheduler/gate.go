package scheduler

import (
	"container/list"
	"context"
	"sync"
)

// gate lets a bounded number through at a time; who waits is served in order. It is
// safe for concurrent use.
type gate struct {
	mu      sync.Mutex
	places  int
	taken   int
	waiting list.List // of chan struct{}, closed when its owner may pass
}

func newGate(places int) *gate { return &gate{places: places} }

// enter waits for a place, which leave gives back. Its error is that of ctx.
func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	if g.taken < g.places && g.waiting.Len() == 0 {
		g.taken++
		g.mu.Unlock()
		return nil
	}
	pass := make(chan struct{})
	at := g.waiting.PushBack(pass)
	g.mu.Unlock()
	select {
	case <-pass:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-pass: // at the same moment
		g.taken--
		g.admit()
	default:
		g.waiting.Remove(at)
	}
	return ctx.Err()
}

// leave gives a place back.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken--
	g.admit()
}

// resize changes the number of places; who is inside stays.
func (g *gate) resize(places int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.places = places
	g.admit()
}

// admit needs the lock.
func (g *gate) admit() {
	for g.taken < g.places && g.waiting.Len() > 0 {
		if pass, ok := g.waiting.Remove(g.waiting.Front()).(chan struct{}); ok {
			g.taken++
			close(pass)
		}
	}
}
