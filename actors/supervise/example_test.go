package supervise_test

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
)

type (
	tick          struct{ Price float64 }
	statusRequest struct{}
	status        struct{ Ticks int }
)

type ticker struct{ ticks int }

func (t *ticker) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case tick:
		if m.Price <= 0 {
			panic("tick without a price")
		}
		t.ticks++
	case statusRequest:
		c.Respond(status{Ticks: t.ticks})
	}
}

type session struct{}

func (s *session) Receive(c *supervise.Context) {
	switch c.Message().(type) {
	case *actor.Started:
		c.Go(func(ctx context.Context) { <-ctx.Done() }) // reads its socket
		c.Ready()
	}
}

// A branch with two children; the second one crashes, and comes back with what
// was in its mailbox.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	strategy := supervise.DefaultStrategy()
	strategy.Backoff.Base = time.Millisecond
	collector := supervise.Branch("collector", strategy,
		supervise.Spec{
			Name: "session", Exchange: "binance",
			New:        func() supervise.Actor { return &session{} },
			AwaitReady: true,
		},
		supervise.Spec{
			Name:    "ticker",
			New:     func() supervise.Actor { return &ticker{} },
			Mailbox: supervise.Mailbox{Capacity: 4096, Overflow: supervise.DropOldest},
		},
	)
	sys, err := supervise.NewSystem(ctx, supervise.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := sys.Start(ctx, collector); err != nil {
		fmt.Println(err)
		return
	}
	pid, _ := sys.Lookup("root/collector/ticker")
	for _, price := range []float64{100, 101, 0, 102} {
		if err := sys.Tell(pid, tick{price}); err != nil {
			fmt.Println(err)
		}
	}
	st, err := supervise.Ask[status](ctx, sys, pid, statusRequest{})
	n, _ := sys.Tree().Node("root/collector/ticker")
	fmt.Println(st.Ticks, "tick since the restart,", err)
	fmt.Println(n.State, n.Restarts, n.LastFailure.Reason)
	fmt.Println(sys.Stop(ctx))
	// Output:
	// 1 tick since the restart, <nil>
	// running 1 tick without a price
	// <nil>
}
