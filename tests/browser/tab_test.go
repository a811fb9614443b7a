package browser

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// mostServed is how much of a core the server may spend on one page that is looked at.
const mostServed = 0.25

// TestMultiNodeTab: what one page that is left open costs the server, in processor time
// beside what it spends without any. It is for MARKETPRISM_SOAK=1, on a machine with nothing
// else to do.
func TestMultiNodeTab(t *testing.T) {
	if os.Getenv("MARKETPRISM_SOAK") != "1" {
		t.Skip("what a page costs is measured with MARKETPRISM_SOAK=1")
	}
	const seconds = 20
	node, chromium, modules := tools(t)
	program := harness.Dev(t, t.TempDir(), harness.DevOffset(t), "--rate", "5", "--symbols", "20")
	metrics := program.URL(harness.Monitoring, "/metrics")
	begin, spent := time.Now(), processor(t, metrics)
	harness.Await(t, 10*seconds*time.Second, "time without a page", func() bool { return time.Since(begin) > seconds*time.Second })
	alone := (processor(t, metrics) - spent) / time.Since(begin).Seconds()
	t.Logf("without a page: %.1f %% of a core", alone*100)

	paths := []string{"/", "/actors", "/streams?view=table", "/streams?view=grid", "/market?exchange=binance&market=spot&symbol=BTC-USDT", "/storage", "/logs"}
	c := exec.CommandContext(t.Context(), node, append([]string{"tab.mjs", modules, program.URL(harness.Monitoring, ""), chromium, strconv.Itoa(seconds)}, paths...)...)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	looked := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		what, path, _ := strings.Cut(lines.Text(), " ")
		if what == "live" {
			begin, spent = time.Now(), processor(t, metrics)
			continue
		}
		looked++
		share := (processor(t, metrics)-spent)/time.Since(begin).Seconds() - alone
		t.Logf("%s: %.1f %% of a core more", path, share*100)
		if share > mostServed {
			t.Errorf("%s costs the server %.1f %% of a core, most %.0f", path, share*100, mostServed*100)
		}
	}
	if err := c.Wait(); err != nil || looked != len(paths) {
		t.Errorf("%d of %d pages: %v", looked, len(paths), err)
	}
}

// processor is the processor time that a process has spent, in seconds.
func processor(t *testing.T, metrics string) float64 {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, metrics, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nprocess_cpu_seconds_total ")
	word, _, _ := strings.Cut(rest, "\n")
	s, err := strconv.ParseFloat(word, 64)
	if err != nil {
		t.Fatalf("processor time %q: %v", word, err)
	}
	return s
}
