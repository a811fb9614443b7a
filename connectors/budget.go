package connectors

import (
	"sync"
	"sync/atomic"
	"time"
)

// budget is how much weight was used in a window.
type budget struct {
	window time.Time // when it began
	// used is the address's: what we have used, or what the exchange says that all have
	// who come from there.
	used int
	own  int // ours alone
}

// terms are how much weight may be used.
type terms struct {
	whole Rate // by the address
	// sharers are how many clients that has, this one included; each has an equal part.
	sharers int
}

// part is how much of a window's weight is ours, at least 1.
func (t terms) part() int { return max(1, t.whole.N/t.sharers) }

// fits reports whether a call is within a portion, above 0 up to 1, of what is allowed.
// The first call of a window always is: else a small budget would never let one through.
func (t terms) fits(b budget, weight int, portion float64) bool {
	return within(b.used, weight, portion*float64(t.whole.N)) && (t.sharers == 1 || within(b.own, weight, portion*float64(t.part())))
}

func within(used, weight int, limit float64) bool { return used == 0 || float64(used+weight) <= limit }

// left is how much of a window is left, from 0 to 1.
func (t terms) left(b budget) float64 {
	used := float64(b.used) / float64(t.whole.N)
	if t.sharers > 1 {
		used = max(used, float64(b.own)/float64(t.part()))
	}
	return max(0, 1-used)
}

// allowed are the terms in force. It is safe for concurrent use.
type allowed struct {
	mu sync.Mutex // of those who change them
	in atomic.Pointer[terms]
}

func (a *allowed) now() terms { return *a.in.Load() }

func (a *allowed) change(edit func(*terms)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := terms{sharers: 1}
	if now := a.in.Load(); now != nil {
		next = *now
	}
	edit(&next)
	a.in.Store(&next)
}

// SetLimit makes another budget of the address the one in force, from the next call on.
// That of the venue is where a client begins.
func (c *Client) SetLimit(weight Rate) { c.allowed.change(func(t *terms) { t.whole = weight }) }

// SetSharers says how many clients, this one included and at least 1, come from one
// address and have its budget together, from the next call on: this one uses an equal
// part, and where the exchange says how much the address has used, no more than all of
// it together. A client begins alone.
func (c *Client) SetSharers(n int) { c.allowed.change(func(t *terms) { t.sharers = max(1, n) }) }

// Limit is the budget in force: this client's part of what the address has.
func (c *Client) Limit() Rate {
	t := c.allowed.now()
	if t.whole.N <= 0 {
		return t.whole
	}
	return Rate{N: t.part(), Per: t.whole.Per}
}

// Remaining is how much of the REST budget of the present window is left, from 0
// to 1; ok is false where there is no budget.
func (c *Client) Remaining() (ratio float64, ok bool) {
	t := c.allowed.now()
	if t.whole.N <= 0 {
		return 0, false
	}
	b := c.budget.Load()
	if b == nil || !b.window.Equal(c.o.Now().Truncate(t.whole.Per)) {
		return 1, true
	}
	return t.left(*b), true
}
