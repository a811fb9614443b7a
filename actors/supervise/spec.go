package supervise

import (
	"fmt"
	"strings"
	"time"
)

// Actor handles one message at a time. Receive gets protoactor's lifecycle
// messages (*actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting,
// *actor.Terminated) and the actor's own messages through c.Message(). It must
// not block: see [InFlight] and [Context.Go].
type Actor interface {
	Receive(c *Context)
}

// ActorFunc is a function that is an [Actor].
type ActorFunc func(c *Context)

// Receive calls f.
func (f ActorFunc) Receive(c *Context) { f(c) }

// Drainer is an optional ability of an [Actor]. When the actor is asked to stop,
// Drain is called once its mailbox is empty, and the actor stays alive until it
// calls [Context.Drained] (at once, or when its last operation in flight has come
// back) or its ShutdownTimeout has passed.
type Drainer interface {
	Drain(c *Context)
}

// Restart says what a branch does when a child has ended.
type Restart uint8

const (
	// Permanent children are restarted whenever they end, by a panic or by
	// themselves. It is the zero value.
	Permanent Restart = iota
	// Transient children are restarted after a failure only.
	Transient
	// Temporary children are never restarted; their spec goes with them.
	Temporary
)

// String returns the name used in the tree: permanent, transient or temporary.
func (r Restart) String() string {
	switch r {
	case Permanent:
		return "permanent"
	case Transient:
		return "transient"
	case Temporary:
		return "temporary"
	}
	return fmt.Sprintf("Restart(%d)", uint8(r))
}

// Defaults of a [Spec].
const (
	DefaultStartTimeout    = 30 * time.Second
	DefaultShutdownTimeout = 5 * time.Second
)

// Spec describes one child of a branch.
type Spec struct {
	// Name is unique among its siblings and without "$" and "/". The actor's id is
	// the path of names from the root: "root/collector/binance-spot/BTCUSDT".
	Name string
	// Kind is the metrics label that all actors of this sort share ("stream",
	// "writer"): low cardinality, never a symbol. Empty means Name.
	Kind string
	// Exchange is the metrics label exchange; empty when there is none.
	Exchange string
	// New makes one incarnation. It runs on the actor's own goroutine at each start
	// and restart, may panic (a failure of the child) and must not share mutable
	// state between incarnations.
	New func() Actor
	// Restart is Permanent unless set.
	Restart Restart
	// AwaitReady delays the next sibling's start until the child calls
	// [Context.Ready]. Without it a child is ready when its Started returns.
	AwaitReady bool
	// StartTimeout bounds the time from start to ready; a child that misses it has
	// failed. 0 means DefaultStartTimeout, or none for a branch (its children have
	// theirs); negative means none.
	StartTimeout time.Duration
	// ShutdownTimeout bounds the drain of the mailbox; then the child is stopped
	// with what is left. 0 means DefaultShutdownTimeout, or for a branch, whose
	// children have their own deadlines, no limit but theirs.
	ShutdownTimeout time.Duration
	// Mailbox bounds the queue of user messages. The zero value is
	// DefaultMailboxCapacity with DropNewest.
	Mailbox Mailbox

	branch  *branch // set by Branch
	dynamic bool    // added at run time
}

// Branch is the spec of a supervisor with its children, in start order; they stop
// in the reverse of it. The branch is ready when all of them are. Change its
// fields (Kind, Restart, timeouts) as those of any spec.
func Branch(name string, s Strategy, children ...Spec) Spec {
	return Spec{
		Name:       name,
		Kind:       "supervisor",
		AwaitReady: true,
		branch:     &branch{strategy: s, children: append([]Spec(nil), children...)},
	}
}

// Validate reports the first fault of the spec or of any spec below it.
func (s Spec) Validate() error {
	if s.Name == "" {
		return fmt.Errorf("%w: no name", ErrInvalidSpec)
	}
	if strings.ContainsAny(s.Name, "$/") {
		return fmt.Errorf("%w: name %q contains $ or /", ErrInvalidSpec, s.Name)
	}
	if s.Restart > Temporary {
		return fmt.Errorf("%w: %s: restart %s", ErrInvalidSpec, s.Name, s.Restart)
	}
	if err := s.Mailbox.validate(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInvalidSpec, s.Name, err)
	}
	if s.branch == nil {
		if s.New == nil {
			return fmt.Errorf("%w: %s: New is nil", ErrInvalidSpec, s.Name)
		}
		return nil
	}
	if err := s.branch.strategy.Validate(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInvalidSpec, s.Name, err)
	}
	names := make(map[string]bool, len(s.branch.children))
	for _, child := range s.branch.children {
		if names[child.Name] {
			return fmt.Errorf("%w: %s: two children named %q", ErrInvalidSpec, s.Name, child.Name)
		}
		names[child.Name] = true
		if err := child.Validate(); err != nil {
			return fmt.Errorf("below %s: %w", s.Name, err)
		}
	}
	return nil
}

// withDefaults fills in what the zero values stand for.
func (s Spec) withDefaults() Spec {
	if s.Kind == "" {
		s.Kind = s.Name
	}
	if s.branch == nil && s.StartTimeout == 0 {
		s.StartTimeout = DefaultStartTimeout
	}
	if s.branch == nil && s.ShutdownTimeout <= 0 {
		s.ShutdownTimeout = DefaultShutdownTimeout
	}
	if s.Mailbox.Capacity == 0 {
		s.Mailbox.Capacity = DefaultMailboxCapacity
	}
	return s
}
