package live

import (
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// lane is one follower of one stream and kind.
type lane struct {
	sub    *Subscription
	source *Source
	kind   market.Kind
	policy Policy
	at     int // among the source's lanes; the relay's

	// Under the client's lock.
	pending, bytes int    // in its queue
	behind         bool   // what comes is dropped until it is begun anew
	lost           int    // dropped since
	latest         *event // stands at the marker in the queue
	marked         bool
	replaced       int // records that latest has replaced

	// The reader's.
	left int // changes still to come in what was taken
	run  []*event
}

// keep is whether events of one stream and kind are kept for replay.
type keep struct {
	on    bool
	refs  int       // followers with a replay
	since uint64    // everything after this number was kept
	until time.Time // once there are none
}

// relay handles one event.
func (h *Hub) relay(e *event) {
	s := e.source
	switch e.what {
	case aRecord, aState:
		if s.roster == nil {
			return
		}
		h.n++
		e.n = h.n
		h.keep(e)
		for _, l := range s.lanes[e.kind] {
			l.sub.client.push(l, e)
		}
	case begins:
		for _, j := range e.begin.joins {
			h.begin(j, e.begin)
		}
	case leaves:
		h.leave(e.sub)
	case comesBack:
		h.comeBack(e.sub, e.back)
	case ends:
		h.endSource(s, e)
	case marks:
		h.mark(e.sub)
	}
}

// begin makes a client follow a stream.
func (h *Hub) begin(j *join, b *beginning) {
	c := j.sub.client
	if j.again != nil {
		c.begin(j, []*lane{j.again}, b)
		h.mark(j.sub)
		return
	}
	if c.left(j.sub) {
		j.source.take(j.kinds, -1)
		c.unask(j)
		return
	}
	c.begin(j, h.follow(j.sub, j.source, j.kinds), b)
	h.mark(j.sub)
}

// follow makes the lanes of a client in a stream that counts it already.
func (h *Hub) follow(sub *Subscription, s *Source, all kinds) []*lane {
	from := len(sub.lanes)
	sub.followed++
	if s.roster == nil {
		s.roster = new(roster)
	}
	all.each(func(k market.Kind) {
		l := &lane{sub: sub, source: s, kind: k, policy: PolicyOf(k), at: len(s.lanes[k])}
		s.lanes[k] = append(s.lanes[k], l)
		sub.lanes = append(sub.lanes, l)
		if sub.client.consumer != Events {
			return
		}
		kp := &s.keeps[k]
		if !kp.on {
			kp.on, kp.since = true, h.n
			s.take(kindsOf(k), 1)
		}
		kp.refs++
	})
	return sub.lanes[from:]
}

// leave takes a subscription's lanes out.
func (h *Hub) leave(sub *Subscription) {
	for _, l := range sub.lanes {
		h.drop(l)
	}
	sub.lanes = nil
}

func (h *Hub) drop(l *lane) {
	s := l.source
	list := s.lanes[l.kind]
	if l.at >= len(list) || list[l.at] != l {
		return // the stream has ended
	}
	last := len(list) - 1
	list[l.at] = list[last]
	list[l.at].at = l.at
	list[last] = nil
	s.lanes[l.kind] = list[:last]
	s.take(kindsOf(l.kind), -1)
	if l.sub.client.consumer == Events {
		kp := &s.keeps[l.kind]
		if kp.refs--; kp.refs == 0 {
			kp.until = h.now().Add(h.config.ReplayFor)
		}
	}
}

// keep puts an event into the ring if it may be asked for again.
func (h *Hub) keep(e *event) {
	kp := &e.source.keeps[e.kind]
	if !kp.on {
		return
	}
	if kp.refs == 0 && h.now().After(kp.until) {
		kp.on = false
		e.source.take(kindsOf(e.kind), -1)
		return
	}
	h.ring.add(e)
}

// endSource tells followers that a stream is no more.
func (h *Hub) endSource(s *Source, e *event) {
	for _, j := range e.begin.joins {
		if j.again == nil {
			j.source.take(j.kinds, -1)
		}
		j.sub.client.unask(j)
	}
	if s.roster == nil {
		return
	}
	told := map[*Subscription]bool{}
	for k := range s.lanes {
		for _, l := range s.lanes[k] {
			if !told[l.sub] {
				told[l.sub] = true
				l.sub.followed--
				l.sub.client.tell(l, e)
			}
		}
		s.lanes[k] = nil
	}
	for sub := range told {
		h.mark(sub)
	}
}

// mend begins the books of a stream anew that has lost something on its way here,
// and ends the clients who can not do without it.
func (h *Hub) mend(s *Source) {
	if s.roster == nil {
		return
	}
	for k := range s.lanes {
		s.keeps[k].since = h.n
		for _, l := range s.lanes[k] {
			switch l.policy {
			case Merged:
				l.sub.client.fallBehind(l)
			case Sequenced:
				l.sub.client.end(CodeOverloaded, "the server could not keep up with "+s.instrument.ID().String(), outcomeOverloaded)
			case Latest:
			}
		}
	}
}
