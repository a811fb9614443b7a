package live

import (
	"strconv"

	"github.com/marketprism/marketprism/internal/market"
)

// ring holds the newest events that may be asked for again, in order.
type ring struct {
	limit, room int // events, bytes
	events      []*event
	first       int // of events
	bytes       int
	// gone is the highest number that was let go.
	gone uint64
}

func (r *ring) add(e *event) {
	r.events = append(r.events, e)
	r.bytes += e.size()
	for len(r.events)-r.first > 0 && (len(r.events)-r.first > r.limit || r.bytes > r.room) {
		old := r.events[r.first]
		r.events[r.first] = nil
		r.first++
		r.bytes -= old.size()
		r.gone = old.n
	}
	if r.first > len(r.events)/2 && r.first >= 64 {
		n := copy(r.events, r.events[r.first:])
		clear(r.events[n:])
		r.events, r.first = r.events[:n], 0
	}
}

// after yields what is kept of later numbers than n, oldest first.
func (r *ring) after(n uint64, yield func(*event)) {
	for _, e := range r.events[r.first:] {
		if e.n > n {
			yield(e)
		}
	}
}

// comeback is a client that was here before.
type comeback struct {
	asked string
	after uint64
	ours  bool // the number is of this process
	joins []*join
}

// eventID is the id of an event for clients: this process's name and the number.
func (h *Hub) eventID(n uint64) string { return h.name + "-" + strconv.FormatUint(n, 10) }

// comeBack gives a client what it has missed, or begins it anew.
func (h *Hub) comeBack(sub *Subscription, b *comeback) {
	c := sub.client
	if c.left(sub) {
		return
	}
	if c.tracked() {
		h.resume(sub, b)
		return
	}
	if why := h.gap(sub, b); why != "" {
		h.metrics.reset.Inc()
		c.reply(resetText(sub, b.asked, why))
		sub.unjoined.Add(-int32(len(b.joins))) // each is counted again
		for _, j := range b.joins {
			c.want(j)
		}
		return
	}
	h.replay(sub, b, b.joins)
}

// replay gives a client what it has missed of streams.
func (h *Hub) replay(sub *Subscription, b *comeback, joins []*join) {
	c := sub.client
	h.metrics.replayed.Inc()
	lanes := map[*Source][]*lane{}
	for _, j := range joins {
		j.source.take(j.kinds, 1)
		lanes[j.source] = h.follow(sub, j.source, j.kinds)
		c.joined(j)
	}
	h.ring.after(b.after, func(e *event) {
		for _, l := range lanes[e.source] {
			if l.kind == e.kind {
				c.replay(l, e)
			}
		}
	})
}

// gap says why a replay would not be whole; "" when it is.
func (h *Hub) gap(sub *Subscription, b *comeback) string {
	if why := h.expired(b); why != "" {
		return why
	}
	for _, j := range b.joins {
		if why := h.unkept(sub, j, b.after); why != "" {
			return why
		}
	}
	return ""
}

// expired says why nothing that followed the id can be had; "" when it can.
func (h *Hub) expired(b *comeback) string {
	switch {
	case !b.ours:
		return "the id is of another process"
	case b.after > h.n:
		return "the id is not one that was given"
	case b.after < h.ring.gone:
		return "the id is too old: what followed it is not kept any more"
	}
	return ""
}

// unkept says why what followed a number was not kept of a stream; "" when it was.
func (h *Hub) unkept(sub *Subscription, j *join, after uint64) (why string) {
	if j.source.ended() {
		return j.source.instrument.ID().String() + " has ended"
	}
	if j.source.roster == nil {
		return notKept(j.source)
	}
	sub.match.kinds.each(func(k market.Kind) {
		if kp := &j.source.keeps[k]; !kp.on || kp.since > after {
			why = notKept(j.source)
		}
	})
	return why
}

func notKept(s *Source) string {
	return "what followed the id was not kept of " + s.instrument.ID().String()
}

func resetText(sub *Subscription, asked, why string) []byte {
	dst := market.AppendJSONString([]byte(`{"type":"reset","subscription":`), sub.name)
	dst = market.AppendJSONString(append(dst, `,"last_event_id":`...), asked)
	dst = market.AppendJSONString(append(dst, `,"message":`...), why)
	return append(dst, '}')
}
