package collector_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// with is the world's configuration after a change of its spot market.
func (w *world) with(change func(spot *connectors.MarketConfig)) []collector.Exchange {
	cfg := w.settings
	markets := map[string]connectors.MarketConfig{}
	for name, m := range cfg.Markets {
		if name == "spot" {
			change(&m)
		}
		markets[name] = m
	}
	cfg.Markets = markets
	w.settings = cfg
	return []collector.Exchange{{Exchange: w.of, Config: cfg}}
}

func (w *world) reconfigure(change func(spot *connectors.MarketConfig)) (taken, needRestart []string) {
	w.Helper()
	taken, needRestart, err := w.collector.Reconfigure(w.Context(), w.with(change))
	if err != nil {
		w.Fatal(err)
	}
	return taken, needRestart
}

func (w *world) stats() collector.MarketStats {
	w.Helper()
	s, err := w.collector.ExchangeStats(w.Context(), "binance")
	if err != nil {
		w.Fatal(err)
	}
	return s.AdapterStats["spot"]
}

func TestReconfigureSymbolsAndDataTypes(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready("BTCUSDT", "ETHUSDT")
	asked := w.exchange.begun()

	taken, restart := w.reconfigure(func(m *connectors.MarketConfig) {
		m.Symbols, m.Depth = []string{"BTC-USDT", "SOL-USDT"}, 500
	})
	if want := []string{"exchanges.binance.markets.spot.symbols"}; !slices.Equal(taken, want) {
		t.Errorf("taken %v, want %v", taken, want)
	}
	if want := []string{"exchanges.binance.markets.spot.depth"}; !slices.Equal(restart, want) {
		t.Errorf("needing a restart %v, want %v", restart, want)
	}
	w.ready("SOLUSDT")
	w.await(t, "the end of ETH-USDT", func() bool { return !w.exchange.subscribed("ethusdt@trade") })
	w.settled("BTCUSDT")
	if n := w.exchange.connections(); n != 1 {
		t.Errorf("%d connections: the change cost a socket", n)
	}
	if n := w.exchange.begun() - asked; n != 3 {
		t.Errorf("%d subscriptions were asked for, want SOL-USDT's three alone", n)
	}
	if g := w.ledger.all(btc, market.KindGap); len(g) != 0 {
		t.Errorf("BTC-USDT was not touched and has gaps: %v", g)
	}

	// What needs a restart is named again, and only that.
	taken, restart = w.reconfigure(func(m *connectors.MarketConfig) { m.DataTypes = []string{"trade"} })
	if !slices.Equal(taken, []string{"exchanges.binance.markets.spot.data_types"}) || len(restart) != 1 {
		t.Errorf("taken %v, needing a restart %v", taken, restart)
	}
	w.await(t, "the end of the books", func() bool { return !w.exchange.subscribed("btcusdt@depth@100ms") })
	if !w.exchange.subscribed("btcusdt@trade", "solusdt@trade") {
		t.Error("trades are not subscribed any more")
	}
}

func TestReconfigureRefusesWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready("BTCUSDT")
	for name, change := range map[string]func(*connectors.MarketConfig){
		"a data type": func(m *connectors.MarketConfig) { m.DataTypes, m.Symbols = []string{"nosuch"}, nil },
		"a number":    func(m *connectors.MarketConfig) { m.Top, m.Symbols = -1, nil },
	} {
		before := w.settings
		taken, _, err := w.collector.Reconfigure(t.Context(), w.with(change))
		w.settings = before
		if err == nil || len(taken) != 0 {
			t.Errorf("%s that is wrong: taken %v, %v", name, taken, err)
		}
	}
	if s := w.stats(); s.Streams != 2 {
		t.Errorf("%d streams after settings that are wrong, want the same 2", s.Streams)
	}
}

func TestReconfigureDisablesAndEnables(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready("BTCUSDT", "ETHUSDT")
	taken, _ := w.reconfigure(func(m *connectors.MarketConfig) { m.Enabled = false })
	if !slices.Equal(taken, []string{"exchanges.binance.markets.spot.enabled"}) {
		t.Errorf("taken %v", taken)
	}
	w.await(t, "the end of the sessions", func() bool { return w.exchange.clientCount() == 0 })
	missed := w.exchange.trade("BTCUSDT", true)
	w.reconfigure(func(m *connectors.MarketConfig) { m.Depth = 100 }) // disabled: it can be taken
	taken, restart := w.reconfigure(func(m *connectors.MarketConfig) { m.Enabled, m.DepthSpeed = true, 0 })
	if len(restart) != 0 || !slices.Contains(taken, "exchanges.binance.markets.spot.enabled") {
		t.Errorf("taken %v, needing a restart %v", taken, restart)
	}
	w.ready("BTCUSDT", "ETHUSDT")
	w.await(t, "what was missed meanwhile", func() bool { return w.has(btc, missed) })
	w.sameBook("BTCUSDT")
	// Quick changes end as the last one says.
	w.reconfigure(func(m *connectors.MarketConfig) { m.Enabled = false })
	w.reconfigure(func(m *connectors.MarketConfig) { m.Enabled = true })
	w.reconfigure(func(m *connectors.MarketConfig) { m.Enabled = false })
	w.reconfigure(func(m *connectors.MarketConfig) { m.Enabled, m.Symbols = true, []string{"SOL-USDT"} })
	w.ready("SOLUSDT")
	if s := w.stats(); s.Streams != 1 || len(s.Sessions) != 1 {
		t.Errorf("at the end: %+v", s)
	}
}

func TestReconfigureFromNothing(t *testing.T) {
	w := newWorld(t)
	w.off = true
	w.start()
	if got := w.exchange.connections(); got != 0 {
		t.Errorf("%d connections to an exchange that is disabled", got)
	}
	if h := w.collector.Health(t.Context()); !strings.Contains(h.Checks["exchanges"].Detail, "no exchange is enabled") {
		t.Errorf("health %+v", h.Checks)
	}
	w.settings.Enabled = true
	w.reconfigure(func(*connectors.MarketConfig) {})
	w.ready("BTCUSDT", "ETHUSDT")
}

func TestTopByVolume(t *testing.T) {
	w := newWorld(t)
	w.symbols, w.top = []string{"SOL-USDT"}, 1
	w.start()
	w.ready("SOLUSDT", "BTCUSDT")
	s := w.stats()
	if s.Streams != 2 || !slices.Equal(s.TopSymbols, []string{"BTC-USDT"}) || s.Origins["top"] != 1 || s.Origins["configured"] != 1 {
		t.Errorf("stats %+v", s)
	}
	// Another number is resolved at once, and with the volumes as they are now.
	w.exchange.set(func(x *exchange) { x.pairs["ETHUSDT"].turnover = 1000 })
	taken, _ := w.reconfigure(func(m *connectors.MarketConfig) { m.Top = 2 })
	if !slices.Equal(taken, []string{"exchanges.binance.markets.spot.top"}) {
		t.Errorf("taken %v", taken)
	}
	w.ready("ETHUSDT")
	all, err := w.collector.Symbols(t.Context(), "binance", "spot", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, sym := range all {
		want := map[string]string{"BTC-USDT": "top", "ETH-USDT": "top", "SOL-USDT": "configured"}[sym.Instrument.Symbol]
		if got := strings.Join(sym.Origins, ","); got != want {
			t.Errorf("%s is collected because of %s, want %s", sym.Instrument.Symbol, got, want)
		}
	}
}

// TestAddedDataTypesAreResumed: what was stored of a data type before it was
// added at run time is looked up first, and what lies between is in the ledger.
func TestAddedDataTypesAreResumed(t *testing.T) {
	w := newWorld(t)
	w.symbols = []string{"BTC-USDT"}
	w.start()
	w.ready("BTCUSDT")
	w.exchange.quote("BTCUSDT")
	w.await(t, "a quote", func() bool { return len(w.ledger.all(btc, market.KindBookTicker)) > 0 })
	w.stop()
	first := w.exchange.trade("BTCUSDT", true)

	w.types = []string{"book_ticker"}
	w.start()
	w.await(t, "the quotes to be subscribed", func() bool { return w.exchange.subscribed("btcusdt@bookTicker") })
	stored := len(w.ledger.all(btc, market.KindBookTicker))
	w.exchange.quote("BTCUSDT")
	w.await(t, "another quote", func() bool { return len(w.ledger.all(btc, market.KindBookTicker)) > stored })
	if g := w.gaps(btc, market.CauseRestart); slices.ContainsFunc(g, func(g *market.Gap) bool { return g.Channel != "book_ticker" }) {
		t.Errorf("gaps of what is not collected: %v", g)
	}
	w.reconfigure(func(m *connectors.MarketConfig) { m.DataTypes = []string{"book_ticker", "trade", "book_delta"} })
	w.ready("BTCUSDT")
	w.await(t, "the missed trade", func() bool { return w.has(btc, first) })
	for _, channel := range []string{"trade", "book_delta"} {
		w.await(t, "the end of the gap of "+channel, func() bool {
			return slices.ContainsFunc(w.gaps(btc, market.CauseRestart), func(g *market.Gap) bool {
				return g.Channel == channel && g.Outcome != market.OutcomeOpen
			})
		})
	}
	w.sameBook("BTCUSDT")
}

// Two of the rate limits change while everything runs; the other two, and what the
// exchange does not allow, do not.
func TestReconfigureRateLimits(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready("BTCUSDT")
	before := w.with(func(*connectors.MarketConfig) {})[0].Config.Markets["spot"].RateLimits.RESTWeightPerMinute
	const path = "exchanges.binance.markets.spot.rate_limits."
	taken, restart := w.reconfigure(func(m *connectors.MarketConfig) {
		m.RateLimits.RESTWeightPerMinute /= 2
		m.RateLimits.WSConnectsPer5Minutes = 100
		m.RateLimits.StreamsPerConnection = 7
		m.RateLimits.WSMessagesPerSecond = 1
	})
	if want := []string{path + "rest_weight_per_minute", path + "ws_connects_per_5_minutes"}; !slices.Equal(taken, want) {
		t.Errorf("taken %v, want %v", taken, want)
	}
	if want := []string{path + "streams_per_connection", path + "ws_messages_per_second"}; !slices.Equal(restart, want) {
		t.Errorf("needing a restart %v, want %v", restart, want)
	}
	w.await(t, "the new budget", func() bool {
		if w.stats().RESTWeight == before/2 {
			return true
		}
		w.exchange.trade("BTCUSDT", false) // what it causes sets off the next look
		return false
	})
	if _, _, err := w.collector.Reconfigure(t.Context(), w.with(func(m *connectors.MarketConfig) {
		m.RateLimits.RESTWeightPerMinute = 1 << 30
	})); err == nil {
		t.Error("a budget beyond the exchange's own is taken")
	}
	if got, want := w.stats().RESTWeight, before/2; got != want {
		t.Errorf("a weight of %d a minute is in force after settings that are wrong, want %d", got, want)
	}
}

// Nodes behind one address divide what it may have; a budget that is changed is divided
// too.
func TestSharedAddress(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready("BTCUSDT")
	whole := w.with(func(*connectors.MarketConfig) {})[0].Config.Markets["spot"].RateLimits.RESTWeightPerMinute
	w.collector.SetSharers(map[string]int{"binance/spot": 4, "okx/spot": 2})
	if got := w.stats().RESTWeight; got != whole/4 {
		t.Errorf("of %d a minute one of four has %d", whole, got)
	}
	w.reconfigure(func(m *connectors.MarketConfig) { m.RateLimits.RESTWeightPerMinute = whole / 2 })
	w.await(t, "the new budget, divided", func() bool {
		if w.stats().RESTWeight == whole/8 {
			return true
		}
		w.exchange.trade("BTCUSDT", false) // what it causes sets off the next look
		return false
	})
	w.collector.SetSharers(nil)
	if got := w.stats().RESTWeight; got != whole/2 {
		t.Errorf("alone it has %d, want %d", got, whole/2)
	}
}
