package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
)

// The states of a [Task].
const (
	TaskQueued    = "queued"
	TaskRunning   = "running"
	TaskRetrying  = "retrying"
	TaskSucceeded = "succeeded"
	TaskDead      = "dead"
	TaskCancelled = "cancelled"
)

// Over reports whether a task has ended.
func (t *Task) Over() bool {
	return t.Status == TaskSucceeded || t.Status == TaskDead || t.Status == TaskCancelled
}

// Submit queues a task. With an IdempotencyKey it may be submitted again: Existing says
// that it was there.
func (b *Broker) Submit(ctx context.Context, t Submission) (done TaskAnswer, err error) {
	r, err := order(BrokerService, http.MethodPost, brokerPath+"/tasks", t)
	if err != nil {
		return done, err
	}
	r.harmless = t.IdempotencyKey != ""
	return done, b.c.call(ctx, r, &done)
}

// QueueFilter says which tasks are listed; "" is all.
type QueueFilter struct{ Queue, Status string }

// Tasks goes through the tasks of queues, the one that changed longest ago first.
func (b *Broker) Tasks(ctx context.Context, f QueueFilter) iter.Seq2[Task, error] {
	var p parameters
	p.set("queue", f.Queue)
	p.set("status", f.Status)
	return list[Task](ctx, b.c, BrokerService, brokerPath+"/tasks", p, "tasks")
}

// Task tells where a task stands.
func (b *Broker) Task(ctx context.Context, id string) (t Task, err error) {
	return t, b.c.call(ctx, get(BrokerService, join(brokerPath+"/tasks", id), nil), &t)
}

// AwaitTask waits for the end of a task, whatever it is.
func (b *Broker) AwaitTask(ctx context.Context, id string) (Task, error) {
	for {
		t, err := b.Task(ctx, id)
		if err != nil || t.Over() {
			return t, err
		}
		if err := wait(ctx, lookEvery); err != nil {
			return t, err
		}
	}
}

// Result is the result of a task, the JSON that its worker gave. The code not_finished
// says that there is none yet; dead and cancelled that there never will be.
func (b *Broker) Result(ctx context.Context, id string) (json.RawMessage, error) {
	var result json.RawMessage
	err := b.c.call(ctx, get(BrokerService, join(brokerPath+"/tasks", id, "result"), nil), &result)
	return result, err
}

// CancelTask cancels a task.
func (b *Broker) CancelTask(ctx context.Context, id string) (TaskAnswer, error) {
	return b.about(ctx, id, "cancel", nil)
}

// RetryTask submits a dead or cancelled task anew.
func (b *Broker) RetryTask(ctx context.Context, id string) (TaskAnswer, error) {
	return b.about(ctx, id, "retry", nil)
}

// Claim takes tasks of a queue to work on. Each has a lease: a worker that is silent for
// longer loses its task to another.
func (b *Broker) Claim(ctx context.Context, queue string, c Claim) ([]ClaimedTask, error) {
	r, err := order(BrokerService, http.MethodPost, join(brokerPath+"/queues", queue, "claim"), c)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Tasks []ClaimedTask `json:"tasks"`
	}
	err = b.c.call(ctx, r, &answer)
	return answer.Tasks, err
}

// Report says how far a claimed task is, in percent, and begins its lease anew. Status 409
// says that the task is not wanted any more.
func (b *Broker) Report(ctx context.Context, t *ClaimedTask, percent float64, note string) (TaskAnswer, error) {
	return b.about(ctx, t.TaskID, "progress", progressForm{Token: t.Token, Percent: percent, Note: note})
}

// Complete finishes a claimed task with its result, any JSON.
func (b *Broker) Complete(ctx context.Context, t *ClaimedTask, result any) (TaskAnswer, error) {
	return b.about(ctx, t.TaskID, "complete", completeForm{Token: t.Token, Result: result})
}

// Fail gives up an attempt of a claimed task; final, the task.
func (b *Broker) Fail(ctx context.Context, t *ClaimedTask, why string, final bool) (TaskAnswer, error) {
	return b.about(ctx, t.TaskID, "fail", failForm{Token: t.Token, Error: why, Final: final})
}

func (b *Broker) about(ctx context.Context, id, word string, form any) (done TaskAnswer, err error) {
	r, err := order(BrokerService, http.MethodPost, join(brokerPath+"/tasks", id, word), form)
	if err != nil {
		return done, err
	}
	return done, b.c.call(ctx, r, &done)
}
