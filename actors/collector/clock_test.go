package collector_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// stepped is a clock that somebody sets to another time of day.
type stepped struct{ by atomic.Int64 }

func (c *stepped) step(d time.Duration) { c.by.Add(int64(d)) }
func (c *stepped) now() time.Time       { return time.Now().Round(0).Add(time.Duration(c.by.Load())) }

// TestClockStep: the clock is set an hour on or back while a stream is live, while its
// connection is down, and while the process is. Nothing is lost, nothing is called
// missing, and a stream that is live stays so.
func TestClockStep(t *testing.T) {
	for name, by := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			clock := &stepped{}
			w := newWorld(t)
			w.now = clock.now
			w.start()
			w.ready("BTCUSDT")
			w.settled("BTCUSDT")
			first := w.exchange.trade("BTCUSDT", false)

			clock.step(by)
			for range 30 {
				w.exchange.trade("BTCUSDT", false)
				w.exchange.change("BTCUSDT", false)
			}
			w.settled("BTCUSDT")
			w.sameBook("BTCUSDT")
			if n, gaps := w.exchange.connections(), w.ledger.all(btc, market.KindGap); n != 1 || len(gaps) > 0 {
				t.Errorf("while live: %d connections, gaps %v", n, gaps)
			}

			w.exchange.set(func(x *exchange) { x.deaf = true })
			w.exchange.kick()
			w.await(t, "the gap to be opened", func() bool { return len(w.gaps(btc, market.CauseDisconnect)) >= 2 })
			clock.step(-by)
			w.miss()
			w.exchange.set(func(x *exchange) { x.deaf = false })
			w.ready("BTCUSDT")
			w.sameBook("BTCUSDT")

			w.stop()
			clock.step(by)
			w.miss()
			w.start()
			w.ready("BTCUSDT")
			last := w.exchange.trade("BTCUSDT", false)
			w.await(t, "every trade", func() bool { return w.complete(btc, first, last) })
			w.await(t, "every gap of trades to be healed", func() bool { return len(w.unhealed(btc, "trade")) == 0 })
			w.sameBook("BTCUSDT")
		})
	}
}

// miss lets things happen that nobody is told of.
func (w *world) miss() {
	for range 20 {
		w.exchange.trade("BTCUSDT", true)
		w.exchange.change("BTCUSDT", true)
	}
}

// unhealed are the gaps of a channel whose last entry does not say that they are
// healed.
func (w *world) unhealed(id market.StreamID, channel string) []*market.Gap {
	type key struct{ time, seq int64 }
	newest := map[key]*market.Gap{}
	for _, r := range w.ledger.all(id, market.KindGap) {
		if g := r.(*market.Gap); g.Channel == channel {
			newest[key{g.FromTime, g.FromSeq.V}] = g
		}
	}
	var left []*market.Gap
	for _, g := range newest {
		if g.Outcome != market.OutcomeHealed {
			left = append(left, g)
		}
	}
	return left
}
