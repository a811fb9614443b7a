package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
)

// The reader's messages, from its goroutines.
type (
	begun  struct{}            // it reads
	over   struct{ err error } // it reads no more; nil: drained
	resume struct{}            // it is to read again
	// incomplete: it copies before it reads, which may take long.
	incomplete struct{}
	standing   struct{} // it waits until it is its turn
)

// reader is one incarnation of the actor reader/<shard>.
type reader struct {
	h        *Handle
	p        *progress
	pipeline *pipeline // nil: none
	draining bool
	pause    time.Duration
	writers  bool // they are started
}

func newReader(h *Handle, p *progress) *reader { return &reader{h: h, p: p} }

// Pauses before reading is begun again.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Receive handles one message.
func (r *reader) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		r.p.reader.Store(&ref{c.System(), c.Self()})
		c.Go(func(ctx context.Context) { r.h.watch(ctx, r.p) })
		if !r.p.begin(c.Incarnation()) {
			c.Log().Error("the journal cannot be read on; queries answer from what is stored", zap.Error(r.p.faulted()))
			c.Ready()
			return
		}
		r.begin(c)
	case *actor.Stopping:
		if r.p.faulted() == nil {
			r.p.enter(stopped)
		}
	case begun:
		r.pause = 0
		r.p.set(func(p *progress) {
			p.retry = nil
			if p.state == opening {
				p.state = reading
			}
		})
		c.Ready()
	case resume:
		if !r.draining && r.pipeline == nil && r.p.faulted() == nil {
			r.begin(c)
		}
	case incomplete, standing:
		c.Ready()
	case over:
		r.over(c, m.err)
	}
}

// Drain applies what has been read and publishes it; see supervise.Drainer.
func (r *reader) Drain(c *supervise.Context) {
	r.draining = true
	if r.pipeline == nil {
		c.Drained()
		return
	}
	r.p.enter(draining)
	r.pipeline.finish()
}

func (r *reader) begin(c *supervise.Context) {
	r.startWriters(c)
	l := newPipeline(r.h, r.p, c)
	r.pipeline = l
	c.Go(func(ctx context.Context) {
		err := l.run(ctx)
		c.After(0, over{err})
	})
}

// startWriters starts the writers below this reader, which end with it.
func (r *reader) startWriters(c *supervise.Context) {
	if r.writers {
		return
	}
	r.writers = true
	if _, err := c.SpawnSpec(writers(r.h, r.p)); err != nil {
		panic(fmt.Errorf("starting the writers: %w", err))
	}
}

// over decides what follows the end of a pipeline: a fault is a failure of the
// actor, anything else is tried again.
func (r *reader) over(c *supervise.Context, err error) {
	r.pipeline = nil
	switch {
	case !r.draining && r.h.curable(err): // what is lacking is copied when reading begins again
		c.Log().Warn("the journal has forgotten what the store lacks, or is about to", zap.Error(err))
		c.After(jitter(firstPause), resume{})
	case isFault(err) && !r.h.curable(err):
		r.p.fail(err, c.Incarnation())
		panic(err)
	case r.draining:
		if err != nil {
			c.Log().Warn("not everything that was applied is published; it will be read again", zap.Error(err))
		}
		c.Drained()
	case errors.Is(err, context.Canceled) && c.Ctx().Err() != nil: // the end of the incarnation
	default:
		r.pause = min(max(2*r.pause, firstPause), lastPause)
		r.p.set(func(p *progress) { p.state, p.retry, p.retryAt = opening, err, time.Now() })
		c.Log().Warn("journal reading is begun again", zap.Error(err), zap.Duration("pause", r.pause))
		c.After(jitter(r.pause), resume{})
	}
}

// jitter spreads a pause by 20 % either way.
func jitter(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5+1) }
