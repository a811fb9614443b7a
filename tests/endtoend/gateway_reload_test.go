package endtoend

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// TestGatewayReload changes what the gateway does while it runs, by its file alone.
func TestGatewayReload(t *testing.T) {
	const settings = harness.Gateway + ".gateway."
	n := harness.Start(t, t.TempDir(), harness.Settings{})
	v := visitor{t: t, base: n.URL(harness.Gateway, "")}
	change := func(s harness.Settings) { harness.WriteConfig(t, n.Config(), n.Data, s) }
	config := func() map[string]any {
		var status struct{ Config map[string]any }
		v.ask("GET", "/api/v1/gateway/status", "", &status)
		return status.Config
	}
	if c := config(); c["enable_rate_limiting"] != true || c["enable_circuit_breaker"] != true || c["cache_ttl"] != 0.0 {
		t.Fatalf("at the start: %v", c)
	}
	mine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, time.Now().UnixNano()) }))
	defer mine.Close()
	at, err := url.Parse(mine.URL)
	if err != nil {
		t.Fatal(err)
	}
	register := func() (int, string) {
		return v.head("POST", "/api/v1/gateway/services", fmt.Sprintf(`{"service_name":"mine","host":"127.0.0.1","port":%s}`, at.Port()))
	}
	if status, _ := register(); status != http.StatusOK {
		t.Fatalf("registering: %d", status)
	}

	change(harness.Settings{
		settings + "upstreams.breaker.enabled": false, settings + "cache.enabled": true, settings + "cache.ttl": "1h",
		settings + "cache.routes":    []any{map[string]any{"service": "mine", "path": "/api/v1/"}},
		settings + "limits.requests": 17, settings + "limits.streams": 18,
		settings + "registration.networks": []string{"10.0.0.0/8", "127.0.0.0/8"},
	})
	harness.Await(t, time.Minute, "other settings", func() bool {
		c := config()
		return c["enable_circuit_breaker"] == false && c["cache_ttl"] == 3600.0
	})
	var stats struct {
		Limits   map[string]any `json:"rate_limiter_stats"`
		Breakers map[string]struct {
			State string `json:"state"`
		} `json:"circuit_breaker_stats"`
		Cache map[string]any `json:"cache_stats"`
	}
	for range 3 {
		if status, _ := v.head("GET", "/api/v1/mine/x", ""); status != http.StatusOK {
			t.Errorf("a service of somebody else: %d", status)
		}
	}
	v.ask("GET", "/api/v1/gateway/stats", "", &stats)
	if stats.Limits["max_requests_in_flight"] != 17.0 || stats.Limits["max_streams_in_flight"] != 18.0 || stats.Breakers[harness.Storage].State != "none" || stats.Cache["hits"] != 2.0 {
		t.Errorf("in force: %+v", stats)
	}

	change(harness.Settings{settings + "limits.address.per_second": 0.01, settings + "limits.address.burst": 30, settings + "registration.enabled": false})
	harness.Await(t, time.Minute, "no more registrations", func() bool { status, _ := register(); return status == http.StatusForbidden })
	harness.Await(t, time.Minute, "a limit", func() bool {
		status, code := v.head("GET", "/api/v1/storage/stats", "")
		return status == http.StatusTooManyRequests && code == "rate_limited"
	})
	// Settings that are wrong change nothing.
	change(harness.Settings{settings + "limits.address.burst": -1})
	harness.Await(t, time.Minute, "the refusal", func() bool { return strings.Contains(n.Log(), "the configuration is wrong and changes nothing") })
	if status, _ := v.head("GET", "/api/v1/storage/stats", ""); status != http.StatusTooManyRequests {
		t.Errorf("after settings that are wrong: %d", status)
	}
	change(harness.Settings{settings + "limits.enabled": false, harness.Gateway + ".entrance.max_body_bytes": 4096})
	harness.Await(t, time.Minute, "no limit", func() bool { status, _ := v.head("GET", "/api/v1/storage/stats", ""); return status == http.StatusOK })
	harness.Await(t, time.Minute, "what needs a restart", func() bool { return strings.Contains(n.Log(), harness.Gateway+".entrance.max_body_bytes") })
	n.Stop()
}
