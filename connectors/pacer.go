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
	mu   sync.Mutex
	each time.Duration
	next time.Time
}

// NewPacer returns a pacer of the rate; one of rate 0 does not wait.
func NewPacer(r Rate) *Pacer { return &Pacer{each: r.Each()} }

// SetRate makes another rate the one in force, for turns that are not given yet.
func (p *Pacer) SetRate(r Rate) {
	p.mu.Lock()
	p.each = r.Each()
	p.mu.Unlock()
}

// Wait returns when it is the caller's turn, or with ctx's error; a turn that
// was not waited for is lost.
func (p *Pacer) Wait(ctx context.Context) error {
	if p == nil {
		return ctx.Err()
	}
	p.mu.Lock()
	if p.each == 0 {
		p.mu.Unlock()
		return ctx.Err()
	}
	now := time.Now()
	turn := p.next
	if turn.Before(now) {
		turn = now
	}
	p.next = turn.Add(p.each)
	p.mu.Unlock()
	return sleep(ctx, turn.Sub(now))
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
