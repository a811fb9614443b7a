package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/cluster/consul/consultest"
	"github.com/marketprism/marketprism/tests/harness"
)

const (
	// probeEvery is the time between the firings of two alerts.
	probeEvery = 4 * time.Second
	// callTasks are due every taskEvery, spread over its seconds.
	callTasks = 20
	// blindAfter is how late an alert may be told, and told again.
	blindAfter = 15 * time.Second
)

// division is three nodes with everything on each of them, every one on a host of its
// own, in a network that can be divided. Consul, the exchanges, and who is called by
// tasks and alerts are hosts too.
type division struct {
	*nodes
	net                        *harness.Network
	hosts                      []*harness.Host
	consulAt, exchangeAt, desk *harness.Host
	calls                      *calls
	began                      time.Time // of the first alert
	tasks                      []task
	made                       time.Time // when the tasks were
	writes                     *writes
	blind                      []span // when a node saw neither the others nor Consul
}

// span is a time.
type span struct{ from, to time.Time }

func divide(t *testing.T, settings harness.Settings) *division {
	t.Helper()
	harness.Program(t) // built outside of the network
	d := &division{nodes: &nodes{t: t, all: make([]*harness.Node, 3)}, net: harness.NewNetwork(t)}
	for range 3 {
		d.data, d.hosts = append(d.data, t.TempDir()), append(d.hosts, d.net.Host())
	}
	d.consulAt, d.exchangeAt, d.desk = d.net.Host(), d.net.Host(), d.net.Host()
	d.consul = consultest.Start(t)
	d.sim = harness.Simulate(t, "--symbols", "4", "--rate", fmt.Sprint(rate), "--genesis", "now", "--exchange", "binance/spot,okx/spot,deribit/perpetual")
	relays := map[string]string{}
	for i := range d.sim.Markets {
		m := &d.sim.Markets[i]
		m.WS, m.REST = d.behind(relays, m.WS), d.behind(relays, m.REST)
	}
	d.calls = listen(t)
	called := d.desk.Relay(d.calls.address)
	const nats, notify = harness.Broker + ".nats.", harness.Monitoring + ".monitoring.notify."
	const scheduler, rules = harness.Scheduler + ".scheduler.", harness.Monitoring + ".monitoring.prometheus.rules."
	d.began = time.Now().Add(30 * time.Second).Truncate(time.Second)
	var routes []string
	for _, h := range d.hosts {
		routes = append(routes, h.Address+":6222")
	}
	d.common = harness.Settings{
		"cluster.provider": "consul", "cluster.consul.address": d.consulAt.Relay(d.consul.HTTP),
		nats + "port": -1, nats + "username": "prism", nats + "password": "a password", nats + "cluster.bootstrap_expect": 3, nats + "cluster.routes": routes,
		harness.Storage + ".embedded.publish_interval": "1s", harness.Storage + ".storage.lifecycle.interval": "10s", harness.Storage + ".storage.lifecycle.archive_after": "10s",
		scheduler + "default_tasks": false, scheduler + "history.count": 1000, scheduler + "history.total": 100_000, scheduler + "max_concurrent_tasks": 64,
		scheduler + "urls.allow": true, scheduler + "urls.networks": []string{"127.0.0.0/8"},
		rules + "files": []string{probes(t, d.began)}, rules + "interval": "1s", rules + "grace": "0s",
		notify + "startup_grace": "0s",
		notify + "route":         map[string]any{"receiver": "desk", "group_by": []string{"alertname"}, "group_wait": "1s", "group_interval": "30s", "repeat_interval": "4h", "routes": []any{}},
		notify + "receivers":     []map[string]any{{"name": "desk", "webhooks": []map[string]any{{"url": "http://" + called + "/alerts"}}}},
	}
	d.collect()
	maps.Copy(d.common, settings)
	for i := range d.all {
		d.launchAt(i)
	}
	for _, n := range d.all {
		n.AwaitReady()
	}
	d.awaitPlaced("three nodes", 0, 1, 2)
	for i := range callTasks {
		d.tasks = append(d.tasks, d.makeCall(i, "http://"+called+"/call"))
	}
	d.made = time.Now()
	d.writes = d.writing()
	return d
}

// behind makes an address of the exchanges one of their host.
func (d *division) behind(relays map[string]string, address string) string {
	d.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		d.t.Fatal(err)
	}
	if relays[u.Host] == "" {
		relays[u.Host] = d.exchangeAt.Relay(u.Host)
	}
	u.Host = relays[u.Host]
	return u.String()
}

func (d *division) launchAt(i int) {
	d.t.Helper()
	at := d.hosts[i].Address
	d.hosts[i].Do(func() {
		d.all[i] = d.launch(i, harness.Settings{"node.listen": at, harness.Broker + ".nats.host": at, harness.Broker + ".nats.cluster.host": at},
			harness.Broker, harness.Monitoring, harness.Storage, harness.Scheduler, harness.Collector)
	})
}

// probes writes rules of alerts that fire one after the other, each at its time, on
// whatever node evaluates them.
func probes(t *testing.T, began time.Time) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("groups:\n- name: probes\n  rules:\n")
	for i := range 300 {
		fmt.Fprintf(&text, "  - {alert: Probe%d, expr: 'vector(time()) > %d', labels: {severity: critical, service: probe}}\n", i, began.Add(time.Duration(i)*probeEvery).Unix())
	}
	path := filepath.Join(t.TempDir(), "probes.yaml")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// calls is whom tasks and alerts reach, in whatever way.
type calls struct {
	address string

	mu    sync.Mutex
	tasks map[string]int         // calls by idempotency key
	told  map[string][]time.Time // messages by alert
}

func listen(t *testing.T) *calls {
	t.Helper()
	c := &calls{tasks: map[string]int{}, told: map[string][]time.Time{}}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		if r.URL.Path == "/call" {
			c.tasks[r.Header.Get("Idempotency-Key")]++
			return
		}
		var m struct {
			Alerts []struct {
				Status string            `json:"status"`
				Labels map[string]string `json:"labels"`
			} `json:"alerts"`
		}
		if err != nil || json.Unmarshal(body, &m) != nil {
			t.Errorf("a message that is none: %s, %v", body, err)
		}
		for _, a := range m.Alerts {
			name := a.Labels["alertname"] + " " + a.Status
			c.told[name] = append(c.told[name], time.Now())
		}
	}))
	t.Cleanup(s.Close)
	c.address = s.Listener.Addr().String()
	return c
}

// makeCall makes a task that calls an address.
func (d *division) makeCall(i int, at string) task {
	d.t.Helper()
	made := task{second: int64(i) % int64(taskEvery/time.Second)}
	body := fmt.Appendf(nil, `{"name":"call %d","cron_expression":"%d/%d * * * * *","target_service":"url","target_endpoint":%q,"misfire":"all","misfire_limit":1000,"overlap":"allow"}`,
		i, made.second, taskEvery/time.Second, at)
	var last string
	if !harness.Eventually(d.t, anywhereWithin, func() bool {
		for _, n := range d.all {
			a, err := harness.Post(d.t.Context(), n.URL(harness.Scheduler, schedulerAPI+"tasks"), "application/json", body)
			var answer struct {
				ID string `json:"task_id"`
			}
			if err == nil && a.Status == http.StatusOK && json.Unmarshal(a.Body, &answer) == nil {
				made.id = answer.ID
				return true
			}
			if err == nil {
				last = string(a.Body)
			}
		}
		return false
	}) {
		d.t.Fatalf("no task was made: %s", last)
	}
	return made
}

// told checks that each alert that should have fired by a time was told, and once, unless
// it fired while a node saw nobody; it says which ones more than once.
func (d *division) told(by time.Time) (late time.Duration, twice []string) {
	d.t.Helper()
	d.calls.mu.Lock()
	defer d.calls.mu.Unlock()
	n := int(by.Sub(d.began)/probeEvery) + 1
	for i := range n {
		name := fmt.Sprintf("Probe%d firing", i)
		at := d.calls.told[name]
		if len(at) == 0 {
			d.t.Errorf("%s was never told", name)
			continue
		}
		fired := d.began.Add(time.Duration(i) * probeEvery)
		if len(at) > 1 {
			if !slices.ContainsFunc(d.blind, func(s span) bool { return !fired.Before(s.from.Add(-blindAfter)) && fired.Before(s.to.Add(blindAfter)) }) {
				d.t.Errorf("%s was told %d times", name, len(at))
			}
			twice = append(twice, fmt.Sprintf("%s %d times", name, len(at)))
		}
		after := at[0].Sub(fired)
		if after > 15*time.Second {
			d.t.Logf("%s was told at %s, %v late", name, at[0].Format(time.TimeOnly), after.Round(time.Millisecond))
		}
		late = max(late, after)
	}
	return late, twice
}

// called says how many keys were called, and how many of them more than once.
func (c *calls) called() (keys, again int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.tasks {
		if n > 1 {
			again++
		}
	}
	return len(c.tasks), again
}
