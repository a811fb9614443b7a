package collector

import "github.com/marketprism/marketprism/internal/market"

// DroppedChanges is how many changes of a book were given up before there was a
// snapshot for them.
func (c *Collector) DroppedChanges(symbol string) int64 {
	for _, v := range c.venues {
		for _, r := range v.allRoutes() {
			if r.instrument.Symbol != symbol {
				continue
			}
			for _, ch := range r.figures.Load().channels {
				if ch.Kind == market.KindBookDelta {
					return ch.Dropped
				}
			}
		}
	}
	return 0
}

// Backlog is what waits for all streams, in bytes.
func (c *Collector) Backlog() int64 {
	return c.opts.backlog.bytes()
}
