package chaos

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// ruleFile is a rule file in which an alert fires, or does not, beside one that always does.
func ruleFile(t *testing.T, path, expr string) {
	t.Helper()
	text := `groups:
  - name: lab
    rules:
      - {alert: Held, expr: '` + expr + `', labels: {severity: critical, service: lab}, annotations: {summary: it holds}}
      - {alert: Hushed, expr: 'vector(2)', labels: {severity: warning, service: lab}}
      - {alert: Later, expr: 'vector(3)', for: 1h, labels: {severity: warning, service: lab}}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ruled is what the rule engine shows of an alert: its state, and since when it is active.
func ruled(t *testing.T, n *harness.Node, name string) (state string, since time.Time) {
	t.Helper()
	for _, a := range ruledAlerts(t, n) {
		if a.Labels["alertname"] == name {
			return a.State, a.ActiveAt
		}
	}
	return "inactive", time.Time{}
}

// TestAlertsSurviveAKill: what fires, what is pending and what is silenced is so after a
// kill, and nobody is told again. Then a rule file changes: one with a fault changes
// nothing, one in which the condition is gone ends the alert, and that is told.
func TestAlertsSurviveAKill(t *testing.T) {
	p := newPager(t)
	file := filepath.Join(t.TempDir(), "lab.yaml")
	ruleFile(t, file, "vector(1)")
	s := with(quick(), p.rules(file))
	data := t.TempDir()
	n := harness.Start(t, data, s)
	silence := silenceOf(t, n, `{"matchers":[{"name":"alertname","value":"Hushed"}],"duration_seconds":3600,"comment":"a test"}`)
	p.await("Held", "firing")
	shown := func(n *harness.Node, name string) (a activeAlert) {
		harness.Await(t, time.Minute, name, func() bool {
			for _, each := range activeAlerts(t, n) {
				if each.RuleID == name {
					a = each
				}
			}
			return a.RuleID != ""
		})
		return a
	}
	before, hushed := shown(n, "Held"), shown(n, "Hushed")
	if len(hushed.SilencedBy) != 1 || hushed.SilencedBy[0] != silence {
		t.Errorf("silenced by %v, want %s", hushed.SilencedBy, silence)
	}
	harness.Await(t, time.Minute, "an alert that is pending", func() bool {
		state, _ := ruled(t, n, "Later")
		return state == "pending"
	})
	_, active := ruled(t, n, "Held")
	_, pending := ruled(t, n, "Later")
	harness.Pause(t, 2*time.Second) // what is told is written down

	n.Kill()
	ruleFile(t, file, "vector(1) > 0")
	n = harness.Start(t, data, s)
	if after := shown(n, "Held"); !after.StartTime.Equal(before.StartTime) {
		t.Errorf("fires since %v, before the kill it did since %v", after.StartTime, before.StartTime)
	}
	if after := shown(n, "Hushed"); len(after.SilencedBy) != 1 || after.SilencedBy[0] != silence {
		t.Errorf("silenced by %v after the kill, want %s", after.SilencedBy, silence)
	}
	harness.Await(t, time.Minute, "an evaluation", func() bool {
		state, _ := ruled(t, n, "Later")
		return state == "pending"
	})
	if _, now := ruled(t, n, "Held"); !now.Equal(active) {
		t.Errorf("active since %v, before the kill since %v", now, active)
	}
	if _, now := ruled(t, n, "Later"); now.Before(pending) || now.Sub(pending) > time.Minute {
		t.Errorf("pending since %v, before the kill since %v", now, pending)
	}

	fault := func() string {
		var answer struct {
			Warnings []string `json:"warnings"`
		}
		harness.GetJSON(t, n.URL(harness.Monitoring, "/api/v1/rules"), &answer)
		return strings.Join(answer.Warnings, " ")
	}
	ruleFile(t, file, "vector(1")
	harness.Await(t, time.Minute, "the fault", func() bool { return strings.Contains(fault(), "lab.yaml") })
	if state, since := ruled(t, n, "Held"); state != "firing" || !since.Equal(active) {
		t.Errorf("with a fault in the file it is %s since %v", state, since)
	}
	ruleFile(t, file, "vector(1) > 1")
	p.await("Held", "resolved")
	if text := fault(); text != "" {
		t.Errorf("mended, and still: %s", text)
	}
	p.once("Held", "Hushed", "Later")
	n.Stop()
}

// silenceOf makes a silence and returns its id.
func silenceOf(t *testing.T, n *harness.Node, body string) string {
	t.Helper()
	var made struct {
		ID string `json:"silence_id"`
	}
	a, err := harness.Post(t.Context(), n.URL(harness.Monitoring, "/api/v1/silences"), "application/json", []byte(body))
	if err != nil || a.Status != http.StatusOK || json.Unmarshal(a.Body, &made) != nil {
		t.Fatalf("a silence: %v %+v", err, a)
	}
	return made.ID
}
