package documents

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// shown is what a document shows of a command: what it prints.
func shown(t *testing.T, document, command string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", document))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n$ "+command+"\n")
	if !ok {
		t.Fatalf("%s does not show %q", document, command)
	}
	end := strings.Index(rest, "\n```")
	if next := strings.Index(rest, "\n$ "); next >= 0 && next < end {
		end = next
	}
	return strings.TrimSpace(rest[:max(0, end)])
}

// TestShownErrors: a configuration with errors is answered as its page shows.
func TestShownErrors(t *testing.T) {
	home := t.TempDir()
	bad := "data-storage-service:\n  prot: 9080\n  storage: {hot_storage: {ttl_hours: 0}}\nscheduler-service:\n  port: 8080\n"
	if err := os.WriteFile(filepath.Join(home, "bad.yaml"), []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), harness.Program(t), "config", "check", "-c", "bad.yaml")
	c.Dir = home
	out, err := c.CombinedOutput()
	if err == nil || c.ProcessState.ExitCode() != 2 {
		t.Errorf("it ends with %v", err)
	}
	if got, want := strings.TrimSpace(string(out)), shown(t, "docs/configuration.md", "marketprism config check -c bad.yaml"); got != want {
		t.Errorf("it prints\n%s\nand is shown as\n%s", got, want)
	}
}

var (
	took   = regexp.MustCompile(`in \d+\.\d\d s`)
	spaces = regexp.MustCompile(` +`)
)

// TestRecorded: recorded traffic gives what the README shows.
func TestRecorded(t *testing.T) {
	capture := harness.Capture(t, "binance-usdm/btcusdt_20240808")
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "binance"), 0o755); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(home, "binance", "btcusdt.ndjson.gz")
	if err := os.Symlink(capture, at); err != nil {
		t.Fatal(err)
	}
	got := harness.Must(t, time.Minute, "normalize", at, "--book-depth", "0", "-o", "summary").Out
	alike := func(text string) string {
		return strings.TrimSpace(spaces.ReplaceAllString(took.ReplaceAllString(text, "in S s"), " "))
	}
	if want := shown(t, "README.md", "marketprism normalize binance/btcusdt.ndjson.gz --book-depth 0 -o summary"); alike(got) != alike(want) {
		t.Errorf("it prints\n%s\nand is shown as\n%s", got, want)
	}
}
