package collector_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/collector/live"
)

// followed is what a client of the hub is given of one book.
type followed struct {
	Type string `json:"type"`
	N    uint64 `json:"n"`
	Data struct {
		Seq      int64       `json:"seq"`
		State    string      `json:"state"`
		Snapshot bool        `json:"is_snapshot"`
		Bids     [][2]string `json:"bids"`
		Asks     [][2]string `json:"asks"`
	} `json:"data"`
}

// TestFollowersOutliveAPanic follows a book whose stream panics: the follower is
// told, and given the new book; what it makes of it is the exchange's.
func TestFollowersOutliveAPanic(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready("BTCUSDT")
	c, err := w.collector.Live().Connect(live.WebSocket, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Subscribe(live.Asked{Filter: live.Filter{Kinds: []string{"book_delta"}, Symbols: []string{"btc_usdt"}}}); err != nil {
		t.Fatal(err)
	}
	bids, asks, seq, n := map[string]string{}, map[string]string{}, int64(0), uint64(0)
	var states []string
	until := func(what string, cond func() bool) {
		t.Helper()
		deadline := time.After(patience)
		for !cond() {
			select {
			case <-c.Ready():
			case <-deadline:
				t.Fatalf("waited in vain for %s: at %d, states %v", what, seq, states)
			}
			messages, err := c.Take()
			if err != nil {
				t.Fatal(err)
			}
			for i := range messages {
				var m followed
				if err := json.Unmarshal(messages[i].AppendTo(nil), &m); err != nil {
					t.Fatal(err)
				}
				if m.Type == "subscribed" {
					continue
				}
				if n++; m.N != n {
					t.Fatalf("message %d where %d is due", m.N, n)
				}
				if m.Type == "state" {
					states = append(states, m.Data.State)
					continue
				}
				if m.Data.Snapshot {
					clear(bids)
					clear(asks)
				}
				seq = m.Data.Seq
				for side, levels := range map[*map[string]string][][2]string{&bids: m.Data.Bids, &asks: m.Data.Asks} {
					for _, l := range levels {
						if (*side)[l[0]] = l[1]; strings.Trim(l[1], "0.") == "" {
							delete(*side, l[0])
						}
					}
				}
			}
		}
	}
	until("the book", func() bool { return len(states) == 1 })
	var once atomic.Bool
	w.plane.on(func(subject, _ string) {
		if subject == "md.v1.trade.binance.spot.BTC-USDT" && once.CompareAndSwap(false, true) {
			panic("a stream that fails")
		}
	})
	w.exchange.trade("BTCUSDT", false)
	until("the loss of the book", func() bool { return len(states) >= 2 })
	w.settled("BTCUSDT")
	until("the new book", func() bool { return states[len(states)-1] == "live" && len(states) >= 3 })
	w.sameBook("BTCUSDT")
	book, err := w.collector.OrderBook(t.Context(), "binance", "spot", "BTCUSDT", -1)
	if err != nil {
		t.Fatal(err)
	}
	until("the same sequence", func() bool { return seq >= book.Sequence })
	want := [2]map[string]string{{}, {}}
	for _, l := range book.Bids {
		want[0][l.Price.String()] = l.Amount.String()
	}
	for _, l := range book.Asks {
		want[1][l.Price.String()] = l.Amount.String()
	}
	if got := [2]map[string]string{bids, asks}; seq != book.Sequence || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("rebuilt at %d:\n got %v\nwant %v at %d", seq, got, want, book.Sequence)
	}
	if states[1] != "syncing" {
		t.Errorf("states %v", states)
	}
}
