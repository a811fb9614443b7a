package supervise

import (
	"math/bits"
	"sync/atomic"
)

// A spread counts durations by magnitude: bucket k holds those below 512 ns · 2ᵏ that no
// bucket before it holds; the last one holds all that are longer. It forgets: whenever
// spreadKeeps are counted, all counts are halved, so that it tells of the recent ones.
// One goroutine adds, any number read.
type spread struct {
	counts [spreadBuckets]atomic.Uint32
	n      uint32 // sum of counts; writer only
}

const (
	spreadBuckets = 32
	spreadFirst   = 9 // 2⁹ ns is the bound of the first bucket; 2³⁹ ns are 550 s
	spreadKeeps   = 1024
)

func (s *spread) add(nanos int64) {
	k := 0
	if nanos > 0 {
		k = min(max(0, bits.Len64(uint64(nanos))-spreadFirst), spreadBuckets-1)
	}
	s.counts[k].Store(s.counts[k].Load() + 1)
	if s.n++; s.n < spreadKeeps {
		return
	}
	s.n = 0
	for i := range s.counts {
		half := s.counts[i].Load() / 2
		s.counts[i].Store(half)
		s.n += half
	}
}

// bound is the upper bound of bucket k in nanoseconds.
func bound(k int) float64 { return float64(uint64(1) << (spreadFirst + k)) }

// quantile is the duration in nanoseconds below which a share q of what was counted
// lies, interpolated within its bucket; 0 when nothing was counted. Being read while it
// is written costs it a little accuracy.
func (s *spread) quantile(q float64) float64 {
	var counts [spreadBuckets]float64
	total := 0.0
	for k := range s.counts {
		counts[k] = float64(s.counts[k].Load())
		total += counts[k]
	}
	rank, below, lower := q*total, 0.0, 0.0
	for k, n := range counts {
		if n > 0 && below+n >= rank {
			return lower + (bound(k)-lower)*(rank-below)/n
		}
		below += n
		lower = bound(k)
	}
	return 0
}

// buckets are those that hold something, and those between them.
func (s *spread) buckets() []Bucket {
	var out []Bucket
	filled := 0
	for k := range s.counts {
		n := s.counts[k].Load()
		if n == 0 && len(out) == 0 {
			continue
		}
		out = append(out, Bucket{Below: bound(k) / 1e9, Count: uint64(n)})
		if n > 0 {
			filled = len(out)
		}
	}
	return out[:filled]
}
