package deploy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/persistence/questdb/questdbtest"
	"github.com/marketprism/marketprism/tests/harness"
)

// TestMultiNodeDashboards: a real Prometheus with deploy's configuration scrapes a system
// that demands credentials and is announced in a Consul that does too, both as deploy/
// sets them up. Every service is up, every rule can be evaluated and is delivered to a
// real Alertmanager, and every query of every dashboard gives something, but for those
// whose description says when they are empty.
func TestMultiNodeDashboards(t *testing.T) {
	tool(t, "prometheus")
	address, token := consul(t)
	quest := questdbtest.Start(t)
	n := system(t, address, token)
	key := busy(t, n)
	alertmanager := alertmanager(t)
	prometheus := prometheus(t, map[string]string{
		"gateways": n.URL(harness.Gateway, ""), "alertmanagers": alertmanager, "questdb": "http://" + healthOf(t, quest.Root),
	}, key)

	get := func(path string, into any) { harness.GetJSON(t, prometheus+path, into) }
	harness.Await(t, time.Minute, "every service to be up", func() bool {
		return len(ask(t, get, `up == 1`)) == len(harness.Services)+1
	})
	if double := ask(t, get, `count by (__name__) (mp_broker_up) > 1`); len(double) > 0 {
		t.Errorf("one process is counted %v times", double)
	}
	dashboards(t, get, func(p panel) bool { return p.quiet == "" })
	rules(t, get)
	harness.Await(t, time.Minute, "the Watchdog at the Alertmanager", func() bool {
		var alerts []struct{ Labels map[string]string }
		harness.GetJSON(t, alertmanager+"/api/v2/alerts", &alerts)
		return slices.ContainsFunc(alerts, func(a struct{ Labels map[string]string }) bool { return a.Labels["alertname"] == "Watchdog" })
	})
}

// system is a node with everything, that collects from simulated exchanges.
func system(t *testing.T, consul, token string) *harness.Node {
	sim := harness.Simulate(t, "--symbols", "2", "--rate", "20", "--exchange", "binance/spot,okx/spot")
	s := harness.Settings{
		"node.id": "node-1", "cluster.provider": "consul", "cluster.consul.address": consul, "cluster.consul.token_file": token,
		"http.identity": "required",
		harness.Gateway + ".auth.password.memory_kib": 64, harness.Gateway + ".auth.password.passes": 1,
		harness.Broker + ".nats.username": "marketprism", harness.Broker + ".nats.password": "of-a-test",
		harness.Storage + ".embedded.publish_interval": "1s", harness.Storage + ".journal.purge_interval": "1s",
		harness.Storage + ".journal.register_interval":             "1s",
		harness.Monitoring + ".monitoring.notify.startup_grace":    "0s",
		harness.Monitoring + ".monitoring.notify.route.group_wait": "1s",
		harness.Monitoring + ".monitoring.notify.route.routes":     []any{},
	}
	var exchanges []string
	for _, m := range sim.Markets {
		exchanges = append(exchanges, m.Exchange)
		at := "exchanges." + m.Exchange + ".markets."
		for _, other := range []string{"spot", "perpetual"} {
			s[at+other+".enabled"] = other == m.Market
		}
		s["exchanges."+m.Exchange+".enabled"] = true
		s[at+m.Market+".ws_url"], s[at+m.Market+".rest_url"], s[at+m.Market+".symbols"] = m.WS, m.REST, m.Symbols
	}
	s[harness.Collector+".exchanges"] = exchanges
	return harness.Start(t, t.TempDir(), s)
}

// busy has the system do what it measures, and returns an API key of a reader, as the
// deployment's guide has it made.
func busy(t *testing.T, n *harness.Node) string {
	t.Helper()
	gateway := n.URL(harness.Gateway, "")
	var login struct {
		Access string `json:"access_token"`
	}
	call(t, "", "POST", gateway+"/api/v1/auth/login", text(t, filepath.Join(n.Data, "first-login.json")), &login)
	var made struct{ Key string }
	call(t, login.Access, "POST", gateway+"/api/v1/auth/apikeys", `{"name":"Prometheus","role":"reader"}`, &made)
	call(t, login.Access, "POST", gateway+"/api/v1/broker/tasks", `{"queue":"reports","payload":{}}`, &struct{}{})
	call(t, login.Access, "POST", gateway+"/api/v1/scheduler/tasks",
		`{"name":"cleanup","target_service":"data-storage-service","target_endpoint":"/api/v1/storage/lifecycle/cleanup","cron_expression":"@every 1s"}`, &struct{}{})
	call(t, login.Access, "GET", gateway+"/api/v1/storage/hot/trades/binance/BTC-USDT", "", &struct{}{})
	harness.Await(t, time.Minute, "trades in the cold store", func() bool {
		var archived struct {
			Count int64 `json:"archived_count"`
		}
		call(t, login.Access, "POST", gateway+"/api/v1/storage/cold/archive", `{"data_type":"all","cutoff_hours":0}`, &archived)
		return archived.Count > 0
	})
	return made.Key
}

func call(t *testing.T, token, method, address, body string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	a, err := harness.Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if a.Status/100 != 2 {
		t.Fatalf("%s %s: %d %.500s", method, address, a.Status, a.Body)
	}
	if err := json.Unmarshal(a.Body, into); err != nil {
		t.Fatalf("%s %s: %v in %.300s", method, address, err, a.Body)
	}
}

// healthOf is where a QuestDB server answers for its metrics.
func healthOf(t *testing.T, root string) string {
	t.Helper()
	for line := range strings.Lines(text(t, filepath.Join(root, "conf", "server.conf"))) {
		if at, ok := strings.CutPrefix(strings.TrimSpace(line), "http.min.net.bind.to="); ok {
			return at
		}
	}
	t.Fatal("QuestDB has no port for its health")
	return ""
}

// prometheus starts one as deploy/ has it, with other targets; it returns its address.
func prometheus(t *testing.T, targets map[string]string, key string) string {
	t.Helper()
	home := t.TempDir()
	harness.CopyTree(t, filepath.Join(deployed, "prometheus"), home)
	harness.CopyTree(t, "../../config/rules", filepath.Join(home, "rules"))
	write(t, filepath.Join(home, "secrets", "api_key"), key+"\n")
	write(t, filepath.Join(home, "secrets", "ca.crt"), authority(t))
	write(t, filepath.Join(home, "secrets", "questdb_password"), "of-a-test")
	for name, at := range targets {
		write(t, filepath.Join(home, "targets", name+".yaml"), fmt.Sprintf("- targets: [%q]\n", strings.TrimPrefix(at, "http://")))
	}
	at := fmt.Sprint("127.0.0.1:", freePorts(t, 1)[0])
	process(t, tool(t, "prometheus"), "--config.file="+filepath.Join(home, "prometheus.yml"), "--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+at)
	awaitReady(t, "http://"+at)
	return "http://" + at
}

func alertmanager(t *testing.T) string {
	t.Helper()
	at := fmt.Sprint("127.0.0.1:", freePorts(t, 1)[0])
	process(t, tool(t, "prometheus-alertmanager"), "--config.file="+filepath.Join(deployed, "alertmanager/alertmanager.yml"),
		"--storage.path="+t.TempDir(), "--web.listen-address="+at, "--cluster.listen-address=")
	awaitReady(t, "http://"+at)
	return "http://" + at
}

func awaitReady(t *testing.T, address string) {
	t.Helper()
	harness.Await(t, time.Minute, address+" to be ready", func() bool {
		a, err := harness.Get(t.Context(), address+"/-/ready")
		return err == nil && a.Status == http.StatusOK
	})
}

// rules waits until every rule has been evaluated, which none may fail.
func rules(t *testing.T, get getter) {
	t.Helper()
	harness.Await(t, time.Minute, "every rule to be evaluated", func() bool {
		var answer struct {
			Data struct {
				Groups []struct {
					Rules []struct{ Name, Health, LastError string }
				}
			}
		}
		get("/api/v1/rules", &answer)
		count := 0
		for _, g := range answer.Data.Groups {
			for _, r := range g.Rules {
				if r.LastError != "" {
					t.Fatalf("%s: %s", r.Name, r.LastError)
				}
				if r.Health == "ok" {
					count++
				}
			}
		}
		return count == strings.Count(ruleFiles(t), "- alert: ")
	})
}
