package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/broker/messages"
)

// Claimed is a task that a worker has.
type Claimed struct {
	Task
	Token string  `json:"token" required:"true" doc:"for progress, complete and fail"`
	Lease float64 `json:"lease_seconds" required:"true" doc:"in which the worker has to report, from now"`
}

// Claim gives a worker at most n tasks of a queue, waiting for the first of them.
func (q *Queues) Claim(ctx context.Context, queue, worker string, n int, wait time.Duration) ([]Claimed, error) {
	out := []Claimed{}
	if err := checkQueue(queue); err != nil {
		return out, err
	}
	var consumer jetstream.Consumer
	err := q.within(ctx, "claiming tasks", func(ctx context.Context) (err error) {
		consumer, err = q.consumer(ctx, queue)
		return err
	})
	if err != nil {
		return out, err
	}
	for until := time.Now().Add(wait); ctx.Err() == nil; {
		all, err := messages.Pull(ctx, consumer, n-len(out), time.Until(until))
		if err != nil {
			return out, messages.Explained("claiming tasks", err)
		}
		for _, m := range all {
			claimed, err := q.take(ctx, worker, m)
			if err != nil {
				return out, err // what was not taken comes again
			}
			if claimed != nil {
				out = append(out, *claimed)
			}
		}
		if len(out) > 0 || len(all) == 0 {
			break
		}
	}
	return out, nil
}

// take makes a message a worker's task; nil when there is nothing to be done any more.
func (q *Queues) take(ctx context.Context, worker string, m jetstream.Msg) (*Claimed, error) {
	var w work
	if err := json.Unmarshal(m.Data(), &w); err != nil || w.ID == "" {
		return nil, q.giveUp(ctx, m, "it is no task: its message cannot be read")
	}
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("claiming a task: %w", err)
	}
	attempt := int(meta.NumDelivered)
	if attempt > w.MaxAttempts {
		return nil, q.giveUp(ctx, m, fmt.Sprintf("not finished in %d attempts", w.MaxAttempts))
	}
	var t Task
	err = q.within(ctx, "claiming task "+w.ID, func(ctx context.Context) error {
		t, err = q.change(ctx, w.ID, w.task(q.Now().UTC()), func(t *Task) error {
			if t.Round > w.Round || t.Round == w.Round && (t.State == Cancelled || t.State == Succeeded) {
				return errDone
			}
			if t.Round < w.Round {
				*t = w.task(q.Now().UTC())
			}
			now := q.Now().UTC()
			t.State, t.Attempts, t.Worker, t.Started, t.Finished, t.Seq = Running, attempt, worker, &now, nil, meta.Sequence.Stream
			return nil
		})
		return err
	})
	switch {
	case errors.Is(err, errDone):
		return nil, q.within(ctx, "removing a task", m.DoubleAck)
	case err != nil:
		return nil, err
	}
	receipt := t.ID + " " + strconv.Itoa(t.Round) + " " + strconv.Itoa(attempt) + " " + m.Reply()
	return &Claimed{Task: t, Token: q.Seal.Sign(forTasks, receipt), Lease: q.Config.Lease.Seconds()}, nil
}

// errDone: the work of a message is done, or not wanted any more.
var errDone = errors.New("nothing is to be done")

// forTasks is the purpose of a worker's token.
const forTasks = "task"

// giveUp makes a dead letter of a message, and takes it out of its queue.
func (q *Queues) giveUp(ctx context.Context, m jetstream.Msg, reason string) error {
	p, err := messages.PlaceOf(m)
	if err != nil {
		return err
	}
	if err := q.Letters.Bury(ctx, p.Stream, p.Consumer, p.Seq, p.Delivered, reason); err != nil {
		return err
	}
	var w work
	if err := json.Unmarshal(m.Data(), &w); err == nil && w.ID != "" {
		if err := q.died(ctx, w.ID, w.Round, reason); err != nil {
			return err
		}
	}
	return q.within(ctx, "giving up a task", func(ctx context.Context) error {
		return messages.Answer(ctx, q.clients, m.Reply(), messages.Term, 0, reason)
	})
}

// lease is what a worker's token says.
type lease struct {
	id             string
	round, attempt int
	reply          string
}

func (q *Queues) open(token string) (lease, error) {
	text, err := q.Seal.Open(forTasks, token)
	if err != nil {
		return lease{}, err
	}
	parts := strings.SplitN(text, " ", 4)
	round, err := strconv.Atoi(parts[1])
	attempt, err2 := strconv.Atoi(parts[2])
	return lease{parts[0], round, attempt, parts[3]}, errors.Join(err, err2)
}

// held runs fn on the task of a token while it is the worker's. What is over, or was
// submitted anew, is a Conflict that says so.
func (q *Queues) held(ctx context.Context, id string, l lease, fn func(t *Task) error) (Task, error) {
	if l.id != id {
		return Task{}, messages.Refuse(messages.Malformed, "token", "the token is of task %s", l.id)
	}
	return q.change(ctx, id, Task{}, func(t *Task) error {
		if t.Round != l.round {
			return messages.Refuse(messages.Conflict, "token", "task %s was submitted anew since", t.ID)
		}
		if t.State.over() {
			return messages.Refuse(messages.Conflict, "", "task %s is %s", t.ID, t.State)
		}
		return fn(t)
	})
}

// Report notes progress, and begins the lease anew. A Conflict means that the work is
// not wanted any more.
func (q *Queues) Report(ctx context.Context, id, token string, p Progress) (Task, error) {
	var t Task
	l, err := q.open(token)
	if err != nil {
		return t, err
	}
	err = q.within(ctx, "reporting on task "+id, func(ctx context.Context) error {
		p.Time = q.Now().UTC()
		if t, err = q.held(ctx, id, l, func(t *Task) error { t.Progress = &p; return nil }); err != nil {
			return err
		}
		return messages.Answer(ctx, q.clients, l.reply, messages.Progress, 0, "")
	})
	return t, err
}

// Complete ends a task well.
func (q *Queues) Complete(ctx context.Context, id, token string, result json.RawMessage) (Task, error) {
	var t Task
	l, err := q.open(token)
	if err != nil {
		return t, err
	}
	if len(result) > MaxPayload {
		return t, messages.Refuse(messages.TooLarge, "result", "the result has %d bytes, at most %d are taken", len(result), MaxPayload)
	}
	err = q.within(ctx, "completing task "+id, func(ctx context.Context) error {
		t, err = q.held(ctx, id, l, func(t *Task) error {
			now := q.Now().UTC()
			t.State, t.Finished, t.Result, t.Error = Succeeded, &now, result, ""
			return nil
		})
		if err != nil {
			return err
		}
		// Recorded first: should this be the end, the next claim finds it done.
		return messages.Answer(ctx, q.clients, l.reply, messages.Ack, 0, "")
	})
	if err == nil {
		q.counted.WithLabelValues("succeeded").Inc()
	}
	return t, err
}

// Fail ends an attempt. The task is tried again after a pause, unless final, or no
// attempt is left: then it is dead.
func (q *Queues) Fail(ctx context.Context, id, token, reason string, final bool) (Task, error) {
	var t Task
	l, err := q.open(token)
	if err != nil {
		return t, err
	}
	err = q.within(ctx, "failing task "+id, func(ctx context.Context) error {
		pause := q.Config.pause(l.attempt)
		t, err = q.held(ctx, id, l, func(t *Task) error {
			now := q.Now().UTC()
			final = final || l.attempt >= t.MaxAttempts
			t.State, t.Finished, t.Error = Retrying, &now, reason
			return nil
		})
		if err != nil {
			return err
		}
		if !final {
			q.counted.WithLabelValues("retried").Inc()
			return messages.Answer(ctx, q.clients, l.reply, messages.Nak, pause, "")
		}
		t, err = q.bury(ctx, l, reason)
		return err
	})
	return t, err
}

// bury makes a task dead, with a letter.
func (q *Queues) bury(ctx context.Context, l lease, reason string) (Task, error) {
	p, err := messages.ParsePlace(l.reply)
	if err != nil {
		return Task{}, err
	}
	if err := q.Letters.Bury(ctx, p.Stream, p.Consumer, p.Seq, p.Delivered, reason); err != nil {
		return Task{}, err
	}
	if err := q.died(ctx, l.id, l.round, reason); err != nil {
		return Task{}, err
	}
	if err := messages.Answer(ctx, q.clients, l.reply, messages.Term, 0, reason); err != nil {
		return Task{}, err
	}
	t, _, err := q.read(ctx, l.id)
	return t, err
}
