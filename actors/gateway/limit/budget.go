package limit

import (
	"math"
	"sync"
	"time"
)

// Budget bounds second tries: a share of the requests, and a few a second whatever
// their number. Where everything fails, tries beyond the first would otherwise multiply
// the load on what is failing.
type Budget struct {
	mu       sync.Mutex
	share    float64 // of a request
	floor    float64 // a second
	saved    float64 // from requests
	idle     float64 // from time
	seen     time.Time
	refused  uint64
	withdrew uint64
}

// savings is for how many second tries requests can save.
const savings = 100

// NewBudget makes a budget of share (0 to 1) of the requests and floor a second.
func NewBudget(share, floor float64) *Budget {
	return &Budget{share: share, floor: floor, idle: math.Ceil(floor)}
}

// Set changes what it is made of.
func (b *Budget) Set(share, floor float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.share, b.floor = share, floor
}

// Deposit counts a request.
func (b *Budget) Deposit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saved = min(b.saved+b.share, savings)
}

// Withdraw says whether there may be a second try now.
func (b *Budget) Withdraw(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.seen.IsZero() {
		b.idle = min(b.idle+max(now.Sub(b.seen).Seconds(), 0)*b.floor, math.Ceil(b.floor))
	}
	b.seen = now
	switch {
	case b.idle >= 1:
		b.idle--
	case b.saved >= 1:
		b.saved--
	default:
		b.refused++
		return false
	}
	b.withdrew++
	return true
}

// Counts says how many second tries there were, and how many there might not be.
func (b *Budget) Counts() (withdrew, refused uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.withdrew, b.refused
}
