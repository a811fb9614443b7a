package collector_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// One instrument falls silent on a socket where another talks: its stream is not live,
// the session and health say so once it was asked for again in vain, and when it speaks
// it is live again on the same socket.
func TestSilentInstrumentIsShownAndComesBack(t *testing.T) {
	w := newWorld(t)
	w.types = []string{"trade"}
	w.silence = map[string]time.Duration{"trade": time.Second}
	w.start()
	w.await(t, "the subscriptions", func() bool { return w.exchange.subscribed("btcusdt@trade", "ethusdt@trade") })
	first := w.exchange.trade("ETHUSDT", false)
	stop, stopped := make(chan struct{}), make(chan struct{})
	var both atomic.Bool
	go func() { // BTC-USDT talks, in the end ETH-USDT too
		defer close(stopped)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				w.exchange.trade("BTCUSDT", false)
				if both.Load() {
					w.exchange.trade("ETHUSDT", false)
				}
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	silent := func() string {
		for _, k := range w.stats().Sessions {
			if len(k.Silent) > 0 {
				return strings.Join(k.Silent, ", ")
			}
		}
		return ""
	}
	w.await(t, "the silence in the session's state", func() bool { return silent() != "" })
	if got, want := silent(), "trade ETH-USDT"; got != want {
		t.Errorf("silent are %q, want %q", got, want)
	}
	if c := w.collector.Health(t.Context()).Checks["binance-spot"]; c.Status != "warn" || !strings.Contains(c.Detail, "trade ETH-USDT") {
		t.Errorf("health %+v", c)
	}
	w.await(t, "the end of one live stream", func() bool { return w.stats().LiveStreams == 1 })
	last := w.exchange.trade("ETHUSDT", false)
	both.Store(true)
	w.await(t, "two live streams", func() bool { return w.stats().LiveStreams == 2 && silent() == "" })
	w.await(t, "its trades", func() bool { return w.complete(eth, first, last) })
	if n := w.exchange.connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if len(w.gaps(eth, market.CauseSilence)) == 0 {
		t.Error("the silence is in no ledger")
	}
}
