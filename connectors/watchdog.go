package connectors

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// slot is what the watchdog knows of one subscription on one link.
type slot struct {
	heard atomic.Int64 // when it spoke last, or was asked for: Session.elapsed
	begun int64        // when it was asked for
}

// SilenceError says that a connection is open and dead.
type SilenceError struct {
	Conn int64
	// For is how long nothing has come.
	For time.Duration
}

// Error says which connection, and how long.
func (e *SilenceError) Error() string {
	return fmt.Sprintf("connection %d: silent for %v", e.Conn, e.For)
}

// elapsed is a moment as nanoseconds since just before the session was made, above
// 0. It goes by the monotonic clock, which steps of the time of day do not touch.
func (s *Session) elapsed(now time.Time) int64 { return int64(now.Sub(s.began)) + 1 }

// moment is now, as Unix ns of the clock that stamps, and as elapsed.
func (s *Session) moment() (at, elapsed int64) {
	now := s.o.Now()
	if s.monotonic {
		return now.UnixNano(), s.elapsed(now)
	}
	return now.UnixNano(), s.elapsed(time.Now())
}

// watch begins and ends the watch over subscriptions. The reader sees a new map,
// or the old one.
func (l *link) watch(add, drop []Subscription, now int64) {
	if len(add)+len(drop) == 0 {
		return
	}
	slots := map[Subscription]*slot{}
	for sub, have := range *l.slots.Load() {
		slots[sub] = have
	}
	for _, sub := range drop {
		delete(slots, sub)
	}
	for _, sub := range add {
		slots[sub] = &slot{begun: now}
		slots[sub].heard.Store(now)
	}
	l.slots.Store(&slots)
}

// tickEvery is how often deadlines are looked at: four times within the shortest
// of them.
func (s *Session) tickEvery() time.Duration {
	rules := s.o.Venue.Wire.Rules()
	every := 4 * time.Second
	for _, d := range []time.Duration{s.o.Reconnect.AckTimeout, rules.ServerPingEvery, rules.PingEvery} {
		if d > 0 {
			every = min(every, d)
		}
	}
	for _, c := range s.o.Venue.Channels {
		if c.Silence > 0 {
			every = min(every, c.Silence)
		}
	}
	return max(every/4, time.Millisecond)
}

// check looks at a link's deadlines: answers, signs of life, and each channel's
// silence.
func (s *Session) check(ctx context.Context, l *link) {
	if l == nil || l.ctx.Err() != nil {
		return
	}
	now := time.Now()
	s.overdue(l, now)
	s.pump(l)
	rules := s.o.Venue.Wire.Rules()
	if ping := max(rules.ServerPingEvery, rules.PingEvery); ping > 0 {
		if quiet := s.elapsed(now) - l.heard.Load(); quiet > int64(3*ping) {
			l.fail(&SilenceError{Conn: l.conn, For: time.Duration(quiet)})
			return
		}
	}
	s.silences(ctx, l, s.elapsed(now))
}
