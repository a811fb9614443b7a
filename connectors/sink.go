package connectors

import (
	"sync"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// Sink takes what a [Session] receives. Its methods are called from the
// session's goroutines, at times from several at once (its own, a connection's
// and that of its replacement), and must not block.
type Sink interface {
	// Deliver hands over a frame's records. True means that the sink has taken
	// them and will call [Delivery.Release] exactly once; false that it has not:
	// the session counts the frame as refused and reuses the delivery.
	Deliver(d *Delivery) bool
	// Report tells what happened to the session. Connected comes before the first
	// delivery of a connection, Disconnected after the last.
	Report(e Event)
}

// Delivery is one frame's records. They live in a pooled batch: nothing in it
// may be used after Release.
type Delivery struct {
	Batch market.Batch
	Note  Note
	Receipt
	// Memory is what the batch keeps, in bytes ([market.Batch.Memory]).
	Memory int64

	pool *sync.Pool
}

// maxPooled bounds the memory of a delivery that is used again, in bytes: a batch keeps
// the memory of the largest frame that it ever held, a whole book say, and thousands of
// deliveries may be under way at once.
const maxPooled = 32 << 10

// Release gives the delivery back to its session.
func (d *Delivery) Release() {
	d.Batch.Reset()
	d.Note = Note{}
	if d.pool != nil && d.Memory <= maxPooled {
		d.pool.Put(d)
	}
}

// State is what a session is doing.
//
//	Idle ── Connecting ── open ──> Subscribing ── all answered ──> Live
//	          ^  │                    │   ^                         │ │
//	          │  │                    │   └── something asked for ──┘ │
//	          │  └─ failed ──┐  lost ─┤                               │
//	          │              v        v                               │
//	          └─ wait over ─ Backoff <──────── lost or silent ────────┘
//
// Stopped is reached from every state when the context ends.
type State uint8

// The states.
const (
	// Idle: Run has not been called.
	Idle State = iota
	// Connecting: dialling.
	Connecting
	// Subscribing: the connection is open, acknowledgements are missing.
	Subscribing
	// Live: every subscription is acknowledged.
	Live
	// Backoff: waiting before the next attempt.
	Backoff
	// Stopped: over; every goroutine has ended.
	Stopped
)

// String is the state's word: "subscribing".
func (s State) String() string {
	switch s {
	case Idle:
		return "idle"
	case Connecting:
		return "connecting"
	case Subscribing:
		return "subscribing"
	case Live:
		return "live"
	case Backoff:
		return "backoff"
	case Stopped:
		return "stopped"
	}
	return "invalid"
}

// EventKind is what an [Event] tells.
type EventKind uint8

// The events.
const (
	// StateChanged: State is the new state.
	StateChanged EventKind = iota
	// Connected: connection Conn is open; nothing is subscribed on it yet.
	Connected
	// Disconnected: connection Conn is gone, and nothing more will come from it.
	// Replaced says that another has taken over, so that nothing is missing.
	Disconnected
	// Silent: Subs have given nothing for longer than their channel allows.
	Silent
	// Heard: Subs were silent, and speak again on the same connection or its
	// replacement.
	Heard
	// SubscriptionRefused: the exchange said no to Subs.
	SubscriptionRefused
	// Malformed: a frame of connection Conn could not be decoded, and its records,
	// of whatever stream, are missing. Cause is a *[FrameError].
	Malformed
)

// String is the event's word: "disconnected".
func (k EventKind) String() string {
	switch k {
	case StateChanged:
		return "state_changed"
	case Connected:
		return "connected"
	case Disconnected:
		return "disconnected"
	case Silent:
		return "silent"
	case Heard:
		return "heard"
	case SubscriptionRefused:
		return "subscription_refused"
	case Malformed:
		return "malformed"
	}
	return "invalid"
}

// Event is something that happened to a session.
type Event struct {
	Kind  EventKind
	State State
	// Time is when, by the session's clock.
	Time time.Time
	// Conn is the connection concerned; 0 for none.
	Conn int64
	// Replaced is true for a connection that a planned replacement made needless.
	Replaced bool
	// Subs are the subscriptions concerned: on Connected and Disconnected those
	// of the session.
	Subs []Subscription
	// Cause is why; nil when asked for.
	Cause error
	// Wait is how long Backoff lasts.
	Wait time.Duration
}
