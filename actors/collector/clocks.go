package collector

import "time"

// Clock is how far the clock of an exchange's market is ahead of ours, by the Date of
// its REST answers.
type Clock struct {
	Exchange, Market string
	Offset           time.Duration
}

// Clocks are those that have been measured.
func (c *Collector) Clocks() []Clock {
	var all []Clock
	for _, v := range c.venues {
		made := v.made.Load()
		if made == nil { // it was never enabled
			continue
		}
		if offset, _, ok := made.client.ClockOffset(); ok {
			all = append(all, Clock{Exchange: v.exchange, Market: v.market.String(), Offset: offset})
		}
	}
	return all
}
