package collector_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
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
	exchange      *exchange
	ledger        *ledger
	plane         *plane
	overlays      *overlays
	config        collector.Config
	live          live.Config
	symbols       []string
	perConnection int
	silence       map[string]time.Duration // of channels; nil for their own
	types         []string
	top           int
	off           bool                // the exchange is not enabled
	of            connectors.Exchange // as started
	settings      connectors.Config   // as started
	wrap          func(connectors.Exchange) connectors.Exchange
	epoch         int64
	applied       func(context.Context, market.StreamID) error
	now           func() time.Time   // nil: the machine's clock
	reader        persistence.Reader // nil: the ledger
	handoff       collector.Handoff
	system        *supervise.System
	collector     *collector.Collector
}

func newWorld(t *testing.T) *world {
	b := newBell()
	w := &world{
		T: t, bell: b, exchange: newExchange(t, b.ring), ledger: newLedger(b.ring), plane: &plane{bell: b, seen: map[string]int{}},
		overlays: &overlays{}, config: collector.DefaultConfig(), live: live.DefaultConfig(), symbols: []string{"BTC-USDT", "ethusdt"},
		types: []string{"trade", "book_delta", "book_ticker"},
	}
	w.config.RetryFirst, w.config.RetryLast = time.Millisecond, 20*time.Millisecond
	w.config.BookInterval = 10 * time.Millisecond
	w.config.Restart.Backoff.Base = time.Millisecond
	return w
}

// start starts a process.
func (w *world) start() {
	w.Helper()
	var x connectors.Exchange = binance.New()
	if w.wrap != nil {
		x = w.wrap(x)
	}
	cfg := x.DefaultConfig()
	for name, m := range cfg.Markets {
		m.Enabled = name == "spot"
		m.WSURL, m.RESTURL = "ws"+strings.TrimPrefix(w.exchange.URL, "http"), w.exchange.URL
		m.Symbols, m.DataTypes, m.Top = w.symbols, w.types, w.top
		m.Reconnect.InitialWait = time.Millisecond
		m.RateLimits.WSConnectsPer5Minutes = 300
		if w.silence != nil {
			m.Watchdog.Silence = w.silence
		}
		if w.perConnection > 0 {
			m.RateLimits.StreamsPerConnection = w.perConnection
		}
		cfg.Markets[name] = m
	}
	cfg.Enabled = !w.off
	w.of, w.settings = x, cfg
	w.epoch++
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	var reader persistence.Reader = w.ledger
	if w.reader != nil {
		reader = w.reader
	}
	var err error
	if w.system, err = supervise.NewSystem(w.Context(), supervise.Options{}); err != nil {
		w.Fatal(err)
	}
	w.collector, err = collector.New(collector.Options{
		System: w.system, Config: w.config, Exchanges: []collector.Exchange{{Exchange: x, Config: cfg}}, Epoch: w.epoch,
		Publisher: w.plane, Recorder: func(market.StreamID) persistence.Recorder { return w.ledger },
		Reader: reader, Applied: w.applied, Store: w.overlays, Live: &w.live, Now: w.now, Handoff: w.handoff,
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
	for _, r := range w.ledger.all(btc, market.KindGap) {
		w.Logf("BTC-USDT: %+v", *r.(*market.Gap))
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
