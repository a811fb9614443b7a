package scheduler

import (
	"errors"
	"net/http"
	"time"

	branch "github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/cron"
)

// figures are the data of status.
type figures struct {
	Running        bool      `json:"scheduler_running" required:"true" doc:"whether schedules fire"`
	Leader         bool      `json:"leader" required:"true" doc:"whether this process leads"`
	LeaderNode     string    `json:"leader_node,omitempty" doc:"the node that leads instead, whose tasks these figures do not count"`
	Total          int       `json:"total_tasks" required:"true" doc:"all, paused ones included"`
	Pending        int       `json:"pending_tasks" required:"true" doc:"that have not run yet"`
	RunningTasks   int       `json:"running_tasks" required:"true" doc:"of which a run is under way or waits"`
	Completed      int       `json:"completed_tasks" required:"true" doc:"whose last run succeeded"`
	Failed         int       `json:"failed_tasks" required:"true" doc:"whose last run failed or timed out"`
	CancelledTasks int       `json:"cancelled_tasks" required:"true" doc:"whose last run was cancelled"`
	Paused         int       `json:"paused_tasks" required:"true" doc:"whose schedule is switched off, and of which no run is under way"`
	ActiveRuns     int       `json:"active_runs" required:"true" doc:"under way or waiting"`
	Timestamp      time.Time `json:"timestamp" required:"true"`
}

type statusAnswer struct {
	success
	Data figures `json:"data" required:"true"`
}

// coming is what one task will do.
type coming struct {
	TaskID       string      `json:"task_id" required:"true"`
	Name         string      `json:"name" required:"true"`
	Cron         string      `json:"cron_expression" required:"true" doc:"as of a new task"`
	Timezone     string      `json:"timezone" required:"true" doc:"IANA name of the zone of the expression"`
	Schedule     string      `json:"schedule" required:"true" doc:"the expression in words"`
	Status       string      `json:"status" required:"true" doc:"pending, running, completed, failed, cancelled or paused"`
	UsualSeconds float64     `json:"usual_seconds" required:"true" doc:"what a run takes; 0 before the first"`
	Fires        []time.Time `json:"fires" required:"true" doc:"oldest first, jitter included"`
	More         bool        `json:"more" required:"true" doc:"there are more within the time asked for"`
}

type upcomingList struct {
	success
	Data []coming `json:"data" required:"true" doc:"the task that is due first comes first"`
	listTail
	Until time.Time `json:"until" required:"true" doc:"end of the time asked for"`
}

// explanation is what an expression means.
type explanation struct {
	success
	Expression string      `json:"expression" required:"true"`
	Timezone   string      `json:"timezone" required:"true" doc:"IANA name of the zone of the expression"`
	Words      string      `json:"description" required:"true" doc:"the expression in words"`
	Next       []time.Time `json:"next" required:"true" doc:"the next times, in UTC; fewer than asked for when there are no more"`
	NextLocal  []string    `json:"next_local" required:"true" doc:"the same with the zone's own offset"`
	Note       string      `json:"note,omitempty" doc:"what the answer leaves open"`
	Timestamp  time.Time   `json:"timestamp" required:"true"`
}

// Bounds of upcoming.
const (
	maxHours     = 24 * 366
	perTask      = 100
	maxPerTask   = 2000
	maxComing    = 2000
	explained    = 10
	maxExplained = 1000
)

func (f *service) ownRoutes() []chassis.Route {
	answer := []chassis.Response{{Body: message{}}}
	return []chassis.Route{
		{Method: http.MethodPost, Path: base + "start", ID: "startScheduler", Tag: tagOwn, Summary: "Let schedules fire",
			Description: "Outlives a restart. Times since it was stopped are not missed.", Responses: answer, Handler: f.flip(true)},
		{Method: http.MethodPost, Path: base + "stop", ID: "stopScheduler", Tag: tagOwn, Summary: "Keep schedules from firing",
			Description: "Outlives a restart. Runs under way go on; tasks can still be run by hand.", Responses: answer, Handler: f.flip(false)},
		{Method: http.MethodGet, Path: base + "upcoming", ID: "upcoming", Tag: tagOwn, Summary: "The times to come",
			Params: []chassis.Param{
				{Name: "hours", Type: 0.0, Default: 24, Min: 0, Max: maxHours},
				{Name: "per_task", Type: 0, Default: perTask, Min: 1, Max: maxPerTask, Doc: "How many times of one task."},
				{Name: "limit", Type: 0, Default: maxComing, Min: 1, Max: maxComing, Doc: "How many tasks, in the order in which they were made."},
			},
			Responses: []chassis.Response{{Body: upcomingList{}}}, Handler: f.upcoming},
	}
}

// anyRoutes are those that a scheduler answers which does not lead.
func (f *service) anyRoutes() []chassis.Route {
	return []chassis.Route{
		{Method: http.MethodGet, Path: base + "status", ID: "schedulerStatus", Tag: tagOwn, Summary: "How the scheduler is",
			Description: "Of the scheduler that leads, whichever node is asked.", Params: []chassis.Param{facade.ParamScope()},
			Responses: []chassis.Response{{Body: statusAnswer{}}}, Handler: f.statusAt()},
		{Method: http.MethodGet, Path: base + "cron/explain", ID: "explainCron", Tag: tagOwn, Summary: "What an expression means",
			Params: []chassis.Param{
				{Name: "expr", Required: true, Example: "*/5 * * * *"}, {Name: "tz", Default: "UTC", Example: "Europe/Berlin", Doc: "Zone of the expression."},
				{Name: "seed", Doc: "What ~ and @every are spread by; a task's is its id."},
				{Name: "from", Doc: "Times after it; now when absent."}, {Name: "limit", Type: 0, Default: explained, Min: 1, Max: maxExplained},
			},
			Responses: []chassis.Response{{Body: explanation{}}}, Handler: f.explain},
	}
}

func (f *service) status(w http.ResponseWriter, r *http.Request) error {
	s := f.Branch.Status()
	return chassis.WriteJSON(w, r, http.StatusOK, statusAnswer{succeeded, figures{
		Running: s.On && s.Leads, Leader: s.Leads, LeaderNode: s.Elsewhere, Total: s.Total, Pending: s.Pending, RunningTasks: s.Running, Completed: s.Completed,
		Failed: s.Failed, CancelledTasks: s.Cancelled, Paused: s.Paused, ActiveRuns: s.Active, Timestamp: f.Now(),
	}})
}

func (f *service) flip(on bool) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		change, word := f.Branch.Stop, "stopped"
		if on {
			change, word = f.Branch.Start, "started"
		}
		if err := change(r.Context()); err != nil {
			return err
		}
		return chassis.WriteJSON(w, r, http.StatusOK, message{success: succeeded, Message: "the scheduler is " + word, Timestamp: f.Now()})
	}
}

func (f *service) upcoming(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	hours, each, limit := q.Float("hours", 24, 0, maxHours), q.Int("per_task", perTask, 1, maxPerTask), q.Limit(maxComing, maxComing)
	if err := q.Err(); err != nil {
		return err
	}
	now := f.Now()
	until := now.Add(time.Duration(hours * float64(time.Hour)))
	out := upcomingList{success: succeeded, Data: []coming{}, Until: until}
	all, err := f.Branch.Upcoming(until, each, limit)
	if err != nil {
		return err
	}
	for _, c := range all {
		out.Data = append(out.Data, coming{
			TaskID: c.Task.ID, Name: c.Task.Name, Cron: c.Task.Cron, Timezone: c.Task.Timezone, Schedule: c.Task.Words, Status: c.Task.Status,
			UsualSeconds: c.Task.Usual.Seconds(), Fires: c.Times, More: c.More,
		})
	}
	out.listTail = listTail{Count: len(out.Data), Timestamp: now}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func (f *service) explain(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	expression, tz, seed, limit, from := q.Text("expr", ""), q.Text("tz", "UTC"), q.Text("seed", ""), q.Int("limit", explained, 1, maxExplained), q.Time("from")
	zone, err := cron.Zone(tz)
	if err != nil {
		q.Refuse("tz", "%v", err)
	}
	if err := q.Err(); err != nil {
		return err
	}
	s, err := cron.Parse(expression, cron.Options{Zone: zone, Seed: seed})
	var fault *cron.Error
	if errors.As(err, &fault) {
		return chassis.Unprocessable(chassis.FieldError{In: "query", Pointer: "/expr", Message: fault.Error()})
	}
	if err != nil {
		return err
	}
	now := f.Now()
	if from.IsZero() {
		from = now
	}
	out := explanation{success: succeeded, Expression: s.String(), Timezone: zone.String(), Words: s.Words(), Next: []time.Time{}, NextLocal: []string{}, Timestamp: now}
	switch {
	case s.Next(from).IsZero():
		out.Note = "it is never due after " + from.UTC().Format(time.RFC3339)
	case seed == "" && s.Spread():
		out.Note = "each task has its own values for ~, and its own offset of @every; seed, the id of a task, shows them"
	}
	for at := s.Next(from); !at.IsZero() && len(out.Next) < limit; at = s.Next(at) {
		out.Next = append(out.Next, at.UTC())
		out.NextLocal = append(out.NextLocal, at.Format(time.RFC3339Nano))
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

var _ Branch = (*branch.Handle)(nil)
