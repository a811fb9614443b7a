package copies

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// leaderless is a bucket that nobody leads until a time: what it was asked before that it
// never answers.
type leaderless struct {
	jetstream.KeyValue
	until time.Time
	err   error         // its answer
	slow  time.Duration // from a question to its answer
	asked atomic.Int32
}

func (b *leaderless) Get(ctx context.Context, _ string) (jetstream.KeyValueEntry, error) {
	b.asked.Add(1)
	if time.Now().Before(b.until) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-time.After(b.slow):
		return nil, b.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestNewest: a question that nobody answers is asked again, until there is an answer, or
// ctx ends.
func TestNewest(t *testing.T) {
	for _, c := range []struct {
		name         string
		leads, lasts time.Duration // from the first question: when somebody leads, when ctx ends
		slow         time.Duration
		within       time.Duration
		err          error
	}{
		{"somebody leads", 0, 10 * time.Second, 0, 0, jetstream.ErrKeyNotFound},
		{"somebody leads a little later", 3100 * time.Millisecond, 10 * time.Second, 0, 3500 * time.Millisecond, jetstream.ErrKeyNotFound},
		{"who leads is slow", 0, 10 * time.Second, 4 * time.Second, 4 * time.Second, jetstream.ErrKeyNotFound},
		{"nobody does", time.Minute, 10 * time.Second, 0, 10 * time.Second, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.lasts)
				defer cancel()
				begin := time.Now()
				b := &leaderless{until: begin.Add(c.leads), slow: c.slow, err: jetstream.ErrKeyNotFound}
				if _, err := Newest(ctx, b, "key"); !errors.Is(err, c.err) {
					t.Errorf("answered %v, want %v", err, c.err)
				}
				if took := time.Since(begin); took > c.within {
					t.Errorf("answered after %v, want %v; asked %d times", took, c.within, b.asked.Load())
				}
			})
		})
	}
}

// TestAnsweredPanic: a panic of a question is its asker's.
func TestAnsweredPanic(t *testing.T) {
	defer func() {
		if p := recover(); p != "broken" {
			t.Errorf("recovered %v", p)
		}
	}()
	_, _ = answered(t.Context(), func(context.Context) (int, error) { panic("broken") })
	t.Error("it returned")
}
