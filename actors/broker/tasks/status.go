package tasks

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/broker/deadletters"
	"github.com/marketprism/marketprism/actors/broker/messages"
)

// Get returns what is known of a task.
func (q *Queues) Get(ctx context.Context, id string) (Task, error) {
	var t Task
	err := q.within(ctx, "reading task "+id, func(ctx context.Context) (err error) {
		t, _, err = q.read(ctx, id)
		return err
	})
	return t, err
}

// Filter narrows tasks; "" is all.
type Filter struct {
	Queue string
	State State
}

// scanned bounds the records that one List looks at.
const scanned = 5000

// List returns tasks by their last change, the oldest change first, behind a place
// (0 is the beginning), at most limit. next is where to go on; 0 when there are no more.
func (q *Queues) List(ctx context.Context, f Filter, after uint64, limit int) (found []Task, next uint64, err error) {
	found = []Task{}
	err = q.within(ctx, "listing tasks", func(ctx context.Context) error {
		at := after
		for range scanned {
			m, err := q.store.GetMsg(ctx, at+1, jetstream.WithGetMsgSubject("$KV."+recordBucket+".>"))
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			var t Task
			if err := json.Unmarshal(m.Data, &t); err == nil && (f.Queue == "" || t.Queue == f.Queue) && (f.State == "" || t.State == f.State) {
				if len(found) == limit {
					next = at
					return nil
				}
				found = append(found, t)
			}
			at = m.Sequence
		}
		next = at
		return nil
	})
	return found, next, err
}

// Cancel ends a task. Its worker learns of it with its next report.
func (q *Queues) Cancel(ctx context.Context, id string) (Task, error) {
	var t Task
	err := q.within(ctx, "cancelling task "+id, func(ctx context.Context) (err error) {
		t, err = q.change(ctx, id, Task{}, func(t *Task) error {
			if t.State == Succeeded || t.State == Dead {
				return messages.Refuse(messages.Conflict, "", "task %s is %s", t.ID, t.State)
			}
			now := q.Now().UTC()
			t.State, t.Finished = Cancelled, &now
			return nil
		})
		if err != nil || t.Seq == 0 {
			return err // what is in the queue goes when somebody claims it
		}
		work, err := q.js.Stream(ctx, Stream)
		if err != nil {
			return err
		}
		err = work.DeleteMsg(ctx, t.Seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
			return nil
		}
		return err
	})
	if err == nil {
		q.counted.WithLabelValues("cancelled").Inc()
	}
	return t, err
}

// Retry submits a task that is dead or cancelled anew, with all its attempts.
func (q *Queues) Retry(ctx context.Context, id string) (Task, error) {
	var t Task
	err := q.within(ctx, "retrying task "+id, func(ctx context.Context) (err error) {
		if t, _, err = q.read(ctx, id); err != nil {
			return err
		}
		if t.State != Dead && t.State != Cancelled {
			return messages.Refuse(messages.Conflict, "", "task %s is %s; only one that is dead or cancelled is retried", t.ID, t.State)
		}
		// Two who ask at once make one message: its id is that of the round.
		t, err = q.publish(ctx, work{ID: t.ID, Queue: t.Queue, Payload: t.Payload, MaxAttempts: t.MaxAttempts, Round: t.Round + 1, Created: t.Created})
		return err
	})
	return t, err
}

// Died notes that the message of a task has become a dead letter.
func (q *Queues) Died(ctx context.Context, l deadletters.Letter) error {
	id := l.Task()
	if id == "" || l.Stream != Stream {
		return nil
	}
	var w work
	if err := json.Unmarshal(l.Data, &w); err != nil {
		return nil //nolint:nilerr // it is no task of ours
	}
	return q.within(ctx, "burying task "+id, func(ctx context.Context) error {
		return q.died(ctx, id, w.Round, l.Reason)
	})
}

// died makes a round of a task dead, unless it is over.
func (q *Queues) died(ctx context.Context, id string, round int, reason string) error {
	_, err := q.change(ctx, id, Task{}, func(t *Task) error {
		if t.State.over() || t.Round != round {
			return errDone
		}
		now := q.Now().UTC()
		t.State, t.Finished = Dead, &now
		if t.Error == "" || t.Attempts >= t.MaxAttempts {
			t.Error = reason
		}
		return nil
	})
	if errors.Is(err, errDone) || isUnknown(err) {
		return nil
	}
	if err == nil {
		q.counted.WithLabelValues("dead").Inc()
	}
	return err
}
