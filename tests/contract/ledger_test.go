package contract

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// everywhere are the operations that every service promises.
var everywhere = []string{
	"GET /health", "GET /livez", "GET /readyz", "GET /api/v1/health", "GET /metrics", "GET /openapi.json", "GET /docs", "GET /api/v1/status",
}

// promised are the operations of the HTTP contract, of each service. What is here and
// not there any more, or not asked by these tests, is a broken promise.
var promised = map[string][]string{
	harness.Storage: below("/api/v1/storage/",
		"POST hot/trades", "POST hot/tickers", "POST hot/orderbooks", "GET hot/trades/{}/{}", "GET hot/tickers/{}/{}", "GET hot/orderbooks/{}/{}",
		"POST cold/archive", "GET cold/trades/{}/{}", "POST lifecycle/cleanup", "GET stats", "GET operations/{}", "GET query/{}/{}/{}",
		"GET candles/{}/{}", "GET parts", "GET status", "POST tables/{}/resume"),
	harness.Scheduler: below("/api/v1/scheduler/",
		"POST tasks", "GET tasks", "GET tasks/{}", "PUT tasks/{}", "DELETE tasks/{}", "POST tasks/{}/run", "POST tasks/{}/cancel",
		"GET tasks/{}/runs", "POST tasks/{}/pause", "POST tasks/{}/resume", "GET status", "POST start", "POST stop", "GET upcoming"),
	harness.Collector: append(below("/api/v1/",
		"GET exchanges", "GET exchanges/{}/stats", "POST exchanges/{}/subscribe", "GET orderbook/{}/{}", "POST orderbook/{}/{}/refresh",
		"GET orderbook/stats", "GET orderbook/health", "GET orderbook/exchanges", "GET orderbook/symbols/{}", "GET trades/{}/{}",
		"GET quality", "GET quality/{}/{}", "POST quality/{}/{}/backfill", "GET stream"), "GET /ws/v1/stream"),
	harness.Gateway: below("/api/v1/",
		"GET gateway/status", "GET gateway/services", "POST gateway/services", "GET gateway/stats", "POST auth/login", "POST auth/refresh"),
	harness.Monitoring: slices.Concat(
		below("/api/v1/", "GET overview", "GET services", "GET services/{}", "GET alerts", "POST health-check-all", "POST generate-report",
			"GET actors/tree", "GET actors/{}", "GET actors/events", "POST actors/{}/restart", "POST actors/{}/stop",
			"GET silences", "POST silences", "DELETE silences/{}", "GET cluster", "GET logs", "GET config", "GET audit", "GET ui/live"),
		below("/", "POST health-check-all", "POST generate-report"),
		below("/api/v1/", promql...), below("/prometheus/api/v1/", promql...), below("/api/v1/prometheus/api/v1/", promql...),
		[]string{"GET /prometheus/api/v1/alerts", "GET /api/v1/prometheus/api/v1/alerts"}),
	harness.Broker: slices.Concat(below("/api/v1/", brokers...), below("/api/v1/broker/", brokers...)),
}

// promql are Prometheus' interface, below each of its prefixes.
var promql = []string{
	"GET query", "GET query_range", "GET labels", "GET label/{}/values", "GET series", "GET rules", "GET targets", "GET metadata", "GET status/buildinfo",
}

// brokers are the broker's routes, below both of its prefixes.
var brokers = []string{
	"GET status", "GET streams", "POST streams", "DELETE streams/{}", "POST publish", "GET nats/info", "POST publish/{}", "POST batch",
	"POST request/{}", "GET subscribe", "POST tasks", "POST tasks/{}/retry", "GET dlq", "POST dlq/{}/replay", "GET stats",
}

// below puts a prefix before paths.
func below(prefix string, operations ...string) []string {
	out := make([]string, len(operations))
	for i, op := range operations {
		method, path, _ := strings.Cut(op, " ")
		out[i] = method + " " + prefix + path
	}
	return out
}

// elsewhere are described operations that no test here brings to success, each with the
// test that does.
var elsewhere = map[string]string{
	harness.Storage + " POST /api/v1/storage/journal/adopt":        "tests/chaos TestFaultOlderJournalCollecting: it takes a journal that is another's",
	harness.Storage + " POST /api/v1/storage/tables/{}/resume":     "tests/chaos TestQuestDBSuspendedTable: it takes a QuestDB",
	harness.Storage + " DELETE /api/v1/storage/journal/readers/{}": "tests/cluster TestMultiNodeCopies: it takes several nodes",

	harness.Broker + " DELETE /api/v1/broker/nodes/{}": "tests/cluster TestMultiNodeJournal: it takes several nodes",
	harness.Broker + " DELETE /api/v1/nodes/{}":        "tests/cluster TestMultiNodeJournal, by its other name",

	harness.Monitoring + " GET /api/v1/cluster/streams/{}":         "tests/cluster TestMultiNodeRemoting: it takes several nodes",
	harness.Monitoring + " POST /api/v1/cluster/streams/{}/resync": "tests/cluster TestMultiNodeRemoting: it takes several nodes",
	harness.Monitoring + " POST /api/v1/cluster/nodes/{}/drain":    "tests/cluster TestMultiNodePlacement: it takes several nodes",
	harness.Monitoring + " POST /api/v1/cluster/streams/{}/move":   "tests/cluster TestMultiNodeMarkets: it takes several nodes",
	harness.Monitoring + " POST /api/v1/cluster/streams/{}/unpin":  "tests/cluster TestMultiNodeMarkets: it takes several nodes",
	harness.Monitoring + " POST /api/v1/cluster/nodes/{}/undrain":  "tests/cluster TestMultiNodePlacement: it takes several nodes",
}

// ledger is what this package has asked, of whom, and what came of it.
type ledger struct {
	mu    sync.Mutex
	named map[string]string          // base address -> service; "": says no name
	asked map[string]map[string]bool // service -> METHOD path as sent, answered with success
	told  map[string]map[string]bool // service -> METHOD path as sent, answered at all
	docs  map[string]*description    // by service
}

var asked = ledger{named: map[string]string{}, asked: map[string]map[string]bool{}, told: map[string]map[string]bool{}, docs: map[string]*description{}}

// note keeps that somebody asked.
func (l *ledger) note(ctx context.Context, base, method, path string, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	service, known := l.named[base]
	if !known {
		service = l.meet(ctx, base)
		l.named[base] = service
	}
	if service == "" {
		return
	}
	if l.asked[service] == nil {
		l.asked[service], l.told[service] = map[string]bool{}, map[string]bool{}
	}
	key := method + " " + strings.SplitN(path, "?", 2)[0]
	l.told[service][key] = true
	if status < 400 {
		l.asked[service][key] = true
	}
}

// meet asks who answers at an address, and how it describes itself.
func (l *ledger) meet(ctx context.Context, base string) string {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var who struct{ Service string }
	a, err := harness.Get(ctx, base+"/livez")
	if err != nil || json.Unmarshal(a.Body, &who) != nil {
		return ""
	}
	if l.docs[who.Service] == nil {
		if a, err = harness.Get(ctx, base+"/openapi.json"); err == nil {
			if d, err := describe(a.Body); err == nil {
				l.docs[who.Service] = d
			}
		}
	}
	return who.Service
}

// operation is the described operation that a request is for: METHOD template, its
// parameters without their names.
func (d *description) template(method, path string) string {
	best, fewest := "", 100
	segments := strings.Split(path, "/")
	for template := range sub(d.root, "paths") {
		if sub(d.root, "paths", template, strings.ToLower(method)) == nil || len(sub(d.root, "paths", template, strings.ToLower(method))) == 0 {
			continue
		}
		words := strings.Split(template, "/")
		if len(words) != len(segments) {
			continue
		}
		n, same := 0, true
		for i, w := range words {
			if strings.HasPrefix(w, "{") {
				n++
			} else if w != segments[i] {
				same = false
			}
		}
		if same && n < fewest {
			best, fewest = template, n
		}
	}
	if best == "" {
		return ""
	}
	return method + " " + nameless(best)
}

// nameless is a path without the names of its parameters.
func nameless(template string) string { return inPath.ReplaceAllString(template, "{}") }

// described are all operations of a description.
func (d *description) described() []string {
	var all []string
	for path := range sub(d.root, "paths") {
		for method := range sub(d.root, "paths", path) {
			all = append(all, strings.ToUpper(method)+" "+nameless(path))
		}
	}
	slices.Sort(all)
	return all
}

// faults are the promises that were broken, and the descriptions that nobody tried.
func (l *ledger) faults() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, service := range harness.Services {
		d := l.docs[service]
		if d == nil {
			out = append(out, service+" was not met")
			continue
		}
		described := d.described()
		for _, op := range append(slices.Clone(everywhere), promised[service]...) {
			if !slices.Contains(described, op) {
				out = append(out, service+" does not describe what it promises: "+op)
			}
		}
		done := map[string]bool{}
		for key := range l.asked[service] {
			method, path, _ := strings.Cut(key, " ")
			done[d.template(method, path)] = true
		}
		for _, op := range described {
			at := service + " " + op
			switch _, excused := elsewhere[at]; {
			case service == harness.Gateway && !ownOfGateway(op): // others describe it, and are asked themselves
			case excused && done[op]:
				out = append(out, at+" is tried here: it needs no excuse")
			case !excused && !done[op]:
				out = append(out, at+" was never asked with success")
			}
		}
	}
	return out
}

// ownOfGateway says whether an operation is the gateway's own.
func ownOfGateway(op string) bool {
	_, path, _ := strings.Cut(op, " ")
	return strings.HasPrefix(path, "/api/v1/gateway/") || strings.HasPrefix(path, "/api/v1/auth/") || strings.Count(path, "/") == 1 ||
		path == "/api/v1/health" || path == "/api/v1/status"
}

// judged runs the tests, and then asks the ledger; not when some were left out.
func judged(m *testing.M) int {
	code := harness.Main(m)
	if code != 0 || testing.Short() || flag.Lookup("test.run").Value.String() != "" {
		return code
	}
	for _, f := range asked.faults() {
		fmt.Fprintln(os.Stderr, "contract:", f)
		code = 1
	}
	return code
}
