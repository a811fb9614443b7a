package collector_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// What waits for all streams together is bounded: when one stream's mailbox has taken
// all there is, what comes for any of them is lost, counted and a gap, until it is
// worked off. Then all trades are fetched, and nothing is taken any more.
func TestFullBacklogIsAGap(t *testing.T) {
	w := newWorld(t)
	w.config.StreamMailbox, w.config.BacklogBytes, w.config.MailboxWait = 1<<16, 1<<20, time.Millisecond
	w.start()
	w.ready("BTCUSDT", "ETHUSDT")
	block, entered := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.plane.on(func(subject, _ string) {
		if strings.HasSuffix(subject, "BTC-USDT") {
			once.Do(func() { close(entered); <-block })
		}
	})
	first := w.exchange.trade("BTCUSDT", false)
	firstETH := w.exchange.trade("ETHUSDT", false)
	<-entered
	sent := 0
	for ; w.stats().RefusedDeliveries == 0 && sent < 20_000; sent++ {
		w.exchange.trade("BTCUSDT", false)
	}
	if sent == 20_000 {
		t.Fatalf("no delivery was refused: %d bytes wait", w.collector.Backlog())
	}
	if n := w.collector.Backlog(); n < 1<<20 || n > 1<<20+64<<10 {
		t.Errorf("%d bytes wait, where 1 MiB may", n)
	}
	lastETH := w.exchange.trade("ETHUSDT", false)
	close(block)
	w.settled("BTCUSDT")
	w.settled("ETHUSDT")
	last := w.exchange.trade("BTCUSDT", false)
	w.await(t, "the refused trades", func() bool {
		return w.complete(btc, first, last) && w.complete(eth, firstETH, lastETH)
	})
	w.sameBook("BTCUSDT")
	if len(w.ledger.all(btc, market.KindGap)) == 0 {
		t.Error("what was refused is in no gap")
	}
	w.await(t, "an empty backlog", func() bool {
		if w.collector.Backlog() == 0 {
			return true
		}
		w.exchange.trade("ETHUSDT", false) // what it causes sets off the next look
		return false
	})
}
