package live_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/collector/live"
)

var everything = live.Filter{Kinds: []string{"book_delta", "trade"}}

// back is a follower that comes back with an id, and the books that it had.
func (w *world) back(was *follower, id string, filter live.Filter) *follower {
	w.Helper()
	f := w.follower(live.Events)
	f.books = was.books
	if _, err := f.client.Subscribe(live.Asked{Filter: filter, LastEventID: id}); err != nil {
		w.Fatal(err)
	}
	return f
}

func (f *follower) reset() bool {
	for _, m := range f.all {
		if m.Type == "reset" {
			return true
		}
	}
	return false
}

// TestReplay leaves in the middle and comes back: what was missed comes once.
func TestReplay(t *testing.T) {
	w := newWorld(t, nil, "BTC-USDT", "ETH-USDT")
	btc, eth := w.actor(0), w.actor(1)
	f := w.subscribed(live.Events, everything)
	f.same(btc)
	f.same(eth)
	for round := range 5 {
		trades := int(btc.trades)
		f.all = nil
		btc.changes(20)
		eth.changes(20)
		btc.trade(5)
		f.same(btc)
		f.same(eth)
		f.read("the trades", func() bool { return len(f.records("trade")) == 5 })
		if f.lastID == "" {
			t.Fatal("no event has an id")
		}
		f.client.Close()
		btc.changes(10) // nobody is there
		btc.trade(3)
		eth.changes(10)
		again := w.back(f, f.lastID, everything)
		again.same(btc)
		again.same(eth)
		again.read("the trades that were missed", func() bool { return len(again.records("trade")) == 3 })
		for n, m := range again.records("trade") {
			if want := fmt.Sprintf("%q", fmt.Sprint(trades+6+n)); string(m.Data.ID) != want {
				t.Errorf("round %d: trade %s, want %s", round, m.Data.ID, want)
			}
		}
		if again.reset() || again.books["BTC-USDT"].snapshots != 1 {
			t.Errorf("round %d: begun anew", round)
		}
		f = again
	}
}

// TestReset begins anew whoever cannot be given what it missed, and says so.
func TestReset(t *testing.T) {
	w := newWorld(t, func(c *live.Config) { c.ReplayEvents = 50 }, "BTC-USDT", "ETH-USDT")
	a := w.actor(0)
	w.actor(1)
	f := w.subscribed(live.Events, books("BTC-USDT"))
	f.same(a)
	a.changes(10)
	f.same(a)
	id := f.lastID
	f.client.Close()
	for _, tc := range []struct {
		name, id string
		filter   live.Filter
	}{
		{"another process", "abc-17", books("BTC-USDT")},
		{"no id", "nonsense", books("BTC-USDT")},
		{"from the future", id + "000", books("BTC-USDT")},
		{"another filter", id, books("ETH-USDT", "BTC-USDT")},
		{"another kind", id, live.Filter{Kinds: []string{"trade", "book_delta"}, Symbols: []string{"BTC-USDT"}}},
	} {
		had := f.books["BTC-USDT"].snapshots
		f := w.back(f, tc.id, tc.filter)
		f.read(tc.name+": the reset", f.reset)
		f.read(tc.name+": the book anew", func() bool { return f.books["BTC-USDT"].snapshots > had })
		a.changes(2)
		f.same(a)
		f.client.Close()
	}
	f = w.subscribed(live.Events, books("BTC-USDT"))
	f.same(a)
	a.changes(5)
	f.same(a)
	id = f.lastID
	f.client.Close()
	a.changes(60)
	again := w.back(f, id, books("BTC-USDT"))
	again.read("the reset", again.reset)
	again.same(a)
}

// TestReplayExpires keeps nothing of what nobody follows for long.
func TestReplayExpires(t *testing.T) {
	w := newWorld(t, func(c *live.Config) { c.ReplayFor = time.Nanosecond }, "BTC-USDT")
	a := w.actor(0)
	f := w.subscribed(live.Events, books())
	f.same(a)
	a.changes(5)
	f.same(a)
	f.client.Close()
	witness := w.subscribed(live.WebSocket, books())
	witness.same(a)
	a.changes(2)
	witness.same(a) // the relay has seen that the time is over
	again := w.back(f, f.lastID, books())
	again.read("the reset", again.reset)
	again.same(a)
}

// TestIDsAreWhole looks at every number that a slow client is given: all before it
// was given too.
func TestIDsAreWhole(t *testing.T) {
	w := newWorld(t, func(c *live.Config) { c.CoalesceAfter, c.BookBacklog = 3, 40 }, "BTC-USDT", "ETH-USDT")
	btc, eth := w.actor(0), w.actor(1)
	slow, quick := w.subscribed(live.Events, everything), w.subscribed(live.WebSocket, everything)
	for _, f := range []*follower{slow, quick} {
		f.same(btc)
		f.same(eth)
	}
	for round := range 12 {
		for range 1 + round {
			btc.changes(2)
			eth.changes(1)
			btc.trade(1)
		}
		quick.same(btc)
		quick.same(eth)
		slow.take()
		// Wherever it breaks off, it can come back.
		for n := range slow.all {
			if slow.all[n].eventID == "" {
				continue
			}
			half := &follower{TB: t, n: map[string]uint64{}, books: map[string]*rebuilt{}}
			for i := range n + 1 {
				half.see(&slow.all[i])
			}
			if n%17 == round%17 {
				again := w.back(half, slow.all[n].eventID, everything)
				again.same(btc)
				again.same(eth)
				again.client.Close()
			}
		}
	}
}
