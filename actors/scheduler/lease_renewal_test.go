package scheduler_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/actors/scheduler/ledger"
)

// laden are documents of a broker that has much else to do.
type laden struct {
	ledger.Documents
	takes atomic.Int64 // how long a write takes
	mute  atomic.Bool  // writes take effect, and their answers are lost
}

func (l *laden) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	timer := time.NewTimer(time.Duration(l.takes.Load()))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return 0, errors.Join(ledger.ErrUnavailable, ctx.Err())
	}
	next, err := l.Documents.Put(ctx, key, value, revision)
	if err == nil && l.mute.Load() {
		return 0, errors.Join(ledger.ErrUnavailable, errors.New("the answer is lost"))
	}
	return next, err
}

// A leader keeps its lease while every write of it takes a third of a term, and while the
// answers to all of them are lost; it gives up when none takes effect in time.
func TestRenewalUnderLoad(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := memory()
		documents := &laden{Documents: store}
		lost, release, err := scheduler.NewSharedLease(documents, "one", leaseTerm).Acquire(bounded(t))
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		still := func(what string) {
			t.Helper()
			pass(5 * time.Minute)
			select {
			case <-lost:
				t.Fatalf("the lease was lost: %s", what)
			default:
			}
		}
		documents.takes.Store(int64(leaseTerm / 3))
		still("writes are slow")
		documents.mute.Store(true)
		still("writes are slow, and their answers lost")
		documents.takes.Store(0)
		still("answers are lost")
		documents.mute.Store(false)
		documents.takes.Store(int64(leaseTerm))
		select {
		case <-lost:
			t.Fatal("lost before the others could know")
		case <-time.After(leaseTerm / 2):
		}
		select {
		case <-lost:
		case <-time.After(leaseTerm / 2):
			t.Error("kept although no claim takes effect any more")
		}
	})
}
