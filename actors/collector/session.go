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

// Messages of a session actor.
type (
	// resubscribe: a book needs the snapshot that a new subscription brings.
	resubscribe struct{ subs []connectors.Subscription }
	// subscribeAgain follows it, once the session has ended the old subscription.
	subscribeAgain resubscribe
)

// resubscribeAfter is what a session gets to send the end of a subscription
// before it is asked for anew: it knows no step that is both.
const resubscribeAfter = 250 * time.Millisecond

// sessionActor owns one socket. What comes from it goes to the streams directly;
// the actor itself hears of commands alone. A panic of the decoder is its own,
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
	switch m := c.Message().(type) {
	case *actor.Started:
		a.start(c)
	case resubscribe:
		a.session.Unsubscribe(m.subs...)
		c.After(resubscribeAfter, subscribeAgain(m))
	case subscribeAgain:
		have := a.socket.subscriptions()
		for _, sub := range m.subs {
			for _, h := range have {
				if h == sub { // still wanted
					a.session.Subscribe(sub)
				}
			}
		}
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

// resubscribe asks the session that carries an instrument's book for it anew.
func (v *venue) resubscribe(i *market.Instrument) {
	for _, k := range v.sockets() {
		var subs []connectors.Subscription
		for _, sub := range k.subscriptions() {
			if sub.Instrument == i && v.kindsOfChannel(sub.Channel).has(market.KindBookDelta) {
				subs = append(subs, sub)
			}
		}
		if pid := k.pid.Load(); len(subs) > 0 && pid != nil {
			if err := v.opts.System.Tell(pid, resubscribe{subs}); err != nil {
				v.retries.Add(1) // the socket is gone, or made anew: both bring a snapshot
			}
		}
	}
}
