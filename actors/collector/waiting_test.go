package collector_test

import "testing"

// A book whose snapshot cannot be had keeps few of the changes that come meanwhile, and
// is right as soon as there is one.
func TestBookThatWaitsForItsSnapshotKeepsLittle(t *testing.T) {
	w := newWorld(t)
	w.symbols = []string{"BTC-USDT"}
	w.exchange.noBooks = true
	w.start()
	w.await(t, "the subscription", func() bool { return w.exchange.subscribed(streams("btcusdt")...) })
	const changes = 500
	for range changes {
		w.exchange.change("BTCUSDT", false)
	}
	w.await(t, "changes given up", func() bool {
		if w.collector.DroppedChanges("BTC-USDT") >= changes-100 {
			return true
		}
		w.exchange.trade("BTCUSDT", false) // what it causes sets off the next look
		return false
	})
	w.exchange.set(func(x *exchange) { x.noBooks = false })
	w.settled("BTCUSDT")
	w.sameBook("BTCUSDT")
}
