package collector

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// sessionStop bounds the farewell to an exchange.
const sessionStop = 5 * time.Second

// sessionActor owns one socket. What comes from it goes to the streams directly;
// the actor itself hears of nothing. A panic of the decoder is its own,
// and its branch restarts it with a new socket.
type sessionActor struct {
	socket  *socket
	session *connectors.Session
}

func (s *socket) spec() supervise.Spec {
	return supervise.Spec{
		Name: s.name, Kind: "session", Exchange: s.venue.exchange,
		New:             func() supervise.Actor { return &sessionActor{socket: s} },
		ShutdownTimeout: sessionStop,
	}
}

// Receive handles one message.
func (a *sessionActor) Receive(c *supervise.Context) {
	if _, ok := c.Message().(*actor.Started); ok {
		a.start(c)
	}
}

func (a *sessionActor) start(c *supervise.Context) {
	a.socket.pid.Store(c.Self())
	var err error
	if a.session, err = a.socket.begin(); err != nil {
		panic(err)
	}
	if a.socket.venue.closed.Load() {
		a.session.Stop()
		return
	}
	session := a.session
	c.Go(func(ctx context.Context) {
		if err := session.Run(ctx); err != nil && ctx.Err() == nil && !a.socket.venue.closed.Load() {
			panic(err)
		}
	})
}

// resubscribe asks the sessions that carry an instrument's book for it anew. A
// session that is being made anew brings a snapshot anyway.
func (v *venue) resubscribe(i *market.Instrument) {
	for ch := range v.table().Channels {
		if !v.kindsOfChannel(ch).has(market.KindBookDelta) {
			continue
		}
		sub := connectors.Subscription{Channel: ch, Instrument: i}
		for _, k := range v.sockets() {
			k.resubscribe(sub)
		}
	}
}
