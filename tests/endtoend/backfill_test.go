package endtoend

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/tests/harness"
)

// flags are left out of the comparison: what was imported carries one more.
var flags = regexp.MustCompile(`,"flags":\[[^]]*\]`)

func unflagged(records []string) []string {
	all := make([]string, len(records))
	for i, line := range records {
		all[i] = flags.ReplaceAllString(line, "")
	}
	return all
}

// TestBackfillCapture: a recording that is imported, into a running node or into the
// data of a stopped one, is stored as normalize prints it, once however often.
func TestBackfillCapture(t *testing.T) {
	t.Parallel()
	capture := harness.Capture(t, "binance-spot/btcusdt_20240808")
	normalized := byKind(t, harness.Must(t, 5*time.Minute, "normalize", capture).Out)
	check := func(t *testing.T, n *harness.Node) {
		t.Helper()
		for _, kind := range market.Kinds() {
			if kind.Table() == "" {
				continue
			}
			stored := lines(n.MustQuery(kind.String(), "binance", "BTC-USDT", "market", "spot"))
			sameRecords(t, kind.String(), unflagged(stored), unflagged(normalized[kind.String()]))
			for _, line := range stored {
				if !strings.Contains(line, `"backfilled"`) || strings.Contains(line, `"origin"`) {
					t.Fatalf("%.300s", line)
				}
			}
		}
	}
	t.Run("running", func(t *testing.T) {
		n := harness.Start(t, t.TempDir(), harness.Settings{"exchanges.binance.enabled": false, harness.Collector + ".exchanges": []string{"binance"}})
		harness.Must(t, 4*time.Minute, "backfill", "-c", n.Config(), "--capture", capture)
		check(t, n)
		n.Kill()
		n = harness.Start(t, n.Data, nil) // another ownership
		again := harness.Must(t, 4*time.Minute, "backfill", "-c", n.Config(), "--capture", capture, "-o", "json")
		check(t, n)
		if !strings.Contains(again.Out, `"records":`) {
			t.Error(again.Out)
		}
		n.Stop()
	})
	t.Run("stopped", func(t *testing.T) {
		n := harness.Start(t, t.TempDir(), nil)
		n.Stop()
		harness.Must(t, 4*time.Minute, "backfill", "-c", n.Config(), "--capture", capture)
		n = harness.Start(t, n.Data, nil)
		check(t, n)
		n.Stop()
	})
}
