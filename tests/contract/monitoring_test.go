package contract

import (
	"net/url"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

// monitored asks the monitoring-service for everything that is documented of it.
func monitored(t *testing.T, base string) {
	c := &client{t: t, base: base}
	a := c.try("GET", "/openapi.json", "", "")
	doc, err := describe(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	c.doc = doc

	t.Run("health of all", func(t *testing.T) { c.t = t; healthOfAll(t, c) })
	t.Run("reports", func(t *testing.T) { c.t = t; reports(t, c) })
	t.Run("machine", func(t *testing.T) { c.t = t; machine(t, c) })
	t.Run("actors", func(t *testing.T) { c.t = t; actors(t, c) })
	t.Run("logs and traces", func(t *testing.T) { c.t = t; logsAndTraces(t, c) })
	t.Run("alerts and silences", func(t *testing.T) { c.t = t; alerts(t, c) })
	t.Run("alertmanager", func(t *testing.T) { c.t = t; alertmanager(t, c) })
	t.Run("audit", func(t *testing.T) { c.t = t; audited(t, c) })
	t.Run("program", func(t *testing.T) { c.t = t; program(t, c) })
	t.Run("live page", func(t *testing.T) { c.t = t; pageFollowed(t, c) })
	t.Run("prometheus", func(t *testing.T) { c.t = t; prometheus(t, c) })
	t.Run("prometheus, posted", func(t *testing.T) { c.t = t; forms(t, c) })
	c.t = t
	has(t, "stop", c.ask(200, "POST", "/api/v1/actors/"+url.PathEscape("root/monitoring/sampler")+"/stop", ""), "success:b", "message:s", "action:s", "actor:s")
}

func healthOfAll(t *testing.T, c *client) {
	for _, path := range []string{"/health-check-all", "/api/v1/health-check-all"} {
		has(t, path, c.ask(200, "POST", path, ""), "success:b", "results:o", "timestamp:t")
	}
	if a := c.try("POST", "/health-check-all", "application/octet-stream", ""); a == nil || a.Status != 200 {
		t.Errorf("with the type of old clients: %+v", a)
	}
	o := c.get("/api/v1/overview")
	has(t, "overview", o, "timestamp:t", "uptime_seconds:n>0", "system_resources:o", "services:o", "alerts:o", "monitoring_stats:o")
	has(t, "system_resources", sub(o, "system_resources"), "cpu_usage_percent:n", "memory_usage_percent:n>0", "memory_available_gb:n>0", "disk_usage_percent:n", "disk_free_gb:n>0")
	has(t, "services", sub(o, "services"), "total:n>0", "healthy:n>0", "unhealthy:n", "health_percentage:n>0")
	has(t, "alerts", sub(o, "alerts"), "active:n", "critical:n", "warning:n")
	if s := sub(o, "services"); s["total"] != 6.0 || s["healthy"] != 6.0 || s["health_percentage"] != 100.0 {
		t.Errorf("of a well system: %v", s)
	}
	all := c.get("/api/v1/services")
	has(t, "services", all, "health_status:o", "statistics:o")
	for _, name := range harness.Services {
		h, s := sub(all, "health_status", name), sub(all, "statistics", name)
		has(t, name, h, "status:s", "response_time:n>0", "details:o", "degraded:b")
		if h["status"] != "healthy" {
			t.Errorf("%s is %v: %v", name, h["status"], h["error"])
		}
		has(t, name, s, "total_checks:n>0", "healthy_checks:n>0", "unhealthy_checks:n", "unreachable_checks:n", "avg_response_time:n>0",
			"last_check_time:t", "uptime_percentage:n>0")
		one := c.get("/api/v1/services/" + name)
		has(t, name, one, "service_name:s", "current_status:o", "statistics:o", "timestamp:t")
		if one["service_name"] != name {
			t.Errorf("%s answers for %v", name, one["service_name"])
		}
	}
	c.refused(404, "unknown_service", "GET", "/api/v1/services/nobody", "", "")
	has(t, "history", c.get("/api/v1/history"), "changes:a", "count:n", "timestamp:t")
	v := c.get("/api/v1/cluster")
	has(t, "cluster", v, "provider:s", "self:s", "nodes:a", "leases:a", "placement:o", "moves:a", "problems:a", "timestamp:t")
	if nodes, ok := v["nodes"].([]any); !ok || len(nodes) != 1 || v["provider"] != "static" {
		t.Errorf("one node by itself is shown as %v", v)
	}
	c.refused(409, "no_cluster", "POST", "/api/v1/cluster/nodes/node-1/drain", "", "")
	c.refused(409, "no_cluster", "POST", "/api/v1/cluster/streams/binance%2Fspot%2FBTC-USDT/move", "application/json", `{"node":"node-1"}`)
	c.refused(409, "no_cluster", "POST", "/api/v1/cluster/streams/binance%2Fspot%2FBTC-USDT/unpin", "", "")
	checks := sub(c.get("/health"), "checks")
	for _, name := range harness.Services {
		if _, there := checks[name]; there != (name != harness.Monitoring) {
			t.Errorf("the aggregate has a check %s: %v", name, there)
		}
	}
}

func reports(t *testing.T, c *client) {
	for _, path := range []string{"/generate-report", "/api/v1/generate-report"} {
		made := c.ask(200, "POST", path, "")
		has(t, path, made, "success:b", "status:s", "report_id:s", "report:o")
		id, _ := made["report_id"].(string)
		kept := c.get("/api/v1/reports/" + id)
		has(t, "report", kept, "report_id:s", "generated_at:t", "health_status:o", "system:o", "actors:o", "alerts:a", "changes:a", "links:o")
		page := c.try("GET", "/api/v1/reports/"+id+"?format=html", "", "")
		if page == nil || page.Status != 200 || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") || !strings.Contains(string(page.Body), "All 6 services are well") {
			t.Errorf("the page of %s: %+v", id, page)
		}
	}
	has(t, "reports", c.get("/api/v1/reports"), "reports:a", "count:n>0")
	c.refused(404, "unknown_report", "GET", "/api/v1/reports/nothing", "", "")
}

func machine(t *testing.T, c *client) {
	s := c.get("/api/v1/system")
	has(t, "system", s, "time:t", "cpu:o", "memory:o", "disks:a", "network:a", "process:o", "clock:o", "missing:a")
	has(t, "process", sub(s, "process"), "open_files:n>0", "resident_bytes:n>0", "goroutines:n>0")
	text := string(c.try("GET", "/metrics", "", "").Body)
	for _, name := range []string{
		"\nsystem_cpu_usage_percent ", "\nsystem_memory_usage_percent ", "\nsystem_disk_usage_percent{mountpoint=", "\nservice_status{service_name=",
		"\nservice_response_time_seconds{service_name=",
	} {
		if !strings.Contains(text, name) {
			t.Errorf("/metrics has no %q", strings.TrimSpace(name))
		}
	}
}

func actors(t *testing.T, c *client) {
	tree := c.get("/api/v1/actors/tree")
	has(t, "tree", tree, "time:t", "ready:b", "actors:a", "dead_letters_total:n")
	all, _ := tree["actors"].([]any)
	for _, a := range all {
		has(t, "actor", a.(object), "id:s", "name:s", "kind:s", "state:s", "restart:s", "mailbox:o", "rate:n", "restarts_total:n", "failures_total:n", "incarnation:n>0")
	}
	has(t, "nodes", c.get("/api/v1/actors/nodes?tree=true"), "nodes:a", "count:n>0", "timestamp:t")
	has(t, "one actor", c.get("/api/v1/actors/"+url.PathEscape("root/monitoring/checker")), "id:s", "messages:a")
	has(t, "events", c.get("/api/v1/actors/events"), "events:a", "count:n>0", "last_seq:n>0")
	has(t, "a trace", c.get("/api/v1/actors/"+url.PathEscape("root/monitoring/sampler")+"/trace?seconds=0.01"), "actor:s", "from:t", "duration_seconds:n", "handled:n", "dropped:n", "kinds:a", "messages:a")
	sampler := "/api/v1/actors/" + url.PathEscape("root/monitoring/sampler")
	before := c.get(sampler)["incarnation"]
	has(t, "restart", c.ask(200, "POST", sampler+"/restart", `{"reason":"a test"}`), "success:b", "message:s", "action:s", "actor:s")
	if after := c.get(sampler)["incarnation"]; after.(float64) != before.(float64)+1 {
		t.Errorf("incarnation %v, before %v", after, before)
	}
	killed := c.get(sampler)["incarnation"].(float64)
	has(t, "kill", c.ask(200, "POST", sampler+"/kill", `{"reason":"a test"}`), "success:b", "message:s", "action:s", "actor:s")
	harness.Await(t, patience, "the actor that was killed", func() bool { return c.get(sampler)["incarnation"].(float64) > killed })
	found := c.get("/api/v1/actors/search?q=monitoring%20sampler")
	has(t, "search", found, "actors:a", "count:n>0")
	has(t, "what was found", found["actors"].([]any)[0].(object), "id:s", "kind:s")
	c.refused(409, "not_possible", "POST", "/api/v1/actors/"+url.PathEscape("root/storage")+"/stop", "", "")
	c.refused(404, "not_found", "POST", "/api/v1/actors/nobody/restart", "", "")
	stream := "/api/v1/actors/" + url.PathEscape("root/collector/okx-spot/BTC-USDT")
	has(t, "pause", c.ask(200, "POST", stream+"/pause", ""), "success:b")
	c.refused(404, "not_found", "GET", stream, "", "")
	has(t, "resume", c.ask(200, "POST", stream+"/resume", ""), "success:b")
	harness.Await(t, patience, "the stream that was resumed", func() bool {
		a := c.try("GET", stream, "", "")
		return a != nil && a.Status == 200
	})
}

func logsAndTraces(t *testing.T, c *client) {
	c.try("GET", "/api/v1/nowhere", "", "", "X-Request-Id", "contract-logs", "traceparent", "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-01")
	o := c.get("/api/v1/logs?request_id=contract-logs")
	has(t, "logs", o, "logs:a", "count:n>0", "first_seq:n>0", "last_seq:n>0", "timestamp:t")
	for _, l := range o["logs"].([]any) {
		has(t, "line", l.(object), "seq:n>0", "time:t", "level:s", "node:s", "service:s", "message:s", "trace_id:s", "fields:o")
		if l.(object)["trace_id"] != "0af7651916cd43dd8448eb211c80319d" {
			t.Errorf("line of another trace: %v", l)
		}
	}
	c.refused(422, "invalid_field", "GET", "/api/v1/logs?level=loud", "", "")
	all := c.get("/api/v1/traces?failed=true") // of services that the gateway was asked for and nobody runs
	has(t, "traces", all, "traces:a", "count:n>0", "kept:n>0")
	if kept := list(all, "traces"); len(kept) > 0 {
		head, _ := kept[0].(object)
		has(t, "a trace", head, "trace_id:s", "start_time:t", "duration_seconds:n>0", "slow:b", "failed:b", "service:s", "name:s", "spans:n>0", "services:a")
		has(t, "one trace", c.get("/api/v1/traces/"+head["trace_id"].(string)), "trace_id:s", "missing_spans:n", "tree:a")
	}
	c.refused(404, "unknown_trace", "GET", "/api/v1/traces/0af7651916cd43dd8448eb211c80319d", "", "")
}

func program(t *testing.T, c *client) {
	o := c.get("/api/v1/config?path=node")
	has(t, "config", o, "settings:a", "count:n>0", "changed:n>0")
	for _, s := range o["settings"].([]any) {
		has(t, "setting", s.(object), "path:s", "value:s", "source:s", "origin:s")
	}
	if text := string(c.try("GET", "/api/v1/config", "", "").Body); !strings.Contains(text, `"message-broker-service.nats.password"`) {
		t.Error("a secret is not even named")
	}
	live := c.try("GET", "/api/v1/ui/live?topics=nonsense", "", "")
	if live == nil || live.Status != 422 {
		t.Errorf("live pages of nothing: %+v", live)
	}
}
