package supervise

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"
)

// Context is what an [Actor] gets with each message: protoactor's context and
// what this package adds. It belongs to one incarnation. Go, After, Every, Ctx,
// System and Log may be called from any goroutine, all else from Receive only.
type Context struct {
	actor.Context
	base    *base
	message any
}

// Message is the message being handled, out of its envelope.
func (c *Context) Message() any {
	if c.message != nil {
		return c.message
	}
	return c.Context.Message()
}

// Go runs fn on a goroutine that belongs to this incarnation: ctx is cancelled
// when the actor restarts or stops, before it sees Restarting or Stopping, and
// the actor waits for fn after that, up to its ShutdownTimeout. A panic in fn is
// a failure of the actor. Once the incarnation has ended, Go does nothing.
func (c *Context) Go(fn func(ctx context.Context)) { c.base.inc.run(fn) }

// Ctx is cancelled when this incarnation ends.
func (c *Context) Ctx() context.Context { return c.base.inc.ctx }

// Ready says that the actor has started (see Spec.AwaitReady). Further calls do
// nothing.
func (c *Context) Ready() { c.base.becomeReady() }

// Drained ends the drain (see [Drainer]).
func (c *Context) Drained() { c.base.node.queue.finishDrain() }

// After delivers message to the actor itself once, after d, unless stop is called
// or the incarnation ends first.
func (c *Context) After(d time.Duration, message any) (stop func()) {
	return c.base.inc.after(d, 0, message)
}

// Every delivers message to the actor itself again and again, d after the one
// before was taken up, so that they never pile up. d must be positive.
func (c *Context) Every(d time.Duration, message any) (stop func()) {
	if d <= 0 {
		panic("supervise: Every needs a positive duration")
	}
	return c.base.inc.after(d, d, message)
}

// Incarnation counts the instances of this actor, from 1.
func (c *Context) Incarnation() uint64 { return c.base.node.incarnation.Load() }

// Note lets the tree show what the actor says of its condition, until it says
// something else, or nothing (""), or is restarted. It is cut to 500 bytes.
func (c *Context) Note(text string) {
	n := c.base.node
	n.mu.Lock()
	defer n.mu.Unlock()
	n.note = bounded(text, noteLength)
}

const noteLength = 500

// System is the system the actor lives in.
func (c *Context) System() *System { return c.base.node.sys }

// Log is the system's logger with the actor's id.
func (c *Context) Log() *zap.Logger { return c.base.node.log() }

// SpawnSpec starts a child that shares its fate with this actor: the child's
// failure is the actor's, and the actor's restart stops it. To have children
// restarted, use a [Branch]. The child is not drained when the actor stops.
func (c *Context) SpawnSpec(spec Spec) (*actor.PID, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	return c.SpawnNamed(c.base.node.sys.props(spec.clone(), nil), spec.Name)
}

// InFlight runs one operation at a time beside an actor. The zero value is ready.
// Keep it in the actor's struct and use it from Receive only.
type InFlight struct{ busy bool }

// Start runs fn on a goroutine as [Context.Go] does and delivers what it returns
// to the actor as a message (nil: nothing). It returns false, and does nothing,
// while one is in flight. The result of an incarnation that has ended is dropped,
// counted.
func (f *InFlight) Start(c *Context, fn func(ctx context.Context) any) bool {
	if f.busy {
		return false
	}
	inc := c.base.inc
	f.busy = inc.run(func(ctx context.Context) {
		result := fn(ctx)
		inc.node.queue.postControl(&delivery{inc: inc, message: result, op: f})
	})
	return f.busy
}

// Busy reports whether an operation is in flight. It is false again when its
// result is being handled.
func (f *InFlight) Busy() bool { return f.busy }
