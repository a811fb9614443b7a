package collector

import (
	"slices"
	"sync"
	"sync/atomic"
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
	buckets ring[quarter]
	ticked  int64 // last beat, Unix ns

	begun atomic.Int64 // when the first stored record was received, Unix ns; 0 unknown
}

// bucket is a quarter of an hour of the clock.
type bucket struct {
	start int64 // Unix ns
	// seen is how long the stream existed in it, live how long it was live; ns.
	seen, live        int64
	records, verified int64
	gaps              int64
}

// quarter is a bucket as it is kept: there are hundreds of them for each stream.
type quarter struct {
	start             uint32 // in bucketLengths since 1970
	seen, live        uint32 // ms
	records, verified uint32
	gaps              uint32
}

func (q *quarter) bucket() bucket {
	return bucket{
		start: int64(q.start) * int64(bucketLength), seen: int64(q.seen) * 1e6, live: int64(q.live) * 1e6,
		records: int64(q.records), verified: int64(q.verified), gaps: int64(q.gaps),
	}
}

func newHistory(c Config) *history {
	return &history{
		trades: ring[market.Trade]{limit: c.RecentTrades}, gaps: ring[market.Gap]{limit: c.RecentGaps},
		buckets: ring[quarter]{limit: bucketsKept},
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
	start := uint32(now / int64(bucketLength))
	b := h.buckets.last()
	if b == nil || b.start != start {
		h.buckets.push(quarter{start: start})
		b = h.buckets.last()
	}
	b.seen += uint32(passed / 1e6)
	if live {
		b.live += uint32(passed / 1e6)
	}
	b.records += uint32(records)
	b.verified += uint32(verified)
	b.gaps += uint32(gaps)
}

func (h *history) read() (trades []market.Trade, gaps []market.Gap, buckets []bucket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, q := range h.buckets.all() {
		buckets = append(buckets, q.bucket())
	}
	return h.trades.all(), h.gaps.all(), buckets
}

// ring keeps the last items, up to limit.
type ring[T any] struct {
	limit int
	items []T
	next  int // where the oldest is, once full
}

func (r *ring[T]) push(v T) {
	if n := len(r.items); n < r.limit {
		if n == cap(r.items) { // never beyond the limit
			r.items = append(make([]T, 0, min(r.limit, max(8, 2*n))), r.items...)
		}
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
