package monitoring_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

// amtool runs Alertmanager's tool against a façade.
func amtool(t *testing.T, url string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("amtool")
	if err != nil {
		if os.Getenv("MARKETPRISM_REQUIRE_SERVERS") == "1" {
			t.Fatal(err)
		}
		t.Skipf("NOT TESTED WITH AMTOOL: %v", err)
	}
	c := exec.CommandContext(t.Context(), path, append(args, "--alertmanager.url="+url)...)
	c.Env = append(os.Environ(), "HOME="+t.TempDir()) // no settings of anybody's
	out, err := c.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("amtool %q: %v\n%s", args, err, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestAmtool lets Alertmanager's tool ask what fires, and make and end a silence.
func TestAmtool(t *testing.T) {
	s, h, log := serveAlerts(t)
	if err := h.Accept(t.Context(), []alert.Alert{fires("Lag", "warning"), fires("Full", "critical")}); err != nil {
		t.Fatal(err)
	}
	firing := func() (names []string) {
		var alerts []struct {
			Labels map[string]string `json:"labels"`
		}
		if err := json.Unmarshal([]byte(amtool(t, s.URL(), "alert", "query", "--output=json")), &alerts); err != nil {
			t.Fatal(err)
		}
		for _, a := range alerts {
			names = append(names, a.Labels["alertname"])
		}
		return names
	}
	if got := firing(); len(got) != 2 {
		t.Errorf("amtool sees %q", got)
	}
	id := amtool(t, s.URL(), "silence", "add", "alertname=~La.", "service=broker", "--comment=a test", "--author=ops", "--duration=1h")
	if got := firing(); len(got) != 1 || got[0] != "Full" {
		t.Errorf("with a silence amtool sees %q", got)
	}
	if got := amtool(t, s.URL(), "silence", "query", "--quiet"); got != id {
		t.Errorf("amtool made %q, and sees %q", id, got)
	}
	amtool(t, s.URL(), "silence", "expire", id)
	if got := firing(); len(got) != 2 {
		t.Errorf("after the silence amtool sees %q", got)
	}
	if len(log.entries) != 2 || log.entries[0].Action != "silence.set" || log.entries[1].Action != "silence.end" {
		t.Errorf("audited: %+v", log.entries)
	}
}
