package contract

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/tests/harness"
)

// gateway asks for what the gateway promises, and for every service through it.
func gateway(t *testing.T, n *harness.Node) {
	c := &client{t: t, base: n.URL(harness.Gateway, "")}
	const own = "/api/v1/gateway/"
	status := c.get(own + "status")
	has(t, "status", status, "service:s", "version:s", "status:s", "timestamp:t", "uptime:n>0", "config:o", "registered_services:n", "active_circuit_breakers:n", "cache_size:n")
	has(t, "config", sub(status, "config"), "enable_auth:b", "enable_rate_limiting:b", "enable_circuit_breaker:b", "cache_ttl:n")
	if status["service"] != "api-gateway" || status["status"] != "running" || status["registered_services"].(float64) < 6 {
		t.Errorf("status: %v", status)
	}
	services := c.get(own + "services")
	has(t, "services", services, "services:o", "total:n")
	for _, name := range harness.Services {
		s := sub(services, "services", name)
		has(t, name, s, "host:s", "port:n>0", "health_endpoint:s", "base_url:s", "last_health_check:t", "healthy:b", "registered_at:t", "instances:a")
		if s["healthy"] != true || s["base_url"] != strings.TrimSuffix(n.URL(name, ""), "/") {
			t.Errorf("%s: %v", name, s)
		}
		harness.Await(t, patience, name+" to be well", func() bool { // a busy machine may take it for ill
			a := c.try("GET", "/api/v1/"+name+"/health", "", "")
			return a != nil && a.Status == http.StatusOK
		})
		if got := c.get("/api/v1/" + name + "/health")["service"]; got != name {
			t.Errorf("the health of %s is that of %v", name, got)
		}
	}
	stats := c.get(own + "stats")
	has(t, "stats", stats, "request_stats:o", "circuit_breaker_stats:o", "cache_stats:o", "rate_limiter_stats:o")
	has(t, "request_stats", sub(stats, "request_stats"), "total_requests:n>0", "successful_requests:n>0", "failed_requests:n", "rate_limited_requests:n",
		"circuit_breaker_trips:n", "cache_hits:n", "cache_misses:n")
	for _, path := range []string{
		"/api/v1/storage/stats", "/api/v1/scheduler/status", "/api/v1/broker/status", "/api/v1/collector/status", "/api/v1/monitoring/overview",
		"/api/v1/collector/orderbook/binance/BTCUSDT", "/api/v1/storage/hot/trades/binance/btc_usdt",
	} {
		a := c.try("GET", path, "", "")
		if a == nil || a.Status != http.StatusOK || a.Header.Get("X-Gateway-Service") == "" || a.Header.Get("X-RateLimit-Limit") == "" {
			t.Errorf("%s: %+v", path, a)
		}
	}
	c.refused(404, "not_found", "GET", "/api/v1/admin/users", "", "")
	c.refused(503, "unknown_service", "GET", "/api/v1/nobody/status", "", "")
	registration(t, c, own+"services")
	socket(t, n)
	for _, path := range []string{"/api/v1/storage/stats", "/api/v1/collector/status", "/api/v1/scheduler/tasks", "/api/v1/gateway/services"} {
		if paths := sub(c.get("/openapi.json"), "paths"); paths[path] == nil {
			t.Errorf("the description has no %s", path)
		}
	}
}

// registration: a service of somebody else, alive and dead.
func registration(t *testing.T, c *client, path string) {
	mine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.URL.Path) }))
	defer mine.Close()
	u, err := url.Parse(mine.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	register := func(name string, port int) string {
		return fmt.Sprintf(`{"service_name":%q,"host":"127.0.0.1","port":%d,"health_endpoint":"/health"}`, name, port)
	}
	for range 2 {
		o := c.ask(200, "POST", path, register("contract-service", port))
		if o["success"] != true || o["message"] == "" {
			t.Errorf("registering: %v", o)
		}
	}
	if a := c.try("GET", "/api/v1/contract-service/hello", "", ""); a == nil || a.Status != 200 || string(a.Body) != "/api/v1/hello" {
		t.Errorf("a registered service: %+v", a)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c.ask(200, "POST", path, register("contract-dead", dead))
	if s := sub(c.get(path), "services", "contract-dead"); s["healthy"] != false {
		t.Errorf("a dead target: %v", s)
	}
	if a := c.try("GET", "/api/v1/contract-dead/x", "", ""); a == nil || a.Status != 503 {
		t.Errorf("a dead target: %+v", a)
	}
	c.refused(400, "invalid_field", "POST", path, "application/json", `{"service_name":"x","host":"169.254.169.254","port":80}`)
	c.refused(400, "invalid_field", "POST", path, "application/json", `{"service_name":"x"}`)
}

// socket follows the collector through the gateway.
func socket(t *testing.T, n *harness.Node) {
	at := "ws" + strings.TrimPrefix(n.URL(harness.Gateway, "/ws/"+harness.Collector+"/v1/stream"), "http")
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // it is read
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"op":"subscribe","kinds":["trade"]}`)); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, text, err := conn.ReadMessage(); err != nil {
			t.Fatalf("%v after %s", err, text)
		}
	}
}
