package monitoring_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/bucket/buckettest"
	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/notify"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/monitoring"
)

// serveAlerts serves a façade with alerts, the log of what is audited, and what takes
// the alerts.
func serveAlerts(t *testing.T) (*chassis.Server, *notify.Handle, *noted) {
	t.Helper()
	log := &noted{}
	h, err := notify.New(notify.Options{Config: notify.DefaultConfig(), Store: buckettest.New()})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := serveWith(t, []string{monitoring.Service}, func(o *monitoring.Options, sys *supervise.System) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := sys.StartChild(ctx, supervise.RootID, h.Spec()); err != nil {
			t.Fatal(err)
		}
		o.Notify, o.Operations.Audit = h, log
	})
	return s, h, log
}

func fires(name, severity string) alert.Alert {
	now := time.Now()
	return alert.Alert{
		Rule: name, Group: "g", State: alert.Firing, Value: 2.5, ActiveAt: now, FiredAt: now, CheckedAt: now, Until: now.Add(time.Hour),
		Labels:      alert.LabelsOf(map[string]string{"alertname": name, "severity": severity, "service": "broker"}),
		Annotations: alert.LabelsOf(map[string]string{"summary": "it is " + name, "description": "It goes on.", "runbook_url": "docs/runbooks.md#" + name}),
	}
}

type shownAlerts struct {
	Active  []map[string]any `json:"active_alerts"`
	History []map[string]any `json:"alert_history"`
}

// TestAlerts: the documented members, the documented severities, and who mutes what.
func TestAlerts(t *testing.T) {
	s, h, _ := serveAlerts(t)
	var shown shownAlerts
	if body := get(t, s, "/api/v1/alerts", 200, &shown); !strings.Contains(body, `"active_alerts":[]`) || !strings.Contains(body, `"alert_history":[]`) {
		t.Errorf("with nothing: %s", body)
	}
	over := fires("Short", "warning")
	if err := h.Accept(t.Context(), []alert.Alert{fires("RoleDown", "critical"), fires("Lag", "warning"), fires("Watchdog", "none"), over}); err != nil {
		t.Fatal(err)
	}
	over.State, over.ResolvedAt = alert.Resolved, time.Now()
	if err := h.Accept(t.Context(), []alert.Alert{over}); err != nil {
		t.Fatal(err)
	}
	actorstest.Eventually(t, "a history", func() bool {
		get(t, s, "/api/v1/alerts", 200, &shown)
		return len(shown.History) == 1
	})
	if len(shown.Active) != 2 {
		t.Fatalf("active %v", shown.Active)
	}
	for _, a := range shown.Active {
		for _, member := range []string{"rule_id", "rule_name", "description", "severity", "start_time", "last_checked", "value"} {
			if a[member] == nil {
				t.Errorf("no %s in %v", member, a)
			}
		}
		if muted := a["inhibited_by"] != nil; muted != (a["rule_id"] == "Lag") {
			t.Errorf("inhibited: %v", a)
		}
	}
	if past := shown.History[0]; past["status"] != "resolved" || past["end_time"] == nil || past["rule_id"] != "Short" {
		t.Errorf("history %v", past)
	}
	get(t, s, "/api/v1/alerts?severity=critical", 200, &shown)
	if len(shown.Active) != 1 || len(shown.History) != 0 {
		t.Errorf("critical alone: %+v", shown)
	}
	get(t, s, "/api/v1/alerts?severity=none", 422, nil)
	var overview struct {
		Alerts map[string]int `json:"alerts"`
	}
	get(t, s, "/api/v1/overview", 200, &overview)
	if overview.Alerts["active"] != 2 || overview.Alerts["critical"] != 1 || overview.Alerts["warning"] != 1 {
		t.Errorf("overview %v", overview.Alerts)
	}
	var theirs []map[string]any
	get(t, s, `/api/v2/alerts?filter=severity%3D~%22critical%7Cwarning%22&inhibited=false`, 200, &theirs)
	if len(theirs) != 1 || theirs[0]["labels"].(map[string]any)["alertname"] != "RoleDown" {
		t.Errorf("in Alertmanager's form: %v", theirs)
	}
	get(t, s, `/api/v2/alerts?filter=nonsense`, 400, nil)
	actorstest.Eventually(t, "a health that counts them", func() bool { // it is cached for a moment
		return strings.Contains(get(t, s, "/health", 200, nil), `"alerts":{"critical":1`)
	})
}

// TestSilences: made, listed, ended and refused, in both forms, and audited.
func TestSilences(t *testing.T) {
	s, _, log := serveAlerts(t)
	call := func(method, path, body string, want int) string {
		t.Helper()
		a := chassistest.Call(t, s, method, path, "application/json", body)
		if a.Status != want {
			t.Fatalf("%s %s %s: %d %s", method, path, body, a.Status, a.Body)
		}
		return a.Body
	}
	const path, matchers = "/api/v1/silences", `"matchers":[{"name":"service","value":"broker"}]`
	var made struct {
		ID string `json:"silence_id"`
	}
	if err := json.Unmarshal([]byte(call(http.MethodPost, path, `{`+matchers+`,"duration_seconds":3600,"comment":"maintenance","created_by":"ops"}`, 200)), &made); err != nil || made.ID == "" {
		t.Fatalf("made %+v, %v", made, err)
	}
	if body := get(t, s, path+"/"+made.ID, 200, nil); !strings.Contains(body, `"state":"active"`) || !strings.Contains(body, `"created_by":"ops"`) || !strings.Contains(body, `"op":"="`) {
		t.Error(body)
	}
	if body := get(t, s, "/api/v2/silence/"+made.ID, 200, nil); !strings.Contains(body, `"isEqual":true`) || !strings.Contains(body, `"isRegex":false`) {
		t.Error(body)
	}
	for _, bad := range []struct {
		body string
		want int
	}{
		{`{"matchers":[],"duration_seconds":60,"comment":"x"}`, 422},
		{`{` + matchers + `,"comment":"x"}`, 422},
		{`{` + matchers + `,"duration_seconds":60,"ends_at":"2030-01-01T00:00:00Z","comment":"x"}`, 422},
		{`{` + matchers + `,"ends_at":"2020-01-01T00:00:00Z","comment":"x"}`, 422},
		{`{` + matchers + `,"duration_seconds":60}`, 422},
		{`{"matchers":[{"name":"a","op":"=~","value":"("}],"duration_seconds":60,"comment":"x"}`, 422},
		{`{"matchers":[{"name":"a","op":"=~","value":".*"}],"duration_seconds":60,"comment":"x"}`, 422},
		{`{"id":"none",` + matchers + `,"duration_seconds":60,"comment":"x"}`, 404},
		{`{`, 400},
	} {
		call(http.MethodPost, path, bad.body, bad.want)
	}
	call(http.MethodDelete, path+"/"+made.ID, "", 200)
	call(http.MethodDelete, path+"/"+made.ID, "", 409)
	call(http.MethodDelete, path+"/none", "", 404)
	if body := get(t, s, path+"?state=active", 200, nil); !strings.Contains(body, `"count":0`) {
		t.Error(body)
	}
	body := call(http.MethodPost, "/api/v2/silences", `{"matchers":[{"name":"alertname","value":"Lag","isRegex":false},{"name":"service","value":"a|b","isRegex":true,"isEqual":false}],`+
		`"startsAt":"2024-01-01T00:00:00Z","endsAt":"2035-01-01T00:00:00Z","createdBy":"amtool","comment":"x"}`, 200)
	var theirs struct {
		ID string `json:"silenceID"`
	}
	if err := json.Unmarshal([]byte(body), &theirs); err != nil || theirs.ID == "" {
		t.Fatal(body)
	}
	if body := get(t, s, path+"/"+theirs.ID, 200, nil); !strings.Contains(body, `"op":"!~"`) {
		t.Error(body)
	}
	call(http.MethodDelete, "/api/v2/silence/"+theirs.ID, "", 200)
	actions := map[string]int{}
	for _, e := range log.entries {
		actions[e.Action+" "+e.Outcome]++
	}
	if actions["silence.set done"] != 2 || actions["silence.end done"] != 2 || actions["silence.end failed"] != 2 {
		t.Errorf("audited %v", actions)
	}
}
