package supervise

import (
	"fmt"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"
)

// base is one incarnation of an actor as protoactor sees it: it counts and
// measures, turns panics into failures that say where they come from, and ends
// what the incarnation has begun.
type base struct {
	node   *node
	inc    *incarnation
	ctx    Context
	actor  Actor
	branch *supervisor // the actor, if it supervises
	ready  bool
	ending bool // failures are recorded, and hinder nothing
}

func newBase(n *node) *base {
	n.incarnation.Add(1)
	b := &base{node: n, inc: newIncarnation(n)}
	b.ctx.base = b
	return b
}

// Receive handles one message.
func (b *base) Receive(ac actor.Context) {
	if b.ctx.Context == nil {
		b.ctx.Context = ac
	}
	switch m := ac.Message().(type) {
	case *actor.Started:
		b.start(m)
	case *actor.Restarting:
		b.end(m)
	case *actor.Stopping:
		b.node.stopping()
		b.end(m)
	case *actor.Stopped:
		b.stopped(m)
	case *delivery:
		b.take(m)
	case drainRequest:
		b.drain()
	case *orderly:
		b.orderly(m)
	case *kill:
		b.kill(m)
	default:
		b.deliver(m)
	}
}

// deliver hands message to the actor.
func (b *base) deliver(message any) {
	defer b.fail(message)
	b.ctx.message = message
	meter, sample := b.node.meter.count(message)
	watched := b.node.tracers.list.Load()
	switch {
	case watched != nil:
		b.traced(message, *watched, func() { b.actor.Receive(&b.ctx) })
	case sample:
		since := b.node.sys.nanos()
		b.actor.Receive(&b.ctx)
		meter.observe(b.node.sys.nanos() - since)
	default:
		b.actor.Receive(&b.ctx)
	}
	b.ctx.message = nil
}

// fail, deferred, makes a failure of a panic and panics with it, so that the
// supervisor learns of it; an incarnation that is ending only records it.
func (b *base) fail(message any) {
	reason := recover()
	if reason == nil {
		return
	}
	b.ctx.message = nil
	p, ok := reason.(*PanicError)
	if !ok {
		p = &PanicError{Reason: reason, Message: nameOf(message), Stack: bounded(string(debug.Stack()), maxStack)}
	}
	b.node.sys.refuse(b.ctx.Sender(), fmt.Errorf("%w: %w", ErrFailed, p))
	if b.ending {
		b.node.swallow(p)
		return
	}
	b.node.fail(p)
	panic(p)
}

func (b *base) start(m *actor.Started) {
	b.node.begin()
	b.build(m)
	b.deliver(m)
	if !b.node.spec.AwaitReady {
		b.becomeReady()
	}
}

func (b *base) build(m *actor.Started) {
	defer b.fail(m)
	if b.node.spec.branch != nil {
		b.branch = newSupervisor(b.node)
		b.actor = b.branch
	} else {
		b.actor = b.node.spec.New()
	}
	_, drains := b.actor.(Drainer)
	b.node.queue.incarnate(drains)
}

func (b *base) becomeReady() {
	if b.ready || b.ending {
		return
	}
	b.ready = true
	b.node.up()
	if b.node.boss != nil {
		b.node.boss.postControl(childReady{node: b.node, incarnation: b.node.incarnation.Load()})
	}
	b.node.sys.up(b.node)
}

// end ends the incarnation, for a restart or a stop.
func (b *base) end(message any) {
	b.ending = true
	b.inc.end()
	if b.actor != nil {
		b.deliver(message)
	}
	limit := b.node.spec.ShutdownTimeout
	if limit <= 0 {
		limit = DefaultShutdownTimeout
	}
	if left := b.inc.wait(limit); left > 0 {
		b.node.kind.abandoned.Add(float64(left))
		b.node.event(Event{Kind: EventAbandoned})
		b.node.log().Error("goroutines outlive their actor", zap.Int("goroutines", left))
	}
}

func (b *base) stopped(m *actor.Stopped) {
	b.ending = true
	if b.actor != nil {
		b.deliver(m)
	}
	b.node.meter.flush()
	b.node.queue.close()
	b.node.stopped()
	b.node.sys.down(b.node)
}

// take handles what comes home on the control lane.
func (b *base) take(d *delivery) {
	if d.inc != b.inc {
		b.node.kind.stale.Inc()
		return
	}
	if d.op != nil {
		d.op.busy = false
	}
	switch {
	case d.failure != nil:
		defer b.fail(d)
		panic(d.failure)
	case d.timer != nil && !b.inc.due(d.timer):
	case d.message != nil:
		b.deliver(d.message)
	}
}

func (b *base) drain() {
	defer b.fail(drainRequest{})
	b.actor.(Drainer).Drain(&b.ctx)
}

// orderly stops the children before the library may stop or restart the branch.
func (b *base) orderly(m *orderly) {
	defer func() {
		if reason := recover(); reason != nil {
			b.node.swallow(&PanicError{Reason: reason, Message: nameOf(m.signal),
				Stack: bounded(string(debug.Stack()), maxStack)})
			b.node.queue.release(m.signal)
		}
	}()
	if b.branch == nil || b.branch.c == nil {
		b.node.queue.release(m.signal)
		return
	}
	b.branch.end(m.signal)
}

// HandleFailure makes every actor the supervisor of the children it spawned. A
// branch applies its strategy; to any other actor its child's failure is its own.
func (b *base) HandleFailure(_ *actor.ActorSystem, s actor.Supervisor, child *actor.PID,
	_ *actor.RestartStatistics, reason, message any) {
	err, ok := reason.(error)
	if !ok {
		err = fmt.Errorf("panic in %s: %v", nameOf(message), reason)
	}
	switch {
	case b.branch != nil:
		b.branch.childFailed(child, err)
	case b.ending:
		s.StopChildren(child)
	default:
		b.node.fail(err)
		s.EscalateFailure(reason, message)
	}
}
