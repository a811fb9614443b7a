package copies

import (
	"context"
	"errors"
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
	err   error // its answer
	asked int
}

func (b *leaderless) Get(ctx context.Context, _ string) (jetstream.KeyValueEntry, error) {
	b.asked++
	if time.Now().Before(b.until) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, b.err
}

// TestNewest: a question that nobody answers is asked again, until there is an answer, or
// ctx ends.
func TestNewest(t *testing.T) {
	for _, c := range []struct {
		name         string
		leads, lasts time.Duration // from the first question: when somebody leads, when ctx ends
		within       time.Duration
		err          error
	}{
		{"somebody leads", 0, 10 * time.Second, 0, jetstream.ErrKeyNotFound},
		{"somebody leads a little later", 3 * time.Second, 10 * time.Second, 5 * time.Second, jetstream.ErrKeyNotFound},
		{"nobody does", time.Minute, 10 * time.Second, 10 * time.Second, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.lasts)
				defer cancel()
				begin := time.Now()
				b := &leaderless{until: begin.Add(c.leads), err: jetstream.ErrKeyNotFound}
				if _, err := Newest(ctx, b, "key"); !errors.Is(err, c.err) {
					t.Errorf("answered %v, want %v", err, c.err)
				}
				if took := time.Since(begin); took > c.within {
					t.Errorf("answered after %v, want %v; asked %d times", took, c.within, b.asked)
				}
			})
		})
	}
}
