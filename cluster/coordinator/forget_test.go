package coordinator_test

import (
	"testing"
	"time"

	"github.com/marketprism/marketprism/cluster/coordinator"
)

// remembered are the nodes of which it is kept what they can collect.
func (s *site) remembered() (all map[string]coordinator.Ability) {
	s.Helper()
	now, err := coordinator.Read(s.Context(), s.plans)
	if err != nil {
		s.Fatal(err)
	}
	return now.Abilities
}

// until asks the store, whenever somebody has heard from it, until something holds.
func (s *site) until(what string, ok func() bool) {
	s.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		s.mu.Lock()
		next := s.changed
		s.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-next:
		case <-limit.C:
			s.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestForget: what a node can collect is forgotten once it has been away for long, and not
// while it only leaves; a node that is taken out for good leaves nothing behind, and one
// that lives says it again.
func TestForget(t *testing.T) {
	s := newSite(t)
	s.forget, s.plans = time.Second, ringing{s.plans, s}
	a, b := s.start("a"), s.start("b")
	s.await("two nodes to share", s.spread(a, b))
	s.until("both to have said what they can collect", func() bool { return len(s.remembered()) == 2 })
	s.gone(&s.members, "b")
	s.await("one node to have everything", s.spread(a))
	if _, there := s.remembered()["b"]; !there {
		t.Error("a node that leaves is forgotten")
	}
	b.stop()
	s.gone(&s.alive, "b")
	s.until("a node that is away to be forgotten", func() bool {
		_, there := s.remembered()["b"]
		return !there
	})
	if _, there := s.remembered()["a"]; !there {
		t.Error("a node that is there is forgotten")
	}

	if err := coordinator.Order(t.Context(), s.plans, coordinator.Drain{Node: "a", Since: time.Now()}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "never"} {
		if err := coordinator.Forget(t.Context(), s.plans, name); err != nil {
			t.Fatal(err)
		}
	}
	now, err := coordinator.Read(t.Context(), s.plans)
	if err != nil || len(now.Drains) != 0 {
		t.Errorf("%v, orders %+v", err, now.Drains)
	}
	s.until("a node that lives to say it again", func() bool { return len(s.remembered()) == 1 })
}
