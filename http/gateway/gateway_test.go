package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/gateway/cache"
	"github.com/marketprism/marketprism/actors/gateway/limit"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/gateway"
	"github.com/marketprism/marketprism/internal/identity"
)

// has reads an answer's members.
func (w *world) object(path string) map[string]any {
	w.t.Helper()
	a := w.do("GET", path, "")
	var o map[string]any
	if a.status != 200 || json.Unmarshal(a.body, &o) != nil {
		w.t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	return o
}

func TestRegistration(t *testing.T) {
	mine := newTarget(t, nil)
	s := defaults()
	s.branch.Registration.TTL = 200 * time.Millisecond
	s.branch.Registration.Max = 2
	w := start(t, s, nil)
	at := addressOf(mine.URL)
	body := fmt.Sprintf(`{"service_name":"mine","host":%q,"port":%d}`, at.Host, at.Port)
	for range 2 {
		if a := w.do("POST", "/api/v1/gateway/services", body); a.status != 200 || !strings.Contains(string(a.body), `"success":true`) {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if a := w.do("GET", "/api/v1/mine/hello", ""); a.status != 200 || mine.last().uri != "/api/v1/hello" {
		t.Errorf("%d, asked for %s", a.status, mine.last().uri)
	}
	await(t, "a probe that passes", func() bool {
		view, _ := w.object("/api/v1/gateway/services")["services"].(map[string]any)["mine"].(map[string]any)
		return view["healthy"] == true && view["base_url"] == mine.URL && view["health_endpoint"] == "/health"
	})
	for _, tc := range []struct{ body, field string }{
		{`{"service_name":"admin","host":"127.0.0.1","port":1}`, "/service_name"},
		{`{"service_name":"storage","host":"127.0.0.1","port":1}`, "/service_name"},
		{`{"service_name":"a/b","host":"127.0.0.1","port":1}`, "/service_name"},
		{`{"service_name":"` + gateway.Service + `","host":"127.0.0.1","port":1}`, "/service_name"},
		{`{"service_name":"x","host":"169.254.169.254","port":80}`, "/host"},
		{`{"service_name":"x","host":"10.0.0.1","port":80}`, "/host"},
		{`{"service_name":"x","host":"::ffff:10.0.0.1","port":80}`, "/host"},
		{`{"service_name":"x","host":"0.0.0.0","port":80}`, "/host"},
		{`{"service_name":"x","host":"user@127.0.0.1","port":80}`, "/host"},
		{`{"service_name":"x","host":"127.0.0.1/x","port":80}`, "/host"},
		{`{"service_name":"x","host":"127.0.0.1","port":0}`, "/port"},
		{`{"service_name":"x","host":"127.0.0.1","port":70000}`, "/port"},
		{`{"service_name":"x","host":"127.0.0.1","port":1,"health_endpoint":"http://evil/"}`, "/health_endpoint"},
		{`{"service_name":"x","host":"127.0.0.1","port":1,"health_endpoint":"/../x"}`, "/health_endpoint"},
		{`{"host":"127.0.0.1","port":1}`, "/service_name"},
	} {
		if a := w.do("POST", "/api/v1/gateway/services", tc.body); a.status != 400 || !strings.Contains(string(a.body), tc.field) {
			t.Errorf("%s: %d %s", tc.body, a.status, a.body)
		}
	}
	dead := addressOf(deadAddress(t))
	if a := w.do("POST", "/api/v1/gateway/services", fmt.Sprintf(`{"service_name":"dead","host":%q,"port":%d}`, dead.Host, dead.Port)); a.status != 200 {
		t.Errorf("a dead target: %d %s", a.status, a.body)
	}
	w.refused(409, "too_many_services", "POST", "/api/v1/gateway/services", `{"service_name":"third","host":"127.0.0.1","port":3}`)
	await(t, "the end of what is dead", func() bool { return w.do("GET", "/api/v1/dead/x", "").code() == "unknown_service" })
	if a := w.do("GET", "/api/v1/mine/hello", ""); a.status != 200 {
		t.Errorf("one whose probes pass has expired: %d", a.status)
	}
	mine.Close()
	await(t, "its end", func() bool { return w.do("GET", "/api/v1/mine/x", "").code() == "unknown_service" })
	off := s
	off.branch.Registration.Enabled = false
	start(t, off, nil).refused(403, "forbidden", "POST", "/api/v1/gateway/services", body)
}

// TestRegisteredNamesMove: a name that leads outside by the time of the connection is not
// followed.
func TestRegisteredElsewhere(t *testing.T) {
	mine := newTarget(t, nil)
	s := defaults()
	w := start(t, s, nil)
	at := addressOf(mine.URL)
	if a := w.do("POST", "/api/v1/gateway/services", fmt.Sprintf(`{"service_name":"mine","host":%q,"port":%d}`, at.Host, at.Port)); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	moved := s.branch
	moved.Registration.Networks = []string{"10.0.0.0/8"} // what was allowed is not any more
	if err := w.branch.Configure(moved); err != nil {
		t.Fatal(err)
	}
	w.branch.Close() // no connection is left that was made before
	before := mine.count()
	if a := w.do("GET", "/api/v1/mine/hello", ""); a.status != 503 || mine.count() != before {
		t.Errorf("%d %s, %d requests got through", a.status, a.body, mine.count()-before)
	}
}

func TestLimits(t *testing.T) {
	block, entered := make(chan struct{}), make(chan struct{}, 10)
	upstream := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/storage/block" {
			entered <- struct{}{}
			<-block
		}
	})
	s := defaults()
	s.branch.Limits.Routes = []limit.RouteConfig{{Service: storage, Path: "/api/v1/storage/dear", Methods: []string{"GET"}, PerSecond: 0.5, Burst: 2}}
	s.branch.Limits.Requests = 2
	w := start(t, s, map[string][]string{storage: {upstream.URL}})
	for i := range 2 {
		if a := w.do("GET", "/api/v1/storage/dear", ""); a.status != 200 || a.header.Get("X-RateLimit-Limit") != "2" || a.header.Get("RateLimit-Remaining") != fmt.Sprint(1-i) {
			t.Errorf("%d %v", a.status, a.header)
		}
	}
	a := w.refused(429, "rate_limited", "GET", "/api/v1/storage/dear", "")
	if a.header.Get("Retry-After") == "" || a.header.Get("RateLimit-Remaining") != "0" {
		t.Errorf("%v", a.header)
	}
	if a := w.do("POST", "/api/v1/storage/dear", ""); a.status != 200 {
		t.Errorf("another method: %d", a.status)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { w.do("POST", "/api/v1/storage/block", "") })
		<-entered
	}
	if a := w.refused(503, "overloaded", "GET", "/api/v1/storage/x", ""); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if a := w.do("GET", "/api/v1/gateway/status", ""); a.status != 200 {
		t.Errorf("the gateway's own routes are not shed: %d", a.status)
	}
	close(block)
	wg.Wait()

	daily := s.branch
	daily.Limits.PerDay = 1
	daily.Limits.Routes = nil
	if err := w.branch.Configure(daily); err != nil {
		t.Fatal(err)
	}
	if a := w.do("GET", "/api/v1/storage/x", ""); a.status != 200 {
		t.Errorf("the first of a day: %d %s", a.status, a.body)
	}
	w.refused(429, "quota_exceeded", "GET", "/api/v1/storage/x", "")
	daily.Limits.Clients = 1
	if err := w.branch.Configure(daily); err == nil || w.branch.Config().Limits.Clients == 1 {
		t.Error("wrong settings were taken up")
	}
}

func TestCache(t *testing.T) {
	n := 0
	upstream := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		w.Header().Set("Cache-Control", "no-store")
		if r.URL.Path == "/api/v1/private" {
			w.Header().Set("Cache-Control", "private")
		}
		_, _ = fmt.Fprintf(w, `{"n":%d}`, n)
	})
	s := defaults()
	w := start(t, s, nil)
	at := addressOf(upstream.URL)
	if a := w.do("POST", "/api/v1/gateway/services", fmt.Sprintf(`{"service_name":"mine","host":%q,"port":%d}`, at.Host, at.Port)); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	get := func(path string, headers ...string) *answer { return w.do("GET", "/api/v1/mine/"+path, "", headers...) }
	if a, b := get("a"), get("a"); string(a.body) == string(b.body) || b.header.Get("X-Cache") != "" {
		t.Errorf("kept although it is off: %s %s", a.body, b.body)
	}
	on := s.branch
	on.Cache.Enabled, on.Cache.TTL = true, time.Hour
	on.Cache.Routes = []cache.RouteConfig{{Service: "mine", Path: "/api/v1/"}}
	if err := w.branch.Configure(on); err != nil {
		t.Fatal(err)
	}
	a, b := get("a"), get("a")
	if string(a.body) != string(b.body) || a.header.Get("X-Cache") != "miss" || b.header.Get("X-Cache") != "hit" || a.header.Get("ETag") == "" || a.header.Get("ETag") != b.header.Get("ETag") {
		t.Errorf("%s %v, then %s %v", a.body, a.header, b.body, b.header)
	}
	if c := get("a", "If-None-Match", b.header.Get("ETag")); c.status != 304 || len(c.body) > 0 {
		t.Errorf("304: %d %s", c.status, c.body)
	}
	if c := get("a?x=1"); string(c.body) == string(a.body) {
		t.Error("another query has the same answer")
	}
	if c := get("a", "Cache-Control", "no-cache"); string(c.body) == string(a.body) {
		t.Error("no-cache was answered with what is kept")
	}
	if c, d := get("private"), get("private"); string(c.body) == string(d.body) {
		t.Error("a private answer is kept")
	}
	before := get("a")
	w.do("POST", "/api/v1/mine/change", "x")
	if c := get("a"); string(c.body) == string(before.body) {
		t.Error("what is kept outlives a change")
	}
	on.Cache.Routes = []cache.RouteConfig{{Service: storage, Path: "/api/v1/"}}
	if err := w.branch.Configure(on); err == nil {
		t.Error("market data may be kept")
	}
}

// keys lets those in who show one, and only "writer" write.
type keys struct{}

func (keys) Admit(r *http.Request, t gateway.Target) (identity.Principal, error) {
	who := r.Header.Get("X-API-Key")
	switch {
	case who == "":
		return identity.Principal{}, chassis.NewError(http.StatusUnauthorized, "unauthorized", "show a key")
	case t.Method != http.MethodGet && who != "writer":
		return identity.Principal{}, chassis.Forbidden("readers read")
	}
	return identity.Principal{Subject: who, Kind: identity.APIKey, Role: identity.Reader}, nil
}

func (keys) Still(identity.Principal, gateway.Target) bool { return true }

func (keys) Sign(p identity.Principal, service string, h http.Header) error {
	h.Del("X-API-Key")
	h.Set(identity.Header, p.Subject+" at "+service)
	return nil
}

func TestAuthenticator(t *testing.T) {
	upstream := newTarget(t, nil)
	s := defaults()
	s.auth = keys{}
	s.branch.Limits.Key = limit.RateConfig{PerSecond: 0.001, Burst: 3}
	w := start(t, s, map[string][]string{storage: {upstream.URL}})
	for _, path := range []string{"/api/v1/storage/x", "/api/v1/gateway/status", "/api/v1/nobody/x", "/ws/storage/x", "/openapi.json", "/docs"} {
		w.refused(401, "unauthorized", "GET", path, "")
	}
	w.refused(403, "forbidden", "POST", "/api/v1/storage/x", "", "X-API-Key", "reader")
	w.refused(403, "forbidden", "POST", "/api/v1/gateway/services", `{"service_name":"x","host":"127.0.0.1","port":1}`, "X-API-Key", "reader")
	if upstream.count() > 0 {
		t.Error("the service got one")
	}
	a := w.do("GET", "/api/v1/storage/x", "", "X-API-Key", "reader", identity.Header, "forged")
	if got := upstream.last().header; a.status != 200 || got.Get(identity.Header) != "reader at "+storage || got.Get("X-API-Key") != "" {
		t.Errorf("%d, the service saw %v", a.status, got)
	}
	for range 2 {
		w.do("GET", "/api/v1/storage/x", "", "X-API-Key", "reader")
	}
	w.refused(429, "rate_limited", "GET", "/api/v1/storage/x", "", "X-API-Key", "reader")
	if a := w.do("GET", "/api/v1/storage/x", "", "X-API-Key", "writer"); a.status != 200 {
		t.Errorf("another key pays: %d", a.status)
	}
}

func TestDocument(t *testing.T) {
	s := newTarget(t, nil)
	w := start(t, defaults(), map[string][]string{storage: {s.URL}, collector: {s.URL}})
	await(t, "both descriptions", func() bool { all, _ := w.branch.Documents(); return len(all) == 2 })
	doc := w.object("/openapi.json")
	paths, _ := doc["paths"].(map[string]any)
	for _, want := range []string{
		"/api/v1/gateway/status", "/api/v1/storage/stats", "/api/v1/data-storage-service/status", "/ws/data-storage-service/v1/stream",
		"/api/v1/collector/status", "/api/v1/collector/storage/stats", "/ws/market-data-collector/v1/stream", "/health",
	} {
		if paths[want] == nil {
			t.Errorf("no %s", want)
		}
	}
	for path := range paths {
		if strings.Contains(path, "{rest}") {
			t.Errorf("%s stands for others", path)
		}
	}
	text := string(w.do("GET", "/openapi.json", "").body)
	for _, want := range []string{`"storage_Volume"`, `"#/components/schemas/collector_Volume"`, `"operationId": "storage_stats"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, `"#/components/schemas/Volume"`) {
		t.Error("a reference leads nowhere")
	}
	if a := w.do("GET", "/docs", ""); a.status != 200 || !strings.Contains(string(a.body), "/api/v1/collector/status") {
		t.Errorf("docs: %d", a.status)
	}
	a := w.do("GET", "/openapi.json", "")
	if b := w.do("GET", "/openapi.json", "", "If-None-Match", a.header.Get("ETag")); b.status != 304 {
		t.Errorf("the same again: %d", b.status)
	}
}

func TestStatus(t *testing.T) {
	s := newTarget(t, nil)
	w := start(t, defaults(), map[string][]string{storage: {s.URL}})
	status := w.object("/api/v1/gateway/status")
	if status["service"] != "api-gateway" || status["status"] != "running" || status["registered_services"] != 3.0 || status["version"] != "1" {
		t.Errorf("%v", status)
	}
	c, _ := status["config"].(map[string]any)
	if c["enable_auth"] != false || c["enable_rate_limiting"] != true || c["enable_circuit_breaker"] != true || c["cache_ttl"] != 0.0 {
		t.Errorf("%v", c)
	}
	if health := w.object("/health"); health["status"] != "healthy" {
		t.Errorf("%v", health)
	}
	s.mu.Lock()
	s.down = true
	s.mu.Unlock()
	await(t, "a warning", func() bool {
		health := w.object("/health")
		return health["status"] == "degraded" && strings.Contains(fmt.Sprint(health["checks"]), storage)
	})
	w.refused(503, "unhealthy", "GET", "/api/v1/storage/x", "")
}
