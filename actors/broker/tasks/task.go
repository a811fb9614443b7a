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
	Percent float64   `json:"percent" minimum:"0" maximum:"100" doc:"how much is done"`
	Note    string    `json:"note,omitempty" maxLength:"1000" doc:"for people"`
	Time    time.Time `json:"time" doc:"when the worker said so"`
}

// Task is what is known of one.
type Task struct {
	ID          string          `json:"task_id" required:"true"`
	Queue       string          `json:"queue" required:"true"`
	State       State           `json:"status" required:"true" enum:"queued,running,retrying,succeeded,dead,cancelled" doc:"retrying: an attempt failed, and another follows; dead: none does"`
	Payload     json.RawMessage `json:"payload" required:"true" doc:"as it was submitted"`
	Attempts    int             `json:"attempts" required:"true" doc:"that were begun; a retry counts anew"`
	MaxAttempts int             `json:"max_attempts" required:"true" doc:"attempts after which the task is dead"`
	Created     time.Time       `json:"created_at" required:"true" doc:"when it was submitted first"`
	Updated     time.Time       `json:"updated_at" required:"true" doc:"when its record changed last"`
	Started     *time.Time      `json:"started_at,omitempty" doc:"begin of the last attempt; absent before"`
	Finished    *time.Time      `json:"finished_at,omitempty" doc:"end of the last attempt; absent before"`
	Worker      string          `json:"worker,omitempty" doc:"who had it last"`
	Progress    *Progress       `json:"progress,omitempty" doc:"what a worker said last; absent before"`
	Result      json.RawMessage `json:"result,omitempty" doc:"what its worker gave; absent until it has succeeded"`
	Error       string          `json:"error,omitempty" doc:"why the last attempt failed"`
	Round       int             `json:"round" required:"true" doc:"times that it was submitted: 1, and one more for each retry"`

	Seq uint64 `json:"stream_seq,omitempty" doc:"of its message in the stream TASKS; absent when a worker made the record"`
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
