package connectors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// pending is a demand that has not been answered.
type pending struct {
	Demand
	unsubscribe bool
	since       time.Time
	again       bool // asked for the second time
	repeat      bool // asked for although it had been acknowledged
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
	want := s.Subscriptions()
	var add, drop []Subscription
	for _, sub := range want {
		if !l.asked[sub] {
			add = append(add, sub)
			l.asked[sub] = true
		}
	}
	for sub := range l.asked {
		if !slices.Contains(want, sub) {
			drop = append(drop, sub)
		}
	}
	for _, sub := range drop {
		delete(l.asked, sub)
	}
	l.watch(add, drop, s.o.Now().UnixNano())
	s.demand(l, add, false, false)
	s.demand(l, drop, true, false)
}

// demand sends the frames for subscriptions and waits for their answers.
func (s *Session) demand(l *link, subs []Subscription, unsubscribe, again bool) {
	if len(subs) == 0 {
		return
	}
	ask := s.o.Venue.Wire.Subscribe
	if unsubscribe {
		ask = s.o.Venue.Wire.Unsubscribe
	}
	for _, d := range ask(s.lastID+1, subs) {
		s.lastID++
		l.pending = append(l.pending, &pending{Demand: d, unsubscribe: unsubscribe, since: s.o.Now(), again: again})
		l.send(d.Body)
	}
}

// remind asks again for subscriptions that have fallen silent. They are not ended
// first: one that was only quiet loses nothing.
func (s *Session) remind(l *link, subs []Subscription) {
	before := len(l.pending)
	s.demand(l, subs, false, false)
	for _, p := range l.pending[before:] {
		p.repeat = true
	}
}

// hear acts on a frame that concerns the connection.
func (s *Session) hear(ctx context.Context, e linkEvent) {
	if e.l != s.cur && e.l != s.next {
		return
	}
	if c := e.note.Control; c != nil && c.Reply != nil {
		e.l.send(c.Reply)
	}
	switch e.note.Reason {
	case Ack:
		e.l.answer(e.note.Control, s.o.Now())
	case Refused:
		s.refused(e.l, e.note.Control)
	case Shutdown:
		s.renew(ctx)
	}
}

// answer takes the demand that an answer belongs to; nil when it belongs to none,
// or more answers to it are to come.
func (l *link) answer(c *Control, now time.Time) *pending {
	for i, p := range l.pending {
		if len(p.Topics) > 0 {
			n := slices.Index(p.Topics, c.Topic)
			if n < 0 {
				continue
			}
			if p.Topics = slices.Delete(slices.Clone(p.Topics), n, n+1); len(p.Topics) > 0 {
				return nil
			}
		} else if p.ID != c.ID {
			continue
		}
		l.pending = slices.Delete(l.pending, i, i+1)
		l.quietSince = now
		return p
	}
	return nil
}

// refused halves a refused demand until the subscription is found that the
// exchange does not like; that one is given up and reported.
func (s *Session) refused(l *link, c *Control) {
	p := l.answer(c, s.o.Now())
	if p == nil || p.unsubscribe || p.repeat {
		return
	}
	if n := len(p.Subs); n > 1 {
		s.demand(l, p.Subs[:n/2], false, p.again)
		s.demand(l, p.Subs[n/2:], false, p.again)
		return
	}
	l.watch(nil, p.Subs, 0)
	s.report(Event{Kind: SubscriptionRefused, Conn: l.conn, Subs: p.Subs, Cause: &RefusedError{Code: c.Code, Text: c.Text}})
}

// overdue repeats what was not answered in time; the second time the link ends.
func (s *Session) overdue(l *link, now time.Time) {
	for _, p := range slices.Clone(l.pending) {
		if now.Sub(p.since) < s.o.Reconnect.AckTimeout {
			continue
		}
		s.count.unacknowledged.Add(1)
		if p.again {
			l.fail(fmt.Errorf("connection %d: %w", l.conn, ErrUnacknowledged))
			return
		}
		l.pending = slices.DeleteFunc(l.pending, func(q *pending) bool { return p == q })
		s.demand(l, p.Subs, p.unsubscribe, true)
		l.pending[len(l.pending)-1].repeat = p.repeat
	}
}

// settled reports whether everything asked for has been answered.
func (l *link) settled() bool { return len(l.pending) == 0 }

// ready reports whether a replacement has taken over: it delivers, or has had
// nothing to deliver for as long as an answer may take.
func (l *link) ready(now time.Time) bool {
	return l.ctx.Err() == nil && l.settled() && (l.delivered.Load() || now.Sub(l.quietSince) > l.s.o.Reconnect.AckTimeout)
}
