package collector

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// Coverage is kept by the quarter of an hour for a day, and by the hour for a week:
// thousands of streams remember theirs.
const (
	bucketLength = 15 * time.Minute
	bucketsKept  = 24 * 4
	hourLength   = time.Hour
	hoursKept    = 7 * 24
)

// history is what a stream remembers of itself for questions: the newest trades,
// the newest ledger entries, and how much of the time it was live.
type history struct {
	mu      sync.Mutex
	trades  tape
	gaps    ring[market.Gap]
	buckets tape
	hours   tape
	now     bucket // begun
	hour    bucket // begun: the whole quarters of it
	ticked  int64  // last beat, Unix ns

	begun atomic.Int64 // when the first stored record was received, Unix ns; 0 unknown
}

// bucket is a quarter of an hour of the clock, or an hour.
type bucket struct {
	start int64 // Unix ns
	// seen is how long the stream existed in it, live how long it was live; ns.
	seen, live        int64
	records, verified int64
	gaps              int64
}

func newHistory(c Config) *history {
	return &history{
		trades: tape{limit: c.RecentTrades}, gaps: ring[market.Gap]{limit: c.RecentGaps},
		buckets: tape{limit: bucketsKept - 1}, // and the one begun
		hours:   tape{limit: hoursKept - 1},
	}
}

func (h *history) trade(t *market.Trade) {
	row, extra := packTrade(t, nil)
	h.mu.Lock()
	h.trades.push(&row, extra)
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
	if h.now.start != start {
		h.turn()
		h.now = bucket{start: start}
	}
	b := &h.now
	b.seen += passed
	if live {
		b.live += passed
	}
	b.records += records
	b.verified += verified
	b.gaps += gaps
}

// turn keeps the quarter that is over, and the hour when another begins.
func (h *history) turn() {
	if h.now.start == 0 {
		return
	}
	row := packBucket(&h.now)
	h.buckets.push(&row, nil)
	start := h.now.start - h.now.start%int64(hourLength)
	if h.hour.start != start {
		if h.hour.start != 0 {
			row := packBucket(&h.hour)
			h.hours.push(&row, nil)
		}
		h.hour = bucket{start: start}
	}
	h.hour.add(h.now)
}

// newest are the trades that are remembered, oldest first, as those of i.
func (h *history) newest(i *market.Instrument) []market.Trade {
	h.mu.Lock()
	defer h.mu.Unlock()
	trades := make([]market.Trade, 0, h.trades.len())
	h.trades.each(func(row *tapeRow, extra []byte) { trades = append(trades, unpackTrade(row, extra, i)) })
	return trades
}

// read gives the ledger, and coverage in order of time: whole hours, then quarters.
func (h *history) read() (gaps []market.Gap, hours, quarters []bucket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hours.each(func(row *tapeRow, _ []byte) { hours = append(hours, unpackBucket(row)) })
	h.buckets.each(func(row *tapeRow, _ []byte) { quarters = append(quarters, unpackBucket(row)) })
	if h.now.start != 0 {
		quarters = append(quarters, h.now)
	}
	return h.gaps.all(), hours, quarters
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

// all is a copy, oldest first.
func (r *ring[T]) all() []T {
	return slices.Concat(r.items[r.next:], r.items[:r.next])
}
