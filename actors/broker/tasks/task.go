package tasks

import (
	"encoding/json"
	"time"
)

// State is where a task stands; doc.go draws it.
type State string

// The states.
const (
	Queued    State = "queued"
	Running   State = "running"
	Retrying  State = "retrying"
	Succeeded State = "succeeded"
	Dead      State = "dead"
	Cancelled State = "cancelled"
)

// States are all of them.
func States() []string {
	return []string{string(Queued), string(Running), string(Retrying), string(Succeeded), string(Dead), string(Cancelled)}
}

// over reports whether nothing more happens by itself.
func (s State) over() bool { return s == Succeeded || s == Dead || s == Cancelled }

// Progress is what a worker says while it works.
type Progress struct {
	Percent float64   `json:"percent" minimum:"0" maximum:"100"`
	Note    string    `json:"note,omitempty" maxLength:"1000"`
	Time    time.Time `json:"time"`
}

// Task is what is known of one.
type Task struct {
	ID      string          `json:"task_id" required:"true"`
	Queue   string          `json:"queue" required:"true"`
	State   State           `json:"status" required:"true" enum:"queued,running,retrying,succeeded,dead,cancelled"`
	Payload json.RawMessage `json:"payload" required:"true"`
	// Attempts were begun, of MaxAttempts; a retry counts anew.
	Attempts    int       `json:"attempts" required:"true"`
	MaxAttempts int       `json:"max_attempts" required:"true"`
	Created     time.Time `json:"created_at" required:"true"`
	Updated     time.Time `json:"updated_at" required:"true"`
	// Started and Finished are of the last attempt; absent before it.
	Started  *time.Time      `json:"started_at,omitempty"`
	Finished *time.Time      `json:"finished_at,omitempty"`
	Worker   string          `json:"worker,omitempty" doc:"who had it last"`
	Progress *Progress       `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    string          `json:"error,omitempty" doc:"why the last attempt failed"`
	// Round counts submissions: 1, and one more for each retry.
	Round int `json:"round" required:"true"`

	// Seq is the message's in TASKS; 0 when a worker made the record.
	Seq uint64 `json:"stream_seq,omitempty"`
}

// work is the message of a task.
type work struct {
	ID          string          `json:"task_id"`
	Queue       string          `json:"queue"`
	Payload     json.RawMessage `json:"payload"`
	MaxAttempts int             `json:"max_attempts"`
	Round       int             `json:"round"`
	Created     time.Time       `json:"created_at"`
}

func (w work) task(now time.Time) Task {
	return Task{
		ID: w.ID, Queue: w.Queue, State: Queued, Payload: w.Payload, MaxAttempts: w.MaxAttempts,
		Created: w.Created, Updated: now, Round: w.Round,
	}
}
