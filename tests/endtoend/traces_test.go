package endtoend

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// tracePart is a span as monitoring shows it.
type tracePart struct {
	ID      string `json:"span_id"`
	Parent  string `json:"parent_span_id"`
	Node    string `json:"node"`
	Service string `json:"service"`
}

// TestMultiNodeTrace: a request that goes through two processes is one trace at the
// monitoring-service, with the spans of both in their order.
func TestMultiNodeTrace(t *testing.T) {
	settings := func(node string) harness.Settings {
		return harness.Settings{"node.id": node, harness.Monitoring + ".monitoring.traces.slow": "1ms"}
	}
	first, second := settings("first"), settings("second")
	for _, name := range harness.Services {
		first[name+".port"] = portThatIsFree(t)
	}
	first[harness.Broker+".nats.port"] = portThatIsFree(t)
	first[harness.Broker+".nats.username"], first[harness.Broker+".nats.password"] = "node", "of-a-test"
	for path, value := range first {
		if strings.HasPrefix(path, harness.Broker) || strings.HasSuffix(path, ".port") {
			second[path] = value
		}
	}
	data := t.TempDir()
	here := slices.DeleteFunc(slices.Clone(harness.Services), func(name string) bool { return name == harness.Storage })
	n := harness.Start(t, data, first, here...)
	harness.Start(t, data, second, harness.Storage)

	const id = "5bd66ef5095369c7b0d1f8f4bd33716a"
	ask := func() int { // a write waits for the disk, and so takes longer than a millisecond
		body := `{"timestamp":"2026-03-01T12:00:00Z","symbol":"BTC-USDT","exchange":"elsewhere","price":1,"amount":1,"side":"buy","trade_id":"1"}`
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.URL(harness.Gateway, "/api/v1/storage/hot/trades"), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Content-Type": {"application/json"}, "Traceparent": {fmt.Sprintf("00-%s-c532cb4098ac3dd2-01", id)}}
		a, err := harness.Do(t.Context(), r)
		if err != nil {
			return 0
		}
		return a.Status
	}
	harness.Await(t, time.Minute, "the store to take a trade", func() bool { return ask() == http.StatusOK })
	var trace struct {
		Tree     []tracePart `json:"tree"`
		Services []string    `json:"services"`
		Slow     bool        `json:"slow"`
	}
	pair := func() (outer, inner tracePart, ok bool) {
		for _, s := range trace.Tree {
			for _, below := range trace.Tree {
				if below.Parent == s.ID && s.Service == harness.Gateway && below.Service == harness.Storage {
					return s, below, true
				}
			}
		}
		return outer, inner, false
	}
	harness.Await(t, time.Minute, "the spans of both processes", func() bool {
		a, err := harness.Get(t.Context(), n.URL(harness.Monitoring, "/api/v1/traces/"+id))
		if err != nil || a.Status != http.StatusOK {
			return false
		}
		harness.GetJSON(t, n.URL(harness.Monitoring, "/api/v1/traces/"+id), &trace)
		_, _, ok := pair()
		return ok
	})
	outer, inner, _ := pair()
	if outer.Node != "first" || inner.Node != "second" || !trace.Slow || !slices.Contains(trace.Services, harness.Storage) {
		t.Errorf("%+v and %+v of %+v", outer, inner, trace)
	}
	seen := map[string]int{}
	for _, s := range trace.Tree {
		seen[s.ID]++
	}
	if twice := slices.Sorted(maps.Keys(seen)); len(twice) != len(trace.Tree) {
		t.Errorf("%d spans, of which %d are different", len(trace.Tree), len(twice))
	}
}

// portThatIsFree finds a port for services of several processes, which have to know it
// before they start.
func portThatIsFree(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
