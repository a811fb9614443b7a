package limit

import "sync/atomic"

// Concurrency counts what is under way and refuses what would be too much.
type Concurrency struct {
	most, now atomic.Int64
	refused   atomic.Uint64
}

// NewConcurrency allows so many at once.
func NewConcurrency(most int) *Concurrency {
	c := &Concurrency{}
	c.SetMost(most)
	return c
}

// SetMost changes how many are allowed; what is under way goes on.
func (c *Concurrency) SetMost(n int) { c.most.Store(int64(n)) }

// Enter counts one more, or refuses it. Each one that was let in leaves once.
func (c *Concurrency) Enter() bool {
	if c.now.Add(1) > c.most.Load() {
		c.now.Add(-1)
		c.refused.Add(1)
		return false
	}
	return true
}

// Leave counts one less.
func (c *Concurrency) Leave() { c.now.Add(-1) }

// Now is how many are under way.
func (c *Concurrency) Now() int { return int(c.now.Load()) }

// Most is how many are allowed.
func (c *Concurrency) Most() int { return int(c.most.Load()) }

// Refused counts those that were refused.
func (c *Concurrency) Refused() uint64 { return c.refused.Load() }
