package browser

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

// entered is what came of logging in.
type entered struct {
	At         string   `json:"at"`         // where the pages are
	Errors     []string `json:"errors"`     // of the console
	Foreign    []string `json:"foreign"`    // requests to another origin
	Violations []string `json:"violations"` // of accessibility, of the form
	Faults     []string `json:"faults"`     // steps that could not be done
	Shown      int      `json:"shown"`      // tables before anybody was in
	Refused    string   `json:"refused"`    // what a wrong password is told
	Role       string   `json:"role"`
	Live       int      `json:"live"` // panels, after the login
	Reloaded   int      `json:"reloaded"`
	Other      int      `json:"other"` // in another tab
	Renewed    bool     `json:"renewed"`
	Kept       int      `json:"kept"`  // panels, after the token had run out
	Spans      int      `json:"spans"` // of a slow trace
	Out        bool     `json:"out"`
	Left       int      `json:"left"` // status that the token gets after the logout
}

// TestMultiNodeLogin: where clients have logins, the page is there for everybody and its
// data for who logs in; a login outlives a reload, counts in other tabs, is renewed when its
// token runs out, and ends with the logout. What was slow is shown with its spans; what the page asks by itself is not in the log.
func TestMultiNodeLogin(t *testing.T) {
	node, chromium, modules := tools(t)
	n := harness.Start(t, t.TempDir(), harness.Settings{
		"http.identity": "required", harness.Gateway + ".auth.password.memory_kib": 64, harness.Gateway + ".auth.password.passes": 1,
		harness.Monitoring + ".monitoring.traces.slow": "1ms",
	})
	var first struct{ Username, Password string }
	text, err := os.ReadFile(filepath.Join(n.Data, "first-login.json"))
	if err != nil || json.Unmarshal(text, &first) != nil {
		t.Fatalf("the first login: %s, %v", text, err)
	}
	var out, said bytes.Buffer
	c := exec.CommandContext(t.Context(), node, "login.mjs", modules, n.URL(harness.Monitoring, ""), chromium, first.Username, first.Password)
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		t.Fatalf("logging in: %v\n%s", err, said.String())
	}
	var e entered
	if err := json.Unmarshal(out.Bytes(), &e); err != nil {
		t.Fatalf("it said %q: %v", out.String(), err)
	}
	for what, list := range map[string][]string{"error": e.Errors, "foreign request": e.Foreign, "violation": e.Violations, "fault": e.Faults} {
		for _, line := range list {
			t.Errorf("%s: %s", what, line)
		}
	}
	if e.At != n.URL(harness.Gateway, "") {
		t.Errorf("the pages are at %q, want the gateway", e.At)
	}
	if e.Shown != 0 || !strings.Contains(e.Refused, "wrong") {
		t.Errorf("without a login %d tables are shown; a wrong password is told %q", e.Shown, e.Refused)
	}
	if e.Live == 0 || e.Reloaded == 0 || e.Other == 0 || e.Kept == 0 || !e.Renewed || !strings.Contains(e.Role, "admin") {
		t.Errorf("logged in: %+v", e)
	}
	if e.Spans == 0 {
		t.Error("a slow trace shows no spans")
	}
	if !e.Out || e.Left != 401 {
		t.Errorf("after the logout: kept %v, the token gets %d", !e.Out, e.Left)
	}
	for line := range strings.Lines(n.Log()) {
		if strings.Contains(line, `"http request"`) && strings.Contains(line, `"method":"GET"`) && strings.Contains(line, `"code":200`) && strings.Contains(line, `"route":"/api/`) {
			t.Errorf("what a page asks by itself is in the log: %s", line)
		}
	}
}
