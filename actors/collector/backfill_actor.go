package collector

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
)

// backfillName is the actor's name below the branch of its market.
const backfillName = "backfill"

// Messages of the backfill actor.
type (
	// backfillsDue: there may be something to do.
	backfillsDue struct{}
	backfillOver struct {
		of  *backfill
		err error
	}
)

// backfiller runs the backfills of one market, one at a time, beside what is live: its
// calls wait while the rest actor has something urgent to ask, and leave it a share
// of the budget.
type backfiller struct {
	venue   *venue
	c       *supervise.Context
	running supervise.InFlight
}

// Receive handles one message.
func (f *backfiller) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		f.c = c
		for _, b := range f.venue.backfills.all() {
			b.note(func(s *BackfillStatus) {
				if s.State == BackfillRunning { // under an incarnation that is no more
					s.State = BackfillQueued
				}
			})
		}
	case backfillsDue:
	case backfillOver:
		f.over(m)
	default:
		return
	}
	f.next()
}

// next begins the oldest operation that waits.
func (f *backfiller) next() {
	if f.running.Busy() {
		return
	}
	for _, b := range f.venue.backfills.all() {
		if b.read().State != BackfillQueued {
			continue
		}
		f.running.Start(f.c, func(ctx context.Context) any {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			if !b.begin(cancel) {
				return backfillOver{of: b}
			}
			return backfillOver{b, newPastRun(b).run(ctx)}
		})
		return
	}
}

// begin marks an operation as running; false when it was cancelled meanwhile.
func (b *backfill) begin(cancel context.CancelFunc) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.status.State != BackfillQueued {
		return false
	}
	s := &b.status
	// A second beginning counts anew.
	s.Progress, s.Records, s.Stored, s.Missing, s.Calls = 0, 0, 0, 0, 0
	s.GapsFound, s.GapsHealed, s.GapsLeft, s.Problem = 0, 0, 0, ""
	s.State, s.Started, b.cancel = BackfillRunning, b.venue.opts.Now(), cancel
	return true
}

func (f *backfiller) over(m backfillOver) {
	m.of.note(func(s *BackfillStatus) {
		if s.State != BackfillRunning {
			return
		}
		s.Problem = ""
		switch {
		case m.err == nil:
			s.Progress = 1
			m.of.ends(BackfillSucceeded)
		case errors.Is(m.err, context.Canceled):
			m.of.ends(BackfillCancelled)
		default:
			s.Problem = m.err.Error()
			m.of.ends(BackfillFailed)
		}
	})
	s := m.of.read()
	log := f.c.Log().With(zap.String("backfill", s.ID), zap.Int64("records", s.Records), zap.Int64("missing", s.Missing), zap.Int64("calls", s.Calls))
	if s.State == BackfillFailed {
		f.venue.backfills.failures.Add(1)
		log.Warn("a backfill failed", zap.Error(m.err))
		return
	}
	log.Info("a backfill is over", zap.String("state", string(s.State)))
}

// precedence lets what is urgent go before what is not.
type precedence struct {
	mu       sync.Mutex
	pressing int
	calm     chan struct{} // closed while nothing presses; nil when nobody has waited
}

// set says how many urgent calls wait.
func (p *precedence) set(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n == 0 && p.pressing > 0 && p.calm != nil {
		close(p.calm)
		p.calm = nil
	}
	p.pressing = n
}

// wait returns when no urgent call waits, or with ctx's error.
func (p *precedence) wait(ctx context.Context) error {
	for {
		p.mu.Lock()
		if p.pressing == 0 {
			p.mu.Unlock()
			return ctx.Err()
		}
		if p.calm == nil {
			p.calm = make(chan struct{})
		}
		calm := p.calm
		p.mu.Unlock()
		select {
		case <-calm:
		case <-ctx.Done():
			return fmt.Errorf("waiting for what is urgent: %w", ctx.Err())
		}
	}
}
