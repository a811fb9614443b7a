package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// The writer's messages.
type (
	writeDue struct{} // something may be sealed
	retryDue struct{} // the pause after a failure is over
	wrote    struct { // the write in flight has ended
		took time.Duration
		err  error
	}
)

// writer is one incarnation of the actor reader/<shard>/writer/<table>: it brings
// the records of one table where they belong, one write in flight, and repeats what
// fails. What is to be written it asks the engine, so that nothing is lost with it.
type writer struct {
	h      *Handle
	p      *progress
	t      *table
	op     supervise.InFlight
	pause  time.Duration
	paused bool
}

// writers is the branch of a shard's writers.
func writers(h *Handle, p *progress) supervise.Spec {
	var specs []supervise.Spec
	for _, t := range p.tables {
		if t != nil {
			specs = append(specs, supervise.Spec{
				Name: t.kind.Table(), Kind: "writer", Mailbox: supervise.Mailbox{Capacity: 16},
				New: func() supervise.Actor { return &writer{h: h, p: p, t: t} },
			})
		}
	}
	return supervise.Branch("writer", supervise.DefaultStrategy(), specs...)
}

// Receive handles one message.
func (w *writer) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		w.t.set(func(t *table) { t.writing = false })
		w.t.writer.Store(&ref{c.System(), c.Self()})
		signal(w.p.written) // the incarnation before may have ended between a write and its word
		w.begin(c)
	case writeDue:
		w.begin(c)
	case retryDue:
		w.paused = false
		w.begin(c)
	case wrote:
		w.ended(c, m)
	}
}

// begin writes what is sealed and not written, if there is any.
func (w *writer) begin(c *supervise.Context) {
	if w.paused || w.op.Busy() {
		return
	}
	engine, shard, kind := w.h.options.Engine, w.p.shard, w.t.kind
	sealed, ok := engine.Sealed(shard)
	if !ok || !slices.Contains(sealed.Left, kind) {
		return
	}
	w.t.set(func(t *table) { t.writing = true })
	w.op.Start(c, func(ctx context.Context) any {
		began := time.Now()
		err := w.p.held()
		if err == nil {
			err = engine.Write(ctx, shard, kind)
		}
		return wrote{took: time.Since(began), err: err}
	})
}

// ended takes the result of a write.
func (w *writer) ended(c *supervise.Context, m wrote) {
	w.h.metrics.wrote(w.t.kind.Table(), m)
	w.t.set(func(t *table) {
		t.writing = false
		if t.err = m.err; m.err != nil {
			t.failures++
			t.failed++
			return
		}
		t.failures, t.writes, t.took, t.at = 0, t.writes+1, m.took, time.Now()
	})
	switch {
	case m.err == nil:
		w.pause = 0
		c.Note("")
		signal(w.p.written)
	case errors.Is(m.err, persistence.ErrClosed), c.Ctx().Err() != nil:
	case errors.Is(m.err, journal.ErrReaderTaken): // the reader finds out too, and forgets what was sealed
		c.Note(m.err.Error())
		w.t.set(func(t *table) { t.err = nil })
	case errors.Is(m.err, persistence.ErrRewind):
		c.Note(m.err.Error())
		w.t.set(func(t *table) { t.err = nil }) // the reader says it
		signalError(w.p.rewind, m.err)
	default:
		w.retry(c, m.err)
	}
}

// retry writes again after a pause that doubles.
func (w *writer) retry(c *supervise.Context, err error) {
	w.pause = min(max(2*w.pause, firstPause), max(w.h.options.Config.PublishRetry, firstPause))
	w.paused = true
	w.h.metrics.publishFailures.WithLabelValues(journal.StreamName(w.p.shard)).Inc()
	c.Note(fmt.Sprintf("writing fails, and is repeated: %v", err))
	c.Log().Error("a table is not written, it will be repeated", zap.Error(err), zap.Duration("pause", w.pause))
	c.After(jitter(w.pause), retryDue{})
}
