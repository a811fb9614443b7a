package connectors

import (
	"context"
	"sync"
	"time"
)

// Pacer spaces things out: never two closer together than the rate allows, so
// that no window of the exchange's, wherever it begins, holds more than one too
// many. It is safe for concurrent use; several sessions share the pacer of their
// address's connection attempts. A nil Pacer does not wait.
type Pacer struct {
	line chan struct{} // held by whose turn is the next

	mu      sync.Mutex
	each    time.Duration // at the rate of all who share it
	sharers int
	next    time.Time
}

// NewPacer returns a pacer of the rate; one of rate 0 does not wait.
func NewPacer(r Rate) *Pacer { return &Pacer{line: make(chan struct{}, 1), each: r.Each(), sharers: 1} }

// SetRate makes another rate the one in force, for turns that are not given yet.
func (p *Pacer) SetRate(r Rate) {
	p.mu.Lock()
	p.each = r.Each()
	p.mu.Unlock()
}

// SetSharers says how many pacers, this one included and at least 1, have the rate
// together, for turns that are not given yet: each has an equal part.
func (p *Pacer) SetSharers(n int) {
	p.mu.Lock()
	p.sharers = max(1, n)
	p.mu.Unlock()
}

// Wait returns when it is the caller's turn, in the order of the calls, or with ctx's
// error; the turn of who does not wait for it is the next one's.
func (p *Pacer) Wait(ctx context.Context) error {
	if p == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case p.line <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.line }()
	p.mu.Lock()
	free, turn := p.each == 0, p.next
	p.mu.Unlock()
	if free {
		return nil
	}
	if err := sleep(ctx, time.Until(turn)); err != nil {
		return err
	}
	p.mu.Lock()
	p.next = time.Now().Add(p.each * time.Duration(p.sharers))
	p.mu.Unlock()
	return nil
}

// sleep waits d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
