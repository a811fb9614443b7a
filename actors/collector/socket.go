package collector

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// socket is one session as the rest of the branch sees it: what it is to
// subscribe, how it does, and where its deliveries go. It outlives the
// incarnations of its actor.
type socket struct {
	venue *venue
	name  string
	url   string
	group string
	known *market.Instruments

	mu    sync.Mutex
	subs  []connectors.Subscription
	state connectors.State
	conn  int64
	since time.Time
	fault string

	connects, disconnects, refused atomic.Uint64
}

func (s *socket) subscriptions() []connectors.Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.subs)
}

func (s *socket) status() SessionStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := SessionStatus{
		Name: s.name, URL: s.url, State: s.state.String(), Connection: s.conn, Subscriptions: len(s.subs),
		Connects: s.connects.Load(), Disconnects: s.disconnects.Load(), Refused: s.refused.Load(), LastError: s.fault,
	}
	if !s.since.IsZero() {
		t := s.since.UTC()
		out.Since = &t
	}
	return out
}

func (s *socket) live() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == connectors.Live
}
