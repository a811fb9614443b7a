package live_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/internal/market"
)

func books(symbols ...string) live.Filter {
	return live.Filter{Kinds: []string{"book_delta"}, Symbols: symbols}
}

// TestBooksFitTogether has clients come at any moment of a busy stream: each
// change on the book that it is given follows the one before.
func TestBooksFitTogether(t *testing.T) {
	w := newWorld(t, func(c *live.Config) { c.CoalesceAfter, c.BookBacklog = 1<<20, 1<<20 }, "BTC-USDT", "ETH-USDT")
	btc, eth := w.actor(0), w.actor(1)
	var busy sync.WaitGroup
	for _, a := range []*actor{btc, eth} {
		busy.Go(func() { a.changes(3000) })
	}
	var all []*follower
	for range 40 {
		f := w.subscribed(live.WebSocket, books("btcusdt", "*-USDT"))
		f.read("two books", func() bool { return len(f.books) == 2 })
		all = append(all, f)
	}
	busy.Wait()
	for _, f := range all {
		f.same(btc)
		f.same(eth)
		for symbol, b := range f.books {
			if b.snapshots != 1 || b.state != "live" {
				t.Errorf("%s began %d times, and is %s", symbol, b.snapshots, b.state)
			}
		}
	}
}

// TestResync has the exchange's snapshot come with an older number than the book
// has: followers are shown the book as it is.
func TestResync(t *testing.T) {
	w := newWorld(t, nil, "BTC-USDT")
	a := w.actor(0)
	f := w.subscribed(live.WebSocket, books())
	f.same(a)
	a.changes(5)
	a.step(func() {
		old := a.record()
		old.IsSnapshot, old.Seq = true, market.Int(a.seq-2)
		a.publish(old)
		a.change(1) // what waited for the snapshot comes with it
	})
	f.same(a)
	a.changes(5)
	f.same(a)
	if got := f.books["BTC-USDT"].snapshots; got != 2 {
		t.Errorf("%d snapshots, want the first and the new one", got)
	}
	a.step(func() { a.state = "stale" })
	f.read("the state stale", func() bool { return f.books["BTC-USDT"].state == "stale" })
	a.step(func() { a.state = "live" })
	f.read("the state live", func() bool { return f.books["BTC-USDT"].state == "live" })
}

// TestCoalesce has a client not read for a while: changes that wait become one.
func TestCoalesce(t *testing.T) {
	w := newWorld(t, nil, "BTC-USDT")
	a := w.actor(0)
	slow, quick := w.subscribed(live.WebSocket, books()), w.subscribed(live.WebSocket, books())
	slow.same(a)
	quick.same(a)
	a.changes(500)
	quick.same(a) // all are in the queues
	before := len(slow.all)
	slow.same(a)
	if got := slow.all[len(slow.all)-1]; len(slow.all) != before+1 || got.Coalesced != 499 {
		t.Errorf("%d messages, the last of which stands for %d more; want one that stands for 499 more", len(slow.all)-before, got.Coalesced)
	}
	if w.hub.Stats().Coalesced == 0 {
		t.Error("no record is counted as coalesced")
	}
	a.changes(3)
	slow.same(a)
}

// TestBehind has a client not read for long: the book is given anew, once it does.
func TestBehind(t *testing.T) {
	w := newWorld(t, func(c *live.Config) { c.BookBacklog = 100 }, "BTC-USDT", "ETH-USDT")
	a, other := w.actor(0), w.actor(1)
	slow, quick := w.subscribed(live.WebSocket, books()), w.subscribed(live.WebSocket, books())
	for _, f := range []*follower{slow, quick} {
		f.same(a)
		f.same(other)
	}
	for range 20 {
		a.changes(50)
		quick.same(a)
	}
	other.changes(3)
	quick.same(other)
	slow.same(other)
	slow.same(a)
	if b := slow.books["BTC-USDT"]; b.snapshots != 2 {
		t.Errorf("%d snapshots, want a second one", b.snapshots)
	}
	if b := slow.books["ETH-USDT"]; b.snapshots != 1 {
		t.Error("the other book was begun anew")
	}
	var told int
	for _, m := range slow.records("book_delta") {
		told += m.Coalesced
	}
	if told != 1000 {
		t.Errorf("%d changes are said to be in the new book, want 1000", told)
	}
	a.changes(10)
	slow.same(a)
}

// TestSlow ends a client that does not take trades, and no other.
func TestSlow(t *testing.T) {
	w := newWorld(t, func(c *live.Config) { c.QueueRecords = 100 }, "BTC-USDT")
	a := w.actor(0)
	a.tick("1")
	trades := live.Filter{Kinds: []string{"trade", "ticker"}}
	frozen, quick := w.subscribed(live.WebSocket, trades), w.subscribed(live.WebSocket, trades)
	for _, f := range []*follower{frozen, quick} {
		f.begun()
	}
	for n := 1; n < 20; n++ {
		a.trade(10)
		quick.read("its trades", func() bool { return len(quick.records("trade")) == 10*n })
	}
	<-frozen.ended
	if _, err := frozen.client.Take(); err == nil || frozen.client.Ended().Code != live.CodeSlow || !strings.Contains(err.Error(), "slow consumer") {
		t.Errorf("the frozen client ended with %v", err)
	}
	if got := w.hub.Stats().SlowDisconnects; got != 1 {
		t.Errorf("%d slow clients counted", got)
	}
}

// TestLatest gives a slow client the newest state, and a new one the last.
func TestLatest(t *testing.T) {
	w := newWorld(t, func(c *live.Config) { c.CoalesceAfter = 5 }, "BTC-USDT")
	a := w.actor(0)
	a.tick("0.5")
	tickers := live.Filter{Kinds: []string{"tickers"}}
	slow := w.subscribed(live.WebSocket, tickers)
	slow.read("the last one", func() bool { return len(slow.records("ticker")) == 1 })
	quick := w.subscribed(live.WebSocket, tickers)
	quick.read("the last one", func() bool { return len(quick.records("ticker")) == 1 })
	for n := range 100 {
		a.tick(fmt.Sprint(n))
		quick.read("each", func() bool { return len(quick.records("ticker")) == n+2 })
	}
	slow.take()
	got := slow.records("ticker")
	last := got[len(got)-1]
	if len(got) != 7 || last.Data.Last != "99" || last.Coalesced != 94 {
		t.Errorf("%d tickers, the last %s for %d more; want 7 with 99 for 94 more", len(got), last.Data.Last, last.Coalesced)
	}
}

// TestComeAndGo follows streams that come later, and tells of their end.
func TestComeAndGo(t *testing.T) {
	w := newWorld(t, nil, "BTC-USDT", "ETH-USDT", "ETH-BTC")
	f := w.subscribed(live.WebSocket, live.Filter{Kinds: []string{"book_delta", "trade"}, Symbols: []string{"*-usdt", "ETHBTC"}})
	f.read("the answer", func() bool { return len(f.all) == 1 })
	if ack := f.all[0]; ack.Streams != 0 || len(ack.Waiting) != 1 || ack.Waiting[0] != "ETHBTC" {
		t.Errorf("answered %+v", ack)
	}
	eth, cross := w.actor(1), w.actor(2)
	f.same(eth)
	f.same(cross)
	eth.source.Close()
	f.read("its end", func() bool { return f.books["ETH-USDT"].state == "ended" })
	cross.changes(3)
	f.same(cross)
	if err := f.client.Unsubscribe("s1", []byte("7")); err != nil {
		t.Fatal(err)
	}
	cross.changes(3)
	f.read("the farewell", func() bool { return f.all[len(f.all)-1].Type == "unsubscribed" })
	if bye := f.all[len(f.all)-1]; bye.Messages != f.n["s1"] || string(bye.ID) != "7" {
		t.Errorf("%d messages are said to have been given, %d were: %+v", bye.Messages, f.n["s1"], bye)
	}
	var refused *live.Refusal
	if err := f.client.Unsubscribe("s1", nil); !errors.As(err, &refused) || refused.Code != "unknown_subscription" {
		t.Errorf("unsubscribing twice: %v", err)
	}
}

// TestManyBooks gives the books of a wide subscription one after the other.
func TestManyBooks(t *testing.T) {
	var symbols []string
	for n := range 100 {
		symbols = append(symbols, fmt.Sprintf("C%d-USDT", n))
	}
	w := newWorld(t, nil, symbols...)
	var all []*actor
	for n := range symbols {
		all = append(all, w.actor(n))
	}
	f := w.subscribed(live.WebSocket, books("*"))
	for _, a := range all {
		a.changes(2)
		f.same(a)
	}
}

// TestOverrun fills the way to the relay while that does not run.
func TestOverrun(t *testing.T) {
	w := newWorld(t, func(c *live.Config) { c.RelayRecords = 64 }, "BTC-USDT", "ETH-USDT")
	a, quiet := w.actor(0), w.actor(1)
	f := w.subscribed(live.WebSocket, books())
	a.tick("1")
	trades := w.subscribed(live.WebSocket, live.Filter{Kinds: []string{"trade", "ticker"}, Symbols: []string{"BTC-USDT"}})
	trades.begun()
	f.same(a)
	f.same(quiet)
	a.trade(1)
	trades.read("a trade", func() bool { return len(trades.records("trade")) == 1 })
	w.stop()
	<-w.done
	a.changes(100)
	a.trade(10)
	w.run()
	f.same(a)
	<-trades.ended
	if end := trades.client.Ended(); end.Code != live.CodeOverloaded {
		t.Errorf("who misses trades ended with %v", end)
	}
	if got := w.hub.Stats().Dropped; got < 36 {
		t.Errorf("%d dropped records counted", got)
	}
	quiet.changes(3)
	f.same(quiet)
	if got := f.books["ETH-USDT"].snapshots; got != 1 {
		t.Errorf("the book of the other stream was given %d times", got)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t, func(c *live.Config) { c.MaxSubscriptions, c.MaxTopics, c.MaxClients = 2, 20, 2 }, "BTC-USDT", "ETH-USDT")
	w.actor(0)
	w.actor(1)
	f := w.follower(live.WebSocket)
	for _, tc := range []struct {
		name        string
		filter      live.Filter
		code, field string
	}{
		{"no kind", live.Filter{}, "required", "kinds"},
		{"unknown kind", live.Filter{Kinds: []string{"trade", "gossip"}}, "unknown_kind", "kinds[1]"},
		{"unknown exchange", live.Filter{Kinds: []string{"trade"}, Exchanges: []string{"okx", "mtgox"}}, "unknown_exchange", "exchanges[1]"},
		{"bad pattern of exchanges", live.Filter{Kinds: []string{"trade"}, Exchanges: []string{"[b"}}, "invalid_field", "exchanges[0]"},
		{"unknown market", live.Filter{Kinds: []string{"trade"}, Markets: []string{"flea"}}, "unknown_market", "markets[0]"},
		{"unknown symbol", live.Filter{Kinds: []string{"trade"}, Symbols: []string{"ABC-DEF"}}, "unknown_symbol", "symbols[0]"},
		{"symbol of another market", live.Filter{Kinds: []string{"trade"}, Markets: []string{"option"}, Symbols: []string{"BTC-USDT"}}, "unknown_symbol", "symbols[0]"},
		{"symbol without letters", live.Filter{Kinds: []string{"trade"}, Symbols: []string{"-"}}, "unknown_symbol", "symbols[0]"},
		{"bad pattern", live.Filter{Kinds: []string{"trade"}, Symbols: []string{"[-"}}, "invalid_field", "symbols[0]"},
		{"empty name", live.Filter{Kinds: []string{"trade"}, Symbols: []string{""}}, "invalid_field", "symbols[0]"},
		{"control character", live.Filter{Kinds: []string{"tr\x00de"}}, "invalid_field", "kinds[0]"},
		{"long name", live.Filter{Kinds: []string{strings.Repeat("k", 65)}}, "invalid_field", "kinds[0]"},
		{"many names", live.Filter{Kinds: make([]string, 1001)}, "too_many", "kinds"},
		{"too much", live.Filter{Kinds: []string{"*"}}, "too_many_topics", ""},
	} {
		var refused *live.Refusal
		if _, err := f.client.Subscribe(live.Asked{Filter: tc.filter}); !errors.As(err, &refused) || refused.Code != tc.code || refused.Field != tc.field {
			t.Errorf("%s: %v (%+v)", tc.name, err, refused)
		}
	}
	for n := range 3 {
		_, err := f.client.Subscribe(live.Asked{Filter: live.Filter{Kinds: []string{"trade"}, Markets: []string{"*"}, Exchanges: []string{"BIN*"}}})
		if (err != nil) != (n == 2) {
			t.Errorf("subscription %d: %v", n, err)
		}
	}
	w.follower(live.Events)
	var refused *live.Refusal
	if _, err := w.hub.Connect(live.Events, nil); !errors.As(err, &refused) || refused.Code != "too_many_clients" {
		t.Errorf("a third client: %v", err)
	}
	f.client.Close()
	f.client.Close()
	w.follower(live.WebSocket)
}

// TestReplies has a client ask and not read: it is not answered further.
func TestReplies(t *testing.T) {
	w := newWorld(t, nil, "BTC-USDT")
	f := w.follower(live.WebSocket)
	ctx, cancel := context.WithCancel(t.Context())
	var asked int
	for ; asked < 64; asked++ {
		if err := f.client.Reply(ctx, []byte(`{"type":"pong"}`)); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error)
	go func() { done <- f.client.Reply(ctx, []byte(`{"type":"pong"}`)) }()
	f.read("64 answers", func() bool { return len(f.all) == 64 })
	if err := <-done; err != nil {
		t.Error(err)
	}
	f.read("the last one", func() bool { return len(f.all) == 65 })
	for range 64 {
		if err := f.client.Reply(ctx, []byte(`{"type":"pong"}`)); err != nil {
			t.Fatal(err)
		}
	}
	go func() { done <- f.client.Reply(ctx, nil) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for room ended with %v", err)
	}
}

func TestConfig(t *testing.T) {
	if err := live.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	bad := live.Config{}
	err := bad.Validate()
	for _, key := range []string{"max_subscriptions", "queue_records", "ping_every", "dead_after", "heartbeat"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s is not complained of: %v", key, err)
		}
	}
}
