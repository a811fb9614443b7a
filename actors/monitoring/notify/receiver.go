package notify

import (
	"context"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
)

// receiver tells one destination, one message after the other.
type receiver struct {
	handle  *Handle
	to      *outlet
	teller  teller
	waiting []order
	call    supervise.InFlight
	ending  bool
}

// called is what became of an order.
type called struct {
	order order
	err   error
	took  time.Duration
	tries int
}

func (r *receiver) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		var err error
		if r.teller, err = r.to.open(c.Log()); err != nil {
			panic(err) // a certificate file that is gone: the supervisor tries again
		}
		r.to.at.Store(&ref{c.System(), c.Self()})
	case *actor.Stopping, *actor.Restarting:
		if r.teller != nil {
			r.teller.close()
		}
	case order:
		if len(r.waiting) >= r.handle.options.Config.Queue {
			r.handle.metrics.told(r.to.kind, outcomeRefused)
			r.answer(c, told{m, errBusy})
			return
		}
		r.waiting = append(r.waiting, m)
		r.begin(c)
	case called:
		r.ended(c, m)
		if r.begin(c); r.ending && !r.call.Busy() {
			c.Drained()
		}
	case told: // the dispatcher's mailbox was full
		r.answer(c, m)
	}
}

// Drain implements supervise.Drainer: what is being told is told to its end, what waits
// is told by the next process.
func (r *receiver) Drain(c *supervise.Context) {
	r.ending, r.waiting = true, nil
	if !r.call.Busy() {
		c.Drained()
	}
}

func (r *receiver) begin(c *supervise.Context) {
	if len(r.waiting) == 0 || r.ending {
		return
	}
	o := r.waiting[0]
	h, teller, now := r.handle, r.teller, r.handle.options.Now
	if r.call.Start(c, func(ctx context.Context) any {
		begun := now()
		tries, err := h.attempt(ctx, teller, r.to.kind, o)
		return called{o, err, now().Sub(begun), tries}
	}) {
		r.waiting = r.waiting[1:]
	}
	r.to.depth.Store(int64(len(r.waiting)))
}

// attempt tries until it is told, refused for good, or the order's time is over.
func (h *Handle) attempt(ctx context.Context, t teller, kind string, o order) (tries int, err error) {
	ctx, cancel := context.WithDeadlineCause(ctx, o.deadline.Add(h.options.Config.Attempt), errLate)
	defer cancel()
	if err := h.confirm(ctx, o); err != nil {
		return 0, err
	}
	pause := h.options.Config.RetryFirst
	for {
		tries++
		if err = t.tell(ctx, o.message); err == nil || permanent(err) {
			return tries, err
		}
		if h.options.Now().Add(pause).After(o.deadline) {
			return tries, err
		}
		h.metrics.told(kind, outcomeRetried)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return tries, errors.Join(err, context.Cause(ctx))
		}
		pause = min(2*pause, h.options.Config.RetryLast)
	}
}

func (r *receiver) ended(c *supervise.Context, m called) {
	if errors.Is(m.err, errElsewhere) {
		r.answer(c, told{m.order, m.err})
		return
	}
	r.handle.metrics.took(r.to.kind, m.took)
	if m.err == nil {
		r.handle.metrics.told(r.to.kind, outcomeSent)
		c.Note("")
	} else {
		r.handle.metrics.told(r.to.kind, outcomeFailed)
		c.Note(m.err.Error())
		c.Log().Warn("notification failed", zap.String("receiver", r.to.id), zap.Int("attempts", m.tries), zap.Int("alerts", len(m.order.message.alerts)), zap.Error(m.err))
	}
	r.to.standing.Store(&outletStanding{err: m.err})
	r.answer(c, told{m.order, m.err})
}

// answer tells the dispatcher, again and again while its mailbox is full.
func (r *receiver) answer(c *supervise.Context, t told) {
	if err := r.handle.tellDispatcher(t); errors.Is(err, supervise.ErrMailboxFull) {
		c.After(answerAgain, t)
	}
}

// answerAgain is the pause before a result is brought to a full mailbox again.
const answerAgain = 100 * time.Millisecond

var (
	errBusy = errors.New("too many messages wait for the receiver")
	errLate = errors.New("the group's next turn has come")
)
