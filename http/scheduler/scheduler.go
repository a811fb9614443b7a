package scheduler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	branch "github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
)

// The questions that the façade asks; *scheduler.Handle answers them all.
type (
	// Editor changes tasks.
	Editor interface {
		Create(ctx context.Context, t branch.Task) (branch.Task, error)
		Update(ctx context.Context, id string, revision uint64, edit func(*branch.Task) error) (branch.Task, error)
		Pause(ctx context.Context, id string, revision uint64, paused bool) (branch.Task, error)
		Delete(ctx context.Context, id string, revision uint64) error
	}
	// Runner runs tasks out of turn, and turns the schedules on and off.
	Runner interface {
		Run(ctx context.Context, id string) (ledger.Fire, error)
		Cancel(ctx context.Context, id string) (int, error)
		Start(ctx context.Context) error
		Stop(ctx context.Context) error
	}
	// Inspector says how tasks and runs are.
	Inspector interface {
		Task(id string) (branch.View, error)
		Tasks(f branch.Filter, after time.Time, id string, limit int) ([]branch.View, bool, error)
		Status() branch.Status
		Leader() string
		Runs(s branch.Span, limit int) ([]ledger.Run, bool, error)
		Name(id string) string
		Upcoming(until time.Time, perTask, tasks int) ([]branch.Coming, error)
		Health() error
	}
	// Branch is all of them.
	Branch interface {
		Editor
		Runner
		Inspector
	}
)

// Options are what the façade stands on.
type Options struct {
	Branch Branch
	// Others are the schedulers of the other nodes, one of which leads where this one does
	// not; nil: nobody is asked.
	Others facade.Others
	// Now is the time of answers; nil is time.Now.
	Now func() time.Time
}

// Service is the service's name.
const Service = "scheduler-service"

const (
	base    = "/api/v1/scheduler/"
	tagTask = "tasks"
	tagRun  = "runs"
	tagOwn  = "scheduler"
)

type service struct {
	Options
	passer *facade.Passer // nil without others
}

// Register adds the routes and the health check of the façade to a server.
func Register(s *chassis.Server, o Options) error {
	if o.Branch == nil {
		return errors.New("scheduler façade: Branch is needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &service{Options: o}
	if o.Others != nil {
		f.passer = facade.NewPasser(o.Others, "the scheduler that leads", "leader_away")
	}
	s.Health().Add("ledger", f.check)
	routes := append(append(f.taskRoutes(), f.runRoutes()...), f.ownRoutes()...)
	for i := range routes {
		routes[i].Handler = f.atLeader(routes[i].Handler)
	}
	routes = append(routes, f.anyRoutes()...)
	for i := range routes {
		routes[i].Handler = f.answered(routes[i].Handler)
	}
	return s.Handle(facade.Answered(routes)...)
}

func (f *service) check(context.Context) chassis.CheckResult {
	if err := f.Branch.Health(); err != nil {
		return chassis.Failed(err)
	}
	s := f.Branch.Status()
	if !s.Leads && s.Elsewhere != "" {
		return chassis.Passed(map[string]any{"stands_by": true, "leader": s.Elsewhere})
	}
	return chassis.Passed(map[string]any{"tasks": s.Total})
}

// answered gives the branch's own errors their answers.
func (f *service) answered(h chassis.Handler) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := h(w, r)
		var invalid *branch.InvalidError
		switch {
		case errors.As(err, &invalid):
			var fields []chassis.FieldError
			for _, e := range invalid.Fields {
				fields = append(fields, chassis.Field("/"+e.Field, "%s", e.Problem))
			}
			return chassis.Unprocessable(fields...)
		case errors.Is(err, branch.ErrNoTask):
			return chassis.NotFound("there is no such task").WithCode("unknown_task")
		case errors.Is(err, branch.ErrChanged):
			if r.Header.Get("If-Match") != "" {
				return chassis.NewError(http.StatusPreconditionFailed, "changed", "the task was changed meanwhile; read it again")
			}
			return chassis.Conflict("the task was changed by somebody else at the same time; try again").WithCode("changed")
		case errors.Is(err, branch.ErrTooMany):
			return chassis.Conflict("there are as many tasks as are allowed (scheduler-service.scheduler.max_tasks)").WithCode("too_many_tasks")
		case errors.Is(err, branch.ErrBusy):
			return chassis.Unavailable(time.Second, "too many runs of this task are waiting, or the scheduler is being switched already").WithCode("busy").WithCause(err)
		case errors.Is(err, branch.ErrNotLeading):
			return chassis.Unavailable(2*time.Second, "%s", f.elsewhere()).WithCode("not_leading").WithCause(err)
		case errors.Is(err, ledger.ErrUnavailable):
			return chassis.Unavailable(2*time.Second, "the tasks cannot be written at the moment").WithCode("ledger_unavailable").WithCause(err)
		}
		return err
	}
}

// elsewhere says why this process has no answer about tasks.
func (f *service) elsewhere() string {
	if node := f.Branch.Status().Elsewhere; node != "" {
		return "the scheduler of node " + node + " leads, and this one stands by"
	}
	return "the scheduler is reading its ledger, or another one leads"
}

// success opens every answer.
type success struct {
	Status string `json:"status" enum:"success" required:"true"`
}

var succeeded = success{"success"}

// message is the answer of a command.
type message struct {
	success
	TaskID    string     `json:"task_id,omitempty" doc:"absent where the command is about no task"`
	Message   string     `json:"message" required:"true"`
	NextRun   *time.Time `json:"next_run" doc:"null when the task will not run by itself"`
	Timestamp time.Time  `json:"timestamp" required:"true"`
}

// done answers a command about a task.
func (f *service) done(w http.ResponseWriter, r *http.Request, id, format string, args ...any) error {
	m := message{success: succeeded, TaskID: id, Message: fmt.Sprintf(format, args...), Timestamp: f.Now()}
	if v, err := f.Branch.Task(id); err == nil {
		m.NextRun = v.NextRun
		chassis.NotModified(w, r, strconv.FormatUint(v.Revision, 10)) // names the version; a command is never answered with 304
	}
	return chassis.WriteJSON(w, r, http.StatusOK, m)
}

// ifMatch documents If-Match.
var ifMatch = chassis.Param{Name: "If-Match", In: "header", Doc: "The ETag of the task that the change was made for; 412 when it has another by now."}

// expected reads If-Match: the revision that the task must have, 0 any.
func expected(r *http.Request) (uint64, error) {
	text := strings.TrimSpace(r.Header.Get("If-Match"))
	if text == "" || text == "*" {
		return 0, nil
	}
	tag := strings.TrimPrefix(text, "W/")
	if n := len(tag); n > 2 && tag[0] == '"' && tag[n-1] == '"' {
		if revision, err := strconv.ParseUint(tag[1:n-1], 10, 64); err == nil && revision > 0 {
			return revision, nil
		}
	}
	return 0, chassis.NewError(http.StatusPreconditionFailed, "changed", "If-Match names no version of this task")
}
