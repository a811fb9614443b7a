package supervise_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
)

func TestKillInReceive(t *testing.T) {
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), spec("a", nil), spec("x", nil), spec("z", nil)))
		f.tell("root/b/a", hello{}, hello{})
		f.tell("root/b/x", hello{}, crash{"boom"}, hello{}, hello{})

		n := f.wantState("root/b/x", supervise.InBackoff)
		if n.Mailbox.Depth != 2 {
			t.Errorf("depth in backoff = %d, want the 2 messages behind the crash", n.Mailbox.Depth)
		}
		if l := n.LastFailure; l == nil || l.Reason != "boom" || l.Message != "supervise_test.crash" ||
			!strings.Contains(l.Stack, "(*worker).Receive") {
			t.Errorf("last failure = %+v", l)
		}
		if until := n.BackoffUntil; until == nil || !until.Equal(time.Now().Add(time.Second)) {
			t.Errorf("backoff until %v, want in 1 s", until)
		}
		if left := f.node("root/b").Budget.Left; left != 2 {
			t.Errorf("restarts left = %d, want 2", left)
		}

		f.sleep(time.Second - 1)
		f.wantState("root/b/x", supervise.InBackoff)
		f.sleep(1)
		n = f.wantState("root/b/x", supervise.Running)
		if got, want := f.count("root/b/x"), (count{hellos: 2, incarnation: 2}); got != want {
			t.Errorf("after the restart %+v, want %+v: a new instance with the old mailbox", got, want)
		}
		if n.Restarts != 1 || n.Failures != 1 || n.BackoffUntil != nil {
			t.Errorf("after the restart %+v", n)
		}
		for _, sibling := range []string{"root/b/a", "root/b/z"} {
			if got := f.count(sibling).incarnation; got != 1 {
				t.Errorf("%s is incarnation %d: siblings must be untouched", sibling, got)
			}
		}
		if got := f.count("root/b/a").hellos; got != 2 {
			t.Errorf("sibling lost its state: %d hellos", got)
		}
	})
}

func TestKillInStarted(t *testing.T) {
	var starts atomic.Int32
	failing := hooked("x", nil, func(c *supervise.Context) {
		if _, ok := c.Message().(*actor.Started); ok && starts.Add(1) <= 2 {
			panic("not yet")
		}
	})
	inBubble(t, supervise.Options{}, func(f *fixture) {
		d := &diary{}
		begin := time.Now()
		f.start(supervise.Branch("b", strategy(), spec("a", d), failing, spec("z", d)))
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("ready after %s, want 1 s + 2 s of backoff", took)
		}
		if n := f.node("root/b/x"); n.Incarnation != 3 || n.Failures != 2 {
			t.Errorf("after the start %+v", n)
		}
		wantLines(t, d.take(), "start a", "start z")
	})
}

func TestKillInNew(t *testing.T) {
	var made atomic.Int32
	s := spec("x", nil)
	s.New = func() supervise.Actor {
		if made.Add(1) == 1 {
			panic("cannot be made")
		}
		return &worker{}
	}
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), s))
		n := f.wantState("root/b/x", supervise.Running)
		if n.Incarnation != 2 || n.LastFailure.Reason != "cannot be made" {
			t.Errorf("after the start %+v", n)
		}
	})
}

func TestKillInStopping(t *testing.T) {
	d := &diary{}
	dying := hooked("x", d, func(c *supervise.Context) {
		switch c.Message().(type) {
		case *actor.Stopping, *actor.Stopped:
			panic("in the end")
		}
	})
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), spec("a", d), dying))
		if err := f.Stop(f.ctx); err != nil {
			t.Fatal(err)
		}
		n := f.wantState("root/b/x", supervise.Stopped)
		if n.Incarnation != 1 || n.Failures != 2 || n.LastFailure.Reason != "in the end" {
			t.Errorf("after the stop %+v, want two recorded failures and no restart", n)
		}
		f.wantState("root/b/a", supervise.Stopped)
	})
}

func TestKillInRestarting(t *testing.T) {
	dying := hooked("x", nil, func(c *supervise.Context) {
		if _, ok := c.Message().(*actor.Restarting); ok {
			panic("in between")
		}
	})
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), dying))
		f.tell("root/b/x", crash{"first"})
		f.sleep(time.Second)
		if n := f.wantState("root/b/x", supervise.Running); n.Incarnation != 2 || n.Failures != 2 {
			t.Errorf("after the restart %+v", n)
		}
	})
}

func TestKillInGoroutine(t *testing.T) {
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), spec("x", nil)))
		f.tell("root/b/x", goCrash{})
		n := f.wantState("root/b/x", supervise.InBackoff)
		if l := n.LastFailure; l.Reason != "in a goroutine" || l.Message != "goroutine" || !strings.Contains(l.Stack, "Receive.func") {
			t.Errorf("last failure = %+v", l)
		}
		f.sleep(time.Second)
		f.wantState("root/b/x", supervise.Running)
	})
}

func TestKillOfOrdinaryActorsChildKillsTheActor(t *testing.T) {
	parent := hooked("x", nil, func(c *supervise.Context) {
		if _, ok := c.Message().(*actor.Started); ok {
			if _, err := c.SpawnSpec(spec("below", nil)); err != nil {
				panic(err)
			}
		}
	})
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), parent))
		f.tell("root/b/x/below", crash{"below"})
		n := f.wantState("root/b/x", supervise.InBackoff)
		if !strings.Contains(n.LastFailure.Reason, "below") {
			t.Errorf("last failure = %+v", n.LastFailure)
		}
		f.sleep(time.Second)
		f.wantState("root/b/x", supervise.Running)
		if n := f.wantState("root/b/x/below", supervise.Running); n.Failures != 0 {
			t.Errorf("the new child has a past: %+v", n)
		}
	})
}

func TestGoroutinesEndWithTheirIncarnation(t *testing.T) {
	var running, ended atomic.Int32
	s := hooked("x", nil, func(c *supervise.Context) {
		switch c.Message().(type) {
		case *actor.Started:
			c.Go(func(ctx context.Context) {
				running.Add(1)
				<-ctx.Done()
				pass(time.Second) // the actor waits for it
				running.Add(-1)
				ended.Add(1)
			})
		}
	})
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), s))
		f.tell("root/b/x", crash{1})
		if running.Load() != 1 {
			t.Fatal("the goroutine ends with the restart, not with the failure")
		}
		f.sleep(2*time.Second - 1)
		if n := f.node("root/b/x"); n.Incarnation != 1 || n.Goroutines != 1 {
			t.Errorf("while the goroutine ends: %+v", n)
		}
		f.sleep(1)
		f.wantState("root/b/x", supervise.Running)
		if running.Load() != 1 || ended.Load() != 1 {
			t.Errorf("after the restart %d run, %d ended; want 1 and 1", running.Load(), ended.Load())
		}
		if err := f.Stop(f.ctx); err != nil {
			t.Fatal(err)
		}
		if running.Load() != 0 || ended.Load() != 2 {
			t.Errorf("after the stop %d run, %d ended; want 0 and 2", running.Load(), ended.Load())
		}
	})
}

func TestGoroutineThatDoesNotEndIsLeftBehind(t *testing.T) {
	release := make(chan struct{})
	s := hooked("x", nil, func(c *supervise.Context) {
		if _, ok := c.Message().(*actor.Started); ok {
			c.Go(func(context.Context) { <-release })
		}
	})
	synctest.Test(t, func(t *testing.T) {
		release = make(chan struct{})
		sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := sys.Start(t.Context(), supervise.Branch("b", strategy(), s)); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := sys.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != supervise.DefaultShutdownTimeout {
			t.Errorf("stopped after %s, want %s", took, supervise.DefaultShutdownTimeout)
		}
		if n, _ := sys.Tree().Node("root/b/x"); n.Goroutines != 1 || n.State != supervise.Stopped {
			t.Errorf("left behind: %+v", n)
		}
		close(release)
		pass(time.Millisecond) // the library's throttle of dead letters
	})
}

type flushed struct{ n int }

func TestInFlight(t *testing.T) {
	type flush struct{ block chan struct{} }
	var got []int
	var refused int
	newActor := func() supervise.Actor {
		var op supervise.InFlight
		n := 0
		return supervise.ActorFunc(func(c *supervise.Context) {
			switch m := c.Message().(type) {
			case flush:
				n++
				k := n
				if !op.Start(c, func(ctx context.Context) any {
					select {
					case <-m.block:
					case <-ctx.Done():
					}
					return flushed{n: k}
				}) {
					refused++
				}
			case flushed:
				if op.Busy() {
					t.Error("busy while its result is handled")
				}
				got = append(got, m.n)
			case crash:
				panic(m.reason)
			case goCrash:
				op.Start(c, func(context.Context) any { panic("in an operation") })
			}
		})
	}
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), supervise.Spec{Name: "x", New: newActor}))
		first := make(chan struct{})
		f.tell("root/b/x", flush{first}, flush{first})
		if refused != 1 || len(got) != 0 {
			t.Fatalf("refused %d, got %v; want one refused while one is in flight", refused, got)
		}
		close(first)
		synctest.Wait()
		if len(got) != 1 || got[0] != 1 {
			t.Fatalf("got %v, want [1]", got)
		}
		f.tell("root/b/x", flush{make(chan struct{})}, crash{"with one in flight"})
		f.sleep(time.Second)
		f.wantState("root/b/x", supervise.Running)
		if len(got) != 1 {
			t.Fatalf("got %v: the result of an ended incarnation must be dropped", got)
		}
		f.tell("root/b/x", goCrash{})
		if n := f.wantState("root/b/x", supervise.InBackoff); n.LastFailure.Reason != "in an operation" {
			t.Errorf("last failure = %+v", n.LastFailure)
		}
	})
}

func TestTimers(t *testing.T) {
	type beat struct{}
	type once struct{}
	var beats, onces, cancelled atomic.Int32
	s := hooked("x", nil, func(c *supervise.Context) {
		switch c.Message().(type) {
		case *actor.Started:
			c.Every(time.Second, beat{})
			c.After(3*time.Second, once{})
			c.After(time.Second, hello{})() // stopped at once
		case beat:
			beats.Add(1)
		case once:
			onces.Add(1)
		case hello:
			cancelled.Add(1)
		}
	})
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), s))
		f.sleep(5500 * time.Millisecond)
		if beats.Load() != 5 || onces.Load() != 1 || cancelled.Load() != 0 {
			t.Errorf("after 5.5 s %d beats, %d once, %d cancelled; want 5, 1, 0", beats.Load(), onces.Load(), cancelled.Load())
		}
		f.tell("root/b/x", crash{"old timers must die"})
		f.sleep(1 * time.Second) // restart
		beats.Store(0)
		f.sleep(2500 * time.Millisecond)
		if beats.Load() != 2 {
			t.Errorf("%d beats in 2.5 s of the second incarnation, want 2", beats.Load())
		}
	})
}

func TestBackoffGrowsIsCappedAndResets(t *testing.T) {
	s := strategy()
	s.Restarts = 100
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", s, spec("x", nil)))
		kill := func(want time.Duration) {
			t.Helper()
			f.tell("root/b/x", crash{"again"})
			until := f.wantState("root/b/x", supervise.InBackoff).BackoffUntil
			if got := time.Until(*until); got != want {
				t.Errorf("backoff of %s, want %s", got, want)
			}
			f.sleep(want)
			f.wantState("root/b/x", supervise.Running)
		}
		for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} {
			kill(want)
		}
		f.sleep(29 * time.Second)
		kill(8 * time.Second)
		f.sleep(30 * time.Second)
		kill(time.Second)
	})
}

func TestJitterIsInjected(t *testing.T) {
	s := strategy()
	s.Backoff.Jitter = 0.2
	inBubble(t, supervise.Options{Jitter: func() float64 { return 0 }}, func(f *fixture) {
		f.start(supervise.Branch("b", s, spec("x", nil)))
		f.tell("root/b/x", crash{1})
		if got := time.Until(*f.wantState("root/b/x", supervise.InBackoff).BackoffUntil); got != 800*time.Millisecond {
			t.Errorf("backoff of %s, want 800 ms", got)
		}
	})
}

func TestStormEscalates(t *testing.T) {
	d := &diary{}
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("top", strategy(),
			spec("other", d),
			supervise.Branch("b", strategy(), spec("a", d), spec("x", d), spec("z", d))))
		d.take()
		for _, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
			f.tell("root/top/b/x", crash{"storm"})
			f.sleep(wait)
			f.wantState("root/top/b/x", supervise.Running)
		}
		if left := f.node("root/top/b").Budget.Left; left != 0 {
			t.Errorf("restarts left = %d, want 0", left)
		}
		d.take()

		f.tell("root/top/b/x", crash{"one too many"})
		n := f.wantState("root/top/b", supervise.InBackoff)
		if !strings.Contains(n.LastFailure.Reason, "too many restarts, last of root/top/b/x") || n.LastFailure.Stack == "" {
			t.Errorf("failure of the branch = %+v", n.LastFailure)
		}
		f.wantState("root/top/b/a", supervise.Stopped)
		wantLines(t, d.take(), "stop z", "stop x", "stop a")

		f.sleep(time.Second)
		f.wantState("root/top/b", supervise.Running)
		wantLines(t, d.take(), "start a", "start x", "start z")
		if got := f.node("root/top/b").Budget.Left; got != 3 {
			t.Errorf("a new incarnation has %d restarts left, want 3", got)
		}
		if got := f.count("root/top/other").incarnation; got != 1 {
			t.Error("the branch's sibling was touched")
		}
		if !f.Ready() {
			t.Error("a branch's failure must not make the system unready")
		}
	})
}

func TestWindowSlides(t *testing.T) {
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), spec("x", nil)))
		for range 10 { // one in 31 s is two a minute
			f.tell("root/b/x", crash{"now and then"})
			f.sleep(31 * time.Second)
			f.wantState("root/b/x", supervise.Running)
		}
		if n := f.node("root/b"); n.Failures != 0 || n.Budget.Total != 10 {
			t.Errorf("the branch: %+v", n)
		}
	})
}

func TestTopGivesUp(t *testing.T) {
	var hook error
	config := supervise.DefaultConfig()
	config.Root = strategy()
	config.Root.Restarts = 0
	d := &diary{}
	inBubble(t, supervise.Options{Config: config, OnFatal: func(err error) { hook = err }}, func(f *fixture) {
		f.start(spec("a", d), spec("x", d))
		if !f.Ready() || f.Err() != nil {
			t.Fatal("not ready after Start")
		}
		d.take()
		f.tell("root/x", crash{errors.New("fatal")})
		select {
		case <-f.Fatal():
		default:
			t.Fatal("Fatal is open")
		}
		if f.Ready() || !errors.Is(f.Err(), supervise.ErrIntensity) || !errors.Is(hook, supervise.ErrIntensity) {
			t.Errorf("ready %t, Err %v, hook %v", f.Ready(), f.Err(), hook)
		}
		var p *supervise.PanicError
		if !errors.As(f.Err(), &p) || p.Error() != "panic in supervise_test.crash: fatal" {
			t.Errorf("Err = %v, want the panic in it", f.Err())
		}
		wantLines(t, d.take(), "stop x", "stop a")
		f.wantState("root", supervise.Failed)
	})
}
