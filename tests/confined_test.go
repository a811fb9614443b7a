package tests

import (
	"slices"
	"strings"
	"testing"
)

// TestPrometheusIsConfined: the packages of Prometheus itself change between minor
// versions, so only two of ours know them.
func TestPrometheusIsConfined(t *testing.T) {
	knowing := []string{"actors/monitoring/promql", "actors/monitoring/series"}
	users := map[string]bool{}
	for _, s := range sources(t) {
		for _, p := range s.imports {
			if !strings.HasPrefix(p, "github.com/prometheus/prometheus/") {
				continue
			}
			users[s.pkg] = true
			if !slices.Contains(knowing, s.pkg) {
				t.Errorf("%s imports %s; only %q may", s.file, p, knowing)
			}
		}
	}
	if len(users) != len(knowing) {
		t.Errorf("used by %v: the list is out of date", users)
	}
}
