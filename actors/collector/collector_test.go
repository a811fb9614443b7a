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
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors/binance"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// patience bounds every wait for a signal; no test needs a fraction of it.
const patience = 20 * time.Second

var (
	btc = market.StreamID{Exchange: "binance", Market: market.Spot, Symbol: "BTC-USDT"}
	eth = market.StreamID{Exchange: "binance", Market: market.Spot, Symbol: "ETH-USDT"}
	sol = market.StreamID{Exchange: "binance", Market: market.Spot, Symbol: "SOL-USDT"}
)

// bell is rung whenever something happened that a test may wait for.
type bell struct {
	mu   sync.Mutex
	rung chan struct{}
}

func newBell() *bell { return &bell{rung: make(chan struct{})} }

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.rung)
	b.rung = make(chan struct{})
}

// await returns when cond holds; it looks again at every ring.
func (b *bell) await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		next := b.rung
		b.mu.Unlock()
		if cond() {
			return
		}
		select {
		case <-next:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// plane is the live plane.
type plane struct {
	bell *bell
	mu   sync.Mutex
	seen map[string]int // messages by subject
	// fault is called with every message before it is taken.
	fault func(subject, text string)
}

func (p *plane) Publish(subject string, data []byte) error {
	p.mu.Lock()
	fault := p.fault
	p.mu.Unlock()
	if fault != nil {
		fault(subject, string(data))
	}
	p.mu.Lock()
	p.seen[subject]++
	p.mu.Unlock()
	p.bell.ring()
	return nil
}

func (p *plane) on(fault func(subject, text string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

func (p *plane) count(subject string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[subject]
}

// world is an exchange, a journal, a live plane, and a collector between them.
type world struct {
	*testing.T
	*bell
	exchange  *exchange
	ledger    *ledger
	plane     *plane
	overlays  *overlays
	config    collector.Config
	symbols   []string
	epoch     int64
	system    *supervise.System
	collector *collector.Collector
}

func newWorld(t *testing.T) *world {
	b := newBell()
	w := &world{
		T: t, bell: b, exchange: newExchange(t, b.ring), ledger: newLedger(b.ring), plane: &plane{bell: b, seen: map[string]int{}},
		overlays: &overlays{}, config: collector.DefaultConfig(), symbols: []string{"BTC-USDT", "ethusdt"},
	}
	w.config.RetryFirst, w.config.RetryLast = time.Millisecond, 20*time.Millisecond
	w.config.BookInterval = 10 * time.Millisecond
	w.config.Restart.Backoff.Base = time.Millisecond
	return w
}

// start starts a process.
func (w *world) start() {
	w.Helper()
	x := binance.New()
	cfg := x.DefaultConfig()
	for name, m := range cfg.Markets {
		m.Enabled = name == "spot"
		m.WSURL, m.RESTURL = "ws"+strings.TrimPrefix(w.exchange.URL, "http"), w.exchange.URL
		m.Symbols, m.DataTypes = w.symbols, []string{"trade", "book_delta", "book_ticker"}
		m.Reconnect.InitialWait = time.Millisecond
		m.RateLimits.WSConnectsPer5Minutes = 300
		cfg.Markets[name] = m
	}
	w.epoch++
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	var err error
	if w.system, err = supervise.NewSystem(w.Context(), supervise.Options{}); err != nil {
		w.Fatal(err)
	}
	w.collector, err = collector.New(collector.Options{
		System: w.system, Config: w.config, Exchanges: []collector.Exchange{{Exchange: x, Config: cfg}}, Epoch: w.epoch,
		Publisher: w.plane, Recorder: func(market.StreamID) persistence.Recorder { return w.ledger },
		Reader: w.ledger, Store: w.overlays,
	})
	if err != nil {
		w.Fatal(err)
	}
	if err := w.system.Start(ctx, w.collector.Spec()); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if w.Failed() {
			w.dump()
		}
	})
	w.Cleanup(w.stop)
}

// dump tells what a failed test left behind.
func (w *world) dump() {
	for _, n := range w.system.Tree().Snapshot().Actors {
		w.Logf("%-45s %s, incarnation %d, handled %d, dropped %d", n.ID, n.State, n.Incarnation, n.Handled, n.Mailbox.Dropped)
		if n.LastFailure != nil {
			w.Logf("%s", n.LastFailure.Reason)
		}
	}
	for _, q := range w.collector.AllQuality(w.Context()) {
		w.Logf("%s: live %v, book %s, %+v, open gaps %+v", q.Instrument.Symbol, q.Live, q.BookState, q.Channels, q.Gaps)
	}
}

// stop ends the process and waits for it.
func (w *world) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.system.Stop(ctx); err != nil {
		w.Error(err)
	}
	w.ledger.acks.Wait()
}

func streams(native string) []string {
	return []string{native + "@trade", native + "@depth@100ms", native + "@bookTicker"}
}

// ready waits until every symbol is subscribed and makes its book live.
func (w *world) ready(natives ...string) {
	w.Helper()
	for _, n := range natives {
		w.await(w.T, n+" to be subscribed", func() bool { return w.exchange.subscribed(streams(strings.ToLower(n))...) })
		w.settled(n)
	}
}

// settled sends changes and trades until a live book has taken one, and all is
// recorded. Each round is set off by what the one before has caused.
func (w *world) settled(native string) {
	w.Helper()
	id := market.StreamID{Exchange: "binance", Market: market.Spot, Symbol: strings.TrimSuffix(native, "USDT") + "-USDT"}
	trade := w.exchange.trade(native, false)
	update := w.exchange.change(native, false)
	w.await(w.T, fmt.Sprintf("%s at trade %d and update %d", native, trade, update), func() bool {
		book, err := w.collector.OrderBook(w.Context(), "binance", "", native, 1)
		deltas := w.ledger.all(id, market.KindBookDelta)
		if err == nil && book.State == "live" && book.Sequence >= update && w.has(id, trade) &&
			len(deltas) > 0 && deltas[len(deltas)-1].Head().Seq.V >= update {
			return true
		}
		w.exchange.trade(native, false)
		w.exchange.change(native, false)
		return false
	})
}

func (w *world) has(id market.StreamID, trade int64) bool {
	return slices.ContainsFunc(w.ledger.all(id, market.KindTrade), func(r market.Record) bool {
		n, _ := r.(*market.Trade).ID.Num()
		return n == trade
	})
}

// complete checks that every trade from one id to another is recorded.
func (w *world) complete(id market.StreamID, from, to int64) bool {
	have := map[int64]bool{}
	for _, r := range w.ledger.all(id, market.KindTrade) {
		n, _ := r.(*market.Trade).ID.Num()
		have[n] = true
	}
	for n := from; n <= to; n++ {
		if !have[n] {
			return false
		}
	}
	return true
}

func (w *world) gaps(id market.StreamID, cause string) []*market.Gap {
	var out []*market.Gap
	for _, r := range w.ledger.all(id, market.KindGap) {
		if g := r.(*market.Gap); g.Cause == cause {
			out = append(out, g)
		}
	}
	return out
}

// sameBook compares the book with the exchange's.
func (w *world) sameBook(native string) {
	w.Helper()
	update, bids, asks := w.exchange.truth(native)
	var book collector.OrderBook
	w.await(w.T, fmt.Sprintf("%s at update %d", native, update), func() (there bool) {
		var err error
		if book, err = w.collector.OrderBook(w.Context(), "binance", "spot", native, -1); err != nil {
			w.Fatal(err)
		}
		if there = book.Sequence >= update; !there {
			w.exchange.trade(native, false) // what it causes sets off the next look
		}
		return there
	})
	if got, want := shape(book.Sequence, book.Bids, book.Asks), fmt.Sprint(update, bids, asks); got != want || book.State != "live" {
		w.Errorf("%s is %s:\n got %s\nwant %s", native, book.State, got, want)
	}
	if book.Age < 0 || book.Age > patience.Seconds() {
		w.Errorf("%s: age %v", native, book.Age)
	}
}

func shape(seq int64, bids, asks []market.Level) string {
	side := func(levels []market.Level) [][2]string {
		out := [][2]string{}
		for _, l := range levels {
			out = append(out, [2]string{l.Price.String(), l.Amount.String()})
		}
		return out
	}
	return fmt.Sprint(seq, side(bids), side(asks))
}

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
			w.await(t, "the ledger of what was refused", func() bool {
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
		t.Error("the subscriptions did not survive the restart")
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
