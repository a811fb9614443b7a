package client

import (
	"context"
	"iter"
	"net/http"
	"strconv"
	"time"
)

// Scheduler is the scheduler-service: tasks that run by a cron expression, once per
// cluster.
type Scheduler struct{ c *Client }

const schedulerPath = "/api/v1/scheduler"

// TaskFilter says which tasks are listed; "" is all.
type TaskFilter struct {
	Status        string // pending, running, completed, failed, cancelled, paused
	TargetService string
	Name          string // part of it
}

// Tasks goes through the tasks, in the order in which they were made.
func (s *Scheduler) Tasks(ctx context.Context, f TaskFilter) iter.Seq2[ScheduledTask, error] {
	var p parameters
	p.set("status", f.Status)
	p.set("target_service", f.TargetService)
	p.set("name", f.Name)
	return list[ScheduledTask](ctx, s.c, SchedulerService, schedulerPath+"/tasks", p, "data")
}

// Task is one task, with the ETag that stands for it as it is.
func (s *Scheduler) Task(ctx context.Context, id string) (t TaskDetails, etag string, err error) {
	answer := struct {
		Data *TaskDetails `json:"data"`
	}{&t}
	head, err := s.c.callHead(ctx, get(SchedulerService, join(schedulerPath+"/tasks", id), nil), &answer)
	return t, head.Get("ETag"), err
}

// Create makes a task.
func (s *Scheduler) Create(ctx context.Context, t NewTask) (TaskChanged, error) {
	return s.change(ctx, http.MethodPost, schedulerPath+"/tasks", "", t)
}

// Change changes a task. With an etag that is not "" it fails with status 412 when the
// task is another one by now.
func (s *Scheduler) Change(ctx context.Context, id, etag string, t ChangedTask) (TaskChanged, error) {
	return s.change(ctx, http.MethodPut, join(schedulerPath+"/tasks", id), etag, t)
}

// Delete removes a task with its history; its runs under way are cancelled.
func (s *Scheduler) Delete(ctx context.Context, id, etag string) (TaskChanged, error) {
	return s.change(ctx, http.MethodDelete, join(schedulerPath+"/tasks", id), etag, nil)
}

// Pause switches a task's schedule off, Resume on again.
func (s *Scheduler) Pause(ctx context.Context, id string) (TaskChanged, error) {
	return s.change(ctx, http.MethodPost, join(schedulerPath+"/tasks", id, "pause"), "", nil)
}

// Resume switches a task's schedule on.
func (s *Scheduler) Resume(ctx context.Context, id string) (TaskChanged, error) {
	return s.change(ctx, http.MethodPost, join(schedulerPath+"/tasks", id, "resume"), "", nil)
}

// Start lets schedules fire.
func (s *Scheduler) Start(ctx context.Context) (TaskChanged, error) {
	return s.change(ctx, http.MethodPost, schedulerPath+"/start", "", nil)
}

// Stop keeps schedules from firing; tasks can still be run by hand.
func (s *Scheduler) Stop(ctx context.Context) (TaskChanged, error) {
	return s.change(ctx, http.MethodPost, schedulerPath+"/stop", "", nil)
}

func (s *Scheduler) change(ctx context.Context, method, path, etag string, body any) (done TaskChanged, err error) {
	r, err := order(SchedulerService, method, path, body)
	if err != nil {
		return done, err
	}
	if etag != "" {
		r.header = http.Header{"If-Match": {etag}}
	}
	return done, s.c.call(ctx, r, &done)
}

// RunNow runs a task now, or after the run under way.
func (s *Scheduler) RunNow(ctx context.Context, id string) (done RunStarted, err error) {
	r, err := order(SchedulerService, http.MethodPost, join(schedulerPath+"/tasks", id, "run"), nil)
	if err != nil {
		return done, err
	}
	return done, s.c.call(ctx, r, &done)
}

// Cancel cancels the runs of a task that are under way or wait.
func (s *Scheduler) Cancel(ctx context.Context, id string) (done RunsCancelled, err error) {
	r, err := order(SchedulerService, http.MethodPost, join(schedulerPath+"/tasks", id, "cancel"), nil)
	if err != nil {
		return done, err
	}
	return done, s.c.call(ctx, r, &done)
}

// RunFilter says which runs are listed; what is zero is all.
type RunFilter struct {
	TaskID   string
	Status   string    // succeeded, failed, timed_out, cancelled, running, skipped, missed
	From, To time.Time // nominal times: from then on, and before it
}

// Runs goes through the history, the newest nominal time first.
func (s *Scheduler) Runs(ctx context.Context, f RunFilter) iter.Seq2[Run, error] {
	var p parameters
	p.set("task_id", f.TaskID)
	p.set("status", f.Status)
	p.time("from", f.From)
	p.time("to", f.To)
	return list[Run](ctx, s.c, SchedulerService, schedulerPath+"/runs", p, "data")
}

// Upcoming lists the tasks with the times to come within hours; 0 is 24.
func (s *Scheduler) Upcoming(ctx context.Context, hours float64) ([]Coming, error) {
	var p parameters
	if hours > 0 {
		p.set("hours", strconv.FormatFloat(hours, 'g', -1, 64))
	}
	var answer struct {
		Data []Coming `json:"data"`
	}
	err := s.c.call(ctx, get(SchedulerService, schedulerPath+"/upcoming", p.Values), &answer)
	return answer.Data, err
}

// Explain says what a cron expression means in a time zone; "" is UTC.
func (s *Scheduler) Explain(ctx context.Context, expression, zone string) (e Explanation, err error) {
	var p parameters
	p.set("expr", expression)
	p.set("tz", zone)
	return e, s.c.call(ctx, get(SchedulerService, schedulerPath+"/cron/explain", p.Values), &e)
}

// Status tells how the scheduler is.
func (s *Scheduler) Status(ctx context.Context) (SchedulerStatus, error) {
	var answer struct {
		Data SchedulerStatus `json:"data"`
	}
	err := s.c.call(ctx, get(SchedulerService, schedulerPath+"/status", nil), &answer)
	return answer.Data, err
}
