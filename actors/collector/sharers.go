package collector

import "sync"

// sharers are how many nodes have what an exchange allows one address together.
type sharers struct {
	mu sync.Mutex // also of what a market is collected with
	n  int        // this node included; 0 is it alone
}

// SetSharers says how many nodes, this one included, come from one address and have what
// the exchange allows that together, by exchange/market; of markets that are not named
// this node has it alone. Each uses an equal part of the REST weight, of the connection
// attempts and of the pace of backfills, from the next one on.
func (c *Collector) SetSharers(nodes map[string]int) {
	for _, v := range c.venues {
		v.sharers.mu.Lock()
		v.sharers.n = nodes[v.exchange+"/"+v.market.String()]
		if made := v.made.Load(); made != nil {
			made.share(v.sharers.n)
		}
		v.sharers.mu.Unlock()
	}
}

// install makes a setup the one in force.
func (v *venue) install(s *setup) {
	v.sharers.mu.Lock()
	defer v.sharers.mu.Unlock()
	s.share(v.sharers.n)
	v.made.Store(s)
}

// sharing is how many nodes have what the exchange allows, this one included.
func (v *venue) sharing() int {
	v.sharers.mu.Lock()
	defer v.sharers.mu.Unlock()
	return v.sharers.n
}

func (s *setup) share(n int) {
	s.client.SetSharers(n)
	s.pacer.SetSharers(n)
}
