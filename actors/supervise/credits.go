package supervise

import (
	"fmt"
	"sync/atomic"
)

// Credits is a pool of bytes that a consumer grants to its producers. A recorder
// makes one of the traffic it can hold in memory; a stream actor takes the size
// of a record before it sends it, and the recorder returns that size when the
// journal has acknowledged the record (or the record was given up). The bytes in
// flight therefore never exceed the capacity, and no one ever blocks: a producer
// without credit decides at once what to do with its record (a book drops its
// deltas and restarts with a snapshot; trades go to the gap ledger).
//
// All methods are safe for concurrent use and lock-free.
type Credits struct {
	capacity  int64
	taken     atomic.Int64
	exhausted atomic.Uint64
}

// NewCredits makes a pool of capacity bytes, all available. It panics on a
// capacity that is not positive.
func NewCredits(capacity int64) *Credits {
	if capacity <= 0 {
		panic(fmt.Sprintf("supervise: credits of %d bytes", capacity))
	}
	return &Credits{capacity: capacity}
}

// TryTake takes n bytes, all or nothing, and reports whether it did. A refusal is
// counted. n may not be negative; n above the capacity is always refused.
func (c *Credits) TryTake(n int64) bool {
	if n < 0 {
		panic(fmt.Sprintf("supervise: taking %d bytes of credit", n))
	}
	for {
		taken := c.taken.Load()
		if n > c.capacity-taken {
			c.exhausted.Add(1)
			return false
		}
		if c.taken.CompareAndSwap(taken, taken+n) {
			return true
		}
	}
}

// Return gives n bytes back. It panics when more is returned than was taken: the
// bound would be lost without a trace otherwise.
func (c *Credits) Return(n int64) {
	if n < 0 {
		panic(fmt.Sprintf("supervise: returning %d bytes of credit", n))
	}
	for {
		taken := c.taken.Load()
		if n > taken {
			panic(fmt.Sprintf("supervise: %d bytes of credit returned, %d were taken", n, taken))
		}
		if c.taken.CompareAndSwap(taken, taken-n) {
			return
		}
	}
}

// Capacity is the size of the pool in bytes.
func (c *Credits) Capacity() int64 { return c.capacity }

// Available is how many bytes can be taken now.
func (c *Credits) Available() int64 { return c.capacity - c.taken.Load() }

// Exhausted counts the refusals so far.
func (c *Credits) Exhausted() uint64 { return c.exhausted.Load() }
