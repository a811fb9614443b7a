package collector_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

func TestLiveBookIsTheExchanges(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready("BTCUSDT", "ETHUSDT")
	for range 300 {
		w.exchange.change("BTCUSDT", false)
		w.exchange.change("ETHUSDT", false)
		w.exchange.trade("BTCUSDT", false)
	}
	w.settled("BTCUSDT")
	w.settled("ETHUSDT")
	w.sameBook("BTCUSDT")
	w.sameBook("ETHUSDT")
	if n := w.plane.count("md.v1.trade.binance.spot.BTC-USDT"); n < 301 {
		t.Errorf("%d trades on the live plane", n)
	}
	if w.exchange.connections() != 1 {
		t.Errorf("%d connections", w.exchange.connections())
	}
	for _, id := range []market.StreamID{btc, eth} {
		if g := w.ledger.all(id, market.KindGap); len(g) > 0 {
			t.Errorf("%s: gap %+v", id, g[0])
		}
		for _, r := range w.ledger.all(id, market.KindTrade) {
			if h := r.Head(); h.Epoch != w.epoch || h.Conn != 1 {
				t.Fatalf("epoch %d, connection %d", h.Epoch, h.Conn)
			}
		}
	}
	trades, err := w.collector.Trades(w.Context(), "binance", "", "btc_usdt", 10)
	if err != nil || len(trades) != 10 || trades[0].ID.Cmp(trades[9].ID) <= 0 {
		t.Errorf("recent trades: %d, %v", len(trades), err)
	}
}

func TestPanicConcernsOneStreamOnly(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready("BTCUSDT", "ETHUSDT")
	var once sync.Once
	panicked := false
	w.plane.on(func(subject, _ string) {
		if subject == "md.v1.trade.binance.spot.BTC-USDT" {
			once.Do(func() { panicked = true; panic("injected") })
		}
	})
	first := w.exchange.trade("BTCUSDT", false) // lost: it crashes the actor
	for range 50 {
		w.exchange.change("BTCUSDT", false)
		w.exchange.change("ETHUSDT", false)
		w.exchange.trade("BTCUSDT", false)
		w.exchange.trade("ETHUSDT", false)
	}
	w.settled("BTCUSDT")
	w.settled("ETHUSDT")
	last := w.exchange.trade("BTCUSDT", false)
	w.await(t, "the lost trade to be fetched", func() bool { return w.complete(btc, first, last) })
	w.await(t, "the gap to be healed", func() bool {
		return slices.ContainsFunc(w.gaps(btc, market.CausePanic), func(g *market.Gap) bool {
			return g.Channel == "trade" && g.Outcome == market.OutcomeHealed
		})
	})
	if !panicked {
		t.Fatal("the actor did not crash")
	}
	w.sameBook("BTCUSDT")
	w.sameBook("ETHUSDT")
	if g := w.ledger.all(eth, market.KindGap); len(g) > 0 {
		t.Errorf("the other stream has a gap: %+v", g[0])
	}
	if n := w.exchange.connections(); n != 1 {
		t.Errorf("%d connections: the socket was not kept", n)
	}
	if n, ok := w.system.Tree().Node("root/collector/binance-spot/BTC-USDT"); !ok || n.Incarnation != 2 {
		t.Errorf("incarnation %d of the crashed actor", n.Incarnation)
	}
}

func TestDisconnectionIsHealed(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready("BTCUSDT", "ETHUSDT")
	w.exchange.set(func(x *exchange) { x.deaf = true })
	w.exchange.kick()
	w.await(t, "the gap to be opened", func() bool { return len(w.gaps(btc, market.CauseDisconnect)) >= 2 })
	first := w.exchange.trade("BTCUSDT", true)
	for range 30 {
		w.exchange.trade("BTCUSDT", true)
		w.exchange.change("BTCUSDT", true)
	}
	if book, err := w.collector.OrderBook(t.Context(), "binance", "", "BTCUSDT", 1); err != nil || book.State != "stale" {
		t.Errorf("the book is %q while disconnected: %v", book.State, err)
	}
	w.exchange.set(func(x *exchange) { x.deaf = false })
	w.ready("BTCUSDT")
	last := w.exchange.trade("BTCUSDT", false)
	w.await(t, "the missed trades", func() bool { return w.complete(btc, first, last) })
	w.await(t, "the end of the gap", func() bool {
		return slices.ContainsFunc(w.gaps(btc, market.CauseDisconnect), func(g *market.Gap) bool {
			return g.Channel == "trade" && g.Outcome == market.OutcomeHealed && g.HealedRecords.V >= 31
		})
	})
	w.sameBook("BTCUSDT")
	q, err := w.collector.Quality(t.Context(), "binance", "", "BTCUSDT", 0)
	if err != nil || len(q.Gaps) == 0 {
		t.Errorf("quality: %+v, %v", q, err)
	}
}

func TestJournalRefuses(t *testing.T) {
	for _, async := range []bool{false, true} {
		t.Run(fmt.Sprintf("async=%v", async), func(t *testing.T) {
			w := newWorld(t)
			w.start()
			w.ready("BTCUSDT")
			w.settled("BTCUSDT")
			if async {
				w.ledger.set(nil, true, nil)
			} else {
				w.ledger.set(persistence.ErrJournalFull, false, nil)
			}
			before := w.plane.count("md.v1.trade.binance.spot.BTC-USDT")
			first := w.exchange.trade("BTCUSDT", false)
			for range 20 {
				w.exchange.trade("BTCUSDT", false)
				w.exchange.change("BTCUSDT", false)
			}
			w.await(t, "the live plane to go on", func() bool { return w.plane.count("md.v1.trade.binance.spot.BTC-USDT") >= before+21 })
			if async {
				w.await(t, "entries on their way", func() bool { return w.ledger.waiting() > 0 })
				w.ledger.set(nil, false, persistence.ErrJournalFull)
			} else {
				if w.has(btc, first) {
					t.Fatal("a refused trade is recorded")
				}
				w.ledger.set(nil, false, nil)
			}
			w.await(t, fmt.Sprintf("the ledger of what was refused from %d on", first), func() bool {
				gaps := w.gaps(btc, market.CauseJournalFull)
				return slices.ContainsFunc(gaps, func(g *market.Gap) bool {
					return g.Channel == "trade" && g.Outcome == market.OutcomeHealed && g.FromSeq.V <= first
				}) && slices.ContainsFunc(gaps, func(g *market.Gap) bool { return g.Channel == "book_delta" && g.Outcome == market.OutcomeMarked })
			})
			w.settled("BTCUSDT")
			w.sameBook("BTCUSDT")
			last := w.exchange.trade("BTCUSDT", false)
			w.await(t, "every trade", func() bool { return w.complete(btc, first, last) })
		})
	}
}

func TestSubscriptionsAtRunTime(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready("BTCUSDT", "ETHUSDT")
	ctx := t.Context()
	if _, err := w.collector.OrderBook(ctx, "binance", "", "SOLUSDT", 1); !isUnknown(err, "stream") {
		t.Errorf("book of a symbol that is not collected: %v", err)
	}
	got, err := w.collector.Subscribe(ctx, collector.Subscription{Exchange: "binance", Symbols: []string{"sol/usdt"}})
	if err != nil || !slices.Equal(got.Symbols, []string{"SOL-USDT"}) || got.Active != 9 {
		t.Fatalf("subscribe: %+v, %v", got, err)
	}
	w.ready("SOLUSDT")
	w.sameBook("SOLUSDT")
	if _, err := w.collector.Unsubscribe(ctx, collector.Subscription{Exchange: "binance", Symbols: []string{"ETHUSDT"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.collector.Unsubscribe(ctx, collector.Subscription{Exchange: "binance", Symbols: []string{"BTCUSDT"}, DataTypes: []string{"book_ticker"}}); err != nil {
		t.Fatal(err)
	}
	gone := func() bool {
		return !w.exchange.subscribed("ethusdt@trade") && !w.exchange.subscribed("btcusdt@bookTicker")
	}
	w.await(t, "the end of the subscriptions", gone)
	if _, err := w.collector.OrderBook(ctx, "binance", "", "ETHUSDT", 1); !isUnknown(err, "stream") {
		t.Errorf("book of a symbol that was unsubscribed: %v", err)
	}
	if n := w.exchange.connections(); n != 1 {
		t.Errorf("%d connections: the changes cost a socket", n)
	}
	stored := len(w.ledger.all(sol, market.KindTrade))
	w.stop()
	w.exchange.trade("SOLUSDT", true)

	w.start()
	w.ready("SOLUSDT")
	w.await(t, "what was missed while down", func() bool {
		return slices.ContainsFunc(w.gaps(sol, market.CauseRestart), func(g *market.Gap) bool {
			return g.Channel == "trade" && g.Outcome == market.OutcomeHealed
		})
	})
	if len(w.ledger.all(sol, market.KindTrade)) <= stored || !gone() || !w.exchange.subscribed("btcusdt@trade") {
		t.Errorf("the subscriptions did not survive the restart: %d SOL-USDT trades after %d, changes kept %v, BTC-USDT subscribed %v",
			len(w.ledger.all(sol, market.KindTrade)), stored, gone(), w.exchange.subscribed("btcusdt@trade"))
	}
}

func isUnknown(err error, what string) bool {
	var u *collector.UnknownError
	return errors.As(err, &u) && u.What == what
}

func TestStopDrains(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready("BTCUSDT")
	w.ledger.set(nil, true, nil)
	first := w.exchange.trade("BTCUSDT", false)
	last := first
	for range 100 {
		last = w.exchange.trade("BTCUSDT", false)
	}
	w.await(t, "all trades on the live plane", func() bool { return w.plane.count("md.v1.trade.binance.spot.BTC-USDT") >= int(last-500) })
	stopped := make(chan error, 1)
	go func() { stopped <- w.system.Stop(t.Context()) }()
	w.await(t, "the socket to close", func() bool {
		w.exchange.mu.Lock()
		defer w.exchange.mu.Unlock()
		return len(w.exchange.clients) == 0
	})
	select {
	case err := <-stopped:
		t.Fatalf("stopped before the journal had acknowledged: %v", err)
	default:
	}
	for done := false; !done; {
		w.ledger.set(nil, false, nil)
		select {
		case err := <-stopped:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		case <-time.After(patience):
			t.Fatal("does not stop")
		}
	}
	if !w.complete(btc, first, last) {
		t.Error("a published trade is not in the journal")
	}
}

func TestBuiltinInstruments(t *testing.T) {
	w := newWorld(t)
	w.exchange.set(func(x *exchange) { x.broken = true })
	w.start()
	w.await(t, "the socket", func() bool { return w.exchange.subscribed(streams("btcusdt")...) })
	if h := w.collector.Health(t.Context()).Checks["binance-spot"]; h.Status != "warn" || !strings.Contains(h.Detail, "built-in") {
		t.Errorf("health %+v", h)
	}
	w.exchange.set(func(x *exchange) { x.broken = false })
	w.ready("BTCUSDT", "ETHUSDT")
	w.await(t, "the exchange's own table", func() bool {
		h := w.collector.Health(t.Context()).Checks["binance-spot"]
		w.exchange.quote("BTCUSDT")
		return !strings.Contains(h.Detail, "built-in")
	})
	w.sameBook("BTCUSDT")
}

func TestFullMailboxIsAGap(t *testing.T) {
	w := newWorld(t)
	w.config.StreamMailbox = 16
	w.start()
	w.ready("BTCUSDT", "ETHUSDT")
	w.exchange.quote("BTCUSDT")
	w.await(t, "a quote", func() bool { return len(w.ledger.all(btc, market.KindBookTicker)) > 0 })
	block, entered := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.plane.on(func(subject, _ string) {
		if strings.HasSuffix(subject, "BTC-USDT") {
			once.Do(func() { close(entered); <-block })
		}
	})
	first := w.exchange.trade("BTCUSDT", false)
	<-entered
	for range 40 {
		w.exchange.trade("BTCUSDT", false)
		w.exchange.quote("BTCUSDT")
	}
	w.settled("ETHUSDT") // on the same socket: what was sent before has been read
	s, err := w.collector.ExchangeStats(t.Context(), "binance")
	if err != nil || s.AdapterStats["spot"].RefusedDeliveries == 0 {
		t.Errorf("no delivery was refused: %+v, %v", s, err)
	}
	close(block)
	w.await(t, "the queue to be worked off", func() bool { return len(w.gaps(btc, market.CauseNoCredit)) > 0 })
	w.settled("BTCUSDT")
	last := w.exchange.trade("BTCUSDT", false)
	w.exchange.quote("BTCUSDT")
	w.await(t, "the refused trades", func() bool { return w.complete(btc, first, last) })
	w.await(t, "the end of the gap of the quotes", func() bool {
		g := w.gaps(btc, market.CauseNoCredit)
		return len(g) == 1 && g[0].Channel == "book_ticker" && g[0].Outcome == market.OutcomeMarked
	})
}

// TestHeldWhileResuming lets storage answer late: what arrives meanwhile is held
// up to a bound, and what is beyond it becomes a gap.
func TestHeldWhileResuming(t *testing.T) {
	w := newWorld(t)
	w.symbols = []string{"BTCUSDT"}
	w.config.HoldRecords = 5
	answer := make(chan struct{})
	w.applied = func(ctx context.Context, _ market.StreamID) error {
		select {
		case <-answer:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.start()
	w.await(t, "the socket", func() bool { return w.exchange.subscribed(streams("btcusdt")...) })
	w.exchange.quote("BTCUSDT")
	first := w.exchange.trade("BTCUSDT", false)
	for range 10 {
		w.exchange.trade("BTCUSDT", false)
		w.exchange.quote("BTCUSDT")
	}
	w.await(t, "all to arrive", func() bool {
		n := w.collector.Status(t.Context()).CollectorMetrics.MessagesProcessed
		if n < 22 {
			_, _ = w.collector.OrderBook(t.Context(), "binance", "", "BTCUSDT", 1) // has its turn behind them
			w.ring()
		}
		return n >= 22
	})
	if n := len(w.ledger.all(btc, market.KindTrade)); n > 0 {
		t.Errorf("%d trades were recorded before storage had answered", n)
	}
	close(answer)
	w.settled("BTCUSDT")
	w.exchange.quote("BTCUSDT")
	last := w.exchange.trade("BTCUSDT", false)
	w.await(t, "what could not be held", func() bool { return w.complete(btc, first, last) })
	w.await(t, "the gap of the quotes", func() bool {
		g := w.gaps(btc, market.CauseNoCredit)
		return len(g) == 1 && g[0].Channel == "book_ticker" && g[0].Outcome == market.OutcomeMarked
	})
}

// TestMarketRestartsAsAWhole goes beyond the intensity: the market's branch fails
// and is restarted with all that had joined it.
func TestMarketRestartsAsAWhole(t *testing.T) {
	w := newWorld(t)
	w.config.Restart.Restarts = 1
	w.start()
	w.ready("BTCUSDT", "ETHUSDT")
	panics := 0
	w.plane.on(func(subject, _ string) {
		if subject == "md.v1.trade.binance.spot.BTC-USDT" && panics < 2 {
			panics++
			panic("injected")
		}
	})
	first := w.exchange.trade("BTCUSDT", false)
	w.await(t, "a new socket", func() bool {
		w.exchange.trade("BTCUSDT", false)
		return w.exchange.connections() >= 2 && w.exchange.subscribed(streams("btcusdt")...)
	})
	w.ready("BTCUSDT", "ETHUSDT")
	last := w.exchange.trade("BTCUSDT", false)
	w.await(t, "the missed trades", func() bool { return w.complete(btc, first, last) })
	w.sameBook("BTCUSDT")
	w.sameBook("ETHUSDT")
	if n := w.exchange.connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestQuestions(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready("BTCUSDT", "ETHUSDT")
	ctx := t.Context()
	for _, tc := range []struct {
		name                     string
		exchange, market, symbol string
		want                     string
	}{
		{"native", "binance", "", "BTCUSDT", ""},
		{"any spelling", "binance", "spot", "btc-usdt", ""},
		{"no such exchange", "nowhere", "", "BTCUSDT", `no exchange "nowhere" (there are: binance)`},
		{"no such market word", "binance", "swap", "BTCUSDT", `market: "swap" cannot be taken; one of spot, perpetual, future`},
		{"no such market", "binance", "option", "BTCUSDT", `no market "binance option" (there are: spot, perpetual, future)`},
		{"no such symbol", "binance", "", "FOOBAR", `no symbol "FOOBAR"`},
		{"not collected", "binance", "", "SOLUSDT", `no stream "binance/spot/SOL-USDT"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := w.collector.OrderBook(ctx, tc.exchange, tc.market, tc.symbol, 5)
			if got := fmt.Sprint(err); got != tc.want && (err != nil || tc.want != "") {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
	s := w.collector.Status(ctx)
	x := s.Exchanges["binance"]
	if !s.Running || !x.Enabled || !x.Connected || x.ActiveSubscriptions != 6 || x.SupportedSymbols != 3 || s.UptimeSeconds <= 0 ||
		s.CollectorMetrics.MessagesProcessed == 0 || s.CollectorMetrics.ErrorsCount != 0 || !slices.Equal(s.SupportedExchanges, []string{"binance"}) {
		t.Errorf("status %+v", s)
	}
	symbols, err := w.collector.Symbols(ctx, "binance", "", true)
	if err != nil || len(symbols) != 2 || symbols[0].Instrument.ID() != btc {
		t.Errorf("symbols %+v, %v", symbols, err)
	}
	if err := w.collector.RefreshBook(ctx, "binance", "", "BTCUSDT"); err != nil {
		t.Error(err)
	}
	w.await(t, "a second snapshot", func() bool {
		w.exchange.change("BTCUSDT", false)
		n := 0
		for _, r := range w.ledger.all(btc, market.KindBookDelta) {
			if r.(*market.BookDelta).IsSnapshot {
				n++
			}
		}
		return n >= 2
	})
	if g := w.ledger.all(btc, market.KindGap); len(g) > 0 {
		t.Errorf("a refresh left a gap: %+v", g[0])
	}
	_, err = w.collector.Subscribe(ctx, collector.Subscription{Exchange: "binance", Symbols: []string{"SOLUSDT"}, DataTypes: []string{"funding"}})
	var invalid *collector.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != "data_types" {
		t.Errorf("a data type that the market does not have: %v", err)
	}
}
