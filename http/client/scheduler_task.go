package client

import (
	"encoding/json"
	"time"
)

// ScheduledTask is a task of the scheduler, as lists have it.
type ScheduledTask struct {
	ActiveRuns     int64      `json:"active_runs"` // under way or waiting
	CreatedAt      time.Time  `json:"created_at"`
	CronExpression string     `json:"cron_expression"`
	ErrorCount     int64      `json:"error_count"`
	LastRun        *time.Time `json:"last_run,omitempty"` // null before the first
	MissedCount    int64      `json:"missed_count"`       // times that nobody was there for
	Name           string     `json:"name"`
	NextRun        *time.Time `json:"next_run,omitempty"` // jitter included; null when it will not run by itself
	Paused         bool       `json:"paused"`
	RunCount       int64      `json:"run_count"`     // runs that were begun, those that failed included
	Schedule       string     `json:"schedule"`      // the expression in words
	SkippedCount   int64      `json:"skipped_count"` // times without a run because the one before was under way
	// Pending has not run yet; completed, failed and cancelled are of its last run: pending, running, completed, failed, cancelled, paused
	Status         string  `json:"status"`
	TargetEndpoint string  `json:"target_endpoint"`
	TargetService  string  `json:"target_service"`
	TaskID         string  `json:"task_id"`
	Timezone       string  `json:"timezone"`
	UsualSeconds   float64 `json:"usual_seconds"` // what a run takes; 0 before the first
}

// TaskDetails is everything about a task of the scheduler.
type TaskDetails struct {
	ScheduledTask
	EndAt                *time.Time      `json:"end_at,omitempty"`
	JitterSeconds        float64         `json:"jitter_seconds"`
	LastError            *string         `json:"last_error,omitempty"` // why the last run failed; null when it did not
	Method               string          `json:"method"`
	Misfire              string          `json:"misfire"`
	MisfireLimit         int64           `json:"misfire_limit"`
	MisfireWindowSeconds float64         `json:"misfire_window_seconds"`
	Overlap              string          `json:"overlap"`
	Payload              json.RawMessage `json:"payload"`
	Retry                Retry           `json:"retry"`
	Revision             int64           `json:"revision"` // the ETag holds it
	StartAt              *time.Time      `json:"start_at,omitempty"`
	TimeoutSeconds       float64         `json:"timeout_seconds"`
	TotalTimeoutSeconds  float64         `json:"total_timeout_seconds"`
	UpdatedAt            time.Time       `json:"updated_at"`
}

// NewTask is a task to be made.
type NewTask struct {
	CronExpression       string     `json:"cron_expression"`                  // five fields, six with seconds, @daily and the like, @every 90s, or @at a time
	EndAt                *time.Time `json:"end_at,omitempty"`                 // times from it on do not count; null for no bound
	JitterSeconds        float64    `json:"jitter_seconds,omitempty"`         // every run is delayed by a part of it that is the task's own
	Method               string     `json:"method,omitempty"`                 // POST when absent; or GET, PUT, PATCH, DELETE
	Misfire              string     `json:"misfire,omitempty"`                // what becomes of times that nobody was there for: skip (when absent), once or all
	MisfireLimit         int64      `json:"misfire_limit,omitempty"`          // how many missed times misfire all makes up for; 100 when absent
	MisfireWindowSeconds float64    `json:"misfire_window_seconds,omitempty"` // how old a missed time may be to be made up for; 0 any age
	Name                 string     `json:"name"`                             // need not be unique
	Overlap              string     `json:"overlap,omitempty"`                // when the run before is still under way: skip (when absent), queue, replace or allow
	Payload              any        `json:"payload,omitempty"`                // body of the request, {} when absent
	Retry                *Retry     `json:"retry,omitempty"`                  // one attempt when absent; retried are lost connections, timeouts, 408, 425, 429 and 5xx
	StartAt              *time.Time `json:"start_at,omitempty"`               // times before it do not count; null for no bound
	// A path of the service; for url an address, for subject a subject of the broker, for actor the name of a message
	TargetEndpoint      string  `json:"target_endpoint"`
	TargetService       string  `json:"target_service"`                  // a service by name; url, subject or actor
	TimeoutSeconds      float64 `json:"timeout_seconds,omitempty"`       // bounds one attempt; 0 takes the configured bound
	Timezone            string  `json:"timezone,omitempty"`              // IANA name of the zone of the expression, UTC when absent
	TotalTimeoutSeconds float64 `json:"total_timeout_seconds,omitempty"` // bounds a run with all its attempts; 0 takes the configured bound
}

// ChangedTask is what is to change of a task; what is absent stays as it is.
type ChangedTask struct {
	CronExpression       *string    `json:"cron_expression,omitempty"`
	EndAt                *time.Time `json:"end_at,omitempty"`                 // times from it on do not count; null for no bound
	JitterSeconds        *float64   `json:"jitter_seconds,omitempty"`         // every run is delayed by a part of it that is the task's own
	Method               *string    `json:"method,omitempty"`                 // POST when absent; or GET, PUT, PATCH, DELETE
	Misfire              *string    `json:"misfire,omitempty"`                // what becomes of times that nobody was there for: skip (when absent), once or all
	MisfireLimit         *int64     `json:"misfire_limit,omitempty"`          // how many missed times misfire all makes up for; 100 when absent
	MisfireWindowSeconds *float64   `json:"misfire_window_seconds,omitempty"` // how old a missed time may be to be made up for; 0 any age
	Name                 *string    `json:"name,omitempty"`
	Overlap              *string    `json:"overlap,omitempty"`  // when the run before is still under way: skip (when absent), queue, replace or allow
	Payload              any        `json:"payload,omitempty"`  // body of the request, {} when absent
	Retry                *Retry     `json:"retry,omitempty"`    // one attempt when absent; retried are lost connections, timeouts, 408, 425, 429 and 5xx
	StartAt              *time.Time `json:"start_at,omitempty"` // times before it do not count; null for no bound
	TargetEndpoint       *string    `json:"target_endpoint,omitempty"`
	TargetService        *string    `json:"target_service,omitempty"`
	TimeoutSeconds       *float64   `json:"timeout_seconds,omitempty"`       // bounds one attempt; 0 takes the configured bound
	Timezone             *string    `json:"timezone,omitempty"`              // IANA name of the zone of the expression, UTC when absent
	TotalTimeoutSeconds  *float64   `json:"total_timeout_seconds,omitempty"` // bounds a run with all its attempts; 0 takes the configured bound
}

// Retry is how often a run tries.
type Retry struct {
	BackoffSeconds    float64 `json:"backoff_seconds,omitempty"`     // wait before the second attempt; it doubles with each, ± 20 %
	MaxAttempts       int64   `json:"max_attempts,omitempty"`        // attempts of one run; 1 tries once
	MaxBackoffSeconds float64 `json:"max_backoff_seconds,omitempty"` // longest wait
}

// TaskChanged is what came of a change.
type TaskChanged struct {
	Message   string     `json:"message"`
	NextRun   *time.Time `json:"next_run,omitempty"` // null when the task will not run by itself
	Status    string     `json:"status"`             // success
	TaskID    string     `json:"task_id,omitempty"`
	Timestamp time.Time  `json:"timestamp"`
}

// Run is one entry of a task's history.
type Run struct {
	Answer          string   `json:"answer,omitempty"` // what the target said at last, cut
	Attempts        int64    `json:"attempts"`
	Cause           string   `json:"cause"`                      // schedule, manual, caught_up
	DurationSeconds *float64 `json:"duration_seconds,omitempty"` // waits between attempts included; null before its end
	Error           string   `json:"error,omitempty"`
	HTTPStatus      int64    `json:"http_status"`                // of the last attempt
	LatenessSeconds *float64 `json:"lateness_seconds,omitempty"` // from the nominal time to its begin
	// Why there is no run: the one before was under way, nobody was there, or too many waited: overlap, missed, queue
	Reason       string     `json:"reason,omitempty"`
	RunID        string     `json:"run_id"`               // task@nominal time; the Idempotency-Key of the request
	ScheduledFor time.Time  `json:"scheduled_for"`        // the nominal time
	StartedAt    *time.Time `json:"started_at,omitempty"` // null before it has begun, and without a run
	Status       string     `json:"status"`               // succeeded, failed, timed_out, cancelled, running, skipped, missed
	TaskID       string     `json:"task_id"`
	TaskName     string     `json:"task_name"`
	Times        int64      `json:"times"`          // how many nominal times the entry stands for
	Until        time.Time  `json:"until,omitzero"` // missed times up to here are one entry
}

// RunStarted is a run that was begun by hand.
type RunStarted struct {
	Message   string     `json:"message"`
	NextRun   *time.Time `json:"next_run,omitempty"` // null when the task will not run by itself
	RunID     string     `json:"run_id"`
	Status    string     `json:"status"` // success
	TaskID    string     `json:"task_id,omitempty"`
	Timestamp time.Time  `json:"timestamp"`
}

// RunsCancelled is how many runs were cancelled.
type RunsCancelled struct {
	Cancelled int64      `json:"cancelled"` // runs that were under way or waiting
	Message   string     `json:"message"`
	NextRun   *time.Time `json:"next_run,omitempty"` // null when the task will not run by itself
	Status    string     `json:"status"`             // success
	TaskID    string     `json:"task_id,omitempty"`
	Timestamp time.Time  `json:"timestamp"`
}

// Explanation is what a cron expression means.
type Explanation struct {
	Description string      `json:"description"`
	Expression  string      `json:"expression"`
	Next        []time.Time `json:"next"`           // the next times, in UTC; fewer than asked for when there are no more
	NextLocal   []string    `json:"next_local"`     // the same with the zone's own offset
	Note        string      `json:"note,omitempty"` // what the answer leaves open
	Status      string      `json:"status"`         // success
	Timestamp   time.Time   `json:"timestamp"`
	Timezone    string      `json:"timezone"`
}

// Coming is the times to come of a task.
type Coming struct {
	CronExpression string      `json:"cron_expression"`
	Fires          []time.Time `json:"fires"` // oldest first, jitter included
	More           bool        `json:"more"`  // there are more within the time asked for
	Name           string      `json:"name"`
	Schedule       string      `json:"schedule"` // the expression in words
	Status         string      `json:"status"`
	TaskID         string      `json:"task_id"`
	Timezone       string      `json:"timezone"`
	UsualSeconds   float64     `json:"usual_seconds"` // what a run takes; 0 before the first
}

// SchedulerStatus is how the scheduler is.
type SchedulerStatus struct {
	ActiveRuns       int64     `json:"active_runs"` // under way or waiting
	CancelledTasks   int64     `json:"cancelled_tasks"`
	CompletedTasks   int64     `json:"completed_tasks"`
	FailedTasks      int64     `json:"failed_tasks"`
	Leader           bool      `json:"leader"`                // whether this process leads
	LeaderNode       string    `json:"leader_node,omitempty"` // the node that leads instead, whose tasks these figures do not count
	PausedTasks      int64     `json:"paused_tasks"`
	PendingTasks     int64     `json:"pending_tasks"`
	RunningTasks     int64     `json:"running_tasks"`
	SchedulerRunning bool      `json:"scheduler_running"` // whether schedules fire
	Timestamp        time.Time `json:"timestamp"`
	TotalTasks       int64     `json:"total_tasks"`
}
