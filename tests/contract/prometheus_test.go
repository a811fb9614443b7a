package contract

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

// prometheus asks monitoring's Prometheus interface, below each of its prefixes.
func prometheus(t *testing.T, c *client) {
	for _, prefix := range []string{"/api/v1/", "/prometheus/api/v1/", "/api/v1/prometheus/api/v1/"} {
		get := func(path string) object { t.Helper(); return c.get(prefix + path) }
		up := "query?query=" + url.QueryEscape("count(up == 1)")
		harness.Await(t, patience, "every service to be scraped", func() bool {
			a := c.try("GET", prefix+up, "", "")
			return a != nil && strings.Contains(string(a.Body), `,"6"]`)
		})
		has(t, "query", sub(get("query?query=up"), "data"), "resultType:s", "result:a")
		has(t, "query_range", sub(get("query_range?query=up&start=1700000000&end=1700000060&step=15"), "data"), "resultType:s", "result:a")
		has(t, "labels", get("labels"), "status:s", "data:a")
		has(t, "label/*/values", get("label/job/values"), "status:s", "data:a")
		has(t, "series", get("series?match[]=up"), "status:s", "data:a")
		has(t, "metadata", sub(get("metadata?metric=mp_http_requests_total"), "data"), "mp_http_requests_total:a")
		has(t, "status/buildinfo", sub(get("status/buildinfo"), "data"), "version:s", "revision:s", "goVersion:s")
		groups := sub(get("rules"), "data")
		has(t, "rules", groups, "groups:a")
		targets := sub(get("targets"), "data")
		has(t, "targets", targets, "activeTargets:a", "droppedTargets:a")
		if list, ok := targets["activeTargets"].([]any); !ok || len(list) != 6 {
			t.Errorf("targets: %v, want those of six services", targets["activeTargets"])
		}
		wrong := c.ask(http.StatusBadRequest, "GET", prefix+"query?query=sum(", "")
		if has(t, "a wrong query", wrong, "status:s", "errorType:s", "error:s"); wrong["errorType"] != "bad_data" {
			t.Errorf("a wrong query is %v", wrong["errorType"])
		}
	}
	for _, prefix := range []string{"/prometheus", "/api/v1/prometheus"} {
		has(t, "prometheus' alerts", sub(c.get(prefix+"/api/v1/alerts"), "data"), "alerts:a")
	}
}

// promtool lets promtool judge the metrics of a service.
func promtool(t *testing.T, c *client) {
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("MARKETPRISM_REQUIRE_SERVERS") == "1" {
			t.Errorf("no promtool: %v", err)
		} else {
			t.Logf("METRICS NOT CHECKED BY PROMTOOL: %v", err)
		}
		return
	}
	a := c.try("GET", "/metrics", "", "")
	if a == nil {
		t.Error("/metrics: no answer")
		return
	}
	check := exec.CommandContext(t.Context(), path, "check", "metrics")
	check.Stdin = strings.NewReader(string(a.Body))
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
