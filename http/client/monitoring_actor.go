package client

import (
	"time"
)

// ActorTree is the supervision tree at one moment: parents before children, siblings in start order.
type ActorTree struct {
	Actors             []Actor   `json:"actors,omitempty"`
	DeadLettersTotal   int64     `json:"dead_letters_total"`
	EventsDroppedTotal int64     `json:"events_dropped_total"`
	Ready              bool      `json:"ready"`
	Time               time.Time `json:"time,omitzero"`
}

// Actor is one actor.
type Actor struct {
	BackoffUntil      time.Time        `json:"backoff_until,omitzero"`
	Budget            *Budget          `json:"budget,omitempty"`
	BusyRatio         float64          `json:"busy_ratio"`
	BusySecondsTotal  float64          `json:"busy_seconds_total"`
	DeadLettersTotal  int64            `json:"dead_letters_total"`
	Exchange          string           `json:"exchange,omitempty"`
	FailuresTotal     int64            `json:"failures_total"`
	Goroutines        int64            `json:"goroutines"`
	HandledTotal      int64            `json:"handled_total"`
	ID                string           `json:"id,omitempty"`
	Incarnation       int64            `json:"incarnation"`
	Kind              string           `json:"kind,omitempty"`
	LastFailure       *Failure         `json:"last_failure,omitempty"`
	Mailbox           Mailbox          `json:"mailbox"`
	Messages          []HandledMessage `json:"messages,omitempty"`
	Name              string           `json:"name,omitempty"`
	Note              string           `json:"note,omitempty"`
	Parent            string           `json:"parent,omitempty"`
	Rate              float64          `json:"rate"`
	Restart           string           `json:"restart,omitempty"`
	RestartsTotal     int64            `json:"restarts_total"`
	RunningForSeconds float64          `json:"running_for_seconds"`
	StartedAt         time.Time        `json:"started_at,omitzero"`
	State             string           `json:"state,omitempty"`
	Strategy          string           `json:"strategy,omitempty"`
	Supervisor        bool             `json:"supervisor"`
}

// Mailbox is the queue of an actor.
type Mailbox struct {
	Capacity        int64        `json:"capacity"`
	Depth           int64        `json:"depth"`
	DroppedTotal    int64        `json:"dropped_total"`
	MaxDepth        int64        `json:"max_depth"`
	OldestSeconds   float64      `json:"oldest_seconds"`
	Overflow        string       `json:"overflow,omitempty"`
	WaitBuckets     []WaitBucket `json:"wait_buckets,omitempty"`
	WaitLastSeconds float64      `json:"wait_last_seconds"`
	WaitMaxSeconds  float64      `json:"wait_max_seconds"`
	WaitMeanSeconds float64      `json:"wait_mean_seconds"`
	WaitP99Seconds  float64      `json:"wait_p99_seconds"`
}

// WaitBucket is how many waits were below a bound, and not below the one before.
type WaitBucket struct {
	BelowSeconds float64 `json:"below_seconds"`
	Count        int64   `json:"count"`
}

// Budget is how many restarts a supervisor has left.
type Budget struct {
	Left          int64     `json:"left"`
	NextAt        time.Time `json:"next_at,omitzero"`
	Restarts      int64     `json:"restarts"`
	RestartsTotal int64     `json:"restarts_total"`
	WithinSeconds float64   `json:"within_seconds"`
}

// Failure is why an actor failed last.
type Failure struct {
	Message string    `json:"message,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Stack   string    `json:"stack,omitempty"`
	Time    time.Time `json:"time,omitzero"`
}

// HandledMessage is how an actor handles one type of message.
type HandledMessage struct {
	HandleMaxSeconds  float64 `json:"handle_max_seconds"`
	HandleMeanSeconds float64 `json:"handle_mean_seconds"`
	HandleP99Seconds  float64 `json:"handle_p99_seconds"`
	HandledTotal      int64   `json:"handled_total"`
	Message           string  `json:"message,omitempty"`
}

// ActorEvent is what happened to an actor.
type ActorEvent struct {
	DelaySeconds float64   `json:"delay_seconds"`
	Event        string    `json:"event,omitempty"`
	Exchange     string    `json:"exchange,omitempty"`
	Failure      *Failure  `json:"failure,omitempty"`
	ID           string    `json:"id,omitempty"`
	Kind         string    `json:"kind,omitempty"`
	Left         *int64    `json:"left,omitempty"` // of the parent's budget, after a failure
	Parent       string    `json:"parent,omitempty"`
	Seq          int64     `json:"seq"`
	Time         time.Time `json:"time,omitzero"`
}

// NodeActors is a node, with its actors if they were asked for.
type NodeActors struct {
	About             *NodeAbout `json:"about,omitempty"`     // what it says of itself; absent where this node is alone
	AnsweredInSeconds float64    `json:"answered_in_seconds"` // how long it took to say so
	Error             string     `json:"error,omitempty"`     // why the node does not answer
	Node              string     `json:"node"`
	Self              bool       `json:"self"`           // the node that answers
	Tree              *ActorTree `json:"tree,omitempty"` // as actors/tree answers it
}

// NodeAbout is what a node says of itself.
type NodeAbout struct {
	PlanRevision     int64     `json:"plan_revision"` // that it follows; 0 is none
	Services         []string  `json:"services"`
	StartedAt        time.Time `json:"started_at"`
	StreamsRecording int64     `json:"streams_recording"`
	StreamsWaiting   int64     `json:"streams_waiting"` // until their owner before lets go
	Version          string    `json:"version"`
}

// Operated is what came of an order about an actor.
type Operated struct {
	Action          string    `json:"action"` // restart, stop, pause, resume
	Actor           string    `json:"actor"`
	DurationSeconds float64   `json:"duration_seconds"`
	Message         string    `json:"message"`
	Node            string    `json:"node,omitempty"` // when another node was asked
	Success         bool      `json:"success"`
	Timestamp       time.Time `json:"timestamp"`
}
