package coordinator

import (
	"context"
	"maps"
	"time"

	"go.uber.org/zap"
)

// crowd tells the collector how many nodes come from this one's address, whenever that
// changes, until ctx ends. A node with an address of its own has nothing to tell.
func (c *Coordinator) crowd(ctx context.Context, log *zap.Logger) {
	if c.o.Config.Address == "" {
		return
	}
	var told map[string]int
	for {
		s, m := c.state(), c.o.Alive()
		if now := c.sharers(s, m); !maps.Equal(now, told) {
			c.o.Collector.Sharers(now)
			log.Info("what exchanges allow this node's address it shares", zap.String("address", c.o.Config.Address), zap.Any("nodes", now))
			told = now
		}
		timer := time.NewTimer(sayEvery) // this node's own markets change without a word
		select {
		case <-timer.C:
		case <-s.changed:
		case <-m.Changed:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// sharers are, by market, how many nodes have what one address may have of it together:
// this one, and those that live, come from the same address, and run the market. Who
// lives and has not said where it comes from counts for every market: nothing is to
// be exceeded meanwhile. Where nobody says who lives, everybody counts who ever said
// that it comes from there.
func (c *Coordinator) sharers(s state, m Members) map[string]int {
	own := c.o.Collector.Markets()
	here, silent := map[string]int{}, 0
	count := func(one Ability) {
		if one.Address != c.o.Config.Address {
			return
		}
		for _, other := range one.Markets {
			here[other.Group]++
		}
	}
	if m.Known {
		for _, n := range m.Nodes {
			switch one := s.abilities[n.ID]; {
			case n.ID == c.o.Node:
			case one.known:
				count(one.Ability)
			default:
				silent++
			}
		}
	} else {
		for node, one := range s.abilities {
			if node != c.o.Node {
				count(one.Ability)
			}
		}
	}
	for _, mine := range own {
		here[mine.Group] += 0 // also of those that nobody else runs
	}
	for group := range here {
		here[group] += 1 + silent
	}
	return here
}
