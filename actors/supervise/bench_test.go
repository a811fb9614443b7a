package supervise_test

import (
	"context"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
)

// burst is how many messages are on their way at most.
const burst = 1000

// sink says when it has seen a burst.
type sink struct {
	seen int
	done chan struct{}
}

func (s *sink) handle(message any) {
	if _, ok := message.(*hello); ok {
		if s.seen++; s.seen%burst == 0 {
			s.done <- struct{}{}
		}
	}
}

// bursts sends at least b.N messages, a burst at a time.
func (s *sink) bursts(b *testing.B, send func()) {
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += burst {
		for range burst {
			send()
		}
		<-s.done
	}
}

func benchSystem(b *testing.B) *supervise.System {
	sys, err := supervise.NewSystem(b.Context(), supervise.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = sys.Stop(context.WithoutCancel(b.Context())) })
	return sys
}

// BenchmarkTell sends bursts of 1,000 messages to one actor and waits until it
// has handled them: the library's mailbox and actor against ours, in one run.
func BenchmarkTell(b *testing.B) {
	message := &hello{}
	b.Run("library", func(b *testing.B) {
		sys := benchSystem(b).Actors()
		s := &sink{done: make(chan struct{})}
		pid := sys.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) { s.handle(c.Message()) }))
		s.bursts(b, func() { sys.Root.Send(pid, message) })
	})
	ours := func(b *testing.B, send func(sys *supervise.System, pid *actor.PID)) {
		sys := benchSystem(b)
		s := &sink{done: make(chan struct{})}
		if err := sys.Start(b.Context(), supervise.Spec{Name: "x", New: func() supervise.Actor {
			return supervise.ActorFunc(func(c *supervise.Context) { s.handle(c.Message()) })
		}}); err != nil {
			b.Fatal(err)
		}
		pid, _ := sys.Lookup("root/x")
		s.bursts(b, func() { send(sys, pid) })
	}
	b.Run("supervised", func(b *testing.B) {
		ours(b, func(sys *supervise.System, pid *actor.PID) { sys.Actors().Root.Send(pid, message) })
	})
	b.Run("supervised-Tell", func(b *testing.B) {
		ours(b, func(sys *supervise.System, pid *actor.PID) { _ = sys.Tell(pid, message) })
	})
}

// BenchmarkOne sends one message and waits until it is handled.
func BenchmarkOne(b *testing.B) {
	message := &hello{}
	done := make(chan struct{})
	b.Run("library", func(b *testing.B) {
		sys := benchSystem(b).Actors()
		pid := sys.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
			if _, ok := c.Message().(*hello); ok {
				done <- struct{}{}
			}
		}))
		b.ReportAllocs()
		for b.Loop() {
			sys.Root.Send(pid, message)
			<-done
		}
	})
	b.Run("supervised", func(b *testing.B) {
		sys := benchSystem(b)
		if err := sys.Start(b.Context(), supervise.Spec{Name: "x", New: func() supervise.Actor {
			return supervise.ActorFunc(func(c *supervise.Context) {
				if _, ok := c.Message().(*hello); ok {
					done <- struct{}{}
				}
			})
		}}); err != nil {
			b.Fatal(err)
		}
		pid, _ := sys.Lookup("root/x")
		b.ReportAllocs()
		for b.Loop() {
			sys.Actors().Root.Send(pid, message)
			<-done
		}
	})
}

// BenchmarkAsk is a request and its answer from outside.
func BenchmarkAsk(b *testing.B) {
	sys := benchSystem(b)
	if err := sys.Start(b.Context(), spec("x", nil)); err != nil {
		b.Fatal(err)
	}
	pid, _ := sys.Lookup("root/x")
	b.Run("RequestFuture", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, err := sys.Actors().Root.RequestFuture(pid, getCount{}, time.Second).Result(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Ask", func(b *testing.B) {
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		defer cancel()
		b.ReportAllocs()
		for range b.N {
			if _, err := supervise.Ask[count](ctx, sys, pid, getCount{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCredits takes and returns.
func BenchmarkCredits(b *testing.B) {
	c := supervise.NewCredits(1 << 30)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if c.TryTake(100) {
				c.Return(100)
			}
		}
	})
}

// BenchmarkSnapshot is the tree of 1,000 actors.
func BenchmarkSnapshot(b *testing.B) {
	sys := benchSystem(b)
	specs := make([]supervise.Spec, 1000)
	for i := range specs {
		specs[i] = spec("x"+time.Duration(i).String(), nil)
	}
	if err := sys.Start(b.Context(), supervise.Branch("b", strategy(), specs...)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		sys.Tree().Snapshot()
	}
}
