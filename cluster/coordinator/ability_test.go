package coordinator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/marketprism/marketprism/cluster/coordinator"
	"github.com/marketprism/marketprism/cluster/placement"
)

// has counts what a node has of a market, recorded or coming. The site is locked.
func (n *node) has(market string) (count int) {
	for id := range n.records {
		if group(id) == market {
			count++
		}
	}
	return count
}

// TestMarketsOff: a node whose settings do not enable a market is given none of it, also
// where it is the one that makes the plan, and does not know what is wanted of it.
func TestMarketsOff(t *testing.T) {
	for _, planner := range []bool{false, true} {
		t.Run(fmt.Sprintf("it makes the plan: %v", planner), func(t *testing.T) {
			s := newSite(t)
			const off = "okx/spot"
			for i := range 30 {
				s.ids = append(s.ids, fmt.Sprintf("%s/COIN%d-USDT", off, i))
			}
			s.says = map[string]bool{"a": true, "b": true, "c": true}
			var a *node
			if planner {
				a = s.startWithout("a", off)
				s.await("it to have what it runs", func() bool { return a.has("binance/spot") == 60 })
			}
			b, c := s.start("b"), s.start("c")
			if !planner {
				s.await("two nodes to share", s.spread(b, c))
				a = s.startWithout("a", off)
			}
			s.await("three nodes to share, one without a market", func() bool {
				return s.spread(a, b, c)() && a.has(off) == 0 && a.has("binance/spot") >= 20
			})
			// What is wanted changes, and reaches whoever makes the plan.
			s.change(func() { s.ids = append(s.ids, off+"/NEW-USDT") })
			s.await("a new stream", s.spread(a, b, c))
			s.mu.Lock()
			wrong := a.has(off)
			s.mu.Unlock()
			if wrong != 0 {
				t.Errorf("it has %d streams of what it does not run", wrong)
			}
			now, err := coordinator.Read(t.Context(), s.plans)
			if err != nil || len(now.Abilities) != 3 || now.Abilities["a"].Runs(off) || !now.Abilities["b"].Runs(off) {
				t.Errorf("%v, abilities %+v", err, now.Abilities)
			}
		})
	}
}

// TestUnheard: a node that says what it can collect has nothing before it has said so.
func TestUnheard(t *testing.T) {
	s := newSite(t)
	s.says = map[string]bool{"silent": true}
	a := s.start("a")
	s.await("one node to have everything", s.spread(a))
	s.change(func() {
		s.members = append(s.members, placement.Node{ID: "silent", Weight: 1}, placement.Node{ID: "older", Weight: 1})
	})
	s.await("a plan with the others", func() bool {
		p, _ := a.coordinator.Plan()
		return len(p.Nodes) == 3
	})
	p, _ := a.coordinator.Plan()
	count := map[string]int{}
	for _, owner := range p.Owners {
		count[owner]++
	}
	if count["silent"] > 0 || count["older"] < 20 {
		t.Errorf("streams by node: %v", count)
	}
}

// TestPinTo: a stream goes where it is ordered to, stays there through joins, and is free
// again when the order is lifted, or ends.
func TestPinTo(t *testing.T) {
	s := newSite(t)
	a := s.start("a")
	s.await("one node to have everything", s.spread(a))
	b := s.start("b")
	s.await("two nodes to share", s.spread(a, b))
	id := ""
	s.mu.Lock()
	for one := range a.records {
		id = one
	}
	s.mu.Unlock()
	ctx := t.Context()
	pin := coordinator.Pin{Stream: id, Node: "b", By: "somebody", Reason: "closer", Since: time.Now().UTC()}
	for range 2 {
		if err := coordinator.PinTo(ctx, s.plans, pin); err != nil {
			t.Fatal(err)
		}
	}
	s.await("the stream to be where it is to be", func() bool { return b.records[id] && !a.records[id] })
	now, err := coordinator.Read(ctx, s.plans)
	if err != nil || len(now.Pins) != 1 || now.Pins[0].Stream != id || now.Pins[0].By != "somebody" {
		t.Fatalf("%v, orders %+v", err, now.Pins)
	}
	c := s.start("c")
	s.await("three nodes to share", s.spread(a, b, c))
	s.mu.Lock()
	stays := b.records[id]
	s.mu.Unlock()
	if !stays {
		t.Error("a join has moved it")
	}
	if err := coordinator.Order(ctx, s.plans, coordinator.Drain{Node: "b", Since: time.Now()}); err != nil {
		t.Fatal(err)
	}
	s.await("a node that is being emptied to have nothing", s.spread(a, c))
	if _, err := coordinator.Lift(ctx, s.plans, "b"); err != nil {
		t.Fatal(err)
	}
	s.await("it to come back", func() bool { return b.records[id] && s.spread(a, b, c)() })

	// An order that ends by itself is removed.
	pin.Node, pin.Until = "c", time.Now().Add(time.Millisecond)
	if err := coordinator.PinTo(ctx, s.plans, pin); err != nil {
		t.Fatal(err)
	}
	limit := time.Now().Add(patience)
	for there := true; there; {
		_, there, err = s.plans.Get(ctx, coordinator.PinKey(id))
		if err != nil || time.Now().After(limit) {
			t.Fatalf("%v; the order is still there: %v", err, there)
		}
	}
	if there, err := coordinator.Unpin(ctx, s.plans, id); err != nil || there {
		t.Errorf("an order that there is not: %v %v", there, err)
	}
}
