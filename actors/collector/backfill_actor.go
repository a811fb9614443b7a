package collector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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
	// backfillsLoaded are those that processes before have left.
	backfillsLoaded struct {
		list       []*backfill
		unreadable []error
		err        error
	}
	backfillsKeep  struct{}
	backfillsSaved struct{ err error }
)

// keepEvery is how often the progress of operations is written where they are kept.
const keepEvery = 5 * time.Second

// backfiller runs the backfills of one market, one at a time, beside what is live: its
// calls wait while the rest actor has something urgent to ask, and leave it a share
// of the budget.
type backfiller struct {
	venue   *venue
	c       *supervise.Context
	running supervise.InFlight
	store   supervise.InFlight // loading, or keeping
	tries   int                // of loading
	failing bool               // operations cannot be kept
	taking  supervise.InFlight // what other nodes have left
	alive   []string           // when that was looked for last
	looked  time.Time
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
		f.load()
		c.Every(keepEvery, backfillsKeep{})
	case backfillsLoaded:
		f.loaded(m)
	case backfillsKeep:
		f.keep()
	case backfillsTaken:
		f.taken(m)
	case backfillsSaved:
		if (m.err != nil) != f.failing {
			f.failing = m.err != nil
			f.c.Log().Info("whether backfills are kept over a restart has changed", zap.Bool("kept", m.err == nil), zap.Error(m.err))
		}
	case backfillsDue:
	case backfillOver:
		f.over(m)
	default:
		return
	}
	f.left()
	f.next()
}

// load asks for what processes before have left, again until it is known.
func (f *backfiller) load() {
	v := f.venue
	if v.opts.Backfills == nil || v.backfills.isRecalled() {
		return
	}
	f.store.Start(f.c, func(ctx context.Context) any {
		list, unreadable, err := v.loadBackfills(ctx)
		return backfillsLoaded{list, unreadable, err}
	})
}

func (f *backfiller) loaded(m backfillsLoaded) {
	if m.err != nil {
		f.tries++
		f.c.Log().Error("the backfills of before cannot be loaded; it is tried again", zap.Int("try", f.tries), zap.Error(m.err))
		return // at the next beat
	}
	for _, err := range m.unreadable {
		f.c.Log().Error("a backfill of before cannot be read, and is left", zap.Error(err))
	}
	f.venue.backfills.recall(m.list)
	for _, b := range m.list {
		if s := b.read(); !s.State.Over() {
			f.c.Log().Info("a backfill that a process before left undone goes on", zap.String("backfill", s.ID), zap.Int("resumed", s.Resumed))
		}
	}
}

// keep writes what has changed.
func (f *backfiller) keep() {
	v := f.venue
	if v.opts.Backfills == nil {
		return
	}
	if !v.backfills.isRecalled() {
		f.load()
		return
	}
	f.store.Start(f.c, func(ctx context.Context) any { return backfillsSaved{v.backfills.keepAll(ctx)} })
}

// next begins the oldest operation that waits.
func (f *backfiller) next() {
	if f.running.Busy() {
		return
	}
	for _, b := range f.venue.backfills.all() {
		if b.read().State != BackfillQueued || !b.known() {
			continue
		}
		f.running.Start(f.c, func(ctx context.Context) any {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			if !b.begin(cancel) {
				return backfillOver{of: b}
			}
			// If this ends the process, the next one counts it. The actor repeats it, and says
			// when it cannot.
			_ = b.keep(ctx)
			err := b.accept()
			if err == nil && !b.isLost() {
				err = newPastRun(b).run(ctx)
			}
			b.keepEnd(ctx, err)
			return backfillOver{b, err}
		})
		return
	}
}

// known reports whether the instruments of the market are, which an operation of
// before needs: until then it waits.
func (b *backfill) known() bool {
	return !b.again || b.venue.table() != nil && b.venue.instruments() != nil
}

// accept checks an operation that a process before has accepted against what there is
// now.
func (b *backfill) accept() error {
	if !b.again {
		return nil
	}
	i, err := b.venue.instruments().Resolve(b.request.Symbol)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.again, b.status.Instrument, b.changed = false, i, true
	return b.choose()
}

// outcome is the state that an operation ends with; "" when it does not. The lock is
// held.
func (b *backfill) outcome(err error) BackfillState {
	switch {
	case err == nil:
		return BackfillSucceeded
	case !errors.Is(err, context.Canceled):
		return BackfillFailed
	case b.ended:
		return BackfillCancelled
	}
	return "" // whoever comes after takes it up
}

// keepEndFor bounds the noting of an end.
const keepEndFor = 2 * time.Second

// keepEnd writes how an operation ends before anybody is told, as far as that can be
// done now: a process that stops right after it does not begin it again.
func (b *backfill) keepEnd(ctx context.Context, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepEndFor)
	defer cancel()
	b.mu.Lock()
	b.ending, b.finished, b.changed = b.outcome(err), b.venue.opts.Now(), true
	b.mu.Unlock()
	// The actor, which is told next, writes it too, and says when it cannot.
	_ = b.keep(ctx)
}

// stepped notes that the operation does not end every process.
func (b *backfill) stepped() {
	b.mu.Lock()
	b.idle = 0
	b.mu.Unlock()
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
	s.Progress, s.BackfillCounts, s.Unobtainable, s.Problem = 0, BackfillCounts{}, nil, ""
	s.State, s.Started, b.cancel, b.changed = BackfillRunning, b.venue.opts.Now(), cancel, true
	return true
}

func (f *backfiller) over(m backfillOver) {
	if m.of.isLost() {
		f.c.Log().Info("a backfill goes on at another node, which has taken it over", zap.String("backfill", m.of.read().ID))
		return
	}
	m.of.note(func(s *BackfillStatus) {
		if s.State != BackfillRunning {
			return
		}
		s.Problem = ""
		switch as := m.of.outcome(m.err); as {
		case "":
			s.State, m.of.cancel = BackfillQueued, nil
		case BackfillFailed:
			s.Problem = m.err.Error()
			m.of.ends(as)
		case BackfillSucceeded:
			s.Progress = 1
			m.of.ends(as)
		default:
			m.of.ends(as)
		}
	})
	f.keep()
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
