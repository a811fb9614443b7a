package client

import (
	"encoding/json"
	"time"
)

// Task is a task of a queue.
type Task struct {
	Attempts    int64           `json:"attempts"`
	CreatedAt   time.Time       `json:"created_at"`
	Error       string          `json:"error,omitempty"` // why the last attempt failed
	FinishedAt  time.Time       `json:"finished_at,omitzero"`
	MaxAttempts int64           `json:"max_attempts"`
	Payload     json.RawMessage `json:"payload"`
	Progress    *Progress       `json:"progress,omitempty"`
	Queue       string          `json:"queue"`
	Result      json.RawMessage `json:"result,omitempty"`
	Round       int64           `json:"round"`
	StartedAt   time.Time       `json:"started_at,omitzero"`
	Status      string          `json:"status"` // queued, running, retrying, succeeded, dead, cancelled
	StreamSeq   int64           `json:"stream_seq"`
	TaskID      string          `json:"task_id"`
	UpdatedAt   time.Time       `json:"updated_at"`
	Worker      string          `json:"worker,omitempty"` // who had it last
}

// ClaimedTask is a task that a worker was given, with its token and its lease.
type ClaimedTask struct {
	Task
	LeaseSeconds float64 `json:"lease_seconds"`
	Token        string  `json:"token"`
}

// Submission is a task to be queued.
type Submission struct {
	IdempotencyKey string `json:"idempotency_key,omitempty"` // the header Idempotency-Key says the same
	MaxAttempts    int64  `json:"max_attempts,omitempty"`    // at most the configuration's, which 0 is
	Payload        any    `json:"payload,omitempty"`         // any JSON, at most 1 MiB
	Queue          string `json:"queue"`
}

// Progress is how far a task is.
type Progress struct {
	Note    string    `json:"note,omitempty"`
	Percent float64   `json:"percent"`
	Time    time.Time `json:"time,omitzero"`
}

// Claim is what a worker asks for.
type Claim struct {
	Max         int64   `json:"max,omitempty"`
	WaitSeconds float64 `json:"wait_seconds,omitempty"` // for the first task
	Worker      string  `json:"worker,omitempty"`       // who works on them, for people
}

// completeForm is the end of a task that was done.
type completeForm struct {
	Result any    `json:"result,omitempty"` // any JSON, at most 1 MiB
	Token  string `json:"token"`
}

// failForm is the end of an attempt that failed.
type failForm struct {
	Error string `json:"error"`
	Final bool   `json:"final,omitempty"` // no further attempt: the task is dead
	Token string `json:"token"`
}

// progressForm is a worker's word on its task.
type progressForm struct {
	Note    string  `json:"note,omitempty"`
	Percent float64 `json:"percent,omitempty"`
	Token   string  `json:"token"`
}

// TaskAnswer is what came of an order about a task.
type TaskAnswer struct {
	Existing bool   `json:"existing"` // a task with this key was there already
	Status   string `json:"status"`
	Success  bool   `json:"success"`
	Task     Task   `json:"task"`
	TaskID   string `json:"task_id"`
}
