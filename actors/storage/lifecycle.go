package storage

import (
	"context"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/persistence"
)

// The lifecycle's messages.
type (
	maintainDue struct{}
	maintained  struct {
		quarantined []persistence.Quarantined
		bytes       int64
		err         error
	}
	tended         struct{ err error }
	scheduleDue    struct{}
	beginOperation struct{ work work }
	begunOperation struct {
		now    Operation
		joined bool
	}
	operationAgain struct{ work work }
	operationOver  struct{ failed bool }
)

// lifecycle runs the engine's maintenance, looks after the cold store, and moves and
// removes rows: one operation at a time, those that wait in their order.
type lifecycle struct {
	h       *Handle
	upkeep  supervise.InFlight
	counted time.Time // when damaged files were looked for last
	cold    supervise.InFlight
	looked  time.Time // when the cold store was looked after last
	moving  supervise.InFlight
	current *operation
	queue   []*operation
}

// countInterval is the time between two looks for damaged files, which make the
// engine count, and between two looks at what others did to the cold store.
const countInterval = time.Minute

// firstRun is when a process archives first, and again after a failure.
const firstRun = 20 * time.Second

// maxQueued is how many operations may wait.
const maxQueued = 16

func newLifecycle(h *Handle) *lifecycle { return &lifecycle{h: h} }

// Receive handles one message.
func (l *lifecycle) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		l.h.operations.interrupt() // of an incarnation before
		l.resume(c)
		l.h.lifecycleAt.Store(&ref{c.System(), c.Self()})
		l.maintain(c)
		c.Every(l.h.options.Config.MaintainInterval, maintainDue{})
		if l.h.options.Tiers != nil {
			c.After(min(firstRun, l.h.Policy().interval()), scheduleDue{})
		}
	case *actor.Stopping:
		l.h.operations.interrupt()
	case maintainDue:
		l.maintain(c)
		l.tend(c)
		l.watchSize(c)
	case maintained:
		l.h.lifecycle.set(time.Now(), m)
		if m.err != nil {
			c.Log().Error("maintenance of the store fails", zap.Error(m.err))
		}
	case tended:
		l.h.lifecycle.setCold(m.err, func(first bool) {
			if first {
				c.Log().Error("the cold store is out of reach; it is tried again, and queries that need it are refused meanwhile", zap.Error(m.err))
			} else {
				c.Log().Info("the cold store is within reach again")
			}
		})
	case scheduleDue:
		l.schedule(c)
	case beginOperation:
		o, joined, err := l.take(c, m.work)
		if err != nil {
			c.Respond(err)
			return
		}
		c.Respond(begunOperation{o.get(), joined})
	case operationAgain:
		l.ask(c, m.work)
	case operationOver:
		l.over(c, m.failed)
	}
}

func (l *lifecycle) maintain(c *supervise.Context) {
	engine := l.h.options.Engine
	count := time.Since(l.counted) >= countInterval
	began := l.upkeep.Start(c, func(ctx context.Context) any {
		err := engine.Maintain(ctx)
		if err != nil || !count {
			return maintained{err: err}
		}
		st, err := engine.Stats(ctx)
		if err != nil {
			return maintained{err: err}
		}
		m := maintained{quarantined: append([]persistence.Quarantined{}, st.Quarantined...)}
		for i := range st.Tables {
			m.bytes += st.Tables[i].Bytes
		}
		return m
	})
	if began && count {
		l.counted = time.Now()
	}
}

// tend looks after the cold store: at every turn while it is out of reach.
func (l *lifecycle) tend(c *supervise.Context) {
	tiers := l.h.options.Tiers
	if tiers == nil || time.Since(l.looked) < countInterval && tiers.ColdStats().Problem == "" {
		return
	}
	if l.cold.Start(c, func(ctx context.Context) any {
		ctx, cancel := context.WithTimeout(ctx, countInterval)
		defer cancel()
		return tended{tiers.Tend(ctx)}
	}) {
		l.looked = time.Now()
	}
}

// schedule has what time brings due done.
func (l *lifecycle) schedule(c *supervise.Context) {
	p := l.h.Policy()
	c.After(p.interval(), scheduleDue{})
	if l.h.shards[0].standby() != "" { // who brings the journal into the store looks after it
		return
	}
	archives := l.h.options.Archives == nil || l.h.options.Archives()
	if p.Lifecycle.Archive && archives {
		l.ask(c, work{job: JobArchive, age: p.archiveAfter(), scheduled: true})
	}
	l.ask(c, work{job: JobRetention, scheduled: true})
	if archives && l.h.options.Tiers.ColdStats().Problem == "" {
		l.ask(c, work{job: JobUpkeep, scheduled: true})
	}
}

// watchSize has the limits applied when the hot store is too large.
func (l *lifecycle) watchSize(c *supervise.Context) {
	limit := l.h.Policy().sizeLimit()
	if l.h.options.Tiers != nil && limit > 0 && l.h.hotBytes() > limit {
		l.ask(c, work{job: JobRetention, scheduled: true})
	}
}

func (l *lifecycle) ask(c *supervise.Context, w work) {
	if _, _, err := l.take(c, w); err != nil {
		c.Log().Warn("an operation is put off", zap.String("job", string(w.job)), zap.Error(err))
	}
}

// take begins an operation, lets it wait, or finds one that does the same.
func (l *lifecycle) take(c *supervise.Context, w work) (o *operation, joined bool, err error) {
	for _, o := range append([]*operation{l.current}, l.queue...) {
		if o != nil && o.work.covers(w) {
			return o, true, nil
		}
	}
	if len(l.queue) >= maxQueued {
		return nil, false, ErrBusy
	}
	if o, err = l.h.operations.add(w); err != nil {
		return nil, false, err
	}
	l.queue = append(l.queue, o)
	l.next(c)
	return o, false, nil
}

// next begins what waits longest.
func (l *lifecycle) next(c *supervise.Context) {
	if l.current != nil || len(l.queue) == 0 {
		return
	}
	o := l.queue[0]
	began := l.moving.Start(c, func(ctx context.Context) any {
		var err error
		over := false
		defer func() { // also when it panics
			if !over {
				o.finish(context.Canceled)
			}
		}()
		l.h.operations.save() // if this ends the process, the next one counts it
		err = l.h.run(ctx, o)
		over = true
		o.finish(err, l.h.operations.save)
		l.h.metrics.operation(o.get())
		now := o.get()
		if now.Job == JobArchive {
			l.h.archiveFault.Store(&err)
		}
		if err != nil {
			c.Log().Error("an operation failed; the next one of its sort goes on from there",
				zap.String("job", string(now.Job)), zap.String("operation", now.ID), zap.Int64("rows", now.Rows), zap.Error(err))
		} else if now.Rows > 0 {
			c.Log().Info("an operation is over", zap.String("job", string(now.Job)), zap.String("operation", now.ID),
				zap.Int64("rows", now.Rows), zap.Float64("dur_ms", float64(now.Finished.Sub(now.Started))/1e6))
		}
		return operationOver{failed: err != nil}
	})
	if began {
		l.current, l.queue = o, slices.Delete(l.queue, 0, 1)
	}
}

// resume takes up again what a process before has left undone.
func (l *lifecycle) resume(c *supervise.Context) {
	for _, o := range l.h.operations.resume() {
		if l.h.options.Tiers == nil {
			o.finish(ErrNoTiers)
			continue
		}
		now := o.get()
		c.Log().Info("an operation that a process before left undone goes on", zap.String("job", string(now.Job)), zap.String("operation", now.ID), zap.Int("resumed", now.Resumed))
		l.queue = append(l.queue, o)
	}
	l.next(c)
}

func (l *lifecycle) over(c *supervise.Context, failed bool) {
	// What failed of the schedule is tried again soon.
	if w := l.current.work; failed && w.scheduled && w.job == JobArchive && l.h.Policy().interval() > 3*firstRun {
		c.After(firstRun, operationAgain{w})
	}
	l.current = nil
	l.next(c)
}
