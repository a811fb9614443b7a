package supervise_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
)

// TestChaos kills, restarts, adds and removes at random, from several goroutines,
// with branches that escalate all the time. Whatever happens, Stop must end every
// actor in order, and no goroutine may be left.
func TestChaos(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { chaos(t, seed) })
	}
}

func chaos(t *testing.T, seed uint64) {
	config := supervise.DefaultConfig()
	config.Root = strategy()
	config.Root.Restarts = 1 << 20
	var alive atomic.Int64
	flaky := func(name string) supervise.Spec {
		return hooked(name, nil, func(c *supervise.Context) {
			switch c.Message().(type) {
			case *actor.Started:
				alive.Add(1)
				c.Go(func(ctx context.Context) { <-ctx.Done() })
				if rand.IntN(10) == 0 {
					panic("in Started")
				}
			case *actor.Stopping, *actor.Restarting:
				alive.Add(-1)
				if rand.IntN(10) == 0 {
					panic("in the end")
				}
			}
		})
	}
	inBubble(t, supervise.Options{Config: config}, func(f *fixture) {
		var specs []supervise.Spec
		for i, scope := range []supervise.Scope{supervise.OneForOne, supervise.OneForAll, supervise.RestForOne} {
			s := strategy()
			s.Scope, s.Restarts = scope, 2
			inner := supervise.Branch("inner", s, flaky("deep"))
			specs = append(specs, supervise.Branch(fmt.Sprintf("b%d", i), s, flaky("a"), inner, flaky("z")))
		}
		f.start(specs...)
		var wg sync.WaitGroup
		for worker := range uint64(4) {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, worker))
				for range 150 {
					f.harm(r)
					pass(time.Duration(r.IntN(400)) * time.Millisecond)
				}
			})
		}
		wg.Wait()
		must(t, f.Stop(f.ctx))
		synctest.Wait()
		if n := alive.Load(); n != 0 {
			t.Errorf("%d incarnations began and did not end", n)
		}
		for _, n := range f.Tree().Snapshot().Actors {
			if n.State != supervise.Stopped || n.Goroutines != 0 {
				t.Errorf("%s is %s with %d goroutines after Stop", n.ID, n.State, n.Goroutines)
			}
		}
		if errors.Is(f.Err(), supervise.ErrIntensity) {
			t.Errorf("the root gave up: %v", f.Err())
		}
	})
}

// harm does one thing to the tree. Errors are part of the game: what it aims at
// may be gone, or about to be.
func (f *fixture) harm(r *rand.Rand) {
	branch := fmt.Sprintf("root/b%d", r.IntN(3))
	leaf := branch + "/" + []string{"a", "z", "inner/deep", "extra"}[r.IntN(4)]
	asking, cancel := context.WithTimeout(f.ctx, time.Second)
	defer cancel()
	switch pid, ok := f.Lookup(leaf); r.IntN(8) {
	case 0, 1:
		if ok {
			_ = f.Tell(pid, crash{"chaos"})
		}
	case 2:
		if ok {
			_ = f.Tell(pid, goCrash{})
		}
	case 3:
		if ok {
			_ = f.Tell(pid, doneEarly{})
		}
	case 4:
		_, _ = f.StartChild(asking, branch, spec("extra", nil))
	case 5:
		_ = f.StopChild(asking, branch, "extra")
	case 6:
		_ = f.RestartChild(asking, branch, "inner")
	case 7:
		_ = f.RestartChild(asking, "root", branch[len("root/"):])
	}
}

// TestBranchThatPanicsItselfIsRestarted: a fault in a supervisor is a failure
// like any other.
func TestBranchThatPanicsItselfIsRestarted(t *testing.T) {
	var draws atomic.Int32
	jitter := func() float64 {
		if draws.Add(1) == 1 {
			panic("in the supervisor")
		}
		return 0.5
	}
	d := &diary{}
	inBubble(t, supervise.Options{Jitter: jitter}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), spec("a", d), spec("x", d)))
		d.take()
		f.tell("root/b/x", crash{"first"})
		f.wantState("root/b", supervise.InBackoff)
		f.sleep(time.Second)
		f.wantState("root/b", supervise.Running)
		wantLines(t, d.take(), "stop x", "stop a", "start a", "start x")
	})
}
