package supervise_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
)

func TestMailboxOverflow(t *testing.T) {
	for _, tc := range []struct {
		policy  supervise.Overflow
		kept    []int
		lost    []any
		refused int
	}{
		{supervise.DropNewest, []int{0, 1, 2, 3}, []any{hello{4}, hello{5}}, 2},
		{supervise.DropOldest, []int{2, 3, 4, 5}, []any{hello{0}, hello{1}}, 0},
	} {
		t.Run(tc.policy.String(), func(t *testing.T) {
			var kept []int
			var lost []any
			s := hooked("x", nil, func(c *supervise.Context) {
				if m, ok := c.Message().(hello); ok {
					kept = append(kept, m.n)
				}
			})
			s.Mailbox = supervise.Mailbox{Capacity: 4, Overflow: tc.policy, OnOverflow: func(m any) { lost = append(lost, m) }}
			inBubble(t, supervise.Options{}, func(f *fixture) {
				f.start(supervise.Branch("b", strategy(), s))
				until := make(chan struct{})
				f.tell("root/b/x", block{until})
				refused := 0
				for i := range 6 {
					if err := f.Tell(f.pid("root/b/x"), hello{i}); err != nil {
						wantError(t, err, supervise.ErrMailboxFull)
						refused++
					}
				}
				if refused != tc.refused || !slices.Equal(lost, tc.lost) {
					t.Errorf("refused %d, lost %v; want %d, %v", refused, lost, tc.refused, tc.lost)
				}
				f.sleep(7 * time.Second)
				m := f.node("root/b/x").Mailbox
				if m.Depth != 4 || m.MaxDepth != 4 || m.Capacity != 4 || m.Dropped != 2 || m.Overflow != tc.policy.String() {
					t.Errorf("mailbox in the tree: %+v", m)
				}
				if n := f.node("root/b/x"); n.RunningFor != 7 {
					t.Errorf("running for %v s, want 7", n.RunningFor)
				}
				close(until)
				synctest.Wait()
				if !slices.Equal(kept, tc.kept) {
					t.Errorf("handled %v, want %v", kept, tc.kept)
				}
				if m := f.node("root/b/x").Mailbox; m.WaitMax != 7 && tc.policy == supervise.DropNewest {
					t.Errorf("longest wait %v s, want 7", m.WaitMax)
				}
			})
		})
	}
}

func TestFullMailboxStillStopsAndRestarts(t *testing.T) {
	s := spec("x", nil)
	s.Mailbox.Capacity = 2
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), s))
		f.tell("root/b/x", crash{"first"}) // suspended: what follows fills the mailbox
		f.tell("root/b/x", hello{}, hello{})
		wantError(t, f.Tell(f.pid("root/b/x"), hello{}), supervise.ErrMailboxFull)
		f.sleep(time.Second)
		if got := f.count("root/b/x").hellos; got != 2 {
			t.Errorf("%d messages outlived the restart, want 2", got)
		}
		f.tell("root/b/x", crash{"second"})
		f.tell("root/b/x", hello{}, hello{})
		must(t, f.StopChild(f.ctx, "root/b", "x"))
	})
}

func TestMailboxUnderManySenders(t *testing.T) {
	const senders, each = 8, 5000
	var handled, dropped atomic.Int64
	last := make([]int, senders)
	s := supervise.Spec{Name: "x", Mailbox: supervise.Mailbox{Capacity: 100, OnOverflow: func(any) { dropped.Add(1) }},
		New: func() supervise.Actor {
			return supervise.ActorFunc(func(c *supervise.Context) {
				if m, ok := c.Message().(hello); ok {
					handled.Add(1)
					if who, n := m.n/each, m.n%each; n <= last[who] && n > 0 {
						t.Errorf("sender %d: %d after %d", who, n, last[who])
					} else {
						last[who] = n
					}
				}
			})
		}}
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), s))
		pid := f.pid("root/b/x")
		var wg sync.WaitGroup
		var refused atomic.Int64
		for who := range senders {
			wg.Go(func() {
				for i := range each {
					if f.Tell(pid, hello{who*each + i}) != nil {
						refused.Add(1)
					}
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if got := handled.Load() + dropped.Load(); got != senders*each || refused.Load() != dropped.Load() {
			t.Errorf("%d handled + %d dropped of %d; %d refused", handled.Load(), dropped.Load(), senders*each, refused.Load())
		}
		if n := f.node("root/b/x"); n.Mailbox.Depth != 0 || n.Mailbox.Dropped != uint64(dropped.Load()) {
			t.Errorf("mailbox %+v, dropped %d", n.Mailbox, dropped.Load())
		}
	})
}

func TestMessagesToTheStopped(t *testing.T) {
	inBubble(t, supervise.Options{}, func(f *fixture) {
		s := spec("x", nil)
		s.Restart = supervise.Transient
		f.start(supervise.Branch("b", strategy(), s))
		pid := f.pid("root/b/x")
		f.tell("root/b/x", doneEarly{})
		wantError(t, f.Tell(pid, hello{}), supervise.ErrStopped)
		f.Actors().Root.Send(pid, hello{})
		f.Actors().Root.Send(actor.NewPID("nonhost", "nobody"), hello{})
		wantError(t, f.Tell(nil, hello{}), supervise.ErrStopped)
		if got := f.Tree().Snapshot().DeadLetters; got != 3 {
			t.Errorf("%d dead letters, want 3", got)
		}
		if got := f.node("root/b/x").DeadLetters; got != 2 {
			t.Errorf("%d dead letters of the actor, want 2", got)
		}
	})
}

// TestTellWhileStarting finds actors in the tree while they are being spawned.
func TestTellWhileStarting(t *testing.T) {
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := sys.Start(t.Context(), supervise.Branch("b", supervise.DefaultStrategy())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	const n = 200
	told := make(chan struct{})
	go func() {
		defer close(told)
		for i := range n {
			id := fmt.Sprintf("root/b/%d", i)
			for {
				if pid, ok := sys.Lookup(id); ok && sys.Tell(pid, "early") == nil {
					break
				}
				runtime.Gosched()
			}
		}
	}()
	heard := make(chan struct{}, n)
	for i := range n {
		spec := supervise.Spec{Name: strconv.Itoa(i), Kind: "child", New: func() supervise.Actor {
			return supervise.ActorFunc(func(c *supervise.Context) {
				if c.Message() == "early" {
					heard <- struct{}{}
				}
			})
		}}
		if _, err := sys.StartChild(t.Context(), "root/b", spec); err != nil {
			t.Fatal(err)
		}
	}
	<-told
	for range n {
		<-heard
	}
}
