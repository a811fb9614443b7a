package remoting

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster/wire"
)

// desk is an actor that answers questions: each on a goroutine of its own, so many at
// once and no more.
type desk struct {
	incarnation *incarnation
	slots       chan struct{}
	answer      func(ctx context.Context, c *wire.Call) (*wire.Reply, error)
}

// deskSpec describes a desk. at is how many questions it answers at once.
func (i *incarnation) deskSpec(name, kind string, at int, answer func(context.Context, *wire.Call) (*wire.Reply, error)) supervise.Spec {
	return supervise.Spec{
		Name: name, Kind: kind, Mailbox: supervise.Mailbox{Capacity: 4 * underWay, OnOverflow: i.overflow},
		New: func() supervise.Actor { return &desk{i, make(chan struct{}, at), answer} },
	}
}

// overflow answers what a mailbox has no room for.
func (i *incarnation) overflow(message any) {
	_, m, sender := actor.UnwrapEnvelope(message)
	if c, ok := m.(*wire.Call); ok {
		i.reply(sender, c, nil, &Refused{Reason: wire.Reason_REASON_BUSY})
	}
}

// Receive handles one message.
func (d *desk) Receive(c *supervise.Context) {
	call, ok := c.Message().(*wire.Call)
	if !ok {
		return
	}
	sender := c.Sender()
	select {
	case d.slots <- struct{}{}:
	default:
		d.incarnation.reply(sender, call, nil, &Refused{Reason: wire.Reason_REASON_BUSY})
		return
	}
	c.Go(func(ctx context.Context) {
		defer func() { <-d.slots }()
		if ms := call.GetWithinMs(); ms > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
			defer cancel()
		}
		defer func() { // whoever asks does not wait for what its supervisor does
			if p := recover(); p != nil {
				d.incarnation.reply(sender, call, nil, Refuse(wire.Reason_REASON_FAILED, "the question made the node fail"))
				panic(p)
			}
		}()
		r, err := d.answer(ctx, call)
		d.incarnation.reply(sender, call, r, err)
	})
}

// reply answers, or says why there is no answer.
func (i *incarnation) reply(to *actor.PID, c *wire.Call, r *wire.Reply, err error) {
	if err != nil {
		r = &wire.Reply{Answer: &wire.Reply_Refusal{Refusal: refusal(err)}}
	}
	r.From = i.r.o.Node
	i.r.metrics.answer(c, r)
	if to == nil {
		return
	}
	if err := send(i.system.Actors(), to, r); err != nil {
		i.log.Debug("an answer was not sent", zap.Error(err))
	}
}
