package coordinator_test

import (
	"maps"
	"testing"

	"github.com/marketprism/marketprism/cluster/placement"
)

// Sharers implements coordinator.Collector.
func (n *node) Sharers(nodes map[string]int) {
	n.site.change(func() { n.sharers = maps.Clone(nodes) })
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
