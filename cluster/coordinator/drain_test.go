package coordinator_test

import (
	"slices"
	"testing"
	"time"

	"github.com/marketprism/marketprism/cluster/coordinator"
)

// TestDrain empties nodes by order, the one that makes the plan among them.
func TestDrain(t *testing.T) {
	s := newSite(t)
	a := s.start("a")
	s.await("one node to have everything", s.spread(a))
	b, c := s.start("b"), s.start("c")
	s.await("three nodes to share", s.spread(a, b, c))
	order := func(name string) {
		t.Helper()
		for range 2 { // the same again changes nothing
			if err := coordinator.Order(t.Context(), s.plans, coordinator.Drain{Node: name, By: "somebody", Since: time.Now()}); err != nil {
				t.Fatal(err)
			}
		}
	}
	order("a")
	s.await("two nodes to share", s.spread(b, c))
	if n, _ := a.Streams(); n != 0 {
		t.Errorf("an emptied node records %d streams", n)
	}
	standing := a.coordinator.Standing()
	if !standing.Draining || standing.Recording != 0 || len(standing.Moves) < 20 {
		t.Errorf("the emptied node: %+v", standing)
	}
	if !slices.ContainsFunc(standing.Moves, func(m coordinator.Move) bool { return m.From == "a" }) {
		t.Errorf("no stream of the emptied node has moved: %+v", standing.Moves)
	}
	order("c")
	s.await("one node to have everything again", s.spread(b))
	if plan, _ := b.coordinator.Plan(); plan.By != "b" {
		t.Errorf("the plan is made by %s, which is to have nothing", plan.By)
	}

	// Where all are to have nothing, all have what they had.
	order("b")
	now, err := coordinator.Read(t.Context(), s.plans)
	drains := now.Drains
	if err != nil || len(drains) != 3 || drains[0].By != "somebody" {
		t.Fatalf("%v, orders %+v", err, drains)
	}
	s.await("somebody to have everything", func() bool {
		return slices.ContainsFunc([]*node{a, b, c}, func(n *node) bool { return s.spread(n)() }) || s.spread(a, b, c)()
	})
	for _, name := range []string{"a", "b", "c"} {
		if there, err := coordinator.Lift(t.Context(), s.plans, name); err != nil || !there {
			t.Fatalf("%s: %v %v", name, there, err)
		}
	}
	s.await("three nodes to share again", s.spread(a, b, c))
	if there, err := coordinator.Lift(t.Context(), s.plans, "a"); err != nil || there {
		t.Errorf("an order that there is not: %v %v", there, err)
	}
}
