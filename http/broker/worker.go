package broker

import (
	"encoding/json"
	"net/http"

	"github.com/marketprism/marketprism/actors/broker/tasks"
	"github.com/marketprism/marketprism/http/chassis"
)

const tagWorkers = "workers"

type claimForm struct {
	Worker string  `json:"worker,omitempty" maxLength:"128" doc:"who works on them, for people"`
	Max    int     `json:"max" minimum:"1" maximum:"100" default:"1" doc:"most tasks that are taken"`
	Wait   float64 `json:"wait_seconds" minimum:"0" maximum:"25" default:"0" doc:"for the first task"`
}

type claimedList struct {
	Tasks []tasks.Claimed `json:"tasks" required:"true"`
	Count int             `json:"count" required:"true" doc:"of this answer"`
}

type progressForm struct {
	Token   string  `json:"token" required:"true" maxLength:"1024" doc:"of claim"`
	Percent float64 `json:"percent" minimum:"0" maximum:"100" doc:"how much is done"`
	Note    string  `json:"note,omitempty" maxLength:"1000" doc:"for people"`
}

type completeForm struct {
	Token  string          `json:"token" required:"true" maxLength:"1024" doc:"of claim"`
	Result json.RawMessage `json:"result" doc:"any JSON, at most 1 MiB"`
}

type failForm struct {
	Token string `json:"token" required:"true" maxLength:"1024" doc:"of claim"`
	Error string `json:"error" required:"true" maxLength:"1000" doc:"why, for people"`
	Final bool   `json:"final" doc:"no further attempt: the task is dead"`
}

func (f *service) workerRoutes(prefix string) []chassis.Route {
	one := prefix + "tasks/{id}/"
	answer := []chassis.Response{{Body: taskAnswer{}}}
	return []chassis.Route{
		{Method: http.MethodPost, Path: prefix + "queues/{queue}/claim", Tag: tagWorkers, Summary: "Take tasks to work on",
			Description: "Each comes with a token, and a lease: report progress before it ends, or another worker gets the task.",
			Request:     claimForm{}, Optional: true, Responses: []chassis.Response{{Body: claimedList{}}}, Handler: f.claim},
		{Method: http.MethodPost, Path: one + "progress", Tag: tagWorkers, Summary: "Report progress, and begin the lease anew",
			Description: "409 means that the task is not wanted any more.",
			Request:     progressForm{}, Responses: answer, Handler: f.progress},
		{Method: http.MethodPost, Path: one + "complete", Tag: tagWorkers, Summary: "Finish a task",
			Request: completeForm{}, Responses: answer, BodyLimit: taskLimit, Handler: f.complete},
		{Method: http.MethodPost, Path: one + "fail", Tag: tagWorkers, Summary: "Give up an attempt",
			Request: failForm{}, Responses: answer, Handler: f.fail},
	}
}

func (f *service) claim(w http.ResponseWriter, r *http.Request) error {
	queue, err := chassis.PathParam(r, "queue")
	if err != nil {
		return err
	}
	in := claimForm{Max: 1}
	if err := chassis.Decode(r, &in, chassis.Empty); err != nil {
		return err
	}
	all, err := f.Tasks.Claim(r.Context(), queue, in.Worker, in.Max, seconds(in.Wait))
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, claimedList{all, len(all)})
}

func (f *service) progress(w http.ResponseWriter, r *http.Request) error {
	var in progressForm
	return f.reported(w, r, &in, func(id string) (tasks.Task, error) {
		return f.Tasks.Report(r.Context(), id, in.Token, tasks.Progress{Percent: in.Percent, Note: in.Note})
	})
}

func (f *service) complete(w http.ResponseWriter, r *http.Request) error {
	var in completeForm
	return f.reported(w, r, &in, func(id string) (tasks.Task, error) {
		return f.Tasks.Complete(r.Context(), id, in.Token, in.Result)
	})
}

func (f *service) fail(w http.ResponseWriter, r *http.Request) error {
	var in failForm
	return f.reported(w, r, &in, func(id string) (tasks.Task, error) {
		return f.Tasks.Fail(r.Context(), id, in.Token, in.Error, in.Final)
	})
}

// reported reads what a worker says of a task, passes it on, and answers with the task.
func (f *service) reported(w http.ResponseWriter, r *http.Request, in any, say func(id string) (tasks.Task, error)) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	if err := chassis.Decode(r, in); err != nil {
		return err
	}
	t, err := say(id)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, answerTask(t))
}
