package monitoring_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/actorstest"
	branch "github.com/marketprism/marketprism/actors/monitoring"
	"github.com/marketprism/marketprism/actors/monitoring/promtest"
	"github.com/marketprism/marketprism/actors/monitoring/scrape"
	"github.com/marketprism/marketprism/actors/monitoring/series"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/monitoring"
)

const someRules = `
groups:
  - name: some
    interval: 1s
    rules:
      - {record: "job:shelf:sum", expr: "sum by (job) (shelf)"}
      - {alert: Full, expr: "shelf > 2", for: 1h, labels: {severity: warning}, annotations: {summary: "{{ $value }}"}}
      - {alert: Always, expr: "vector(1)"}
`

// servePrometheus serves the interface over samples of the last ten minutes, a target
// that is up, and rules.
func servePrometheus(t *testing.T) (s *chassis.Server, at time.Time) {
	t.Helper()
	rules := filepath.Join(t.TempDir(), "some.yaml")
	if err := os.WriteFile(rules, []byte(someRules), 0o600); err != nil {
		t.Fatal(err)
	}
	metrics := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "# HELP made_total Things that were made.\n# TYPE made_total counter\nmade_total 3\n")
	}))
	t.Cleanup(metrics.Close)
	c := branch.DefaultPrometheusConfig()
	c.Rules.Files, c.Scrape.Interval, c.Scrape.Timeout = []string{rules}, 200*time.Millisecond, 200*time.Millisecond
	host := strings.TrimPrefix(metrics.URL, "http://")
	p, err := branch.NewPrometheus(branch.PrometheusOptions{Config: c, Targets: scrape.TargetsFunc(func(context.Context) ([]scrape.Target, error) {
		return []scrape.Target{{Job: "target-service", Instance: host, URL: metrics.URL + "/metrics"}}, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	at = time.Now().Truncate(time.Second)
	for i := range 40 {
		for j, job := range []string{"x", "y"} {
			l := series.FromStrings("__name__", "shelf", "job", job, "odd", `a"\`+"\n")
			if err := p.Store.Record(l, at.Add(time.Duration(i-39)*15*time.Second).UnixMilli(), float64(i*j)/7); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, _ = serveWith(t, []string{monitoring.Service}, func(o *monitoring.Options, sys *supervise.System) {
		if _, err := sys.StartChild(t.Context(), supervise.RootID, supervise.Branch("metrics", supervise.DefaultStrategy(), p.Specs()...)); err != nil {
			t.Fatal(err)
		}
		o.Prometheus = &monitoring.Prometheus{
			Queries: p.Engine, Scraped: p.Scraper, Ruled: p.Rules, Interval: c.Scrape.Interval, Timeout: c.Scrape.Timeout, Version: "test",
		}
	})
	actorstest.Eventually(t, "a scrape and an evaluation", func() bool {
		groups, targets := p.Rules.Groups(), p.Scraper.Targets()
		return len(groups) == 1 && !groups[0].Last.IsZero() && len(targets) == 1 && targets[0].Health == scrape.Up
	})
	return s, at
}

// bases are what a client that knows Prometheus only may be given as its address.
var bases = []string{"/prometheus", "/api/v1/prometheus"}

// TestPromtool lets promtool ask, and reads what it prints.
func TestPromtool(t *testing.T) {
	promtest.Tool(t, "promtool")
	s, at := servePrometheus(t)
	now, early := at.Format(time.RFC3339), at.Add(-time.Minute).Format(time.RFC3339)
	for _, tt := range []struct {
		args []string
		want string // a pattern of what is printed
	}{
		{[]string{"instant", "--time", now, s.URL(), "sum(shelf)"}, `^\{\} => 5\.571428571428571 @\[\d+\]`},
		{[]string{"instant", "--time", now, s.URL(), "shelf{job='x'}"}, `shelf\{job="x", odd="a\\"\\\\\\n"\} => 0 @`},
		{[]string{"instant", s.URL(), "1 + 1"}, `scalar: 2 @`},
		{[]string{"range", "--start", early, "--end", now, "--step", "30s", s.URL(), "shelf{job='y'} * 7"}, `(?s)35 @.*37 @.*39 @`},
		{[]string{"series", "--match", "shelf", s.URL()}, `(?s)job="x".*job="y"`},
		{[]string{"labels", s.URL(), "job"}, `^target-service\nx\ny\n$`},
	} {
		out, ok := promtest.Run(t, append([]string{"query"}, tt.args...)...)
		if !ok || !regexp.MustCompile(tt.want).MatchString(out) {
			t.Errorf("promtool %q: %v\n%s\nwant %s", tt.args, ok, out, tt.want)
		}
	}
	for _, prefix := range bases {
		at := s.URL() + prefix
		if out, ok := promtest.Run(t, "query", "instant", "--time", now, at, "sum(shelf)"); !ok || !strings.HasPrefix(out, "{} => 5.571428571428571 @") {
			t.Errorf("promtool query instant %s: %v\n%s", at, ok, out)
		}
	}
	if out, ok := promtest.Run(t, "query", "instant", s.URL(), "sum("); ok || !strings.Contains(out, "bad_data") {
		t.Errorf("a wrong query: %v, %s", ok, out)
	}
}

// ask asks below every prefix, which have to answer the same.
func ask(t *testing.T, s *chassis.Server, path string, params url.Values) promtest.Answer {
	t.Helper()
	a, err := promtest.Ask(t.Context(), s.URL(), path, params)
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range bases {
		b, err := promtest.Ask(t.Context(), s.URL()+prefix, path, params)
		if err != nil {
			t.Fatal(err)
		}
		if a.Code != b.Code || a.ErrorType != b.ErrorType {
			t.Errorf("%s: %d %s without a prefix, %d %s below %s", path, a.Code, a.Error, b.Code, b.Error, prefix)
		}
	}
	return a
}

// TestErrors: what is wrong is said as Prometheus says it.
func TestErrors(t *testing.T) {
	s, _ := servePrometheus(t)
	for _, tt := range []struct {
		path, query string
		code        int
		kind, text  string
	}{
		{"query", "query=sum(", 400, "bad_data", `invalid parameter "query": 1:5: parse error`},
		{"query", "", 400, "bad_data", `invalid parameter "query"`},
		{"query", "query=up&time=x", 400, "bad_data", `invalid parameter "time"`},
		{"query", "query=up&time=NaN", 400, "bad_data", `invalid parameter "time"`},
		{"query", "query=up&timeout=-1", 400, "bad_data", `invalid parameter "timeout"`},
		{"query", "query=up&limit=-1", 400, "bad_data", `invalid parameter "limit"`},
		{"query", "query=shelf*on()shelf", 422, "execution", "many-to-many matching not allowed"},
		{"query", "query=shelf&timeout=0.000000001", 503, "timeout", "timed out"},
		{"query_range", "query=up", 400, "bad_data", `invalid parameter "start"`},
		{"query_range", "query=up&start=2&end=1&step=1", 400, "bad_data", "end timestamp must not be before start time"},
		{"query_range", "query=up&start=1&end=2&step=0", 400, "bad_data", "zero or negative query resolution"},
		{"query_range", "query=up&start=1&end=20000&step=1", 400, "bad_data", "exceeded maximum resolution of 11,000 points"},
		{"query_range", "query=up&start=1&end=2&step=1e300", 400, "bad_data", "overflows"},
		{"series", "", 400, "bad_data", "no match[] parameter provided"},
		{"series", "match[]={a=''}", 400, "bad_data", "match[] must contain at least one non-empty matcher"},
		{"labels", "match[]=sum(x)", 400, "bad_data", "parse error"},
		{"rules", "type=other", 400, "bad_data", `not supported value "other"`},
		{"metadata", "limit=x", 400, "bad_data", "limit must be a number"},
		{"format_query", "query=(", 400, "bad_data", "parse error"},
	} {
		params, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		a := ask(t, s, tt.path, params)
		if a.Code != tt.code || a.Status != "error" || a.ErrorType != tt.kind || !strings.Contains(a.Error, tt.text) {
			t.Errorf("%s?%s: %d %+v, want %d %s %s", tt.path, tt.query, a.Code, a, tt.code, tt.kind, tt.text)
		}
	}
}

// TestAnswers: the forms that Grafana relies on.
func TestAnswers(t *testing.T) {
	s, at := servePrometheus(t)
	for _, tt := range []struct {
		path  string
		query string
		want  string // a pattern of data
	}{
		{"query", `query="text"`, `^\{"resultType":"string","result":\[\d+(\.\d+)?,"text"\]\}$`},
		{"query", "query=1/0", `"result":\[[\d.]+,"\+Inf"\]`},
		{"query", "query=1e-7", `"1e-07"\]`},
		{"query", "query=vector(1)&time=-1.5", `\[-1\.500,"1"\]`},
		{"query", "query=nothing", `^\{"resultType":"vector","result":\[\]\}$`},
		{"query_exemplars", "query=up", `^\[\]$`},
		{"format_query", "query=sum(a)by(b)", `^"sum by \(b\) \(a\)"$`},
		{"labels", "match[]=shelf", `^\["__name__","job","odd"\]$`},
		{"labels", "start=1&end=2", `^\[\]$`},
		{"label/job/values", "match[]=shelf", `^\["x","y"\]$`},
		{"series", "match[]=shelf{job='x'}&start=" + at.Add(-time.Hour).Format(time.RFC3339), `^\[\{"__name__":"shelf","job":"x","odd":"a\\"\\\\\\n"\}\]$`},
		{"metadata", "metric=made_total", `^\{"made_total":\[\{"type":"counter","help":"Things that were made.","unit":""\}\]\}$`},
		{"targets", "", `"health":"up".*"scrapeInterval":"200ms"`},
		{"targets", "state=dropped", `^\{"activeTargets":\[\],"droppedTarget`},
		{"rules", "type=record", `^\{"groups":\[\{"name":"some","file":"[^"]+","rules":\[\{"name":"job:shelf:sum","query":"sum by \(job\) \(shelf\)","labels":\{\},"health":"ok"`},
		{"rules", "type=alert&rule_name[]=Full", `"type":"alerting","state":"pending","duration":3600,.*"state":"pending","activeAt":`},
		{"status/buildinfo", "", `"version":"3\.16\.0"`},
	} {
		params, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		a := ask(t, s, tt.path, params)
		if a.Code != 200 || a.Status != "success" || !regexp.MustCompile(tt.want).Match(a.Data) {
			t.Errorf("%s?%s: %d %s %s, want %s", tt.path, tt.query, a.Code, a.Data, a.Error, tt.want)
		}
	}
	limited := ask(t, s, "label/job/values", url.Values{"limit": {"1"}})
	if len(limited.Warnings) != 1 || string(limited.Data) != `["target-service"]` {
		t.Errorf("limited: %s, %q", limited.Data, limited.Warnings)
	}
	for _, prefix := range bases {
		alerts, err := promtest.Ask(t.Context(), s.URL()+prefix, "alerts", nil)
		if err != nil || !regexp.MustCompile(`"alertname":"Always".*"state":"firing"`).Match(alerts.Data) {
			t.Errorf("%s: alerts: %s, %v", prefix, alerts.Data, err)
		}
	}
}

// TestForm asks by POST, as Grafana does.
func TestForm(t *testing.T) {
	s, at := servePrometheus(t)
	form := url.Values{"query": {"shelf"}, "time": {at.Format(time.RFC3339)}}
	r, err := http.PostForm(s.URL()+"/api/v1/query?limit=1", form)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var a promtest.Answer
	if err := json.NewDecoder(r.Body).Decode(&a); err != nil || r.StatusCode != 200 || strings.Count(string(a.Data), `"shelf"`) != 1 || len(a.Warnings) != 1 {
		t.Errorf("%d %s %q, %v", r.StatusCode, a.Data, a.Warnings, err)
	}
}
