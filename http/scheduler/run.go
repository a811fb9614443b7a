package scheduler

import (
	"net/http"
	"time"

	branch "github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/http/chassis"
)

// run is one entry of the history.
type run struct {
	RunID        string     `json:"run_id" required:"true" doc:"task@nominal time; the Idempotency-Key of the request"`
	TaskID       string     `json:"task_id" required:"true"`
	TaskName     string     `json:"task_name" required:"true" doc:"empty for a task that is no more"`
	ScheduledFor time.Time  `json:"scheduled_for" required:"true" doc:"the nominal time"`
	Cause        string     `json:"cause" enum:"schedule,manual,caught_up" required:"true" doc:"schedule: it was due; manual: somebody asked for it; caught_up: it was missed, and is made up for"`
	Status       string     `json:"status" enum:"succeeded,failed,timed_out,cancelled,running,skipped,missed" required:"true" doc:"skipped, missed: no run belongs to the time"`
	Reason       string     `json:"reason,omitempty" enum:"overlap,missed,queue" doc:"why there is no run: the one before was under way, nobody was there, or too many waited"`
	Until        *time.Time `json:"until,omitempty" doc:"missed times up to here are one entry"`
	Times        int        `json:"times" required:"true" doc:"how many nominal times the entry stands for"`
	StartedAt    *time.Time `json:"started_at" doc:"null before it has begun, and without a run"`
	Duration     *float64   `json:"duration_seconds" doc:"waits between attempts included; null before its end"`
	Lateness     *float64   `json:"lateness_seconds" doc:"from the nominal time to its begin"`
	Attempts     int        `json:"attempts" required:"true" doc:"that were begun; 0 before the end of the run"`
	HTTPStatus   int        `json:"http_status,omitempty" doc:"of the last attempt"`
	Answer       string     `json:"answer,omitempty" doc:"what the target said at last, cut"`
	Error        string     `json:"error,omitempty" doc:"why it did not succeed; absent when it did"`
}

func (f *service) runOf(r ledger.Run) run {
	out := run{
		RunID: r.ID(), TaskID: r.Task, TaskName: f.Branch.Name(r.Task), ScheduledFor: r.Time(), Cause: "schedule",
		Status: branch.RunStatus(r), Reason: r.Skip, Times: r.Times(),
	}
	if r.Cause != ledger.CauseSchedule {
		out.Cause = r.Cause
	}
	if r.Until != 0 {
		until := time.UnixMilli(r.Until).UTC()
		out.Until = &until
	}
	if d := r.Result; d != nil {
		started, took := time.UnixMilli(d.Started).UTC(), float64(d.Took)/1e6
		late := max(started.Sub(r.Time()).Seconds(), 0)
		out.StartedAt, out.Duration, out.Lateness = &started, &took, &late
		out.Attempts, out.HTTPStatus, out.Answer, out.Error = d.Attempts, d.Status, d.Answer, d.Error
	}
	return out
}

type runList struct {
	success
	Data []run `json:"data" required:"true" doc:"newest nominal time first"`
	listTail
}

type runStarted struct {
	message
	RunID string `json:"run_id" required:"true" doc:"as in the history"`
}

type runsCancelled struct {
	message
	Cancelled int `json:"cancelled" required:"true" doc:"runs that were under way or waiting"`
}

// Pages of runs.
const (
	runPage    = 100
	maxRunPage = 5000
)

func (f *service) runRoutes() []chassis.Route {
	params := []chassis.Param{
		{Name: "status", Enum: branch.RunStatuses()},
		{Name: "from", Doc: "Nominal times from then on."}, {Name: "to", Doc: "Nominal times before it."},
		{Name: "limit", Type: 0, Default: runPage, Min: 1, Max: maxRunPage}, cursorParam,
	}
	return []chassis.Route{
		{
			Method: http.MethodPost, Path: base + "tasks/{id}/run", ID: "runTask", Tag: tagRun, Summary: "Run a task now",
			Description: "Answers once the run is recorded; it begins right then, or after the one under way. A paused task, and one of a stopped scheduler, runs too.",
			Responses:   []chassis.Response{{Body: runStarted{}}}, Handler: f.run,
		},
		{
			Method: http.MethodPost, Path: base + "tasks/{id}/cancel", ID: "cancelRuns", Tag: tagRun, Summary: "Cancel the runs of a task",
			Description: "Those under way and those that wait; the schedule goes on.",
			Responses:   []chassis.Response{{Body: runsCancelled{}}}, Handler: f.cancel,
		},
		{
			Method: http.MethodGet, Path: base + "tasks/{id}/runs", ID: "taskRuns", Tag: tagRun, Summary: "The history of a task",
			Params: params, Responses: []chassis.Response{{Body: runList{}}}, Handler: f.taskRuns,
		},
		{
			Method: http.MethodGet, Path: base + "runs", ID: "runs", Tag: tagRun, Summary: "The history of all tasks",
			Params:    append([]chassis.Param{{Name: "task_id", Doc: "Only runs of that task."}}, params...),
			Responses: []chassis.Response{{Body: runList{}}}, Handler: f.runs,
		},
	}
}

func (f *service) run(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	fire, err := f.Branch.Run(r.Context(), id)
	if err != nil {
		return err
	}
	m := message{success: succeeded, TaskID: id, Message: "run " + fire.ID() + " was recorded and begins", Timestamp: f.Now()}
	if v, err := f.Branch.Task(id); err == nil {
		m.NextRun = v.NextRun
	}
	return chassis.WriteJSON(w, r, http.StatusOK, runStarted{m, fire.ID()})
}

func (f *service) cancel(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	n, err := f.Branch.Cancel(r.Context(), id)
	if err != nil {
		return err
	}
	m := message{success: succeeded, TaskID: id, Message: "no run was under way", Timestamp: f.Now()}
	if n > 0 {
		m.Message = "runs under way are being cancelled"
	}
	if v, err := f.Branch.Task(id); err == nil {
		m.NextRun = v.NextRun
	}
	return chassis.WriteJSON(w, r, http.StatusOK, runsCancelled{m, n})
}

func (f *service) taskRuns(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	return f.history(w, r, id)
}

func (f *service) runs(w http.ResponseWriter, r *http.Request) error {
	return f.history(w, r, chassis.QueryOf(r).Text("task_id", ""))
}

func (f *service) history(w http.ResponseWriter, r *http.Request, id string) error {
	q := chassis.QueryOf(r)
	var at struct {
		Nominal int64  `json:"n"`
		Task    string `json:"t"`
	}
	scope := "runs " + id
	span := branch.Span{Task: id, Status: q.OneOf("status", "", branch.RunStatuses()...)}
	span.From, span.To = q.Range("from", "to")
	q.Cursor(scope, &at)
	limit := q.Limit(runPage, maxRunPage)
	if err := q.Err(); err != nil {
		return err
	}
	span.Before, span.BeforeTask = at.Nominal, at.Task
	found, more, err := f.Branch.Runs(span, limit)
	if err != nil {
		return err
	}
	out := runList{success: succeeded, Data: make([]run, 0, len(found)), listTail: listTail{Count: len(found), Timestamp: f.Now()}}
	for _, one := range found {
		out.Data = append(out.Data, f.runOf(one))
	}
	if more {
		last := found[len(found)-1]
		at.Nominal, at.Task = last.Nominal, last.Task
		if out.NextCursor, err = chassis.EncodeCursor(scope, at); err != nil {
			return err
		}
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}
