package contract

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// alerts asks for what fires, and silences it, in both forms.
func alerts(t *testing.T, c *client) {
	o := c.get("/api/v1/alerts")
	has(t, "alerts", o, "active_alerts:a", "alert_history:a")
	row := []string{"rule_id:s", "rule_name:s", "description:s", "severity:s", "start_time:t", "last_checked:t", "value:n"}
	for _, a := range list(o, "active_alerts") { // which fire is a matter of the machine
		has(t, "an active alert", a.(object), row...)
	}
	for _, a := range list(o, "alert_history") {
		has(t, "a past alert", a.(object), append(row, "end_time:t", "status:s")...)
	}
	made := c.ask(200, "POST", "/api/v1/silences", `{"matchers":[{"name":"service","value":"contract"}],"duration_seconds":60,"comment":"a test"}`)
	has(t, "a new silence", made, "success:b", "silence_id:s", "silence:o")
	at := "/api/v1/silences/" + fmt.Sprint(made["silence_id"])
	has(t, "a silence", c.get(at), "id:s", "state:s", "matchers:a", "starts_at:t", "ends_at:t", "updated_at:t", "created_by:s", "comment:s")
	has(t, "silences", c.get("/api/v1/silences"), "silences:a", "count:n>0")
	c.ask(200, "DELETE", at, "")
	if s := c.get(at); s["state"] != "expired" {
		t.Errorf("a silence that was ended: %v", s)
	}
	c.refused(404, "", "GET", "/api/v1/silences/none", "", "")
	c.refused(422, "invalid_silence", "POST", "/api/v1/silences", "application/json", `{"matchers":[],"duration_seconds":60,"comment":"x"}`)
}

// alertmanager asks in Alertmanager's form.
func alertmanager(t *testing.T, c *client) {
	rows := func(path string) []any {
		a := c.try("GET", path, "", "")
		var out []any
		if a == nil || a.Status != 200 || json.Unmarshal(a.Body, &out) != nil {
			t.Fatalf("%s: %+v", path, a)
		}
		if err := c.doc.judge("GET", strings.SplitN(path, "?", 2)[0], a); err != nil {
			t.Errorf("%s is not as described: %v", path, err)
		}
		return out
	}
	rows("/api/v2/alerts")
	has(t, "status", c.get("/api/v2/status"), "cluster:o", "versionInfo:o", "config:o", "uptime:t")
	now := time.Now().UTC()
	made := c.ask(200, "POST", "/api/v2/silences", fmt.Sprintf(`{"matchers":[{"name":"service","value":"contract","isRegex":false,"isEqual":true}],"startsAt":%q,"endsAt":%q,"createdBy":"contract","comment":"a test"}`,
		now.Format(time.RFC3339), now.Add(time.Minute).Format(time.RFC3339)))
	id := fmt.Sprint(made["silenceID"])
	has(t, "a silence", c.get("/api/v2/silence/"+id), "id:s", "status:o", "matchers:a", "startsAt:t", "endsAt:t", "updatedAt:t", "createdBy:s", "comment:s")
	if len(rows("/api/v2/silences")) == 0 {
		t.Error("no silences")
	}
	if a := c.try("DELETE", "/api/v2/silence/"+id, "", ""); a == nil || a.Status != 200 {
		t.Errorf("ending a silence: %+v", a)
	}
}

// forms are Prometheus' queries as forms, which is how Grafana sends them.
func forms(t *testing.T, c *client) {
	for _, prefix := range []string{"/api/v1/", "/prometheus/api/v1/", "/api/v1/prometheus/api/v1/"} {
		for path, form := range map[string]url.Values{
			"query": {"query": {"up"}}, "query_range": {"query": {"up"}, "start": {"1700000000"}, "end": {"1700000060"}, "step": {"15"}},
			"labels": {}, "series": {"match[]": {"up"}}, "format_query": {"query": {"sum(up)by(job)"}}, "query_exemplars": {"query": {"up"}},
		} {
			a := c.try("POST", prefix+path, "application/x-www-form-urlencoded", form.Encode())
			if a == nil || a.Status != 200 {
				t.Errorf("POST %s: %+v", path, a)
				continue
			}
			if err := c.doc.judge("POST", prefix+path, a); err != nil {
				t.Errorf("POST %s is not as described: %v", path, err)
			}
		}
		if got := c.get(prefix + "format_query?query=sum(up)by(job)")["data"]; got != "sum by (job) (up)" {
			t.Errorf("format_query: %v", got)
		}
		has(t, "query_exemplars", c.get(prefix+"query_exemplars?query=up"), "status:s", "data:a")
	}
}

// audited reads who stopped an actor.
func audited(t *testing.T, c *client) {
	o := c.get("/api/v1/audit?action=actor&limit=100")
	has(t, "audit", o, "entries:a", "count:n>0", "timestamp:t")
	found := false
	for _, e := range list(o, "entries") {
		e, _ := e.(object)
		has(t, "an entry", e, "sequence:n>0", "time:t", "principal:s", "action:s", "target:s", "outcome:s")
		found = found || e["action"] == "actor.restart" && e["outcome"] == "done" && e["detail"] == "a test"
	}
	if !found {
		t.Errorf("the restart of an actor is in no entry: %v", o)
	}
}

// pageFollowed reads the first frames of a live page: everything, and then a sign of life
// each second.
func pageFollowed(t *testing.T, c *client) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const topics = "overview,services,system,actors,events,alerts,storage,collector,exchanges,books,quality,broker,scheduler,tasks,gateway"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/api/v1/ui/live?topics="+topics, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	asked.note(ctx, c.base, "GET", "/api/v1/ui/live", resp.StatusCode)
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 16<<20)
	name, seen := "", map[string]bool{}
	for !(seen["snapshot"] && (seen["diff"] || seen["beat"])) && lines.Scan() {
		if word, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = word
		}
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var o object
		if err := json.Unmarshal([]byte(data), &o); err != nil {
			t.Fatal(err)
		}
		seen[name] = true
		switch name {
		case "snapshot":
			has(t, name, o, "seq:n>0", "time:t", "topics:o", "errors:o")
			if errs := sub(o, "errors"); len(errs) != 0 {
				t.Errorf("topics that say nothing: %v", errs)
			}
			for topic := range strings.SplitSeq(topics, ",") {
				if len(sub(o, "topics", topic)) == 0 && topic != "alerts" {
					t.Errorf("%s is empty", topic)
				}
			}
		case "diff":
			has(t, name, o, "seq:n>0", "time:t", "set:o", "del:o", "errors:o")
		case "beat":
			has(t, name, o, "seq:n>0", "time:t", "errors:o")
		}
	}
	if !seen["snapshot"] || !seen["diff"] && !seen["beat"] {
		t.Errorf("frames: %v (%v)", seen, lines.Err())
	}
	if mounted := c.try("GET", "/api/v1/storage/stats", "", ""); mounted == nil || mounted.Status != 200 {
		t.Errorf("the storage service from here: %+v", mounted)
	}
}
