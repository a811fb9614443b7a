package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/config"
)

// What a running service was told shows in the settings, as YAML that can be read
// again.
func TestShowWithChangesAtRunTime(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config/exchanges/binance.yaml"), "markets: {spot: {symbols: [btcusdt, '*-EUR']}}\n")
	l, err := config.Load(config.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	show := func(origins bool, r config.RunTimeList) string {
		t.Helper()
		var text strings.Builder
		if err := l.ShowWith(&text, origins, []config.RunTimeList{r}); err != nil {
			t.Fatal(err)
		}
		return text.String()
	}
	r := config.RunTimeList{Path: "exchanges.binance.markets.spot.symbols", Items: []string{"btcusdt", "*-EUR", "SOL-USDT"}, By: "the collector", Notes: []string{"subscribe SOL-USDT [trade]"}}
	text := show(true, r)
	for _, want := range []string{`SOL-USDT]`, "# runtime (the collector)\n        # runtime: subscribe SOL-USDT [trade]\n"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, text)
		}
	}
	file := filepath.Join(t.TempDir(), "services.yaml")
	write(t, file, show(false, r))
	again, err := config.Load(config.Options{Path: file})
	if err != nil {
		t.Fatalf("it cannot be read again: %v", err)
	}
	if got := again.Config.Exchanges["binance"].Markets["spot"].Symbols; len(got) != 3 || got[2] != "SOL-USDT" {
		t.Errorf("read again: %v", got)
	}
	r.Items = r.Items[:2] // as they are in the file
	if text := show(true, r); strings.Contains(text, "# runtime (") || !strings.Contains(text, "# runtime: subscribe") {
		t.Errorf("nothing of the list has changed:\n%s", text)
	}
	r.Path = "exchanges.elsewhere.markets.spot.symbols"
	if text := show(true, r); !strings.HasSuffix(text, "\n# runtime: "+r.Path+": subscribe SOL-USDT [trade]\n") {
		t.Errorf("a setting that is unknown here: %s", text[len(text)-100:])
	}
}
