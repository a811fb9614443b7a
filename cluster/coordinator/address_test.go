package coordinator_test

import (
	"bytes"
	"maps"
	"testing"

	"github.com/marketprism/marketprism/cluster/coordinator"
	"github.com/marketprism/marketprism/cluster/placement"
)

// Sharers implements coordinator.Collector.
func (n *node) Sharers(nodes map[string]int) {
	n.site.change(func() { n.sharers = maps.Clone(nodes) })
}

// TestLaterAbility: a node says in a later version what it can collect. It keeps its
// streams, whoever makes the plan; after it has gone back it is understood again.
func TestLaterAbility(t *testing.T) {
	s := newSite(t)
	s.plans = ringing{s.plans, s}
	s.says = map[string]bool{"a": true, "b": true, "c": true}
	a, b := s.start("a"), s.start("b")
	s.await("two nodes to share", s.spread(a, b))
	const key = "node.b"
	said, _, err := s.plans.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	later, err := coordinator.Pack(map[string]any{"version": 99, "node": "b", "collects": "everything"})
	if err != nil {
		t.Fatal(err)
	}
	// b itself writes what it can collect over that: it is of the version before.
	if _, err := s.plans.Put(t.Context(), key, later, said.Revision); err != nil {
		t.Fatal(err)
	}
	s.await("two nodes to share still", s.spread(a, b))
	back := func() bool {
		d, there, err := s.plans.Get(t.Context(), key)
		return err == nil && there && bytes.Equal(d.Value, said.Value)
	}
	s.await("it to say again what it can collect", back)

	// One that is not there to write it again, as a node of that version would.
	b.stop()
	said, _, err = s.plans.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.plans.Put(t.Context(), key, later, said.Revision); err != nil {
		t.Fatal(err)
	}
	c := s.start("c") // which makes a plan, and has never heard anything else of b
	a.stop()
	s.gone(&s.members, "a")
	s.gone(&s.alive, "a")
	s.await("a plan of the two that are left", func() bool {
		p, _ := c.coordinator.Plan()
		count := map[string]int{}
		for _, owner := range p.Owners {
			count[owner]++
		}
		return p.By == "c" && len(p.Nodes) == 2 && count["b"] >= 24 && count["c"] >= 24
	})
}

// TestAddress: nodes behind one address divide what it may have of the markets that each
// of them runs; who joins or leaves is counted at once, who has not said where it comes
// from is taken for one of them, and without word of who lives everybody counts who was
// ever there.
func TestAddress(t *testing.T) {
	s := newSite(t)
	s.ids = append(s.ids, "okx/spot/BTC-USDT")
	const binance, okx = "binance/spot", "okx/spot"
	s.config.Address = "203.0.113.7"
	have := func(nodes, ofOKX int, all ...*node) func() bool {
		return func() bool {
			for _, n := range all {
				if n.sharers[binance] != nodes || n.sharers[okx] != ofOKX {
					return false
				}
			}
			return true
		}
	}
	a := s.start("a")
	s.await("one node to have it alone", have(1, 1, a))
	b := s.startWithout("b", okx)
	s.await("two nodes to divide, and one to have what the other does not run", func() bool {
		return have(2, 1, a)() && b.sharers[binance] == 2
	})
	s.config.Address = ""
	elsewhere := s.start("elsewhere")
	s.config.Address = "203.0.113.7"
	c := s.start("c")
	s.await("three nodes to divide", have(3, 2, a, c))
	s.change(func() { s.alive = append(s.alive, placement.Node{ID: "silent", Weight: 1}) })
	s.await("who says nothing to be counted", have(4, 3, a, c))
	s.gone(&s.alive, "silent")

	c.stop()
	s.change(func() { clear(c.records) })
	s.gone(&s.members, "c")
	s.gone(&s.alive, "c")
	s.await("what the dead had to be divided", have(2, 1, a))
	s.change(func() { s.known = false })
	s.await("everybody to be counted who may live", have(3, 2, a))
	s.mu.Lock()
	defer s.mu.Unlock()
	if elsewhere.sharers != nil {
		t.Errorf("a node with an address of its own divides it: %v", elsewhere.sharers)
	}
}
