package endtoend

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/marketprism/marketprism/tests/harness"
)

// lifeEvent is what a service says of its life.
type lifeEvent struct {
	Version  string         `json:"specversion"`
	ID       string         `json:"id"`
	Source   string         `json:"source"`
	Type     string         `json:"type"`
	Time     time.Time      `json:"time"`
	Data     map[string]any `json:"data"`
	position string
}

// lifeReader follows events as server-sent events. It leaves after every few, and comes
// back with the position of the last.
type lifeReader struct {
	t *testing.T

	mu   sync.Mutex
	base string // of the broker's API
	all  []lifeEvent
}

func (r *lifeReader) at(n *harness.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.base = n.URL(harness.Broker, "/api/v1/broker/")
}

func (r *lifeReader) run(ctx context.Context) {
	for ctx.Err() == nil {
		r.mu.Lock()
		base, last := r.base, ""
		if len(r.all) > 0 {
			last = r.all[len(r.all)-1].position
		}
		r.mu.Unlock()
		if events := readEvents(ctx, r.t, base, last, 7); len(events) > 0 {
			r.mu.Lock()
			r.all = append(r.all, events...)
			r.mu.Unlock()
			continue
		}
		harness.Pause(r.t, 20*time.Millisecond) // the broker is being started
	}
}

// readEvents reads at most so many events behind a position, from the first on without
// one. It ends earlier when the connection does, or none has come for a while.
func readEvents(ctx context.Context, t *testing.T, base, last string, most int) (events []lifeEvent) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(2*time.Second, cancel)
	defer silence.Stop()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"subscribe?from=first&subject=system.>", nil)
	if err != nil {
		t.Error(err)
		return nil
	}
	if last != "" {
		q.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	position, name := "", ""
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for len(events) < most && lines.Scan() {
		field, value, _ := bytes.Cut(lines.Bytes(), []byte(": "))
		switch string(field) {
		case "id":
			position = string(value)
		case "event":
			name = string(value)
		case "":
			name = ""
		case "data":
			switch name {
			case "":
				silence.Reset(2 * time.Second)
				m := struct{ Data lifeEvent }{Data: lifeEvent{position: position}}
				if err := json.Unmarshal(value, &m); err != nil {
					t.Errorf("%v in %s", err, value)
				}
				events = append(events, m.Data)
			case "start":
				if bytes.Contains(value, []byte("lost")) || bytes.Contains(value, []byte("reset")) {
					t.Errorf("behind %q: %s", last, value)
				}
			}
		}
	}
	return events
}

// await waits for an event of a type whose data holds something.
func (r *lifeReader) await(kind string, want map[string]any) lifeEvent {
	r.t.Helper()
	var found lifeEvent
	harness.Await(r.t, time.Minute, fmt.Sprint(kind, " ", want), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		i := slices.IndexFunc(r.all, func(e lifeEvent) bool { return e.Type == "io.marketprism."+kind && holds(e.Data, want) })
		if i >= 0 {
			found = r.all[i]
		}
		return i >= 0
	})
	return found
}

func holds(data, want map[string]any) bool {
	for name, value := range want {
		if fmt.Sprint(data[name]) != fmt.Sprint(value) {
			return false
		}
	}
	return true
}

// count is how many events of a type there are.
func (r *lifeReader) count(kind string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.all {
		if e.Type == "io.marketprism."+kind {
			n++
		}
	}
	return n
}

// lifeRules fire while there are tasks.
const lifeRules = `groups:
  - name: life
    rules:
      - alert: TasksThere
        expr: mp_scheduler_tasks > 0
        labels: {severity: warning, service: scheduler-service}
        annotations: {summary: There are tasks}
`

// lifeSettings are those of a node whose life is watched.
func lifeSettings(t *testing.T) harness.Settings {
	t.Helper()
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte(lifeRules), 0o600); err != nil {
		t.Fatal(err)
	}
	at := harness.Monitoring + ".monitoring."
	return harness.Settings{
		at + "prometheus.scrape.interval": "1s", at + "prometheus.scrape.timeout": "900ms",
		at + "prometheus.rules.interval": "1s", at + "prometheus.rules.files": []string{rules},
		at + "prometheus.rules.grace": "0s", at + "notify.startup_grace": "0s",
		harness.Scheduler + ".scheduler.default_tasks": false,
	}
}

// TestEventsOfEveryLife: whatever happens to a service is told, in the form that is
// published, to a client that leaves and comes back all the time, over a restart too.
func TestEventsOfEveryLife(t *testing.T) {
	sim, s := simulated(t, 50)
	for path, value := range lifeSettings(t) {
		s[path] = value
	}
	data := t.TempDir()
	n := harness.Start(t, data, s)
	r := &lifeReader{t: t}
	r.at(n)
	ctx, stop := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	defer reading.Wait()
	defer stop()
	reading.Go(func() { r.run(ctx) })
	for _, name := range harness.Services {
		r.await("service.started", map[string]any{"service": name, "url": n.URL(name, "")})
	}

	post := func(service, path, body string) (answer map[string]any) {
		t.Helper()
		a, err := harness.Post(t.Context(), n.URL(service, path), "application/json", []byte(body))
		if err != nil || a.Status != http.StatusOK || json.Unmarshal(a.Body, &answer) != nil {
			t.Fatalf("%s: %v, %+v", path, err, a)
		}
		return answer
	}
	task := post(harness.Scheduler, "/api/v1/scheduler/tasks",
		`{"name":"often","cron_expression":"* * * * * *","target_service":"monitoring-service","target_endpoint":"/api/v1/status","method":"GET"}`)["task_id"]
	r.await("task.run", map[string]any{"task_id": task, "name": "often", "outcome": "succeeded", "attempts": 1})
	r.await("alert.fired", map[string]any{"rule": "TasksThere", "severity": "warning"})

	harness.Await(t, time.Minute, "a healthy collector", func() bool { return n.Health(harness.Collector).Status == "healthy" })
	sim.Order(t, "faults", "rates", "gap=0.3")
	r.await("stream.gap", map[string]any{"exchange": "binance", "market": "spot"})
	sim.Order(t, "faults", "rates", "none")
	harness.Await(t, time.Minute, "a healthy collector", func() bool { return n.Health(harness.Collector).Status == "healthy" })
	sim.Order(t, "pause", "exchange", "binance", "market", "spot", "for", "10m")
	r.await("health.changed", map[string]any{"service": harness.Collector, "from": "healthy"})
	sim.Order(t, "resume", "exchange", "binance", "market", "spot")

	archived := post(harness.Storage, "/api/v1/storage/cold/archive", `{"cutoff_hours":0}`)
	r.await("archive.done", map[string]any{"operation_id": archived["operation_id"], "rows": archived["archived_count"], "scheduled": false})
	remove, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, n.URL(harness.Scheduler, fmt.Sprint("/api/v1/scheduler/tasks/", task)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := harness.Do(t.Context(), remove); err != nil || a.Status != http.StatusOK {
		t.Fatalf("removing the task: %v, %+v", err, a)
	}
	r.await("alert.resolved", map[string]any{"rule": "TasksThere"})

	n.Stop()
	n = harness.Start(t, data, s)
	r.at(n)
	for _, name := range harness.Services {
		r.await("service.stopping", map[string]any{"service": name})
	}
	harness.Await(t, time.Minute, "the second start", func() bool { return r.count("service.started") == 2*len(harness.Services) })
	stop()
	reading.Wait()
	r.judge(n.URL(harness.Broker, "/api/v1/broker/"))
	n.Stop()
}

// judge compares what was read bit by bit with what the broker has, and each event with
// its published description.
func (r *lifeReader) judge(base string) {
	whole := readEvents(r.t.Context(), r.t, base, "", len(r.all))
	if len(whole) != len(r.all) {
		r.t.Fatalf("%d events were read, the broker has %d", len(r.all), len(whole))
	}
	described := describedEvents(r.t)
	for i, e := range whole {
		if r.all[i].ID != e.ID {
			r.t.Fatalf("event %d is %s, read was %s", i, e.ID, r.all[i].ID)
		}
		required, known := described[e.Type]
		if !known || e.Version != "1.0" || e.Source == "" || e.Time.IsZero() {
			r.t.Errorf("an event that is not as described: %+v", e)
		}
		for _, name := range required {
			if _, there := e.Data[name]; !there {
				r.t.Errorf("%s has no %s: %v", e.Type, name, e.Data)
			}
		}
	}
	r.t.Logf("%d events", len(whole))
}

// describedEvents reads docs/asyncapi.yaml: the types, and what the data of each has to
// hold.
func describedEvents(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Components struct {
			Messages map[string]struct {
				Title   string
				Payload struct {
					All []struct {
						Properties struct {
							Data struct {
								Ref string `yaml:"$ref"`
							}
						}
					} `yaml:"allOf"`
				}
			}
			Schemas map[string]struct{ Required []string }
		}
	}
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, m := range d.Components.Messages {
		for _, part := range m.Payload.All {
			if ref := part.Properties.Data.Ref; ref != "" {
				all[m.Title] = d.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")].Required
			}
		}
	}
	if len(all) < 10 {
		t.Fatalf("%d events are described: %v", len(all), all)
	}
	return all
}
