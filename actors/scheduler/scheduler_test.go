package scheduler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/actors/scheduler/ledger/ledgertest"
)

// slow is a target that takes a while, and says what it saw.
type slow struct {
	takes time.Duration

	mu                 sync.Mutex
	begun, ended, most int
	now                int
}

func (s *slow) do(ctx context.Context, _ json.RawMessage) (string, error) {
	s.mu.Lock()
	s.begun++
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.now--
	}()
	select {
	case <-time.After(s.takes):
		s.mu.Lock()
		s.ended++
		s.mu.Unlock()
		return "done", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// bubble runs a test on a clock of its own, which begins at midnight.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t)
		pass(time.Second) // the library's own timers
	})
}

func counts(runs []ledger.Run) map[string]int {
	n := map[string]int{}
	for _, r := range runs {
		n[scheduler.RunStatus(r)] += r.Times()
	}
	return n
}

func (w *world) runs(id string) []ledger.Run {
	w.t.Helper()
	runs, _, err := w.h.Runs(scheduler.Span{Task: id}, 10_000)
	if err != nil {
		w.t.Fatal(err)
	}
	return runs
}

func (w *world) view(id string) scheduler.View {
	w.t.Helper()
	v, err := w.h.Task(id)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func TestOverlap(t *testing.T) {
	for overlap, want := range map[string]struct {
		counts map[string]int
		most   int
	}{ // twelve times in a minute, each run takes twelve seconds
		scheduler.OverlapSkip:    {map[string]int{"running": 1, "succeeded": 3, "skipped": 8}, 1},
		scheduler.OverlapQueue:   {map[string]int{"succeeded": 4, "running": 8}, 1},
		scheduler.OverlapReplace: {map[string]int{"cancelled": 11, "running": 1}, 2},
		scheduler.OverlapAllow:   {map[string]int{"succeeded": 9, "running": 3}, 3},
	} {
		t.Run(overlap, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				target := &slow{takes: 12 * time.Second}
				w := start(t, options(memory(), target.do))
				defer w.stop()
				one := task("t", "*/5 * * * * *")
				one.Overlap = overlap
				id := w.create(one).ID
				pass(61 * time.Second)
				if got := counts(w.runs(id)); fmt.Sprint(got) != fmt.Sprint(want.counts) || target.most > want.most ||
					target.most < want.most && overlap != scheduler.OverlapReplace { // there the one may end before the other begins
					t.Errorf("got %v, at most %d at once, want %+v", got, target.most, want)
				}
				if n := w.view(id).Runs; n != uint64(12-want.counts["skipped"]) {
					t.Errorf("run count %d", n)
				}
			})
		})
	}
}

// Runs share a bounded number of slots.
func TestSlots(t *testing.T) {
	bubble(t, func(t *testing.T) {
		target := &slow{takes: 3 * time.Second}
		o := options(memory(), target.do)
		o.Config.MaxConcurrentTasks = 4
		w := start(t, o)
		for i := range 20 {
			w.create(task(fmt.Sprint(i), "30 * * * * *"))
		}
		pass(61 * time.Second)
		if target.most != 4 || target.ended != 20 {
			t.Errorf("%d at once, %d ended", target.most, target.ended)
		}
		w.stop()
	})
}

func TestRunAndCancel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		target := &slow{takes: time.Hour}
		w := start(t, options(memory(), target.do))
		defer w.stop()
		id := w.create(task("t", "0 0 1 1 *")).ID
		first, err := w.h.Run(bounded(t), id)
		if err != nil || first.Cause != ledger.CauseManual || first.Task != id {
			t.Fatalf("got %+v, %v", first, err)
		}
		second, err := w.h.Run(bounded(t), id)
		if err != nil || second.Nominal == first.Nominal {
			t.Fatalf("again: %+v, %v", second, err)
		}
		pass(time.Second)
		if v := w.view(id); v.Status != scheduler.Running || v.Runs != 2 || v.Active != 2 || target.begun != 1 {
			t.Errorf("under way: %+v, %d begun", v, target.begun)
		}
		if s := w.h.Status(); s.Running != 1 || s.Active != 2 {
			t.Errorf("status %+v", s)
		}
		if n, err := w.h.Cancel(bounded(t), id); n != 2 || err != nil {
			t.Errorf("cancelled %d, %v", n, err)
		}
		pass(time.Second)
		if v := w.view(id); v.Status != scheduler.Cancelled || v.Active != 0 || v.Errors != 0 {
			t.Errorf("cancelled: %+v", v)
		}
		if n, err := w.h.Cancel(bounded(t), id); n != 0 || err != nil {
			t.Errorf("nothing left: %d, %v", n, err)
		}
		if _, err := w.h.Run(bounded(t), "nobody"); !errors.Is(err, scheduler.ErrNoTask) {
			t.Errorf("an unknown task: %v", err)
		}
	})
}

// A task that is removed while it runs is gone, and its run with it.
func TestRemove(t *testing.T) {
	bubble(t, func(t *testing.T) {
		target := &slow{takes: time.Hour}
		store := memory()
		w := start(t, options(store, target.do))
		made := w.create(task("t", "*/5 * * * * *"))
		if _, err := w.h.Run(bounded(t), made.ID); err != nil {
			t.Fatal(err)
		}
		if err := w.h.Delete(bounded(t), made.ID, made.Revision+1); !errors.Is(err, scheduler.ErrChanged) {
			t.Errorf("at another revision: %v", err)
		}
		if err := w.h.Delete(bounded(t), made.ID, made.Revision); err != nil {
			t.Fatal(err)
		}
		if err := w.h.Delete(bounded(t), made.ID, 0); !errors.Is(err, scheduler.ErrNoTask) {
			t.Errorf("twice: %v", err)
		}
		pass(30 * time.Second)
		if _, err := w.h.Task(made.ID); !errors.Is(err, scheduler.ErrNoTask) || target.now != 0 {
			t.Errorf("it is still there: %v, %d under way", err, target.now)
		}
		fires := len(store.Fires())
		w.stop()
		w = start(t, options(store, target.do))
		pass(30 * time.Second)
		if len(store.Fires()) != fires || w.h.Status().Total != 0 {
			t.Errorf("it is back after a restart: %+v", w.h.Status())
		}
		w.stop()
	})
}

// What is switched off does not fire, and its times are not missed; both outlive a
// restart.
func TestPauseAndStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := memory()
		w := start(t, options(store, nothing))
		paused, other := w.create(task("paused", "* * * * *")), w.create(task("other", "* * * * *"))
		changed, err := w.h.Pause(bounded(t), paused.ID, paused.Revision, true)
		if err != nil || changed.Revision <= paused.Revision {
			t.Fatalf("%+v, %v", changed, err)
		}
		if v := w.view(paused.ID); v.Status != scheduler.Paused || v.NextRun != nil {
			t.Errorf("paused: %+v", v)
		}
		pass(5*time.Minute + time.Second)
		if a, b := len(w.runs(paused.ID)), len(w.runs(other.ID)); a != 0 || b != 5 {
			t.Errorf("%d and %d runs, want 0 and 5", a, b)
		}
		if err := w.h.Stop(bounded(t)); err != nil {
			t.Fatal(err)
		}
		w.stop()
		w = start(t, options(store, nothing))
		if _, err := w.h.Pause(bounded(t), paused.ID, 0, false); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Minute)
		if a, b := len(w.runs(paused.ID)), len(w.runs(other.ID)); a != 0 || b != 5 || w.h.Status().On {
			t.Errorf("stopped: %d and %d runs, want 0 and 5; %+v", a, b, w.h.Status())
		}
		if _, err := w.h.Run(bounded(t), other.ID); err != nil {
			t.Errorf("by hand: %v", err)
		}
		if err := w.h.Start(bounded(t)); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Minute)
		if a, b := counts(w.runs(paused.ID)), counts(w.runs(other.ID)); a["succeeded"] != 3 || b["succeeded"] != 9 || a["missed"]+b["missed"] != 0 {
			t.Errorf("started: %v and %v", a, b)
		}
		w.stop()
	})
}

// While the ledger cannot be written nothing runs; afterwards what is too late is
// missed, as the task says.
func TestLedgerDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := memory()
		w := start(t, options(store, nothing))
		skip, all := w.create(task("skip", "0 * * * * *")), task("all", "0 * * * * *")
		all.Misfire, all.Overlap = scheduler.MisfireAll, scheduler.OverlapQueue
		made := w.create(all)
		pass(90 * time.Second)
		store.Break(errors.New("the disk is full"))
		pass(10 * time.Minute)
		if w.h.Health() == nil {
			t.Error("health passes without a ledger")
		}
		if _, err := w.h.Create(bounded(t), task("new", "* * * * *")); !errors.Is(err, ledger.ErrUnavailable) {
			t.Errorf("a task without a ledger: %v", err)
		}
		store.Break(nil)
		pass(2 * time.Minute)
		if err := w.h.Health(); err != nil {
			t.Errorf("health: %v", err)
		}
		seen := map[string]map[int64]int{}
		for _, f := range store.Fires() {
			if seen[f.Task] == nil {
				seen[f.Task] = map[int64]int{}
			}
			if f.Count == 0 {
				seen[f.Task][f.Nominal]++
			}
		}
		for id, per := range seen {
			for at, n := range per {
				if n != 1 {
					t.Errorf("%s: %v was recorded %d times", id, time.UnixMilli(at).UTC(), n)
				}
			}
		}
		if got := counts(w.runs(made.ID)); got["succeeded"] != 13 || got["missed"] != 0 {
			t.Errorf("all: %v, want 13 runs", got)
		}
		if got := counts(w.runs(skip.ID)); got["succeeded"]+got["skipped"]+got["missed"] != 13 || got["missed"] < 7 {
			t.Errorf("skip: %v, want 13 times", got)
		}
		w.stop()
	})
}

// A fire without a result is run again at the next start, under the same key.
func TestUnfinished(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := memory()
		target := &slow{takes: time.Hour}
		o := options(store, target.do)
		o.Config.StopTimeout = time.Second
		w := start(t, o)
		once := task("t", "@at 2000-01-01T00:01:00")
		once.TimeoutSeconds = 7200
		id := w.create(once).ID
		pass(2 * time.Minute)
		if target.now != 1 {
			t.Fatalf("%d under way", target.now)
		}
		w.stop()
		target.takes = time.Second
		w = start(t, options(store, target.do))
		pass(5 * time.Second)
		runs := w.runs(id)
		if len(runs) != 1 || scheduler.RunStatus(runs[0]) != ledger.Succeeded || target.begun != 2 || len(store.Fires()) != 1 {
			t.Errorf("got %+v, %d begun, %d fires", runs, target.begun, len(store.Fires()))
		}
		if v := w.view(id); v.Runs != 1 || v.NextRun != nil || v.Status != scheduler.Completed {
			t.Errorf("got %+v", v)
		}
		w.stop()
	})
}

// Two processes believe that they lead: what is recorded is recorded once.
func TestTwoLeaders(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := memory()
		a := start(t, options(store, nothing))
		id := a.create(task("t", "*/10 * * * * *")).ID
		pass(35 * time.Second)
		b := start(t, options(store, nothing)) // takes over; a learns of it with its next append
		pass(5 * time.Minute)
		seen := map[int64]int{}
		for _, f := range store.Fires() {
			seen[f.Nominal]++
			if f.Task != id {
				t.Errorf("recorded %+v", f)
			}
		}
		for at, n := range seen {
			if n != 1 {
				t.Errorf("%v was recorded %d times", time.UnixMilli(at).UTC(), n)
			}
		}
		if len(seen) != 33 {
			t.Errorf("%d times are recorded, want 33", len(seen))
		}
		a.stop()
		b.stop()
	})
}

// Whatever part of the branch fails is started anew, and no time is lost or recorded
// twice.
func TestRestarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := memory()
		w := start(t, options(store, nothing))
		var ids []string
		for i := range 5 {
			ids = append(ids, w.create(task(fmt.Sprint(i), "*/2 * * * * *")).ID)
		}
		begin := time.Now()
		for round := range 20 {
			pass(1300 * time.Millisecond)
			branch, child := "root/scheduler", []string{"desk", "leader", "task"}[round%3]
			if round%4 == 3 {
				branch, child = "root/scheduler/task", ids[round%5]
			}
			if err := w.sys.RestartChild(bounded(t), branch, child); err != nil {
				t.Fatalf("%s/%s: %v", branch, child, err)
			}
		}
		pass(10500 * time.Millisecond)
		want := int(time.Now().Unix()/2 - begin.Unix()/2)
		for _, id := range ids {
			seen := map[int64]int{}
			for _, f := range store.Fires() {
				if f.Task == id {
					seen[f.Nominal] += f.Times()
				}
			}
			if len(seen) != want {
				t.Errorf("%s: %d times, want %d", id, len(seen), want)
			}
			for at, n := range seen {
				if n != 1 {
					t.Errorf("%s: %v was recorded %d times", id, time.UnixMilli(at).UTC(), n)
				}
			}
		}
		w.stop()
	})
}

func TestDefaults(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := memory()
		o := options(store, nothing)
		def := task("nightly", "0 2 * * *")
		def.ID = "nightly"
		o.Defaults = []scheduler.Task{def}
		w := start(t, o)
		if v := w.view("nightly"); v.Name != "nightly" || v.NextRun == nil || v.NextRun.Hour() != 2 {
			t.Errorf("got %+v", v)
		}
		if err := w.h.Delete(bounded(t), "nightly", 0); err != nil {
			t.Fatal(err)
		}
		w.stop()
		second := task("second", "0 3 * * *")
		second.ID = "second"
		o = options(store, nothing)
		o.Defaults = []scheduler.Task{def, second}
		w = start(t, o)
		if views, _, _ := w.h.Tasks(scheduler.Filter{}, time.Time{}, "", 10); len(views) != 1 || views[0].ID != "second" {
			t.Errorf("after a restart: %+v", views)
		}
		w.stop()
	})
}

// Lists are in order, in pages, and narrowed.
func TestLists(t *testing.T) {
	bubble(t, func(t *testing.T) {
		failing := func(_ context.Context, p json.RawMessage) (string, error) {
			if string(p) == `"bad"` {
				return "", errors.New("no")
			}
			return "", nil
		}
		w := start(t, options(memory(), failing))
		var ids []string
		for i := range 25 {
			one := task(fmt.Sprint("task ", i), "0 * * * * *")
			if i%5 == 0 {
				one.Payload = json.RawMessage(`"bad"`)
			}
			ids = append(ids, w.create(one).ID)
			pass(time.Second)
		}
		pass(2 * time.Minute)
		var listed []string
		after, id := time.Time{}, ""
		for {
			views, more, _ := w.h.Tasks(scheduler.Filter{}, after, id, 7)
			for _, v := range views {
				listed = append(listed, v.ID)
				after, id = v.CreatedAt, v.ID
			}
			if !more {
				break
			}
		}
		if !slices.Equal(listed, ids) {
			t.Errorf("listed %d of %d, or in another order", len(listed), len(ids))
		}
		if failed, _, _ := w.h.Tasks(scheduler.Filter{Status: scheduler.Failed}, time.Time{}, "", 100); len(failed) != 5 || failed[0].LastError != "no" {
			t.Errorf("failed: %d", len(failed))
		}
		if named, _, _ := w.h.Tasks(scheduler.Filter{Name: "TASK 2"}, time.Time{}, "", 100); len(named) != 6 {
			t.Errorf("named: %d", len(named))
		}
		all, _, err := w.h.Runs(scheduler.Span{}, 1000)
		if err != nil || len(all) != 50 {
			t.Fatalf("%d runs, %v", len(all), err)
		}
		paged := 0
		for span := (scheduler.Span{}); ; {
			page, more, err := w.h.Runs(span, 8)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range page {
				if r.ID() != all[paged+i].ID() {
					t.Fatalf("run %d is %s, want %s", paged+i, r.ID(), all[paged+i].ID())
				}
			}
			paged += len(page)
			if !more {
				break
			}
			span.Before, span.BeforeTask = page[len(page)-1].Nominal, page[len(page)-1].Task
		}
		if paged != 50 {
			t.Errorf("%d runs in pages", paged)
		}
		if failed, _, _ := w.h.Runs(scheduler.Span{Status: ledger.Failed}, 1000); len(failed) != 10 {
			t.Errorf("%d failed runs", len(failed))
		}
		up, _ := w.h.Upcoming(time.Now().Add(time.Hour), 20, 1000)
		if len(up) != 25 || len(up[0].Times) != 20 || !up[0].More || time.Until(up[0].Times[0]) > time.Minute {
			t.Errorf("upcoming: %d tasks, %+v", len(up), up[0])
		}
		w.stop()
	})
}

func TestUpdate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, options(memory(), nothing))
		made := w.create(task("t", "0 0 1 1 *"))
		pass(time.Hour)
		changed, err := w.h.Update(bounded(t), made.ID, made.Revision, func(t *scheduler.Task) error {
			t.Cron, t.Name, t.ID = "*/10 * * * *", "renamed", "other"
			return nil
		})
		if err != nil || changed.ID != made.ID || changed.Name != "renamed" || !changed.CreatedAt.Equal(made.CreatedAt) {
			t.Fatalf("%+v, %v", changed, err)
		}
		if _, err := w.h.Update(bounded(t), made.ID, made.Revision, func(*scheduler.Task) error { return nil }); !errors.Is(err, scheduler.ErrChanged) {
			t.Errorf("at an old revision: %v", err)
		}
		var invalid *scheduler.InvalidError
		if _, err := w.h.Update(bounded(t), made.ID, 0, func(t *scheduler.Task) error { t.Cron = "61 * * * *"; return nil }); !errors.As(err, &invalid) ||
			invalid.Fields[0].Field != "cron_expression" || invalid.Fields[0].Column != 1 {
			t.Errorf("an invalid expression: %v", err)
		}
		pass(30*time.Minute + time.Second)
		if got := counts(w.runs(made.ID)); got["succeeded"] != 3 || got["missed"] != 0 {
			t.Errorf("after the change: %v", got)
		}
		for name, change := range map[string]func(*scheduler.Task){
			"name": func(t *scheduler.Task) { t.Name = "" }, "timezone": func(t *scheduler.Task) { t.Timezone = "Mars" },
			"target_service": func(t *scheduler.Task) { t.TargetService, t.TargetEndpoint = "nobody", "/" }, "target_endpoint": func(t *scheduler.Task) { t.TargetEndpoint = "undo" },
			"overlap": func(t *scheduler.Task) { t.Overlap = "x" }, "misfire": func(t *scheduler.Task) { t.Misfire = "x" }, "method": func(t *scheduler.Task) { t.Method = "x" },
			"timeout_seconds": func(t *scheduler.Task) { t.TimeoutSeconds = -1 }, "retry/max_attempts": func(t *scheduler.Task) { t.Retry.MaxAttempts = 99 },
			"cron_expression": func(t *scheduler.Task) { t.Cron = "0 0 30 2 *" }, "payload": func(t *scheduler.Task) { t.Payload = json.RawMessage("{") },
		} {
			one := task("t", "* * * * *")
			change(&one)
			if _, err := w.h.Create(bounded(t), one); !errors.As(err, &invalid) || len(invalid.Fields) != 1 || invalid.Fields[0].Field != name {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.stop()
	})
}

// A change whose answer is lost is looked for: if it was made, it counts.
func TestDoubt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := memory()
		w := start(t, options(store, nothing))
		store.LoseAnswer()
		made := w.create(task("t", "0 * * * *"))
		store.LoseAnswer()
		changed, err := w.h.Pause(bounded(t), made.ID, 0, true)
		if err != nil || !w.view(made.ID).Paused {
			t.Errorf("changed: %+v, %v", changed, err)
		}
		// Somebody else changes it: what is stored counts.
		other := changed
		other.Name = "theirs"
		text, err := json.Marshal(&other)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Put(bounded(t), "task."+made.ID, text, changed.Revision); err != nil {
			t.Fatal(err)
		}
		if _, err := w.h.Pause(bounded(t), made.ID, 0, false); !errors.Is(err, scheduler.ErrChanged) {
			t.Errorf("against another: %v", err)
		}
		pass(time.Second)
		if v := w.view(made.ID); v.Name != "theirs" || !v.Paused {
			t.Errorf("got %+v", v)
		}
		if _, err := w.h.Pause(bounded(t), made.ID, 0, false); err != nil {
			t.Errorf("again: %v", err)
		}
		store.LoseAnswer()
		if err := w.h.Delete(bounded(t), made.ID, 0); err != nil || w.h.Status().Total != 0 {
			t.Errorf("removed: %v", err)
		}
		w.stop()
	})
}

var _ ledger.Store = (*ledgertest.Memory)(nil)
