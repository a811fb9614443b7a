package app

import (
	"context"
	"sync"

	"github.com/marketprism/marketprism/actors/scheduler"
)

// resignation is whether this node leaves to others what they can do: it is being
// emptied. The zero value is no.
type resignation struct {
	mu   sync.Mutex
	on   bool
	turn chan struct{} // closed when on changes; nil until somebody waits
}

func (r *resignation) set(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.on == on {
		return
	}
	r.on = on
	if r.turn != nil {
		close(r.turn)
		r.turn = nil
	}
}

func (r *resignation) state() (on bool, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.turn == nil {
		r.turn = make(chan struct{})
	}
	return r.on, r.turn
}

// resigning is a lease that this node does not have while it leaves it to others.
type resigning struct {
	scheduler.Lease
	from *resignation
	// others reports whether anybody else can have it.
	others func() bool
}

// Acquire implements [scheduler.Lease].
func (l resigning) Acquire(ctx context.Context) (<-chan struct{}, func(), error) {
	for {
		resigned, changed := l.from.state()
		if resigned && l.others() {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
		}
		lost, release, err := l.acquire(ctx, changed)
		if err == nil || ctx.Err() != nil {
			return lost, release, err
		}
	}
}

// acquire is given up, also later, when changed is closed.
func (l resigning) acquire(ctx context.Context, changed <-chan struct{}) (<-chan struct{}, func(), error) {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	got := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-changed:
			cancel()
		case <-got:
		}
	})
	lost, release, err := l.Lease.Acquire(within)
	close(got)
	waiting.Wait()
	if err != nil {
		return nil, nil, err
	}
	gone, end := make(chan struct{}), make(chan struct{})
	waiting.Go(func() {
		select {
		case <-lost:
			close(gone)
		case <-changed:
			close(gone)
		case <-end:
		}
	})
	return gone, sync.OnceFunc(func() {
		close(end)
		waiting.Wait()
		release()
	}), nil
}
