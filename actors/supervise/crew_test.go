package supervise_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
)

func tear() { panic("torn") }

// TestCrew: a panic of one goroutine ends the others and is the owner's, whose supervisor
// starts it anew; the process lives.
func TestCrew(t *testing.T) {
	var lives, ended atomic.Int32
	owner := hooked("owner", nil, func(c *supervise.Context) {
		if _, ok := c.Message().(*actor.Started); !ok {
			return
		}
		c.Go(func(ctx context.Context) {
			crew := supervise.NewCrew(ctx)
			crew.Go(func(ctx context.Context) {
				<-ctx.Done()
				ended.Add(1)
			})
			if lives.Add(1) == 1 {
				crew.Go(func(context.Context) { tear() })
			}
			if err := crew.Wait(); err != nil {
				panic(err)
			}
		})
	})
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), owner))
		n := f.wantState("root/b/owner", supervise.InBackoff)
		if l := n.LastFailure; l == nil || l.Reason != "torn" || l.Message != "goroutine" || !strings.Contains(l.Stack, "supervise_test.tear") {
			t.Errorf("last failure = %+v", l)
		}
		if lives.Load() != 1 || ended.Load() != 1 {
			t.Errorf("%d lives, %d ended", lives.Load(), ended.Load())
		}
		f.sleep(time.Second)
		f.wantState("root/b/owner", supervise.Running)
		must(t, f.Stop(f.ctx))
		if lives.Load() != 2 || ended.Load() != 2 {
			t.Errorf("after the stop %d lives, %d ended", lives.Load(), ended.Load())
		}
	})
}

func TestCrewStop(t *testing.T) {
	crew := supervise.NewCrew(t.Context())
	crew.Go(func(ctx context.Context) { <-ctx.Done() })
	if err := errors.Join(crew.Stop(), crew.Stop()); err != nil {
		t.Errorf("a crew that ends in order: %v", err)
	}
	below := supervise.NewCrew(t.Context())
	below.Go(func(context.Context) { tear() })
	crew = supervise.NewCrew(t.Context())
	crew.Go(func(context.Context) { panic(below.Wait()) })
	var p *supervise.PanicError
	if err := crew.Wait(); !errors.As(err, &p) || p.Reason != "torn" || crew.Ctx().Err() == nil {
		t.Errorf("of a crew below: %v", err)
	}
}
