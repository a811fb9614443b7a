package supervise

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Context is what an [Actor] gets with each message: protoactor's context and
// what this package adds. It belongs to one incarnation; of its methods only Go,
// After, Every and those that read may be called from other goroutines.
type Context struct {
	actor.Context
}

// Go runs fn on a goroutine that belongs to this incarnation: ctx is cancelled
// when the actor restarts or stops, and the actor waits for fn to return. A panic
// in fn is a failure of the actor.
func (c *Context) Go(fn func(ctx context.Context)) {}

// Ctx is cancelled when this incarnation ends.
func (c *Context) Ctx() context.Context { return nil }

// Ready says that the actor has started (see Spec.AwaitReady).
func (c *Context) Ready() {}

// Drained ends the drain (see [Drainer]).
func (c *Context) Drained() {}

// After delivers message to the actor itself once, after d, unless stop is called
// or the incarnation ends first.
func (c *Context) After(d time.Duration, message any) (stop func()) { return nil }

// Every delivers message to the actor itself every d, never two at a time.
func (c *Context) Every(d time.Duration, message any) (stop func()) { return nil }

// Incarnation counts the instances of this actor, from 1.
func (c *Context) Incarnation() uint64 { return 0 }

// System is the system the actor lives in.
func (c *Context) System() *System { return nil }

// Log is the system's logger with the actor's id.
func (c *Context) Log() *zap.Logger { return nil }

// SpawnSpec starts a child that shares its fate with this actor: its failure is
// the actor's. To have children restarted, use a [Branch].
func (c *Context) SpawnSpec(spec Spec) (*actor.PID, error) { return nil, nil }

// InFlight runs one operation at a time beside an actor. The zero value is ready.
// Keep it in the actor's struct and use it from Receive only.
type InFlight struct{ busy bool }

// Start runs fn on a goroutine as [Context.Go] does and delivers what it returns
// to the actor as a message (nil: nothing). It returns false, and does nothing,
// while one is in flight. The result of an incarnation that has ended is dropped.
func (f *InFlight) Start(c *Context, fn func(ctx context.Context) any) bool { return false }

// Busy reports whether an operation is in flight. It is false again when its
// result is being handled.
func (f *InFlight) Busy() bool { return f.busy }

// Options of a [System]. All are optional.
type Options struct {
	Logger     *zap.Logger
	Registerer prometheus.Registerer
	Config     Config
	Clock      Clock
	Jitter     func() float64 // in [0, 1); default math/rand/v2
	OnFatal    func(error)    // called once when the root gives up, on a goroutine of its own
}

// Config of a [System].
type Config struct {
	Root         Strategy `yaml:"root"`          // answers the failures of the services' branches
	EventHistory int      `yaml:"event_history"` // events kept, 1 to 1,000,000
}

// DefaultConfig is DefaultStrategy and 4096 events.
func DefaultConfig() Config { return Config{Root: DefaultStrategy(), EventHistory: 4096} }

// System is an actor system with its supervision tree.
type System struct{}

// NewSystem makes a system. The values of ctx reach the actors' goroutines, its
// cancellation does not: Stop ends them, in order.
func NewSystem(ctx context.Context, o Options) (*System, error) { return nil, nil }

// Start starts the root and its children in order and returns when all are ready,
// the system failed or ctx ended. It may be called once.
func (s *System) Start(ctx context.Context, children ...Spec) error { return nil }

// Stop stops all actors in reverse order and returns when they have stopped or
// ctx has ended. It is idempotent. The error names actors that were abandoned.
func (s *System) Stop(ctx context.Context) error { return nil }

// Ready reports whether everything was started and nothing escalated to the top.
func (s *System) Ready() bool { return false }

// Fatal is closed when the root gives up; Err says why.
func (s *System) Fatal() <-chan struct{} { return nil }

// Err is the failure that made Fatal close, or nil.
func (s *System) Err() error { return nil }

// Actors is the protoactor system below.
func (s *System) Actors() *actor.ActorSystem { return nil }

// Tree is the registry of all actors.
func (s *System) Tree() *Tree { return nil }

// Lookup finds a live actor by id.
func (s *System) Lookup(id string) (*actor.PID, bool) { return nil, false }

// Props makes protoactor props of a spec, reusable for any number of actors (for
// cluster kinds). Its Name is ignored; Kind must be set.
func (s *System) Props(spec Spec) (*actor.Props, error) { return nil, nil }

// Tell sends without waiting and reports ErrMailboxFull or ErrStopped at once.
func (s *System) Tell(pid *actor.PID, message any) error { return nil }

// StartChild adds a child to a running branch and returns its PID when it is
// ready. The spec belongs to the branch from then on and survives its restarts.
func (s *System) StartChild(ctx context.Context, branch string, spec Spec) (*actor.PID, error) {
	return nil, nil
}

// StopChild stops a child of a branch, drained, and forgets its spec.
func (s *System) StopChild(ctx context.Context, branch, name string) error { return nil }

// RestartChild restarts a child of a branch, as an operator may ask for.
func (s *System) RestartChild(ctx context.Context, branch, name string) error { return nil }

// AddChild asks a branch to add a child; actors send it, and get a [ChildReply].
type AddChild struct{ Spec Spec }

// RemoveChild asks a branch to stop a child and forget it.
type RemoveChild struct{ Name string }

// CycleChild asks a branch to restart a child.
type CycleChild struct{ Name string }

// ChildReply answers AddChild, RemoveChild and CycleChild once it is done: the
// child is ready, gone, or ready again.
type ChildReply struct {
	Name string
	PID  *actor.PID // nil with an error and after RemoveChild
	Err  error
}

// Ask sends message to pid and waits for a T, until ctx ends. It fails at once
// with ErrMailboxFull when the mailbox refuses, ErrStopped when there is no such
// actor, ErrFailed when the actor panics over it, and with the actor's own error
// when it responds with one. It blocks: for HTTP façades and tests, never in
// Receive.
func Ask[T any](ctx context.Context, s *System, pid *actor.PID, message any) (T, error) {
	var zero T
	return zero, nil
}

// Tree is the registry of all actors of a system.
type Tree struct{}

// Snapshot is the tree now.
func (t *Tree) Snapshot() Snapshot { return Snapshot{} }

// Node is one actor with its messages by type.
func (t *Tree) Node(id string) (Node, bool) { return Node{}, false }

// Events returns the history after seq, oldest first, at most limit entries.
func (t *Tree) Events(after uint64, limit int) []Event { return nil }

// Subscribe delivers events from now on to a channel of the given buffer. A
// subscriber that is too slow loses events, counted; Event.Seq shows the hole and
// Events fills it. cancel closes the channel.
func (t *Tree) Subscribe(buffer int) (events <-chan Event, cancel func()) { return nil, nil }
