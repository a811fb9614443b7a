package connectors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// purpose is why a demand is made.
type purpose uint8

const (
	// begin asks for subscriptions, end ends them.
	begin purpose = iota
	end
	// restart ends subscriptions to ask for them anew.
	restart
	// remind asks for subscriptions that are acknowledged and silent.
	remind
)

// phase is where a subscription is on a connection.
//
//	asked ── acknowledged ──> held ── to be renewed ──> ending
//	  ^                                                   │
//	  └─────────────── end acknowledged ──────────────────┘
type phase uint8

const (
	asked phase = 1 + iota
	held
	ending
)

// pending is a demand that has not been answered.
type pending struct {
	Demand
	purpose purpose
	sent    atomic.Int64 // when it was written, Unix ns; 0 for not yet
	traits
}

// traits are what else is known of a demand.
type traits struct {
	again bool // asked for the second time
	// renewal: it is part of a restart, and leaves the session's state alone.
	renewal bool
}

// ErrUnacknowledged says that the exchange did not answer a subscription, asked
// for twice.
var ErrUnacknowledged = errors.New("a subscription was not acknowledged")

// RefusedError is the exchange's no to a subscription.
type RefusedError struct {
	Code int64
	Text string
}

// Error gives the exchange's words.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the exchange refused: %s (code %d)", e.Text, e.Code)
}

// align asks a link for what is wanted and not asked for yet, and ends what is
// wanted no more.
func (s *Session) align(l *link) {
	if l == nil {
		return
	}
	var add, drop []Subscription
	s.mu.Lock()
	for _, sub := range s.want.list {
		if l.asked[sub] == 0 {
			add = append(add, sub)
		}
	}
	if len(l.asked)+len(add) > len(s.want.list) {
		for sub := range l.asked {
			if !s.want.contains(sub) {
				drop = append(drop, sub)
			}
		}
	}
	s.mu.Unlock()
	l.watch(add, drop, s.elapsed(time.Now()))
	s.demand(l, s.join(l, add), begin, traits{})
	s.demand(l, s.leave(l, drop), end, traits{})
}

// join notes that subscriptions are asked for and returns those that have to be:
// one of each topic that the link does not have.
func (s *Session) join(l *link, add []Subscription) []Subscription {
	wire, sharing := s.o.Venue.Wire.(Sharing)
	var ask []Subscription
	for _, sub := range add {
		l.asked[sub] = asked
		if sharing {
			topic := wire.Topic(sub)
			l.topics[topic]++
			if l.topics[topic] > 1 {
				l.asked[sub] = held // as far as it is: it has no answer of its own
				continue
			}
		}
		ask = append(ask, sub)
	}
	return ask
}

// leave notes that subscriptions are over and returns those that have to be
// ended: one of each topic that nobody keeps.
func (s *Session) leave(l *link, drop []Subscription) []Subscription {
	wire, sharing := s.o.Venue.Wire.(Sharing)
	var stop []Subscription
	for _, sub := range drop {
		was := l.asked[sub]
		delete(l.asked, sub)
		if sharing {
			topic := wire.Topic(sub)
			if l.topics[topic]--; l.topics[topic] > 0 {
				continue
			}
			delete(l.topics, topic)
		}
		if was != ending { // else the end is on its way
			stop = append(stop, sub)
		}
	}
	return stop
}

// distinct leaves one subscription of each topic.
func (s *Session) distinct(subs []Subscription) []Subscription {
	wire, sharing := s.o.Venue.Wire.(Sharing)
	if !sharing {
		return subs
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(subs), func(sub Subscription) bool {
		topic := wire.Topic(sub)
		was := seen[topic]
		seen[topic] = true
		return was
	})
}

// sharers are the wanted subscriptions that are served by the same topics.
func (s *Session) sharers(subs []Subscription) []Subscription {
	wire, sharing := s.o.Venue.Wire.(Sharing)
	if !sharing {
		return subs
	}
	topics := map[string]bool{}
	for _, sub := range subs {
		topics[wire.Topic(sub)] = true
	}
	return slices.DeleteFunc(s.Subscriptions(), func(sub Subscription) bool { return !topics[wire.Topic(sub)] })
}

// demand makes the frames for subscriptions; like is what else is known of them.
func (s *Session) demand(l *link, subs []Subscription, why purpose, like traits) {
	if len(subs) == 0 {
		return
	}
	frames := s.o.Venue.Wire.Subscribe
	if why == end || why == restart {
		frames = s.o.Venue.Wire.Unsubscribe
	}
	for _, d := range frames(s.lastID+1, subs) {
		s.lastID++
		l.queue = append(l.queue, &pending{Demand: d, purpose: why, traits: like})
	}
	s.pump(l)
}

// pump sends the demands that the exchange allows now. What is to be renewed is
// put into frames last, so that requests made meanwhile share them.
func (s *Session) pump(l *link) {
	now := time.Now()
	for len(l.queue) > 0 && l.allowance.free(now) {
		p := l.queue[0]
		l.queue = l.queue[1:]
		l.allowance.take(now)
		l.pending = append(l.pending, p)
		l.send(outgoing{body: p.Body, sent: &p.sent})
	}
	if len(l.queue) > 0 || len(l.renew.list) == 0 || !l.allowance.free(now) {
		return
	}
	var stop []Subscription
	for _, sub := range s.distinct(l.renew.take()) {
		if l.asked[sub] == held {
			l.asked[sub] = ending
			stop = append(stop, sub)
		}
	}
	s.demand(l, stop, restart, traits{renewal: true})
}

// takeRenewed carries out what Resubscribe was asked for.
func (s *Session) takeRenewed() {
	s.mu.Lock()
	subs := s.renewed.take()
	s.mu.Unlock()
	for _, l := range []*link{s.cur, s.next} {
		if l != nil && len(subs) > 0 {
			l.renew.add(subs)
			s.pump(l)
		}
	}
}

// hear acts on a frame that concerns the connection.
func (s *Session) hear(ctx context.Context, e linkEvent) {
	if e.l != s.cur && e.l != s.next {
		return
	}
	if c := e.note.Control; c != nil && c.Reply != nil {
		e.l.send(outgoing{body: c.Reply})
	}
	switch e.note.Reason {
	case Ack:
		if p := e.l.answer(e.note.Control, time.Now()); p != nil {
			s.granted(e.l, p, e.note.Control.Granted)
			s.acknowledged(e.l, p)
		}
	case Refused:
		s.refused(e.l, e.note.Control)
	case Shutdown:
		s.renew(ctx)
	}
}

// answer takes the demand that an answer belongs to; nil when it belongs to none,
// or more answers to it are to come. One that names no topic is of all of them.
func (l *link) answer(c *Control, now time.Time) *pending {
	for i, p := range l.pending {
		if len(p.Topics) > 0 && c.Topic != "" {
			n := slices.Index(p.Topics, c.Topic)
			if n < 0 {
				continue
			}
			if p.Topics = slices.Delete(slices.Clone(p.Topics), n, n+1); len(p.Topics) > 0 {
				return nil
			}
		} else if p.ID != c.ID || p.ID == 0 && len(p.Topics) > 0 {
			continue
		}
		l.pending = slices.Delete(l.pending, i, i+1)
		l.quietSince = now
		return p
	}
	return nil
}

// granted gives up those of a demand's subscriptions that the answer does not
// list.
func (s *Session) granted(l *link, p *pending, names []string) {
	if p.purpose != begin || names == nil || len(p.Names) != len(p.Subs) {
		return
	}
	var keep, missing []Subscription
	for i, sub := range p.Subs {
		if slices.Contains(names, p.Names[i]) {
			keep = append(keep, sub)
		} else {
			missing = append(missing, sub)
		}
	}
	if len(missing) > 0 {
		p.Subs = keep
		s.giveUp(l, missing, &RefusedError{Text: "not among the subscriptions that were granted"})
	}
}

// giveUp reports subscriptions that the exchange does not want to serve, and
// waits for them no more.
func (s *Session) giveUp(l *link, subs []Subscription, cause *RefusedError) {
	subs = s.sharers(subs)
	l.watch(nil, subs, 0)
	s.report(Event{Kind: SubscriptionRefused, Conn: l.conn, Subs: subs, Cause: cause})
}

// acknowledged moves the subscriptions of an answered demand on.
func (s *Session) acknowledged(l *link, p *pending) {
	switch p.purpose {
	case begin:
		for _, sub := range p.Subs {
			if l.asked[sub] == asked {
				l.asked[sub] = held
			}
		}
	case restart:
		s.beginAgain(l, p)
	case end, remind:
	}
}

// beginAgain asks for what was ended to be asked for anew, as far as it is still
// wanted.
func (s *Session) beginAgain(l *link, p *pending) {
	wire, sharing := s.o.Venue.Wire.(Sharing)
	var ask []Subscription
	for _, sub := range p.Subs {
		switch {
		case l.asked[sub] == ending:
			l.asked[sub] = asked
			ask = append(ask, sub)
		case sharing && l.asked[sub] != asked && l.topics[wire.Topic(sub)] > 0:
			ask = append(ask, sub) // it has gone since, others of its topic have not
		}
	}
	s.demand(l, ask, begin, traits{renewal: true})
}

// refused halves a refused demand until the subscription is found that the
// exchange does not like; that one is given up and reported. An end that is
// refused is one: the exchange does not have the subscription.
func (s *Session) refused(l *link, c *Control) {
	p := l.answer(c, time.Now())
	if p == nil {
		return
	}
	switch p.purpose {
	case end, remind:
		return
	case restart:
		s.beginAgain(l, p)
		return
	case begin:
	}
	if n := len(p.Subs); n > 1 {
		s.demand(l, p.Subs[:n/2], begin, p.traits)
		s.demand(l, p.Subs[n/2:], begin, p.traits)
		return
	}
	s.giveUp(l, p.Subs, &RefusedError{Code: c.Code, Text: c.Text})
}

// overdue repeats what was not answered in time; the second time the link ends.
// The time counts from when the frame was written.
func (s *Session) overdue(l *link, now time.Time) {
	for _, p := range slices.Clone(l.pending) {
		sent := p.sent.Load()
		if sent == 0 || s.elapsed(now)-sent < int64(s.o.Reconnect.AckTimeout) {
			continue
		}
		s.count.unacknowledged.Add(1)
		if p.again {
			l.fail(fmt.Errorf("connection %d: %w", l.conn, ErrUnacknowledged))
			return
		}
		l.pending = slices.DeleteFunc(l.pending, func(q *pending) bool { return p == q })
		s.demand(l, p.Subs, p.purpose, traits{again: true, renewal: p.renewal})
	}
}

// settled reports whether everything asked for has been answered.
func (l *link) settled() bool {
	open := func(p *pending) bool { return !p.renewal }
	return !slices.ContainsFunc(l.pending, open) && !slices.ContainsFunc(l.queue, open)
}

// ready reports whether a replacement has taken over: it delivers, or has had
// nothing to deliver for as long as an answer may take.
func (l *link) ready(now time.Time) bool {
	return l.ctx.Err() == nil && l.settled() && (l.delivered.Load() || now.Sub(l.quietSince) > l.s.o.Reconnect.AckTimeout)
}
