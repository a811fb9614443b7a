package collector

import (
	"errors"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// route is the way to one stream actor, and what is known of it from outside. It
// outlives the actor's incarnations.
type route struct {
	venue      *venue
	instrument *market.Instrument
	pid        atomic.Pointer[actor.PID]

	// want are the kinds subscribed, up those that a live session delivers.
	want, up atomic.Uint32
	origin   atomic.Uint32
	// posted counts deliveries put into the mailbox, handled those taken out.
	posted, handled atomic.Uint64
	// lost are kinds of which the mailbox refused a delivery.
	lost atomic.Uint32
	// poked: the actor was told to look at the lane and has not yet.
	poked  atomic.Bool
	lane   lane
	flight flight
	room   room
	share  share
	// hungry: an entry is filling up, and is handed over when one comes back.
	hungry atomic.Bool
	// epoch is the ownership number that its records carry.
	epoch int64
	// begun: nobody else records it any more, as far as those who answer know.
	begun atomic.Bool
	// offered: it holds what it receives, and could begin.
	offered atomic.Bool
	// born counts incarnations, also over a restart of the whole branch.
	born atomic.Uint64
	// crashed: the last incarnation ended by a panic. final: the stream ends for
	// good.
	crashed, final atomic.Bool

	counts  counts
	figures atomic.Pointer[figures]
	history *history
	live    *live.Source // nil where nothing is followed
}

// counts go up for as long as the route lives.
type counts struct {
	deliveries, records, published, publishErrors atomic.Uint64
	// refused are deliveries that the mailbox did not take, overheld records that a
	// resuming stream could not hold, unrecorded those that the journal refused.
	refused, overheld, unrecorded atomic.Uint64
	// last is the receive time of the newest delivery, Unix ns.
	last atomic.Int64
}

// figures are the step function's, copied once a second. Counters hold those of
// earlier incarnations too.
type figures struct {
	channels []stream.ChannelStats
	book     stream.BookStatus
	hasBook  bool
	live     bool
	refusing bool
	resuming bool
	// unknowing: what was stored before the start is not known yet.
	unknowing bool
	cause     string // why the journal refused last
}

func newRoute(v *venue, i *market.Instrument) *route {
	r := &route{venue: v, instrument: i, history: newHistory(v.opts.Config), epoch: v.opts.epochNow()}
	r.room.init()
	r.figures.Store(&figures{resuming: true})
	r.live = v.opts.hub.Open(i, func() {
		if r.pid.Load() != nil { // else the actor looks when it starts
			r.poke()
		}
	})
	return r
}

// set notes what is wanted of the stream.
func (r *route) set(d desire) {
	r.want.Store(uint32(d.kinds))
	r.origin.Store(uint32(d.origin))
}

// begin makes a new incarnation the route's end and returns its number. A new
// mailbox, after the branch was restarted, holds nothing of what was posted.
func (r *route) begin(c *supervise.Context) uint64 {
	if c.Incarnation() == 1 {
		r.handled.Store(r.posted.Load())
	}
	r.giveBack(c.Incarnation() == 1)
	r.pid.Store(c.Self())
	r.poked.Store(false)
	r.hungry.Store(false)
	return r.born.Add(1)
}

// part is a stream's share of a delivery with records of several instruments.
type part struct {
	of         *shared
	instrument *market.Instrument
	memory     int64 // its share
}

// shared is a delivery that several streams read at once; the last one releases
// it.
type shared struct {
	delivery *connectors.Delivery
	left     atomic.Int32
}

func (s *shared) release() {
	if s.left.Add(-1) == 0 {
		s.delivery.Release()
	}
}

// crowded reports whether the mailbox is full but for what other messages need.
func (r *route) crowded() bool {
	capacity := uint64(r.venue.opts.Config.StreamMailbox)
	return r.posted.Load()-r.handled.Load() >= capacity-capacity/8
}

// post puts a delivery, or a part of one, into the mailbox; memory is what it keeps,
// in bytes. False says that it was refused, counted, and will show as a gap.
func (r *route) post(message any, kinds kindSet, memory int64) bool {
	o := r.venue.opts
	if r.crowded() {
		r.room.await(o.Config.MailboxWait, &r.handled, func() bool { return !r.crowded() })
	}
	if o.backlog.full() {
		o.backlog.room.await(o.Config.MailboxWait, &o.backlog.handled, func() bool { return !o.backlog.full() })
		if o.backlog.full() {
			r.overflow(kinds)
			r.poke() // it may have nothing to handle that makes it look
			return false
		}
	}
	r.mailed(memory)
	if err := o.System.Tell(r.pid.Load(), message); err != nil {
		r.mailed(-memory)
		if errors.Is(err, supervise.ErrMailboxFull) {
			r.overflow(kinds)
		} else {
			r.counts.refused.Add(1)
		}
		return false
	}
	r.posted.Add(1)
	return true
}

// overflow counts a delivery that is lost, and tells the stream of which kinds.
func (r *route) overflow(kinds kindSet) {
	r.counts.refused.Add(1)
	if r.lost.Or(uint32(kinds))&uint32(kinds) != uint32(kinds) {
		r.lane.put(r.posted.Load(), overflow{})
	}
}

// tell sends what must not be lost, after the deliveries sent before.
func (r *route) tell(message any) {
	if r.lane.n.Load() == 0 {
		if err := r.venue.opts.System.Tell(r.pid.Load(), message); err == nil {
			return
		}
	}
	r.lane.put(r.posted.Load(), message)
	r.poke()
}

// answer sends what must not be lost and need not wait for its turn.
func (r *route) answer(message any) {
	r.lane.put(0, message)
	r.poke()
}

// wake makes a stream actor look at its lane.
type wake struct{}

// poke wakes the actor. When the mailbox is full there is no need to: the actor
// looks at the lane after every message.
func (r *route) poke() {
	if r.poked.CompareAndSwap(false, true) {
		if err := r.venue.opts.System.Tell(r.pid.Load(), wake{}); err != nil {
			r.poked.Store(false)
		}
	}
}
