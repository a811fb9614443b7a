package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Share is what a cluster's plan gives to this node.
type Share struct {
	// Revision orders plans.
	Revision uint64
	// Epoch is the ownership number of the streams that begin under this plan: above
	// that of all who had them before.
	Epoch int64
	// Streams are this node's. Those that another node asks for are given up when it
	// does ([Collector.Yield]), and not before.
	Streams map[market.StreamID]struct{}
}

// Handoff is told of streams that have been made here and hold what they receive:
// whoever has them may let go. Then the stream begins, see [Collector.Begin].
type Handoff interface {
	// Ready may be told of a stream again. It must not block.
	Ready(id market.StreamID)
}

// Messages of the subscriptions actor.
type (
	// shareChanged: there is another share.
	shareChanged struct{}
	// yield: another node has these streams now, by the plan of that revision. The
	// answer, once they have ended here and the journal has all of theirs, is yielded.
	yield struct {
		ids      []market.StreamID
		revision uint64
	}
	yielded struct {
		// seamless were recorded without a hole until they ended, refused are ours by a
		// plan that is not older.
		seamless, refused []market.StreamID
	}
)

// Take makes a share the one in force. What is new begins, once it is ready and
// [Collector.Begin] says so; what is no longer this node's goes on until another node
// asks for it. An older share than the one in force is ignored.
func (c *Collector) Take(s Share) error {
	for {
		old := c.opts.share.Load()
		if old != nil && old.Revision > s.Revision {
			return nil
		}
		if c.opts.share.CompareAndSwap(old, &s) {
			break
		}
	}
	var errs []error
	for _, v := range c.venues {
		if err := c.opts.System.Tell(v.child(subscriptionsName), shareChanged{}); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", v.name, err))
		}
	}
	return errors.Join(errs...)
}

// Begin lets streams record: nobody else does any more. Seamless are those whose owner
// before has said that it recorded them without a hole until after they were
// [Handoff.Ready].
func (c *Collector) Begin(ids, seamless []market.StreamID) {
	sure := make(map[market.StreamID]bool, len(seamless))
	for _, id := range seamless {
		sure[id] = true
	}
	for _, id := range ids {
		if r := c.routeOf(id); r != nil && r.begun.CompareAndSwap(false, true) {
			r.answer(handedOver{sure[id]})
		}
	}
}

// Waiting lists the streams that are ready and have not begun, in no order.
func (c *Collector) Waiting() (all []market.StreamID) {
	for _, v := range c.venues {
		for _, r := range v.allRoutes() {
			if r.offered.Load() && !r.begun.Load() {
				all = append(all, r.instrument.ID())
			}
		}
	}
	return all
}

// Recording lists the streams that record, in no order.
func (c *Collector) Recording() (all []market.StreamID) {
	for _, v := range c.venues {
		for _, r := range v.allRoutes() {
			if r.begun.Load() {
				all = append(all, r.instrument.ID())
			}
		}
	}
	return all
}

// Streams counts the streams that record here, and those that do not yet.
func (c *Collector) Streams() (recording, waiting int) {
	for _, v := range c.venues {
		for _, r := range v.allRoutes() {
			if r.begun.Load() || c.opts.Handoff == nil {
				recording++
			} else {
				waiting++
			}
		}
	}
	return recording, waiting
}

func (c *Collector) routeOf(id market.StreamID) *route {
	v := c.venueOf(id.Exchange, id.Market)
	if v == nil || v.instruments() == nil {
		return nil
	}
	i, err := v.instruments().Resolve(id.Symbol)
	if err != nil {
		return nil
	}
	return v.route(i)
}

// Yield gives streams up that another node has by the plan of a revision, and returns
// when their last records are in the journal. Those that are this node's by a plan
// that is not older are refused; a stream that does not run here is free to go, and
// in neither list.
func (c *Collector) Yield(ctx context.Context, ids []market.StreamID, revision uint64) (seamless, refused []market.StreamID, err error) {
	of := map[*venue][]market.StreamID{}
	for _, id := range ids {
		if v := c.venueOf(id.Exchange, id.Market); v != nil {
			of[v] = append(of[v], id)
		}
	}
	var errs []error
	for v, some := range of {
		answer, err := supervise.Ask[yielded](ctx, c.opts.System, v.child(subscriptionsName), yield{some, revision})
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: giving streams up: %w", v.name, err))
			continue
		}
		seamless, refused = append(seamless, answer.seamless...), append(refused, answer.refused...)
	}
	return seamless, refused, errors.Join(errs...)
}

// Demand is a stream that is wanted, by whatever node.
type Demand struct {
	ID market.StreamID
	// Kinds are how many data types are wanted of it.
	Kinds int
	// Subscriptions are how many it takes on sockets.
	Subscriptions int
}

// MarketDemand is what is wanted of one market.
type MarketDemand struct {
	Exchange string
	Market   market.Market
	// Known is false as long as it is not known what there is; then Streams is empty.
	Known   bool
	Streams []Demand
	// MaxSubscriptions is how many one address can subscribe anew within the time of the
	// exchange's limit on connections; 0 is without limit.
	MaxSubscriptions int
}

// Demands lists what is wanted by the configuration and the changes at run time, on
// whatever node, for each market that is enabled.
func (c *Collector) Demands() (all []MarketDemand) {
	for _, v := range c.venues {
		if !v.enabled() {
			continue
		}
		d := MarketDemand{Exchange: v.exchange, Market: v.market}
		want, table := v.demand.Load(), v.table()
		if want == nil || table == nil {
			all = append(all, d)
			continue
		}
		d.Known = true
		d.MaxSubscriptions = maxSubscriptions(table)
		for i, w := range *want {
			one := Demand{ID: i.ID(), Kinds: len(w.kinds.list())}
			for _, ch := range table.ChannelsFor(w.kinds.list()) {
				if table.Channels[ch].Poll == 0 {
					one.Subscriptions++
				}
			}
			d.Streams = append(d.Streams, one)
		}
		slices.SortFunc(d.Streams, func(a, b Demand) int { return a.ID.Compare(b.ID) })
		all = append(all, d)
	}
	return all
}

// Run is a market that this node collects, by its settings and the changes at run time.
type Run struct {
	Exchange string
	Market   market.Market
	// Kinds are the data types, as words, in order.
	Kinds []string
	// MaxSubscriptions is as in [MarketDemand]; 0 also while it is not known.
	MaxSubscriptions int
}

// Runs lists the markets that are enabled, in order.
func (c *Collector) Runs() (all []Run) {
	for _, v := range c.venues {
		if !v.enabled() {
			continue
		}
		r := Run{Exchange: v.exchange, Market: v.market, Kinds: v.wish.Load().kinds.words()}
		if table := v.table(); table != nil {
			r.MaxSubscriptions = maxSubscriptions(table)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Run) int {
		return cmp.Or(cmp.Compare(a.Exchange, b.Exchange), cmp.Compare(a.Market, b.Market))
	})
	return all
}

// maxSubscriptions is how many one address can subscribe anew within the time of the
// limit on connections; 0 is without limit.
func maxSubscriptions(table *connectors.Venue) int {
	return table.Limits.Connects.N * table.Limits.StreamsPerConnection
}

// epochNow is the ownership number of a stream that is made now.
func (o *Options) epochNow() int64 {
	if s := o.share.Load(); s != nil {
		return s.Epoch
	}
	return o.Epoch
}

// yields are the streams that were given to another node.
type yields struct {
	of      map[*market.Instrument]uint64 // by the plan of which revision
	waiting []yieldAnswer
}

type yieldAnswer struct {
	answer yielded
	to     *actor.PID
}

// yielded reports whether a stream was given to another node, by a plan that is not
// older than ours. What the very plan gives to us was asked for by mistake.
func (s *subscriptions) yielded(i *market.Instrument) bool {
	revision, ok := s.yields.of[i]
	if share := s.venue.opts.share.Load(); ok && share != nil && share.Revision == revision {
		_, mine := share.Streams[i.ID()]
		return !mine
	}
	return ok && revision >= s.revision()
}

func (s *subscriptions) revision() uint64 {
	if share := s.venue.opts.share.Load(); share != nil {
		return share.Revision
	}
	return 0
}

// own leaves what is this node's of what is wanted, and what it has that nobody has
// asked for yet.
func (s *subscriptions) own(want map[*market.Instrument]desire) map[*market.Instrument]desire {
	v := s.venue
	v.demand.Store(&want)
	if v.opts.Handoff == nil {
		return want
	}
	share, revision := v.opts.share.Load(), s.revision()
	maps.DeleteFunc(s.yields.of, func(_ *market.Instrument, given uint64) bool { return given < revision })
	own := map[*market.Instrument]desire{}
	for i, d := range want {
		mine := false
		if share != nil {
			_, mine = share.Streams[i.ID()]
		}
		r := v.route(i)
		if !s.yielded(i) && (mine || r != nil && r.begun.Load()) {
			own[i] = d
		}
	}
	if w := v.wish.Load(); w.enabled && w.top > 0 && share != nil {
		s.addPlanned(own, share, w)
	}
	return own
}

// addPlanned adds the most traded symbols that are so in the eyes of whoever made the
// plan.
func (s *subscriptions) addPlanned(own map[*market.Instrument]desire, share *Share, w *wish) {
	table := s.venue.instruments()
	var planned []*market.Instrument
	for _, i := range table.All() {
		if _, mine := share.Streams[i.ID()]; mine && !s.yielded(i) {
			planned = append(planned, i)
		}
	}
	more, _ := wanted(table, &wish{enabled: true, kinds: w.kinds}, planned, s.overlay)
	for _, i := range planned {
		if d, ok := more[i]; ok {
			if _, have := own[i]; !have {
				own[i] = d
			}
		}
	}
}

// yield gives streams up at the end of the next round.
func (s *subscriptions) yield(m yield) {
	share, table := s.venue.opts.share.Load(), s.venue.instruments()
	a := yieldAnswer{to: s.c.Sender()}
	for _, id := range m.ids {
		if share != nil && share.Revision >= m.revision {
			if _, mine := share.Streams[id]; mine {
				a.answer.refused = append(a.answer.refused, id)
				continue
			}
		}
		if table == nil {
			continue
		}
		i, err := table.Resolve(id.Symbol)
		if err != nil {
			continue // nothing of that name runs here
		}
		s.yields.of[i] = max(s.yields.of[i], m.revision)
		r := s.venue.route(i)
		if r == nil {
			continue
		}
		s.dirty = true
		if f := r.figures.Load(); r.begun.Load() && !f.resuming && !f.refusing && !f.unknowing &&
			kindSet(r.want.Load())&s.venue.made.Load().streamed&^kindSet(r.up.Load()) == 0 {
			a.answer.seamless = append(a.answer.seamless, id)
		}
	}
	s.waiting = append(s.waiting, a)
}

// answerYields answers those whose streams the round that ended has ended.
func (s *subscriptions) answerYields() {
	for _, a := range s.waiting {
		if err := s.c.System().Tell(a.to, a.answer); err != nil {
			s.c.Log().Debug("nobody waits for the streams any more")
		}
	}
	s.waiting = nil
}
