package broker

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/marketprism/marketprism/actors/broker/tasks"
	"github.com/marketprism/marketprism/http/chassis"
)

const tagTasks = "tasks"

// submission is a task to be.
type submission struct {
	Queue       string          `json:"queue" required:"true" example:"reports" doc:"workers claim from it by this name"`
	Payload     json.RawMessage `json:"payload" doc:"any JSON, at most 1 MiB"`
	MaxAttempts int             `json:"max_attempts,omitempty" minimum:"0" maximum:"100" doc:"at most the configuration's, which 0 is"`
	Key         string          `json:"idempotency_key,omitempty" maxLength:"256" doc:"the header Idempotency-Key says the same"`
}

type taskAnswer struct {
	Success  bool       `json:"success" required:"true"`
	TaskID   string     `json:"task_id" required:"true"`
	Status   string     `json:"status" required:"true" doc:"of the task: queued, running, retrying, succeeded, dead or cancelled"`
	Existing bool       `json:"existing,omitempty" doc:"a task with this key was there already"`
	Task     tasks.Task `json:"task" required:"true"`
}

type taskList struct {
	Tasks      []tasks.Task `json:"tasks" required:"true" doc:"the one that changed longest ago first"`
	Count      int          `json:"count" required:"true" doc:"of this answer"`
	NextCursor string       `json:"next_cursor,omitempty" doc:"for the page that follows; absent on the last"`
}

// taskLimit is the largest body that holds a task or a result.
const taskLimit = tasks.MaxPayload + envelope

func (f *service) taskRoutes(prefix string) []chassis.Route {
	one := prefix + "tasks/{id}"
	answer := []chassis.Response{{Body: taskAnswer{}}}
	return []chassis.Route{
		{Method: http.MethodPost, Path: prefix + "tasks", Tag: tagTasks, Summary: "Submit a task",
			Params:  []chassis.Param{{Name: headerKey, In: "header", Doc: "The same task for whoever submits with the same key, as long as its record is kept."}},
			Request: submission{}, Responses: []chassis.Response{{Status: http.StatusAccepted, Doc: "queued; Location is where it stands", Body: taskAnswer{}}},
			BodyLimit: taskLimit, Handler: f.submit},
		{Method: http.MethodGet, Path: prefix + "tasks", Tag: tagTasks, Summary: "List tasks, the one that changed longest ago first",
			Params: []chassis.Param{
				{Name: "queue"}, {Name: "status", Enum: tasks.States()},
				{Name: "limit", Type: 0, Default: 100, Min: 1, Max: 500}, {Name: "cursor", Doc: "next_cursor of the page before"},
			}, Responses: []chassis.Response{{Body: taskList{}}}, Handler: f.listTasks},
		{Method: http.MethodGet, Path: one, Tag: tagTasks, Summary: "Where a task stands", Responses: []chassis.Response{{Body: tasks.Task{}}}, Handler: f.task},
		{Method: http.MethodGet, Path: one + "/result", Tag: tagTasks, Summary: "The result of a task",
			Description: "The JSON that its worker gave; 409 `not_finished` while there is none, 409 `dead` or `cancelled` when there never will be.",
			Responses:   []chassis.Response{{Body: json.RawMessage{}, Doc: "the result as it is"}}, Handler: f.result},
		{Method: http.MethodPost, Path: one + "/cancel", Tag: tagTasks, Summary: "Cancel a task", Responses: answer, Handler: f.cancelTask},
		{Method: http.MethodPost, Path: one + "/retry", Tag: tagTasks, Summary: "Submit a dead or cancelled task anew", Responses: answer, Handler: f.retryTask},
	}
}

func (f *service) submit(w http.ResponseWriter, r *http.Request) error {
	var in submission
	if err := chassis.Decode(r, &in); err != nil {
		return err
	}
	if in.Key == "" {
		in.Key = r.Header.Get(headerKey)
	}
	t, existing, err := f.Tasks.Submit(r.Context(), tasks.Submission{Queue: in.Queue, Payload: in.Payload, Key: in.Key, MaxAttempts: in.MaxAttempts})
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/v1/broker/tasks/"+t.ID)
	out := answerTask(t)
	out.Existing = existing
	return chassis.WriteJSON(w, r, http.StatusAccepted, out)
}

func answerTask(t tasks.Task) taskAnswer {
	return taskAnswer{Success: true, TaskID: t.ID, Status: string(t.State), Task: t}
}

func (f *service) listTasks(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	filter := tasks.Filter{Queue: q.Text("queue", ""), State: tasks.State(q.OneOf("status", "", tasks.States()...))}
	limit := q.Limit(100, 500)
	scope := "tasks " + filter.Queue + " " + string(filter.State)
	var after uint64
	q.Cursor(scope, &after)
	if err := q.Err(); err != nil {
		return err
	}
	all, next, err := f.Tasks.List(r.Context(), filter, after, limit)
	if err != nil {
		return err
	}
	out := taskList{Tasks: all, Count: len(all)}
	if next > 0 {
		if out.NextCursor, err = chassis.EncodeCursor(scope, next); err != nil {
			return err
		}
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

// named does something with the task that the path names.
func named(r *http.Request, do func(ctx context.Context, id string) (tasks.Task, error)) (tasks.Task, error) {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return tasks.Task{}, err
	}
	return do(r.Context(), id)
}

func (f *service) task(w http.ResponseWriter, r *http.Request) error {
	t, err := named(r, f.Tasks.Get)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, t)
}

func (f *service) result(w http.ResponseWriter, r *http.Request) error {
	t, err := named(r, f.Tasks.Get)
	if err != nil {
		return err
	}
	switch t.State {
	case tasks.Succeeded:
		return chassis.WriteJSON(w, r, http.StatusOK, t.Result)
	case tasks.Dead, tasks.Cancelled:
		return chassis.Conflict("task %s is %s: %s", t.ID, t.State, t.Error).WithCode(string(t.State))
	}
	return chassis.Conflict("task %s is %s", t.ID, t.State).WithCode("not_finished")
}

func (f *service) cancelTask(w http.ResponseWriter, r *http.Request) error {
	t, err := named(r, f.Tasks.Cancel)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, answerTask(t))
}

func (f *service) retryTask(w http.ResponseWriter, r *http.Request) error {
	t, err := named(r, f.Tasks.Retry)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, answerTask(t))
}
