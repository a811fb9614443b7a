package limit

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how fast one client may ask.
type Rate struct {
	// PerSecond is the sustained rate in requests a second, above 0.
	PerSecond float64
	// Burst is how many may come at once, at least 1.
	Burst int
}

// Key is one client under one rule.
type Key struct {
	Rule string // which limit
	Who  string // user, key or address
}

// Verdict is what a bucket says of one request.
type Verdict struct {
	Allowed bool
	// Limit is the size of the bucket, Remaining what is left in it, in requests.
	Limit, Remaining int
	// Reset is when the bucket will be full again.
	Reset time.Duration
	// After is when the next request will be allowed; 0 while one is.
	After time.Duration
}

const shards = 64

// Rates is a table of token buckets.
type Rates struct {
	seed    maphash.Seed
	room    atomic.Int64 // of one shard
	shards  [shards]rateShard
	evicted atomic.Uint64
	refused atomic.Uint64
}

type rateShard struct {
	mu      sync.Mutex
	buckets map[Key]*bucket
	_       [40]byte // a cache line of its own
}

type bucket struct {
	limiter *rate.Limiter
	rate    Rate
	used    time.Time // last
}

// full says whether nothing is lost when the bucket is forgotten.
func (b *bucket) full(now time.Time) bool {
	return now.Sub(b.used).Seconds()*b.rate.PerSecond >= float64(b.rate.Burst)
}

// NewRates makes a table for about so many clients.
func NewRates(clients int) *Rates {
	r := &Rates{seed: maphash.MakeSeed()}
	r.SetClients(clients)
	for i := range r.shards {
		r.shards[i].buckets = map[Key]*bucket{}
	}
	return r
}

// SetClients changes how many are remembered.
func (r *Rates) SetClients(n int) { r.room.Store(roomFor(n)) }

func roomFor(clients int) int64 { return int64(max(clients/shards, 4)) }

// Take takes one request out of a client's bucket. A rate that has changed counts from
// this call on.
func (r *Rates) Take(k Key, limit Rate, now time.Time) Verdict {
	s := &r.shards[maphash.Comparable(r.seed, k)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[k]
	if b == nil {
		if int64(len(s.buckets)) >= r.room.Load() {
			r.evict(s, now)
		}
		b = &bucket{rate: limit, limiter: rate.NewLimiter(rate.Limit(limit.PerSecond), limit.Burst)}
		s.buckets[k] = b
	}
	if b.rate != limit {
		b.limiter.SetLimitAt(now, rate.Limit(limit.PerSecond))
		b.limiter.SetBurstAt(now, limit.Burst)
		b.rate = limit
	}
	b.used = now
	v := Verdict{Allowed: b.limiter.AllowN(now, 1), Limit: limit.Burst}
	left := b.limiter.TokensAt(now)
	v.Remaining = max(int(left), 0)
	v.Reset = wait(float64(limit.Burst)-left, limit.PerSecond)
	if !v.Allowed {
		r.refused.Add(1)
		v.After = wait(1-left, limit.PerSecond)
	}
	return v
}

// longest is the longest time that is said, for rates near 0.
const longest = 24 * time.Hour

func wait(tokens, perSecond float64) time.Duration {
	seconds := max(tokens, 0) / perSecond
	if math.IsNaN(seconds) || seconds > longest.Seconds() {
		return longest
	}
	return time.Duration(seconds * float64(time.Second))
}

// looked is how many buckets are compared when none is full.
const looked = 8

// evict makes room in a shard.
func (r *Rates) evict(s *rateShard, now time.Time) {
	for k, b := range s.buckets {
		if b.full(now) {
			delete(s.buckets, k)
		}
	}
	for int64(len(s.buckets)) >= r.room.Load() {
		delete(s.buckets, oldest(s.buckets))
		r.evicted.Add(1)
	}
}

// oldest is the bucket that was not used for the longest, of a few.
func oldest(buckets map[Key]*bucket) (at Key) {
	var since time.Time
	n := 0
	for k, b := range buckets {
		if n == 0 || b.used.Before(since) {
			at, since = k, b.used
		}
		if n++; n == looked {
			break
		}
	}
	return at
}

// Len is how many clients are remembered.
func (r *Rates) Len() int {
	n := 0
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		n += len(s.buckets)
		s.mu.Unlock()
	}
	return n
}

// Refused counts the requests that were not allowed.
func (r *Rates) Refused() uint64 { return r.refused.Load() }

// Evicted counts clients that were forgotten although their bucket was not full.
func (r *Rates) Evicted() uint64 { return r.evicted.Load() }
