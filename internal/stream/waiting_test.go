package stream_test

import (
	"testing"

	"github.com/marketprism/marketprism/internal/stream"
)

// Until the exchange is asked for the snapshot only the newest changes are kept; from
// then on all; and only the newest again when the call failed.
func TestPendingIsBoundedUntilTheExchangeIsAsked(t *testing.T) {
	cfg := config()
	cfg.MaxUnasked = 3
	s := stream.New(cfg)
	var o stream.Output
	next := int64(1)
	change := func(n int64) {
		for range n {
			s.Step(delta(next, next), &o)
			next++
		}
	}
	dropped := func(when string, want int64) {
		t.Helper()
		if got := s.Stats()[0].Dropped; got != want {
			t.Errorf("%s: %d changes dropped, want %d", when, got, want)
		}
	}
	change(50)
	dropped("before the exchange is asked", 47)
	s.SnapshotAsked(true)
	change(50)
	dropped("while the snapshot is on its way", 47)
	s.SnapshotAsked(false)
	dropped("after the call failed", 97)
	s.SnapshotAsked(true)
	change(20)
	o.Reset()
	s.Snapshot(snapshot(99), &o)
	if got, want := line(&o), "s99@1000 d100 d101 d102 d103 d104 d105 d106 d107 d108 d109 d110 d111 d112 d113 d114 d115 d116 d117 d118 d119 d120"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A live book whose refresh waits for its turn keeps little, loses nothing by it, and
// is refreshed all the same.
func TestRefreshKeepsLittleUntilTheExchangeIsAsked(t *testing.T) {
	cfg := config()
	cfg.MaxUnasked = 2
	s := stream.New(cfg)
	var o stream.Output
	s.Step(delta(1, 1), &o)
	s.Snapshot(snapshot(1), &o)
	o.Reset()
	s.RefreshBook(&o)
	for i := int64(2); i <= 40; i++ {
		s.Step(delta(i, i), &o)
	}
	s.SnapshotAsked(true)
	for i := int64(41); i <= 50; i++ {
		s.Step(delta(i, i), &o)
	}
	before := s.Stats()[0].Dropped
	o.Reset()
	s.Snapshot(snapshot(44), &o)
	if got, want := line(&o), "s44@450"; got != want {
		t.Errorf("got %s, want %s: what was passed on already comes once", got, want)
	}
	if b, st := s.Book(); st.State != stream.Live || st.Seq != 50 {
		t.Errorf("the book is %s at %d: %v", st.State, st.Seq, b)
	}
	if after := s.Stats()[0].Dropped; after != before || before != 1 {
		t.Errorf("%d changes dropped, then %d; want the one that the first snapshot held", before, after)
	}
}
