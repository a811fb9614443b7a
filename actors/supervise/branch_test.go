package supervise_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
)

func TestStartAndStopOrder(t *testing.T) {
	d := &diary{}
	type nowReady struct{}
	slow := hooked("slow", d, func(c *supervise.Context) {
		switch c.Message().(type) {
		case *actor.Started:
			c.After(10*time.Second, nowReady{})
		case nowReady:
			d.add("ready slow")
			c.Ready()
		}
	})
	slow.AwaitReady = true
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(
			supervise.Branch("one", strategy(), spec("a", d), slow, spec("z", d)),
			supervise.Branch("two", strategy(), spec("b", d)),
		)
		wantLines(t, d.take(), "start a", "start slow", "ready slow", "start z", "start b")
		if err := f.Stop(f.ctx); err != nil {
			t.Fatal(err)
		}
		wantLines(t, d.take(), "stop b", "stop z", "stop slow", "stop a")
		for _, n := range f.Tree().Snapshot().Actors {
			if n.State != supervise.Stopped {
				t.Errorf("%s is %s after Stop", n.ID, n.State)
			}
		}
	})
}

// Whoever stops or restarts a branch, and however, its children stop in order.
func TestBranchEndsInOrderHoweverItIsAsked(t *testing.T) {
	for name, end := range map[string]func(f *fixture, pid *actor.PID){
		"poison":  func(f *fixture, pid *actor.PID) { f.Actors().Root.Poison(pid) },
		"stop":    func(f *fixture, pid *actor.PID) { f.Actors().Root.Stop(pid) },
		"restart": func(f *fixture, _ *actor.PID) { must(t, f.RestartChild(f.ctx, "root", "b")) },
	} {
		t.Run(name, func(t *testing.T) {
			d := &diary{}
			inBubble(t, supervise.Options{}, func(f *fixture) {
				f.start(supervise.Branch("b", strategy(), spec("a", d), spec("m", d), spec("z", d)))
				d.take()
				end(f, f.pid("root/b"))
				f.sleep(time.Second) // a permanent branch that was stopped comes back
				wantLines(t, d.take(), "stop z", "stop m", "stop a", "start a", "start m", "start z")
				f.wantState("root/b", supervise.Running)
			})
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestStopDrains(t *testing.T) {
	var seen int
	s := hooked("x", nil, func(c *supervise.Context) {
		if _, ok := c.Message().(hello); ok {
			pass(time.Millisecond)
			seen++
		}
	})
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), s))
		for i := range 100 {
			must(t, f.Tell(f.pid("root/b/x"), hello{i}))
		}
		must(t, f.Stop(f.ctx))
		if seen != 100 {
			t.Errorf("%d of 100 messages handled before the stop", seen)
		}
	})
}

func TestShutdownDeadlineCutsTheDrain(t *testing.T) {
	var seen int
	s := hooked("x", nil, func(c *supervise.Context) {
		if _, ok := c.Message().(hello); ok {
			pass(time.Second)
			seen++
		}
	})
	s.ShutdownTimeout = 2500 * time.Millisecond
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), s))
		for i := range 100 {
			must(t, f.Tell(f.pid("root/b/x"), hello{i}))
		}
		begin := time.Now()
		must(t, f.Stop(f.ctx))
		if took := time.Since(begin); took != 3*time.Second || seen != 3 {
			t.Errorf("stopped after %s and %d messages; want 3 s and 3", took, seen)
		}
		if got := f.Tree().Snapshot().DeadLetters; got != 97 {
			t.Errorf("%d dead letters, want the 97 messages left", got)
		}
	})
}

func TestWedgedActorIsAbandonedAndNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
		must(t, err)
		d := &diary{}
		must(t, sys.Start(t.Context(), supervise.Branch("b", strategy(), spec("a", d), spec("x", nil), spec("z", d))))
		pid, _ := sys.Lookup("root/b/x")
		until := make(chan struct{})
		must(t, sys.Tell(pid, block{until}))
		synctest.Wait()
		d.take()
		begin := time.Now()
		err = sys.Stop(t.Context())
		if !errors.Is(err, supervise.ErrAbandoned) || !strings.Contains(err.Error(), "root/b/x") {
			t.Errorf("Stop = %v, want it to name the actor left behind", err)
		}
		if took := time.Since(begin); took != 2*supervise.DefaultShutdownTimeout {
			t.Errorf("stopped after %s, want twice the timeout", took)
		}
		wantLines(t, d.take(), "stop z", "stop a")
		if again := sys.Stop(t.Context()); !errors.Is(again, supervise.ErrAbandoned) {
			t.Errorf("second Stop = %v", again)
		}
		close(until)
		synctest.Wait()
		pass(time.Millisecond)
	})
}

// drainer holds its stop up until its operation in flight has come back.
type drainer struct {
	op      supervise.InFlight
	drained *bool
	asked   bool
}

func (a *drainer) Receive(c *supervise.Context) {
	switch c.Message().(type) {
	case hello:
		a.op.Start(c, func(ctx context.Context) any {
			select {
			case <-ctx.Done():
				return flushed{n: -1}
			case <-time.After(3 * time.Second):
				return flushed{n: 1}
			}
		})
	case flushed:
		*a.drained = c.Message().(flushed).n == 1
		if a.asked {
			c.Drained()
		}
	}
}

func (a *drainer) Drain(c *supervise.Context) {
	a.asked = true
	if !a.op.Busy() {
		c.Drained()
	}
}

func TestDrainerEndsItsOperationFirst(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"in time": 5 * time.Second, "too late": time.Second} {
		t.Run(name, func(t *testing.T) {
			var drained bool
			inBubble(t, supervise.Options{}, func(f *fixture) {
				f.start(supervise.Branch("b", strategy(), supervise.Spec{Name: "x", ShutdownTimeout: timeout,
					New: func() supervise.Actor { return &drainer{drained: &drained} }}))
				f.tell("root/b/x", hello{})
				begin := time.Now()
				must(t, f.Stop(f.ctx))
				want := min(timeout, 3*time.Second)
				if took := time.Since(begin); took != want || drained != (timeout > 3*time.Second) {
					t.Errorf("stopped after %s, want %s; drained %t", took, want, drained)
				}
			})
		})
	}
}

func TestRestartKinds(t *testing.T) {
	with := func(r supervise.Restart) supervise.Spec {
		s := spec("x", nil)
		s.Restart = r
		return s
	}
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(
			supervise.Branch("permanent", strategy(), with(supervise.Permanent), spec("y", nil)),
			supervise.Branch("transient", strategy(), with(supervise.Transient), spec("y", nil)),
			supervise.Branch("temporary", strategy(), with(supervise.Temporary), spec("y", nil)),
		)
		for _, b := range []string{"permanent", "transient", "temporary"} {
			f.tell("root/"+b+"/x", crash{"all of them"})
		}
		f.wantState("root/permanent/x", supervise.InBackoff)
		f.wantState("root/transient/x", supervise.InBackoff)
		if _, ok := f.Tree().Node("root/temporary/x"); ok {
			t.Error("a temporary child that failed is still in the tree")
		}
		if left := f.node("root/temporary").Budget.Left; left != 3 {
			t.Errorf("a temporary child's failure cost budget: %d left", left)
		}
		f.sleep(time.Second)
		for _, b := range []string{"permanent", "transient"} {
			f.wantState("root/"+b+"/x", supervise.Running)
			f.tell("root/"+b+"/x", doneEarly{})
		}
		f.wantState("root/transient/x", supervise.Stopped)
		n := f.wantState("root/permanent/x", supervise.InBackoff)
		if !strings.Contains(n.LastFailure.Reason, "permanent child ended") {
			t.Errorf("last failure = %+v", n.LastFailure)
		}
		f.sleep(2 * time.Second)
		if n := f.wantState("root/permanent/x", supervise.Running); n.Incarnation != 3 || n.Restarts != 2 {
			t.Errorf("a new actor of an old name keeps its record: %+v", n)
		}
		must(t, f.RestartChild(f.ctx, "root/transient", "x"))
		f.wantState("root/transient/x", supervise.Running)
	})
}

func TestStartTimeoutIsAFailure(t *testing.T) {
	var incarnations int
	late := hooked("x", nil, func(c *supervise.Context) {
		if _, ok := c.Message().(*actor.Started); ok {
			if incarnations++; incarnations == 2 {
				c.Ready()
			}
		}
	})
	late.AwaitReady, late.StartTimeout = true, 4*time.Second
	inBubble(t, supervise.Options{}, func(f *fixture) {
		begin := time.Now()
		f.start(supervise.Branch("b", strategy(), late, spec("z", nil)))
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("ready after %s, want 4 s + 1 s of backoff", took)
		}
		if n := f.node("root/b/x"); n.LastFailure == nil || !strings.Contains(n.LastFailure.Reason, "not ready in time") {
			t.Errorf("last failure = %+v", n.LastFailure)
		}
	})
}

func TestStartFailsWhenTheRootGivesUp(t *testing.T) {
	config := supervise.DefaultConfig()
	config.Root = strategy()
	bad := hooked("x", nil, func(*supervise.Context) { panic("for ever") })
	inBubble(t, supervise.Options{Config: config}, func(f *fixture) {
		err := f.Start(f.ctx, spec("a", nil), bad)
		if !errors.Is(err, supervise.ErrIntensity) {
			t.Errorf("Start = %v, want ErrIntensity", err)
		}
	})
}

func TestStartEndsWithItsContext(t *testing.T) {
	never := spec("x", nil)
	never.AwaitReady = true
	inBubble(t, supervise.Options{}, func(f *fixture) {
		ctx, cancel := context.WithTimeout(f.ctx, 3*time.Second)
		defer cancel()
		if err := f.Start(ctx, never); !errors.Is(err, supervise.ErrTimeout) {
			t.Errorf("Start = %v, want ErrTimeout", err)
		}
	})
}

func TestChildrenComeAndGo(t *testing.T) {
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), spec("a", nil)))
		pid, err := f.StartChild(f.ctx, "root/b", spec("x", nil))
		must(t, err)
		if pid.Id != "root/b/x" {
			t.Errorf("started %s", pid.Id)
		}
		_, err = f.StartChild(f.ctx, "root/b", spec("x", nil))
		wantError(t, err, supervise.ErrChildExists)
		_, err = f.StartChild(f.ctx, "root/b", supervise.Spec{Name: "no$"})
		wantError(t, err, supervise.ErrInvalidSpec)
		_, err = f.StartChild(f.ctx, "root/none", spec("y", nil))
		wantError(t, err, supervise.ErrStopped)
		_, err = f.StartChild(f.ctx, "root/b/a", spec("y", nil))
		wantError(t, err, supervise.ErrNotBranch)
		wantError(t, f.StopChild(f.ctx, "root/b", "none"), supervise.ErrNoChild)

		f.tell("root/b/x", crash{"supervised like the others"})
		f.wantState("root/b/x", supervise.InBackoff)
		must(t, f.RestartChild(f.ctx, "root/b", "x")) // an operator does not wait
		f.wantState("root/b/x", supervise.Running)

		must(t, f.RestartChild(f.ctx, "root", "b"))
		if n := f.wantState("root/b/x", supervise.Running); n.Incarnation != 3 {
			t.Errorf("after the restart of its branch: %+v", n)
		}
		must(t, f.StopChild(f.ctx, "root/b", "x"))
		if _, ok := f.Tree().Node("root/b/x"); ok {
			t.Error("a removed child is still in the tree")
		}
		must(t, f.RestartChild(f.ctx, "root", "b"))
		if _, ok := f.Tree().Node("root/b/x"); ok {
			t.Error("a removed child came back with its branch")
		}
		_, err = f.StartChild(f.ctx, "root/b", supervise.Branch("sub", strategy(), spec("leaf", nil)))
		must(t, err)
		f.wantState("root/b/sub/leaf", supervise.Running)
		must(t, f.StopChild(f.ctx, "root/b", "sub"))
		if _, ok := f.Tree().Node("root/b/sub/leaf"); ok {
			t.Error("the children of a removed branch are still in the tree")
		}
	})
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("error %v, want %v", got, want)
	}
}

func TestManyDynamicChildrenStopTogether(t *testing.T) {
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy()))
		for i := range 200 {
			s := hooked(fmt.Sprintf("s%d", i), nil, func(c *supervise.Context) {
				if _, ok := c.Message().(hello); ok {
					pass(time.Second)
				}
			})
			pid, err := f.StartChild(f.ctx, "root/b", s)
			must(t, err)
			must(t, f.Tell(pid, hello{}))
		}
		begin := time.Now()
		must(t, f.Stop(f.ctx))
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("200 children took %s to stop", took)
		}
	})
}

func TestScopes(t *testing.T) {
	for _, tc := range []struct {
		scope supervise.Scope
		want  []string
		alone string // the sibling that must not be touched
	}{
		{supervise.OneForAll, []string{"stop z", "stop x", "stop a", "start a", "start x", "start z"}, ""},
		{supervise.RestForOne, []string{"stop z", "stop x", "start x", "start z"}, "root/b/a"},
	} {
		t.Run(tc.scope.String(), func(t *testing.T) {
			d := &diary{}
			s := strategy()
			s.Scope = tc.scope
			inBubble(t, supervise.Options{}, func(f *fixture) {
				f.start(supervise.Branch("b", s, spec("a", d), spec("x", d), spec("z", d)))
				d.take()
				f.tell("root/b/x", crash{"together"})
				f.wantState("root/b/x", supervise.InBackoff)
				f.wantState("root/b/z", supervise.Stopped)
				f.sleep(time.Second)
				wantLines(t, d.take(), tc.want...)
				f.wantState("root/b/x", supervise.Running)
				if tc.alone != "" && f.count(tc.alone).incarnation != 1 {
					t.Errorf("%s was restarted", tc.alone)
				}
				for range 3 {
					f.tell("root/b/x", crash{"storm"})
					f.sleep(8 * time.Second)
				}
				if n := f.wantState("root/b", supervise.Running); n.Incarnation != 2 {
					t.Errorf("a storm must restart the branch: %+v", n)
				}
			})
		})
	}
}

func TestSpecValidation(t *testing.T) {
	mk := func() supervise.Actor { return &worker{} }
	bad := strategy()
	bad.Within = 0
	for name, s := range map[string]supervise.Spec{
		"no name":        {New: mk},
		"dollar":         {Name: "a$b", New: mk},
		"slash":          {Name: "BTC/USDT", New: mk},
		"no New":         {Name: "a"},
		"mailbox":        {Name: "a", New: mk, Mailbox: supervise.Mailbox{Capacity: -1}},
		"overflow":       {Name: "a", New: mk, Mailbox: supervise.Mailbox{Overflow: 9}},
		"restart":        {Name: "a", New: mk, Restart: 9},
		"strategy":       supervise.Branch("b", bad),
		"twins":          supervise.Branch("b", strategy(), spec("a", nil), spec("a", nil)),
		"fault far down": supervise.Branch("b", strategy(), supervise.Branch("c", strategy(), supervise.Spec{Name: "x"})),
	} {
		if err := s.Validate(); !errors.Is(err, supervise.ErrInvalidSpec) {
			t.Errorf("%s: %v, want ErrInvalidSpec", name, err)
		}
	}
	if err := supervise.Branch("b", strategy(), spec("a", nil)).Validate(); err != nil {
		t.Errorf("a good spec: %v", err)
	}
}
