package endtoend

import (
	"maps"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// marketStats is what the collector tells of the one market that is followed.
type marketStats struct {
	Enabled  bool `json:"enabled"`
	Streams  int  `json:"streams"`
	Sessions []struct {
		Name          string `json:"name"`
		State         string `json:"state"`
		Connection    int64  `json:"connection"`
		Subscriptions int    `json:"subscriptions"`
	} `json:"sessions"`
}

func statsOf(t *testing.T, n *harness.Node) marketStats {
	t.Helper()
	var body struct {
		Markets map[string]marketStats `json:"adapter_stats"`
	}
	harness.GetJSON(t, n.URL(harness.Collector, "/api/v1/exchanges/binance/stats"), &body)
	return body.Markets["perpetual"]
}

// live is the subscriptions of the only session, once it is live; else 0.
func (s marketStats) live() int {
	if len(s.Sessions) != 1 || s.Sessions[0].State != "live" {
		return 0
	}
	return s.Sessions[0].Subscriptions
}

// TestReload changes what a running process collects: by SIGHUP and by a file that
// changes, from nothing to an exchange, to more data types, and back to nothing.
func TestReload(t *testing.T) {
	exchange := harness.Replay(t, harness.Capture(t, "binance-usdm/btcusdt_20240808"))
	settings := func(kinds ...string) harness.Settings { return exchange.Settings("perpetual", "BTC-USDT", kinds...) }
	off := settings("trade")
	off[harness.Collector+".exchanges"] = []string{}
	n := harness.Start(t, t.TempDir(), off)
	if s := statsOf(t, n); s.Enabled || s.Streams != 0 {
		t.Fatalf("an exchange that is not listed: %+v", s)
	}
	reload := func(s harness.Settings) {
		t.Helper()
		harness.WriteConfig(t, n.Config(), n.Data, s)
		if err := syscall.Kill(n.PID(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	said := func(what ...string) func() bool {
		from := len(n.Log())
		return func() bool {
			text := n.Log()[from:]
			for _, w := range what {
				if !strings.Contains(text, w) {
					return false
				}
			}
			return true
		}
	}

	taken := said(`"configuration read again"`, `market-data-collector.exchanges`)
	reload(settings("trade"))
	harness.Await(t, time.Minute, "the reload", taken)
	harness.Await(t, time.Minute, "a live session", func() bool { return statsOf(t, n).live() == 1 })
	first := statsOf(t, n).Sessions[0]

	// More data types, by the file alone; and a setting that needs a restart.
	more := settings("trade", "book_ticker")
	more["exchanges.binance.markets.perpetual.depth"] = 500
	more["scheduler-service.port"] = 1
	named := said(`exchanges.binance.markets.perpetual.data_types`, `"settings were changed that need a restart"`,
		`exchanges.binance.markets.perpetual.depth`, `scheduler-service.port`)
	harness.WriteConfig(t, n.Config(), n.Data, more)
	harness.Await(t, time.Minute, "the changed file to be read", named)
	harness.Await(t, time.Minute, "another subscription", func() bool { return statsOf(t, n).live() == 2 })
	if s := statsOf(t, n).Sessions[0]; s.Name != first.Name || s.Connection != first.Connection {
		t.Errorf("the change cost a connection: %+v after %+v", s, first)
	}

	// A file that is wrong changes nothing.
	wrong := maps.Clone(more)
	wrong["exchanges.binance.markets.perpetual.symbols"] = []string{}
	wrong["exchanges.binance.markets.perpetual.data_types"] = []string{"nosuch"}
	refused := said(`"the configuration is wrong and changes nothing"`)
	reload(wrong)
	harness.Await(t, time.Minute, "the refusal", refused)
	if err := os.WriteFile(n.Config(), []byte("no: yaml: at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused = said(`"the configuration is wrong and changes nothing"`)
	if err := syscall.Kill(n.PID(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, time.Minute, "the refusal", refused)
	if s := statsOf(t, n); s.live() != 2 || s.Sessions[0].Connection != first.Connection {
		t.Errorf("after files that are wrong: %+v", s)
	}

	reload(off)
	harness.Await(t, time.Minute, "the end of all sessions", func() bool {
		s := statsOf(t, n)
		return !s.Enabled && s.Streams == 0 && len(s.Sessions) == 0
	})
	n.Stop()
}
