package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/actors/scheduler/ledger/ledgertest"
)

const leaseTerm = 12 * time.Second

// severed are documents that cannot be reached while cut says so.
type severed struct {
	ledger.Documents
	cut atomic.Bool
}

func (s *severed) err() error {
	if s.cut.Load() {
		return errors.Join(ledger.ErrUnavailable, errors.New("no answer"))
	}
	return nil
}

func (s *severed) Get(ctx context.Context, key string) (ledger.Document, bool, error) {
	if err := s.err(); err != nil {
		return ledger.Document{}, false, err
	}
	return s.Documents.Get(ctx, key)
}

func (s *severed) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := s.err(); err != nil {
		return 0, err
	}
	return s.Documents.Put(ctx, key, value, revision)
}

// sharing starts a scheduler on a node that shares a ledger with others.
func sharing(t *testing.T, store *ledgertest.Memory, documents ledger.Documents, node string) *world {
	o := options(store, nothing)
	o.Lease = scheduler.NewSharedLease(documents, node, leaseTerm)
	return start(t, o)
}

func (w *world) leads() bool { return w.h.Status().Leads }

// every checks that each tenth second between two times was recorded once.
func every(t *testing.T, store *ledgertest.Memory, from, to time.Time) {
	t.Helper()
	seen := map[int64]int{}
	for _, f := range store.Fires() {
		seen[f.Nominal] += f.Times()
		if f.Skip != "" {
			t.Errorf("%v is %s", f.Time(), f.Skip)
		}
	}
	for at := from.Truncate(10 * time.Second).Add(10 * time.Second); !at.After(to); at = at.Add(10 * time.Second) {
		if seen[at.UnixMilli()] != 1 {
			t.Errorf("%v is recorded %d times", at.UTC(), seen[at.UnixMilli()])
		}
	}
}

// Of two schedulers on one broker one leads, and goes on to; the other stands by, and
// takes over when the first gives up, or is not heard of any more.
func TestStandby(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := memory()
		first := &severed{Documents: store}
		a := sharing(t, store, first, "one")
		begin := time.Now()
		a.create(task("t", "*/10 * * * * *"))
		b := sharing(t, store, store, "two")
		pass(10 * time.Minute)
		if !a.leads() || b.leads() || store.Leaders() != 1 {
			t.Errorf("leading: %v and %v, taken over %d times", a.leads(), b.leads(), store.Leaders())
		}
		if err := b.h.Health(); err != nil || b.h.Status().Elsewhere != "one" || a.h.Status().Elsewhere != "" {
			t.Errorf("standing by: %v, %+v", err, b.h.Status())
		}
		if _, _, err := b.h.Tasks(scheduler.Filter{}, time.Time{}, "", 1); !errors.Is(err, scheduler.ErrNotLeading) {
			t.Errorf("its tasks: %v", err)
		}
		if _, err := b.h.Create(bounded(t), task("x", "* * * * *")); !errors.Is(err, scheduler.ErrNotLeading) {
			t.Errorf("a new task: %v", err)
		}

		first.cut.Store(true) // of the lease alone: it could still append
		pass(leaseTerm * 3 / 2)
		if a.leads() || !b.leads() || a.h.Health() == nil {
			t.Errorf("without its lease: leading %v and %v, health %v", a.leads(), b.leads(), a.h.Health())
		}
		first.cut.Store(false)
		pass(10 * time.Minute)
		if a.leads() || !b.leads() || store.Leaders() != 2 || a.h.Health() != nil || a.h.Status().Elsewhere != "two" {
			t.Errorf("back: leading %v and %v, taken over %d times, %+v", a.leads(), b.leads(), store.Leaders(), a.h.Status())
		}

		b.stop()
		pass(leaseTerm / 2) // it has given the lease back
		if !a.leads() || store.Leaders() != 3 {
			t.Errorf("after a stop: leading %v, taken over %d times", a.leads(), store.Leaders())
		}
		pass(time.Minute)
		a.stop()
		every(t, store, begin, time.Now().Add(-time.Second))
	})
}

// A process that was killed has a lease that nobody gives back: the next one of the
// node takes it at once, another node waits.
func TestSuccession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := memory()
		acquire := func(l *scheduler.SharedLease) (took time.Duration, lost <-chan struct{}, release func()) {
			begin := time.Now()
			lost, release, err := l.Acquire(bounded(t))
			if err != nil {
				t.Fatal(err)
			}
			return time.Since(begin), lost, release
		}
		killed := &severed{Documents: store}
		_, lost, release := acquire(scheduler.NewSharedLease(killed, "one", leaseTerm))
		killed.cut.Store(true)
		again := scheduler.NewSharedLease(store, "one", leaseTerm)
		took, gone, giveBack := acquire(again)
		if took != 0 {
			t.Errorf("the same node waited %v", took)
		}
		<-lost
		release()

		next := &severed{Documents: store}
		other := scheduler.NewSharedLease(next, "two", leaseTerm)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if _, _, err := other.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) || other.Holder() != "one" {
			t.Errorf("beside one that leads: %v, %q", err, other.Holder())
		}
		cancel()
		select {
		case <-gone:
			t.Error("the lease was lost")
		default:
		}
		giveBack()
		giveBack()
		took, lost, release = acquire(other)
		if took > leaseTerm/2 || other.Holder() != "" {
			t.Errorf("a lease that was given back took %v", took)
		}
		next.cut.Store(true)
		took, _, giveBack = acquire(again) // not at once: it led before
		if took < leaseTerm*3/4 || took > 2*leaseTerm {
			t.Errorf("from one that is silent it took %v", took)
		}
		<-lost
		release()
		giveBack()
		store.Break(errors.New("away"))
		if _, _, err := again.Acquire(t.Context()); !errors.Is(err, ledger.ErrUnavailable) {
			t.Errorf("without a store: %v", err)
		}
	})
}

// A run counts as under way until its result is in the ledger.
func TestActive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := memory()
		target := &slow{takes: 5 * time.Second}
		w := start(t, options(store, target.do))
		defer w.stop()
		id := w.create(task("t", "0 0 1 1 *")).ID
		if _, err := w.h.Run(bounded(t), id); err != nil {
			t.Fatal(err)
		}
		store.Break(errors.New("the disk is full"))
		pass(10 * time.Second)
		if v := w.view(id); target.ended != 1 || v.Active != 1 || v.Status != scheduler.Running || w.h.Status().Active != 1 {
			t.Errorf("before its result is recorded: %d ended, %+v", target.ended, v)
		}
		store.Break(nil)
		pass(5 * time.Second)
		if v := w.view(id); v.Active != 0 || v.Status != scheduler.Completed || w.h.Status().Active != 0 {
			t.Errorf("after it: %+v", v)
		}
	})
}

// What of the configuration can change does, while tasks run.
func TestReconfigure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		target := &slow{takes: time.Minute}
		o := options(memory(), target.do)
		o.Config.MaxConcurrentTasks, o.Config.MaxTasks = 1, 20
		w := start(t, o)
		defer w.stop()
		ids := make([]string, 20)
		for i := range ids {
			one := task(fmt.Sprint(i), "*/10 * * * * *")
			one.Overlap = scheduler.OverlapSkip
			ids[i] = w.create(one).ID
		}
		pass(15 * time.Second)
		if target.now != 1 {
			t.Fatalf("%d runs at a time", target.now)
		}
		c := o.Config
		c.MaxConcurrentTasks, c.History.Count, c.MaxTasks, c.MaxAnswerBytes, c.StopTimeout = 15, 7, 21, 2, time.Second
		if err := w.h.Reconfigure(bounded(t), c); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if target.now != 15 {
			t.Errorf("%d runs at a time, want 15", target.now)
		}
		pass(5 * time.Minute)
		if runs := w.runs(ids[0]); len(runs) > 8 { // one may be open
			t.Errorf("%d runs are remembered", len(runs))
		} else if got := runs[len(runs)-1]; got.Result != nil && got.Result.Answer != "do" {
			t.Errorf("kept %q", got.Result.Answer)
		}
		w.create(task("one more", "@yearly"))
		if _, err := w.h.Create(bounded(t), task("too many", "@yearly")); !errors.Is(err, scheduler.ErrTooMany) {
			t.Errorf("beyond the bound: %v", err)
		}
		c.MaxConcurrentTasks = 0
		if err := w.h.Reconfigure(bounded(t), c); err == nil {
			t.Error("a configuration that is wrong was taken up")
		}
	})
}
