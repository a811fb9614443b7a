package collector

import (
	"context"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
)

// The static children of the branches.
const (
	restName          = "rest"
	subscriptionsName = "subscriptions"
	intakeName        = "intake"
)

const (
	// controlMailbox is room for a message from every stream.
	controlMailbox = 1 << 16
	// intakeStop bounds the closing of all sockets.
	intakeStop = 10 * time.Second
)

// Spec is the branch to start below the root. Every market that is known has its
// branch, which idles while the market is not enabled.
func (c *Collector) Spec() supervise.Spec {
	var children []supervise.Spec
	if c.opts.hub != nil { // stops after the streams that publish to it
		children = append(children, relaySpec(c.opts.hub))
	}
	for _, v := range c.venues {
		children = append(children, v.spec(c.metrics))
	}
	return supervise.Branch(Name, c.opts.Config.Restart, append(children, c.intakeSpec())...)
}

// spec is the branch of one market. Streams and sessions join it as they are
// wanted.
func (v *venue) spec(m *metrics) supervise.Spec {
	s := supervise.Branch(v.name, v.opts.Config.Restart,
		supervise.Spec{
			Name: restName, Kind: "rest", Exchange: v.exchange,
			New:     func() supervise.Actor { return newRest(v) },
			Mailbox: supervise.Mailbox{Capacity: controlMailbox},
		},
		supervise.Spec{
			Name: subscriptionsName, Kind: "subscriptions", Exchange: v.exchange,
			New:     func() supervise.Actor { return newSubscriptions(v, m) },
			Mailbox: supervise.Mailbox{Capacity: controlMailbox},
		},
		supervise.Spec{
			Name: backfillName, Kind: "backfill", Exchange: v.exchange,
			New: func() supervise.Actor { return &backfiller{venue: v} },
		},
	)
	s.Exchange = v.exchange
	return s
}

// intake is started last and so stopped first: it closes every socket and only
// then lets the streams drain.
type intake struct {
	collector *Collector
	closing   supervise.InFlight
}

// intakeClosed: every socket is closed.
type intakeClosed struct{}

func (c *Collector) intakeSpec() supervise.Spec {
	return supervise.Spec{
		Name: intakeName, Kind: "intake", ShutdownTimeout: intakeStop,
		New: func() supervise.Actor { return &intake{collector: c} },
	}
}

// Receive handles one message.
func (i *intake) Receive(c *supervise.Context) {
	switch c.Message().(type) {
	case *actor.Started:
	case intakeClosed:
		c.Drained()
	}
}

// Drain implements supervise.Drainer.
func (i *intake) Drain(c *supervise.Context) {
	i.closing.Start(c, func(context.Context) any {
		var all sync.WaitGroup
		for _, v := range i.collector.venues {
			v.closed.Store(true)
			for _, k := range v.sockets() {
				all.Go(k.close)
			}
		}
		all.Wait()
		return intakeClosed{}
	})
}
