package connectors

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Remedy is what a session does about a subscription that is silent while others on
// its connection speak. Each is given time to help, as long as the channel may be
// silent, before the next; from the second on twice as long each time.
//
//	found silent ── ReminderSent ── Resubscribed ── Resubscribed ── SocketReplaced ── SocketReplaced …
//	      ^                                                                                  │
//	      └────────────────────────────── it speaks again ───────────────────────────────────┘
type Remedy uint8

// The remedies, from mild to strong. None of them costs the subscriptions that speak
// anything.
const (
	// ReminderSent: it was asked for again, without being ended first, which loses
	// nothing if it was only quiet.
	ReminderSent Remedy = iota
	// Resubscribed: it was ended and asked for anew.
	Resubscribed
	// SocketReplaced: another connection was made for everything, and took over.
	SocketReplaced

	// NumRemedies is how many there are.
	NumRemedies
)

// String is the remedy's word: "resubscribed".
func (r Remedy) String() string {
	switch r {
	case ReminderSent:
		return "reminded"
	case Resubscribed:
		return "resubscribed"
	case SocketReplaced:
		return "replaced"
	}
	return "invalid"
}

// resubscriptions are tried before the socket is replaced.
const resubscriptions = 2

// longestWait bounds the time between two remedies: so many times what the channel
// may be silent.
const longestWait = 64

// silence is one subscription's, from when it is found until it speaks again. It
// outlives a planned replacement of the connection, not its loss.
type silence struct {
	tried int   // remedies
	next  int64 // when the next is due: Session.elapsed
}

// remedy is the one that is due next.
func (x *silence) remedy() Remedy {
	switch {
	case x.tried == 0:
		return ReminderSent
	case x.tried <= resubscriptions:
		return Resubscribed
	}
	return SocketReplaced
}

// silences reports the subscriptions that have been silent for too long, or speak
// again, and does something about the former. When all that are watched are silent the
// connection is dead.
func (s *Session) silences(ctx context.Context, l *link, now int64) {
	watched, silent, longest := 0, 0, int64(0)
	var found, due, spoke []Subscription
	slots := *l.slots.Load()
	for sub, w := range slots {
		limit := s.o.Venue.Channels[sub.Channel].Silence
		if limit == 0 {
			continue
		}
		watched++
		heard := w.heard.Load()
		quiet := now - heard
		x := s.silent[sub]
		switch {
		case quiet <= int64(limit):
			if x != nil && heard != w.begun {
				spoke = append(spoke, sub)
			}
			continue
		case x == nil:
			found = append(found, sub)
		case now >= x.next:
			due = append(due, sub)
		}
		silent++
		longest = max(longest, quiet)
	}
	if l != s.cur {
		found, due, spoke = nil, nil, nil // not its business before it takes over
	}
	if len(found) > 0 {
		s.count.silences.Add(uint64(len(found)))
		s.report(Event{Kind: Silent, Conn: l.conn, Subs: found})
	}
	if watched > 0 && silent == watched {
		l.fail(&SilenceError{Conn: l.conn, For: time.Duration(longest)})
		return
	}
	for _, sub := range found {
		s.silent[sub] = &silence{}
	}
	s.treat(ctx, l, append(found, due...), now)
	s.endSilences(slots, spoke)
	if len(spoke) > 0 {
		s.report(Event{Kind: Heard, Conn: l.conn, Subs: spoke})
	}
	s.showSilent()
}

// treat gives subscriptions the remedy that is due.
func (s *Session) treat(ctx context.Context, l *link, subs []Subscription, now int64) {
	var by [NumRemedies][]Subscription
	for _, sub := range subs {
		x := s.silent[sub]
		by[x.remedy()] = append(by[x.remedy()], sub)
		limit := int64(s.o.Venue.Channels[sub.Channel].Silence)
		x.next = now + limit*int64(min(longestWait, 1<<min(x.tried, 30)))
		x.tried++
	}
	for r, subs := range by {
		s.count.remedies[r].Add(uint64(len(subs)))
	}
	if again := by[ReminderSent]; len(again) > 0 {
		s.demand(l, s.distinct(again), remind, traits{renewal: true})
	}
	if anew := by[Resubscribed]; len(anew) > 0 {
		l.renew.add(anew)
		s.pump(l)
	}
	if len(by[SocketReplaced]) > 0 {
		s.renew(ctx)
	}
}

// endSilences forgets those of subscriptions that spoke, or are subscribed no more.
func (s *Session) endSilences(slots map[Subscription]*slot, spoke []Subscription) {
	for _, sub := range spoke {
		delete(s.silent, sub)
	}
	maps.DeleteFunc(s.silent, func(sub Subscription, _ *silence) bool { return slots[sub] == nil })
}

// showSilent lets others see which subscriptions are silent and were not helped by
// being asked for again.
func (s *Session) showSilent() {
	var list []Subscription
	for sub, x := range s.silent {
		if x.tried > 1 {
			list = append(list, sub)
		}
	}
	slices.SortFunc(list, func(a, b Subscription) int {
		if c := a.Instrument.ID().Compare(b.Instrument.ID()); c != 0 {
			return c
		}
		return a.Channel - b.Channel
	})
	s.mu.Lock()
	s.shown = list
	s.mu.Unlock()
}

// Silent lists the subscriptions that give nothing while others of the session do,
// although they were asked for again.
func (s *Session) Silent() []Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.shown)
}
