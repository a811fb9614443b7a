package scheduler

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	branch "github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/http/chassis"
)

// newTask is the body of POST tasks.
type newTask struct {
	Name           string `json:"name" required:"true" minLength:"1" maxLength:"200" doc:"need not be unique" example:"nightly archive"`
	Cron           string `json:"cron_expression" required:"true" maxLength:"1024" doc:"five fields, six with seconds, @daily and the like, @every 90s, or @at a time" example:"0 2 * * *"`
	TargetService  string `json:"target_service" required:"true" maxLength:"200" doc:"a service by name; url, subject or actor" example:"data-storage-service"`
	TargetEndpoint string `json:"target_endpoint" required:"true" maxLength:"2048" doc:"a path of the service; for url an address, for subject a subject of the broker, for actor the name of a message" example:"/api/v1/storage/cold/archive"`
	settings
}

// changedTask is the body of PUT tasks/{id}: what is absent stays.
type changedTask struct {
	Name           *string `json:"name" minLength:"1" maxLength:"200" doc:"need not be unique"`
	Cron           *string `json:"cron_expression" maxLength:"1024" doc:"as of a new task"`
	TargetService  *string `json:"target_service" maxLength:"200" doc:"as of a new task"`
	TargetEndpoint *string `json:"target_endpoint" maxLength:"2048" doc:"as of a new task"`
	settings
}

// settings are the optional members of both.
type settings struct {
	Payload              *json.RawMessage `json:"payload" doc:"body of the request, {} when absent"`
	Method               *string          `json:"method" doc:"POST when absent; or GET, PUT, PATCH, DELETE" maxLength:"10"`
	Timezone             *string          `json:"timezone" doc:"IANA name of the zone of the expression, UTC when absent" maxLength:"64" example:"Europe/Berlin"`
	TimeoutSeconds       *float64         `json:"timeout_seconds" minimum:"0" maximum:"86400" doc:"bounds one attempt; 0 takes the configured bound"`
	TotalTimeoutSeconds  *float64         `json:"total_timeout_seconds" minimum:"0" maximum:"86400" doc:"bounds a run with all its attempts; 0 takes the configured bound"`
	Retry                *branch.Retry    `json:"retry" doc:"one attempt when absent; retried are lost connections, timeouts, 408, 425, 429 and 5xx"`
	Overlap              *string          `json:"overlap" doc:"when the run before is still under way: skip (when absent), queue, replace or allow" maxLength:"20"`
	Misfire              *string          `json:"misfire" doc:"what becomes of times that nobody was there for: skip (when absent), once or all" maxLength:"20"`
	MisfireLimit         *int             `json:"misfire_limit" minimum:"1" maximum:"1000" doc:"how many missed times misfire all makes up for; 100 when absent"`
	MisfireWindowSeconds *float64         `json:"misfire_window_seconds" minimum:"0" maximum:"31622400" doc:"how old a missed time may be to be made up for; 0 any age"`
	JitterSeconds        *float64         `json:"jitter_seconds" minimum:"0" maximum:"3600" doc:"every run is delayed by a part of it that is the task's own"`
	StartAt              json.RawMessage  `json:"start_at" doc:"times before it do not count; null for no bound"`
	EndAt                json.RawMessage  `json:"end_at" doc:"times from it on do not count; null for no bound"`
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// bound reads one end of the window: absent leaves it, null removes it.
func bound(field string, text json.RawMessage, to **time.Time) error {
	switch string(text) {
	case "":
		return nil
	case "null":
		*to = nil
		return nil
	}
	at, err := chassis.ParseTime(strings.Trim(string(text), `"`))
	if err != nil {
		return chassis.Unprocessable(chassis.Field("/"+field, "%v; or null", err))
	}
	*to = &at
	return nil
}

func (s settings) apply(t *branch.Task) error {
	set(&t.Payload, s.Payload)
	set(&t.Method, s.Method)
	set(&t.Timezone, s.Timezone)
	set(&t.TimeoutSeconds, s.TimeoutSeconds)
	set(&t.TotalTimeoutSeconds, s.TotalTimeoutSeconds)
	set(&t.Retry, s.Retry)
	set(&t.Overlap, s.Overlap)
	set(&t.Misfire, s.Misfire)
	set(&t.MisfireLimit, s.MisfireLimit)
	set(&t.MisfireWindowSeconds, s.MisfireWindowSeconds)
	set(&t.JitterSeconds, s.JitterSeconds)
	if err := bound("start_at", s.StartAt, &t.StartAt); err != nil {
		return err
	}
	return bound("end_at", s.EndAt, &t.EndAt)
}

// row is a task in a list.
type row struct {
	TaskID         string     `json:"task_id" required:"true"`
	Name           string     `json:"name" required:"true" doc:"need not be unique"`
	Cron           string     `json:"cron_expression" required:"true" doc:"five fields, six with seconds, @daily and the like, @every 90s, or @at a time"`
	TargetService  string     `json:"target_service" required:"true" doc:"a service by name; url, subject or actor"`
	TargetEndpoint string     `json:"target_endpoint" required:"true" doc:"a path of the service; for url an address, for subject a subject of the broker, for actor the name of a message"`
	Status         string     `json:"status" enum:"pending,running,completed,failed,cancelled,paused" required:"true" doc:"pending has not run yet; completed, failed and cancelled are of its last run"`
	CreatedAt      time.Time  `json:"created_at" required:"true"`
	LastRun        *time.Time `json:"last_run" doc:"null before the first"`
	NextRun        *time.Time `json:"next_run" doc:"jitter included; null when it will not run by itself"`
	RunCount       uint64     `json:"run_count" required:"true" doc:"runs that were begun, those that failed included"`
	ErrorCount     uint64     `json:"error_count" required:"true" doc:"runs that failed or timed out"`
	Timezone       string     `json:"timezone" required:"true" doc:"IANA name of the zone of the expression"`
	Schedule       string     `json:"schedule" required:"true" doc:"the expression in words"`
	Paused         bool       `json:"paused" required:"true" doc:"its schedule is switched off"`
	ActiveRuns     int        `json:"active_runs" required:"true" doc:"under way or waiting"`
	SkippedCount   uint64     `json:"skipped_count" required:"true" doc:"times without a run because the one before was under way"`
	MissedCount    uint64     `json:"missed_count" required:"true" doc:"times that nobody was there for"`
	UsualSeconds   float64    `json:"usual_seconds" required:"true" doc:"what a run takes; 0 before the first"`
}

// details are the members that a single task has besides.
type details struct {
	row
	Payload              json.RawMessage `json:"payload" required:"true" doc:"body of the request"`
	LastError            *string         `json:"last_error" doc:"why the last run failed; null when it did not"`
	Method               string          `json:"method" required:"true" doc:"POST, GET, PUT, PATCH or DELETE"`
	TimeoutSeconds       float64         `json:"timeout_seconds" required:"true" doc:"bounds one attempt; 0 takes the configured bound"`
	TotalTimeoutSeconds  float64         `json:"total_timeout_seconds" required:"true" doc:"bounds a run with all its attempts; 0 takes the configured bound"`
	Retry                branch.Retry    `json:"retry" required:"true" doc:"retried are lost connections, timeouts, 408, 425, 429 and 5xx"`
	Overlap              string          `json:"overlap" required:"true" doc:"when the run before is still under way: skip, queue, replace or allow"`
	Misfire              string          `json:"misfire" required:"true" doc:"what becomes of times that nobody was there for: skip, once (the latest is made up for) or all"`
	MisfireLimit         int             `json:"misfire_limit" required:"true" doc:"how many missed times misfire all makes up for"`
	MisfireWindowSeconds float64         `json:"misfire_window_seconds" required:"true" doc:"how old a missed time may be to be made up for; 0 any age"`
	JitterSeconds        float64         `json:"jitter_seconds" required:"true" doc:"every run is delayed by a part of it that is the task's own"`
	StartAt              *time.Time      `json:"start_at" doc:"times before it do not count; null for no bound"`
	EndAt                *time.Time      `json:"end_at" doc:"times from it on do not count; null for no bound"`
	UpdatedAt            time.Time       `json:"updated_at" required:"true" doc:"when it was changed last"`
	Revision             uint64          `json:"revision" required:"true" doc:"the ETag holds it"`
}

func rowOf(v branch.View) row {
	return row{
		TaskID: v.ID, Name: v.Name, Cron: v.Cron, TargetService: v.TargetService, TargetEndpoint: v.TargetEndpoint, Status: v.Status,
		CreatedAt: v.CreatedAt, LastRun: v.LastRun, NextRun: v.NextRun, RunCount: v.Runs, ErrorCount: v.Errors,
		Timezone: v.Timezone, Schedule: v.Words, Paused: v.Paused, ActiveRuns: v.Active, SkippedCount: v.Skipped, MissedCount: v.Missed,
		UsualSeconds: v.Usual.Seconds(),
	}
}

func detailsOf(v branch.View) details {
	d := details{
		row: rowOf(v), Payload: v.Payload, Method: v.Method, TimeoutSeconds: v.TimeoutSeconds, TotalTimeoutSeconds: v.TotalTimeoutSeconds,
		Retry: v.Retry, Overlap: v.Overlap, Misfire: v.Misfire, MisfireLimit: v.MisfireLimit, MisfireWindowSeconds: v.MisfireWindowSeconds,
		JitterSeconds: v.JitterSeconds, StartAt: v.StartAt, EndAt: v.EndAt, UpdatedAt: v.UpdatedAt, Revision: v.Revision,
	}
	if v.LastError != "" {
		d.LastError = &v.LastError
	}
	return d
}

type taskAnswer struct {
	success
	Data      details   `json:"data" required:"true"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

type listTail struct {
	Count      int       `json:"count" minimum:"0" required:"true" doc:"of this answer"`
	Timestamp  time.Time `json:"timestamp" required:"true"`
	NextCursor string    `json:"next_cursor,omitempty" doc:"continues the list; absent when nothing follows"`
}

type taskList struct {
	success
	Data []row `json:"data" required:"true" doc:"in the order in which they were made"`
	listTail
}

// Pages of tasks: a client that asks for nothing gets all that one page can hold.
const (
	taskPage    = 1000
	maxTaskPage = 10_000
)

var cursorParam = chassis.Param{Name: "cursor", Doc: "`next_cursor` of the page before."}

func (f *service) taskRoutes() []chassis.Route {
	answer := []chassis.Response{{Body: message{}}}
	return []chassis.Route{
		{
			Method: http.MethodPost, Path: base + "tasks", ID: "makeTask", Tag: tagTask, Summary: "Make a task",
			Description: "What is wrong is said by field; in an expression by its field and column.",
			Request:     newTask{}, Responses: answer, Handler: f.create,
		},
		{
			Method: http.MethodGet, Path: base + "tasks", ID: "tasks", Tag: tagTask, Summary: "List tasks",
			Params: []chassis.Param{
				{Name: "status", Enum: branch.Statuses(), Doc: "Only tasks that are so."},
				{Name: "target_service", Doc: "Only tasks with that target."},
				{Name: "name", Doc: "Only tasks whose name contains it."},
				{Name: "limit", Type: 0, Default: taskPage, Min: 1, Max: maxTaskPage}, cursorParam,
			},
			Responses: []chassis.Response{{Body: taskList{}}}, Handler: f.list,
		},
		{
			Method: http.MethodGet, Path: base + "tasks/{id}", ID: "task", Tag: tagTask, Summary: "One task",
			Responses: []chassis.Response{{Body: taskAnswer{}, Headers: map[string]string{"ETag": "the revision of the task, for If-Match"}}}, Handler: f.one,
		},
		{
			Method: http.MethodPut, Path: base + "tasks/{id}", ID: "changeTask", Tag: tagTask, Summary: "Change a task",
			Description: "What is absent stays as it is. With another expression or zone the schedule counts from now.",
			Params:      []chassis.Param{ifMatch}, Request: changedTask{}, Responses: answer, Handler: f.update,
		},
		{
			Method: http.MethodDelete, Path: base + "tasks/{id}", ID: "removeTask", Tag: tagTask, Summary: "Remove a task",
			Description: "Its runs under way are cancelled, its history goes with it.",
			Params:      []chassis.Param{ifMatch}, Responses: answer, Handler: f.remove,
		},
		{
			Method: http.MethodPost, Path: base + "tasks/{id}/pause", ID: "pauseTask", Tag: tagTask, Summary: "Switch a task's schedule off",
			Description: "Times until it is resumed are not missed. Runs under way go on; it can still be run by hand.",
			Params:      []chassis.Param{ifMatch}, Responses: answer, Handler: f.pause(true),
		},
		{
			Method: http.MethodPost, Path: base + "tasks/{id}/resume", ID: "resumeTask", Tag: tagTask, Summary: "Switch a task's schedule on",
			Params: []chassis.Param{ifMatch}, Responses: answer, Handler: f.pause(false),
		},
	}
}

func (f *service) create(w http.ResponseWriter, r *http.Request) error {
	var body newTask
	if err := chassis.Decode(r, &body, chassis.Unknown); err != nil {
		return err
	}
	t := branch.Task{Name: body.Name, Cron: body.Cron, TargetService: body.TargetService, TargetEndpoint: body.TargetEndpoint}
	if err := body.apply(&t); err != nil {
		return err
	}
	made, err := f.Branch.Create(r.Context(), t)
	if err != nil {
		return err
	}
	return f.done(w, r, made.ID, "task %s was made", made.ID)
}

func (f *service) list(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	var after struct {
		At time.Time `json:"at"`
		ID string    `json:"id"`
	}
	filter := branch.Filter{Status: q.OneOf("status", "", branch.Statuses()...), Service: q.Text("target_service", ""), Name: q.Text("name", "")}
	q.Cursor("tasks", &after)
	limit := q.Limit(taskPage, maxTaskPage)
	if err := q.Err(); err != nil {
		return err
	}
	views, more, err := f.Branch.Tasks(filter, after.At, after.ID, limit)
	if err != nil {
		return err
	}
	out := taskList{success: succeeded, Data: make([]row, 0, len(views)), listTail: listTail{Count: len(views), Timestamp: f.Now()}}
	for _, v := range views {
		out.Data = append(out.Data, rowOf(v))
	}
	if more {
		last := views[len(views)-1]
		after.At, after.ID = last.CreatedAt, last.ID
		if out.NextCursor, err = chassis.EncodeCursor("tasks", after); err != nil {
			return err
		}
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func (f *service) one(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	v, err := f.Branch.Task(id)
	if err != nil {
		return err
	}
	// The tag is the definition's; counters beside it change without it, so it is for
	// If-Match and not for caching.
	w.Header().Set("ETag", `W/"`+strconv.FormatUint(v.Revision, 10)+`"`)
	w.Header().Set("Cache-Control", "no-store")
	return chassis.WriteJSON(w, r, http.StatusOK, taskAnswer{succeeded, detailsOf(v), f.Now()})
}

// target reads {id} and If-Match.
func target(r *http.Request) (id string, revision uint64, err error) {
	if id, err = chassis.PathParam(r, "id"); err == nil {
		revision, err = expected(r)
	}
	return id, revision, err
}

func (f *service) update(w http.ResponseWriter, r *http.Request) error {
	id, revision, err := target(r)
	if err != nil {
		return err
	}
	var body changedTask
	if err := chassis.Decode(r, &body, chassis.Unknown); err != nil {
		return err
	}
	_, err = f.Branch.Update(r.Context(), id, revision, func(t *branch.Task) error {
		set(&t.Name, body.Name)
		set(&t.Cron, body.Cron)
		set(&t.TargetService, body.TargetService)
		set(&t.TargetEndpoint, body.TargetEndpoint)
		return body.apply(t)
	})
	if err != nil {
		return err
	}
	return f.done(w, r, id, "task %s was changed", id)
}

func (f *service) remove(w http.ResponseWriter, r *http.Request) error {
	id, revision, err := target(r)
	if err != nil {
		return err
	}
	if err := f.Branch.Delete(r.Context(), id, revision); err != nil {
		return err
	}
	return f.done(w, r, id, "task %s was removed", id)
}

func (f *service) pause(paused bool) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, revision, err := target(r)
		if err != nil {
			return err
		}
		if _, err := f.Branch.Pause(r.Context(), id, revision, paused); err != nil {
			return err
		}
		word := "resumed"
		if paused {
			word = "paused"
		}
		return f.done(w, r, id, "task %s was %s", id, word)
	}
}
