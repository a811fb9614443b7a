package notify_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marketprism/marketprism/actors/bucket/buckettest"
	"github.com/marketprism/marketprism/actors/monitoring/notify"
)

// everybody is a lease that each node believes to have: as one does that was suspended,
// or is cut off, until it hears of it.
type everybody struct{}

func (everybody) Acquire(context.Context) (<-chan struct{}, func(), error) {
	return make(chan struct{}), func() {}, nil
}

// TestAnotherHasTold: a node that still believes to have the lease does not tell what
// another has told since, and learns from it what was told.
func TestAnotherHasTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := buckettest.New()
		asleep, awake := start(t, config(), store, everybody{}), start(t, config(), store, everybody{})
		defer asleep.stop()
		defer awake.stop()
		pass(time.Second)
		awake.says("A")
		pass(5 * time.Second)
		asleep.says("A")
		pass(time.Minute)
		awake.want("31s firing [A]")
		asleep.want()
		// What it has learnt, it goes on from.
		asleep.says("-A")
		pass(10 * time.Minute)
		asleep.want("5m36s resolved [-A]")
	})
}

// consul is a lease that one node has at a time, as it is given.
type consul struct {
	mu    sync.Mutex
	lost  chan struct{}   // of who has it
	queue []chan struct{} // of who waits: closed when it is its
}

func (l *consul) Acquire(ctx context.Context) (<-chan struct{}, func(), error) {
	turn := make(chan struct{})
	l.mu.Lock()
	l.queue = append(l.queue, turn)
	l.mu.Unlock()
	select {
	case <-turn:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = make(chan struct{})
	return l.lost, func() {}, nil
}

// give gives it to who waits longest, also while another believes to have it.
func (l *consul) give() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 {
		close(l.queue[0])
		l.queue = l.queue[1:]
	}
}

// TestFenced: who had the lease, and does not know that another has it by now, does not
// tell, although the other has told nothing yet, and stands in line for it again.
func TestFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, lease := buckettest.New(), &consul{}
		before := start(t, config(), store, lease)
		defer before.stop()
		pass(time.Second)
		lease.give()
		pass(time.Second)
		fence, err := notify.Fence(t.Context(), store)
		if err != nil || fence == 0 {
			t.Fatalf("the fencing number of who has the lease is %d, %v", fence, err)
		}
		after := start(t, config(), store, lease)
		defer after.stop()
		pass(time.Second)
		lease.give()
		pass(time.Second)
		if now, err := notify.Fence(t.Context(), store); err != nil || now <= fence {
			t.Errorf("after %d, the fencing number is %d, %v", fence, now, err)
		}
		before.says("A")
		pass(5 * time.Second)
		after.says("A")
		pass(time.Minute)
		before.want()
		after.want("37s firing [A]")
		if phase := before.h.Standing().Phase; phase != "waiting" {
			t.Errorf("who is fenced off is %s", phase)
		}
		lease.give()
		pass(time.Second)
		if phase := before.h.Standing().Phase; phase != "telling" {
			t.Errorf("who has the lease again is %s", phase)
		}
	})
}

// TestCutOffTells: a node that has the lease and reaches no log tells half a minute
// later than it would, and at once where it stands alone.
func TestCutOffTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := buckettest.New()
		one, alone := start(t, config(), store, everybody{}), start(t, config(), buckettest.New(), nil)
		defer one.stop()
		defer alone.stop()
		pass(time.Second)
		store.Break(errors.New("no majority"))
		one.says("A")
		alone.says("A")
		pass(2 * time.Minute)
		one.want("1m1s firing [A]")
		alone.want("31s firing [A]")
		store.Break(nil)
		pass(time.Minute)
	})
}
