package collector_test

import "testing"

// TestBackfillsTogether: many small holes are filled by few calls, for calls are what
// exchanges ration.
func TestBackfillsTogether(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready("BTCUSDT")
	w.settled("BTCUSDT")
	w.exchange.set(func(x *exchange) { x.broken = true })
	first := w.exchange.trade("BTCUSDT", false)
	const holes = 100
	for range holes {
		w.exchange.trade("BTCUSDT", true)
		w.exchange.trade("BTCUSDT", false)
	}
	last := w.exchange.trade("BTCUSDT", false)
	w.await(t, "every hole to be found", func() bool { return len(w.unhealed(btc, "trade")) == holes })
	w.exchange.set(func(x *exchange) { x.broken, x.asked = false, nil })
	w.await(t, "every trade", func() bool { return w.complete(btc, first, last) })
	w.await(t, "every gap to be healed", func() bool { return len(w.unhealed(btc, "trade")) == 0 })
	calls := 0
	w.exchange.set(func(x *exchange) {
		for _, path := range x.asked {
			if path == "/api/v3/historicalTrades" {
				calls++
			}
		}
	})
	// A page has seven trades, of which every other one is missing.
	if calls > 2*holes/7+2 {
		t.Errorf("%d calls for %d holes of one trade", calls, holes)
	}
}
