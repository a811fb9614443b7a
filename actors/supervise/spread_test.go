package supervise

import (
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	var s spread
	if got := s.quantile(0.99); got != 0 || len(s.buckets()) != 0 {
		t.Errorf("of nothing: %v, %v", got, s.buckets())
	}
	for range 980 {
		s.add(int64(10 * time.Microsecond))
	}
	for range 20 {
		s.add(int64(3 * time.Millisecond))
	}
	for _, c := range []struct {
		q      float64
		lo, hi time.Duration
	}{{0.5, 8192, 16384}, {0.9, 8192, 16384}, {0.99, 2_097_152, 4_194_304}, {1, 2_097_152, 4_194_304}} {
		if got := time.Duration(s.quantile(c.q)); got < c.lo || got > c.hi {
			t.Errorf("quantile %v is %v, want %v to %v", c.q, got, c.lo, c.hi)
		}
	}
	all := s.buckets()
	if len(all) != 9 || all[0].Count != 980 || all[8].Count != 20 || all[0].Below != 16384e-9 {
		t.Errorf("buckets %+v", all)
	}
	for range 20 * spreadKeeps { // long ago counts no more
		s.add(1)
	}
	if got := s.quantile(0.99); got > 512 {
		t.Errorf("what was long ago still counts: %v", got)
	}
	s = spread{}
	s.add(-5)
	s.add(int64(time.Hour))
	if all := s.buckets(); len(all) != spreadBuckets || all[0].Count != 1 || all[spreadBuckets-1].Count != 1 {
		t.Errorf("ends: %+v", all)
	}
}
