package collector_test

import (
	"strings"
	"testing"

	"github.com/marketprism/marketprism/actors/supervise"
)

// TestHealthNamesWhatWasStopped: a stream, or a whole market, that somebody has stopped
// by hand is not collected, and the health says so.
func TestHealthNamesWhatWasStopped(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready("BTCUSDT", "ETHUSDT")
	check := func() string {
		c := w.collector.Health(t.Context()).Checks["binance-spot"]
		return c.Status + ": " + c.Detail
	}
	w.await(t, "a market that is well", func() bool { return check() == "pass: " })
	market := supervise.RootID + "/collector/binance-spot"
	for _, of := range []struct{ branch, name string }{{market, "ETH-USDT"}, {supervise.RootID + "/collector", "binance-spot"}} {
		if err := w.system.StopChild(t.Context(), of.branch, of.name); err != nil {
			t.Fatal(err)
		}
		if got := check(); !strings.HasPrefix(got, "warn: "+of.branch+"/"+of.name+" does not run") {
			t.Errorf("%s is stopped, the health says %q", of.name, got)
		}
	}
}
