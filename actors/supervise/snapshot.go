package supervise

import "time"

// Snapshot is the tree at one moment: parents before children, siblings in start
// order. It is the body of GET /api/v1/actors/tree.
type Snapshot struct {
	Time          time.Time `json:"time"`
	Ready         bool      `json:"ready" doc:"everything has started, and the root has not given up"`
	Actors        []Node    `json:"actors" doc:"parents before children, siblings in start order"`
	DeadLetters   uint64    `json:"dead_letters_total" doc:"messages that reached no actor, since the start"`
	EventsDropped uint64    `json:"events_dropped_total" doc:"events that subscribers were too slow to take, since the start"`
}

// Node is one actor of a [Snapshot].
type Node struct {
	ID          string    `json:"id" doc:"path of names from the root"`
	Parent      string    `json:"parent,omitempty" doc:"id of the parent; absent for the root"`
	Name        string    `json:"name" doc:"the last part of the id"`
	Order       uint64    `json:"order" doc:"of starting: parents before children; a restart keeps it"`
	Kind        string    `json:"kind" doc:"the sort of actor, shared by all that are alike, such as stream"`
	Exchange    string    `json:"exchange,omitempty" doc:"absent for an actor of none"`
	State       State     `json:"state" doc:"starting, running, restarting (a new incarnation is not ready yet), backoff (waits for its restart), stopping, stopped or failed"`
	Supervisor  bool      `json:"supervisor" doc:"whether it starts others, and restarts them"`
	Restart     string    `json:"restart" doc:"when its parent restarts it: permanent (whenever it ends), transient (after a failure only) or temporary (never)"`
	StartedAt   time.Time `json:"started_at" doc:"of this incarnation"`
	Incarnation uint64    `json:"incarnation" doc:"1 at first, one more with each restart"`

	Mailbox     MailboxStatus   `json:"mailbox"`
	Handled     uint64          `json:"handled_total" doc:"messages, over all incarnations"`
	Rate        float64         `json:"rate" doc:"messages per second, over the last second or more"`
	BusySeconds float64         `json:"busy_seconds_total" doc:"spent on messages, over all incarnations"`
	BusyRatio   float64         `json:"busy_ratio" doc:"share of the time spent on messages, 0 to 1, over the same time as rate"`
	RunningFor  float64         `json:"running_for_seconds" doc:"how long it has been at work without a pause; 0 while idle; with a growing depth it is stuck"`
	Goroutines  int             `json:"goroutines" doc:"that it has begun and that have not ended"`
	DeadLetters uint64          `json:"dead_letters_total" doc:"messages sent to it while it was gone"`
	Messages    []MessageStatus `json:"messages,omitempty" doc:"by type; only where one actor is asked for"`

	Note string `json:"note,omitempty" doc:"what it says of its condition; absent when there is nothing to say"`

	Restarts     uint64        `json:"restarts_total" doc:"of this actor by its parent"`
	Failures     uint64        `json:"failures_total" doc:"of this actor, a supervisor's giving up included"`
	LastFailure  *Failure      `json:"last_failure,omitempty" doc:"absent when it never failed"`
	BackoffUntil *time.Time    `json:"backoff_until,omitempty" doc:"when it is restarted; absent unless it waits for that"`
	Budget       *BudgetStatus `json:"budget,omitempty" doc:"of restarts, shared by its children; supervisors only"`
	Strategy     string        `json:"strategy,omitempty" doc:"how it answers failures of its children, in words; supervisors only"`
}

// MailboxStatus is the state of one mailbox. Waits are a 1-in-64 sample.
type MailboxStatus struct {
	Depth     int      `json:"depth" doc:"messages that wait"`
	MaxDepth  int      `json:"max_depth" doc:"since the actor was spawned"`
	Capacity  int      `json:"capacity" doc:"most messages that may wait"`
	Overflow  string   `json:"overflow" doc:"what is given up when it is full: drop_newest or drop_oldest"`
	Dropped   uint64   `json:"dropped_total" doc:"messages given up because it was full"`
	WaitLast  float64  `json:"wait_last_seconds" doc:"of the last message that was measured: one in 64, and each that finds the mailbox empty"`
	WaitMean  float64  `json:"wait_mean_seconds" doc:"exponentially weighted"`
	WaitP99   float64  `json:"wait_p99_seconds" doc:"of the last thousand measured or so, to a factor of two"`
	WaitMax   float64  `json:"wait_max_seconds" doc:"since the actor was spawned, of those measured"`
	OldestFor float64  `json:"oldest_seconds" doc:"at least this long has a message waited that waits still; 0 when none does"`
	Waits     []Bucket `json:"wait_buckets,omitempty" doc:"spread of the last thousand waits or so that were measured; only where one actor is asked for"`
}

// Bucket counts durations below a bound that are not below the bound before it.
type Bucket struct {
	Below float64 `json:"below_seconds" doc:"upper bound, itself excluded"`
	Count uint64  `json:"count" doc:"durations below the bound that are not below that of the bucket before"`
}

// MessageStatus is the handling of one type of message. Times are a 1-in-64
// sample.
type MessageStatus struct {
	Message    string  `json:"message" doc:"Go type"`
	Handled    uint64  `json:"handled_total" doc:"messages of this type"`
	HandleMean float64 `json:"handle_mean_seconds" doc:"exponentially weighted; one message in 64 is measured"`
	HandleP99  float64 `json:"handle_p99_seconds" doc:"of the last thousand measured or so, to a factor of two"`
	HandleMax  float64 `json:"handle_max_seconds" doc:"of those measured"`
}

// BudgetStatus is how much luck a supervisor has left. Its children share it.
type BudgetStatus struct {
	Restarts int        `json:"restarts" doc:"allowed in the window"`
	Within   float64    `json:"within_seconds" doc:"length of the window"`
	Left     int        `json:"left" doc:"restarts left now"`
	Total    uint64     `json:"restarts_total" doc:"of all children, ever"`
	NextAt   *time.Time `json:"next_at,omitempty" doc:"when the next restart comes back; absent when none is spent"`
}

// Failure is why an actor failed last.
type Failure struct {
	Time    time.Time `json:"time"`
	Reason  string    `json:"reason" doc:"what the panic or the error said; cut behind 1024 bytes"`
	Message string    `json:"message" doc:"Go type of what was being handled; empty when it was no message"`
	Stack   string    `json:"stack,omitempty" doc:"of the panic; absent when there was none"`
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
	Seq      uint64    `json:"seq" doc:"from 1, without holes in the history"`
	Time     time.Time `json:"time"`
	Kind     EventKind `json:"event" doc:"started, ready, failed, backoff, restarted, stopping, stopped, escalated (a supervisor gives up) or abandoned (it did not stop in time)"`
	ID       string    `json:"id" doc:"of the actor"`
	Parent   string    `json:"parent,omitempty" doc:"id of its parent; absent for the root"`
	Actor    string    `json:"kind" doc:"the sort of actor"`
	Exchange string    `json:"exchange,omitempty" doc:"of the actor; absent for one of none"`
	Delay    float64   `json:"delay_seconds,omitempty" doc:"until the restart; of a backoff only"`
	Left     *int      `json:"left,omitempty" doc:"restarts that the parent's budget still has; of a backoff only"`
	Failure  *Failure  `json:"failure,omitempty" doc:"of failed and escalated only"`
}
