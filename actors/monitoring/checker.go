package monitoring

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
)

// Messages of the checker.
type (
	checkDue struct{}
	// checkNow asks for a round that begins after it; the answer is a checked.
	checkNow struct{}
	checked  struct{}
	polled   struct {
		at  time.Time
		all map[string][]Check
	}
)

// checker is root/monitoring/checker: one round under way at a time.
type checker struct {
	h       *Handle
	poller  poller
	op      supervise.InFlight
	next    []*actor.PID // wait for the round that is to come
	current []*actor.PID // for the one under way
}

// Receive handles one message.
func (k *checker) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		k.h.checker.Store(&ref{c.System(), c.Self()})
		c.Go(func(ctx context.Context) {
			select {
			case <-k.h.options.Begin:
				c.After(0, checkDue{})
			case <-ctx.Done():
			}
		})
	case checkDue:
		k.begin(c)
		c.After(k.h.options.Config.Health.Interval, checkDue{})
	case checkNow:
		k.next = append(k.next, c.Sender())
		k.begin(c)
	case polled:
		k.h.take(m)
		for _, pid := range k.current {
			c.Send(pid, checked{})
		}
		k.current = nil
		if len(k.next) > 0 {
			k.begin(c)
		}
	}
}

// begin starts a round, unless one is under way.
func (k *checker) begin(c *supervise.Context) {
	if k.op.Busy() {
		return
	}
	k.current, k.next = k.next, nil
	k.op.Start(c, func(ctx context.Context) any {
		return polled{at: k.h.options.Now().UTC(), all: k.poller.round(ctx)}
	})
}
