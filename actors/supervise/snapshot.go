package supervise

import "time"

// Snapshot is the tree at one moment: parents before children, siblings in start
// order. It is the body of GET /api/v1/actors/tree.
type Snapshot struct {
	Time   time.Time `json:"time"`
	Ready  bool      `json:"ready"` // everything started, nothing escalated to the top
	Actors []Node    `json:"actors"`
	// DeadLetters counts messages that reached no actor since the start.
	DeadLetters uint64 `json:"dead_letters_total"`
	// EventsDropped counts events that subscribers were too slow to take.
	EventsDropped uint64 `json:"events_dropped_total"`
}

// Node is one actor of a [Snapshot].
type Node struct {
	ID          string    `json:"id"`               // path of names from the root
	Parent      string    `json:"parent,omitempty"` // id; empty for the root
	Name        string    `json:"name"`
	Order       uint64    `json:"order"` // of starting: parents before children; a restart keeps it
	Kind        string    `json:"kind"`
	Exchange    string    `json:"exchange,omitempty"`
	State       State     `json:"state"`
	Supervisor  bool      `json:"supervisor"`
	Restart     string    `json:"restart"`    // permanent, transient or temporary
	StartedAt   time.Time `json:"started_at"` // of this incarnation
	Incarnation uint64    `json:"incarnation"`

	Mailbox     MailboxStatus `json:"mailbox"`
	Handled     uint64        `json:"handled_total"`
	Rate        float64       `json:"rate"` // messages per second, over the last second or more
	BusySeconds float64       `json:"busy_seconds_total"`
	BusyRatio   float64       `json:"busy_ratio"` // 0 to 1, over the same time as Rate
	// RunningFor is how long, in seconds, the actor has been at work without a
	// pause; with a growing depth it is stuck.
	RunningFor  float64         `json:"running_for_seconds"`
	Goroutines  int             `json:"goroutines"`
	DeadLetters uint64          `json:"dead_letters_total"` // sent to it while it was gone
	Messages    []MessageStatus `json:"messages,omitempty"` // by type; only in Tree.Node

	// Note is what the actor says of its condition; empty when there is nothing to say.
	Note string `json:"note,omitempty"`

	Restarts     uint64        `json:"restarts_total"` // of this actor by its parent
	Failures     uint64        `json:"failures_total"`
	LastFailure  *Failure      `json:"last_failure,omitempty"`
	BackoffUntil *time.Time    `json:"backoff_until,omitempty"`
	Budget       *BudgetStatus `json:"budget,omitempty"` // supervisors only
	Strategy     string        `json:"strategy,omitempty"`
}

// MailboxStatus is the state of one mailbox. Waits are a 1-in-64 sample.
type MailboxStatus struct {
	Depth     int     `json:"depth"`
	MaxDepth  int     `json:"max_depth"` // since the actor was spawned
	Capacity  int     `json:"capacity"`
	Overflow  string  `json:"overflow"`
	Dropped   uint64  `json:"dropped_total"`
	WaitLast  float64 `json:"wait_last_seconds"`
	WaitMean  float64 `json:"wait_mean_seconds"` // exponentially weighted
	WaitP99   float64 `json:"wait_p99_seconds"`  // of the last thousand samples or so, to a factor of two
	WaitMax   float64 `json:"wait_max_seconds"`
	OldestFor float64 `json:"oldest_seconds"` // at least this long has a queued message waited
	// Waits spreads the last thousand samples or so; only in Tree.Node.
	Waits []Bucket `json:"wait_buckets,omitempty"`
}

// Bucket counts durations below a bound that are not below the bound before it.
type Bucket struct {
	Below float64 `json:"below_seconds"`
	Count uint64  `json:"count"`
}

// MessageStatus is the handling of one type of message. Times are a 1-in-64
// sample.
type MessageStatus struct {
	Message    string  `json:"message"` // Go type
	Handled    uint64  `json:"handled_total"`
	HandleMean float64 `json:"handle_mean_seconds"` // exponentially weighted
	HandleP99  float64 `json:"handle_p99_seconds"`  // of the last thousand samples or so, to a factor of two
	HandleMax  float64 `json:"handle_max_seconds"`
}

// BudgetStatus is how much luck a supervisor has left. Its children share it.
type BudgetStatus struct {
	Restarts int     `json:"restarts"`       // allowed in the window
	Within   float64 `json:"within_seconds"` // length of the window
	Left     int     `json:"left"`           // restarts left now
	Total    uint64  `json:"restarts_total"` // of all children, ever
	// NextAt is when the next restart comes back; absent when none is spent.
	NextAt *time.Time `json:"next_at,omitempty"`
}

// Failure is why an actor failed last.
type Failure struct {
	Time    time.Time `json:"time"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"` // Go type being handled
	Stack   string    `json:"stack,omitempty"`
}

// EventKind names what happened to an actor.
type EventKind string

// The events of a tree.
const (
	EventStarted   EventKind = "started"   // spawned
	EventReady     EventKind = "ready"     // running
	EventFailed    EventKind = "failed"    // Failure is set
	EventBackoff   EventKind = "backoff"   // will restart after Delay
	EventRestarted EventKind = "restarted" // a new incarnation begins
	EventStopping  EventKind = "stopping"
	EventStopped   EventKind = "stopped"
	EventEscalated EventKind = "escalated" // a supervisor gives up; Failure is set
	EventAbandoned EventKind = "abandoned" // did not stop in time
)

// Event is one entry of the tree's history.
type Event struct {
	Seq      uint64    `json:"seq"` // from 1, without holes in the history
	Time     time.Time `json:"time"`
	Kind     EventKind `json:"event"`
	ID       string    `json:"id"`
	Parent   string    `json:"parent,omitempty"`
	Actor    string    `json:"kind"` // kind of the actor
	Exchange string    `json:"exchange,omitempty"`
	Delay    float64   `json:"delay_seconds,omitempty"` // of a backoff
	Left     *int      `json:"left,omitempty"`          // of the parent's budget, after a failure
	Failure  *Failure  `json:"failure,omitempty"`
}
