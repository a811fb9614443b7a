package storage_test

import (
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/storage"
)

// TestStale: a store that does not get on says so, and up to where it is, until it has
// what the journal has.
func TestStale(t *testing.T) {
	t.Parallel()
	s := defaults(t)
	s.storage.StaleAfter = 3 * time.Second
	s.storage.VisibleTimeout = 0
	held := make(chan struct{})
	s.wrap = hook(&engineHook{onApply: func(seq uint64) {
		if seq > 1 {
			<-held
		}
	}})
	n := start(t, s)
	n.write(trades(0, 10))
	var f storage.Freshness
	n.eventually("a store that has what the journal has", func() bool {
		f = n.h.Freshness()
		return f.Stale == nil && f.Applied[0] == 1
	})
	n.write(trades(10, 10))
	n.eventually("a store that says that it is behind", func() bool {
		f = n.h.Freshness()
		return f.Stale != nil
	})
	if !strings.Contains(f.Stale.Error(), "shard 0: the store has the journal up to 1, and that went up to 2") || f.Age <= s.storage.StaleAfter || f.Applied[0] != 1 {
		t.Errorf("%+v", f)
	}
	if st := n.status().Shards[0]; st.Age == nil || *st.Age <= 3 || st.Doubt == "" {
		t.Errorf("the status says %+v", st)
	}
	close(held)
	n.eventually("a store that has caught up", func() bool {
		f = n.h.Freshness()
		return f.Stale == nil && f.Applied[0] == 2
	})
	n.wantIDs(20)
}
