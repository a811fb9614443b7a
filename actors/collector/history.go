package collector

import (
	"slices"
	"sync"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// bucketLength is the resolution of coverage, bucketsKept how far it reaches
// back: a week.
const (
	bucketLength = 15 * time.Minute
	bucketsKept  = 7 * 24 * 4
)

// history is what a stream remembers of itself for questions: the newest trades,
// the newest ledger entries, and how much of the time it was live.
type history struct {
	mu      sync.Mutex
	trades  ring[market.Trade]
	gaps    ring[market.Gap]
	buckets ring[bucket]
	ticked  int64 // last beat, Unix ns
}

// bucket is a quarter of an hour of the clock.
type bucket struct {
	start int64 // Unix ns
	// seen is how long the stream existed in it, live how long it was live; ns.
	seen, live        int64
	records, verified int64
	gaps              int64
}

func newHistory(c Config) *history {
	return &history{
		trades: ring[market.Trade]{limit: c.RecentTrades}, gaps: ring[market.Gap]{limit: c.RecentGaps},
		buckets: ring[bucket]{limit: bucketsKept},
	}
}

func (h *history) trade(t *market.Trade) {
	h.mu.Lock()
	h.trades.push(*t)
	h.mu.Unlock()
}

// gap keeps a ledger entry; a later word on the same one replaces the earlier.
func (h *history) gap(g *market.Gap) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.gaps.items {
		have := &h.gaps.items[i]
		if have.Channel == g.Channel && have.FromSeq == g.FromSeq && have.TS == g.TS {
			*have = *g
			return
		}
	}
	h.gaps.push(*g)
}

// beat accounts for the time since the last one. records, verified and gaps are
// those since then.
func (h *history) beat(now int64, live bool, records, verified, gaps int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	passed := now - h.ticked
	if h.ticked == 0 || passed < 0 {
		passed = 0
	}
	h.ticked = now
	start := now - now%int64(bucketLength)
	b := h.buckets.last()
	if b == nil || b.start != start {
		h.buckets.push(bucket{start: start})
		b = h.buckets.last()
	}
	b.seen += passed
	if live {
		b.live += passed
	}
	b.records += records
	b.verified += verified
	b.gaps += gaps
}

func (h *history) read() (trades []market.Trade, gaps []market.Gap, buckets []bucket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.trades.all(), h.gaps.all(), h.buckets.all()
}

// ring keeps the last items, up to limit.
type ring[T any] struct {
	limit int
	items []T
	next  int // where the oldest is, once full
}

func (r *ring[T]) push(v T) {
	if len(r.items) < r.limit {
		r.items = append(r.items, v)
		return
	}
	r.items[r.next] = v
	r.next = (r.next + 1) % r.limit
}

// last is the newest; nil when empty.
func (r *ring[T]) last() *T {
	if len(r.items) == 0 {
		return nil
	}
	return &r.items[(r.next+len(r.items)-1)%len(r.items)]
}

// all is a copy, oldest first.
func (r *ring[T]) all() []T {
	return slices.Concat(r.items[r.next:], r.items[:r.next])
}
