package promql_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/promql"
	"github.com/marketprism/marketprism/actors/monitoring/promtest"
	"github.com/marketprism/marketprism/actors/monitoring/series"
)

// corpus is what both engines are asked over: counters that are reset, gauges that
// wander, have holes and strange values, and a histogram, every 15 s for two hours.
// No sample lies where a range of the questions begins: the newer language has such
// ranges open, Prometheus 2.42 closed.
type corpus struct {
	om    strings.Builder
	store *series.Store
}

const (
	corpusBegin = 1_700_000_000_137 // ms
	corpusStep  = 15_000
	corpusLen   = 480
)

func newCorpus(t *testing.T) *corpus {
	t.Helper()
	store, err := series.New(series.DefaultConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &corpus{store: store}
	rnd := uint64(42)
	next := func() float64 {
		rnd = rnd*6364136223846793005 + 1442695040888963407
		return float64(rnd>>40) / float64(1<<24)
	}
	c.om.WriteString("# TYPE requests counter\n")
	for i, path := range []string{"/a", "/b", "/c"} {
		for j, code := range []string{"200", "500"} {
			total := 0.0
			c.series(t, "requests_total", func(k int) (float64, bool) {
				if k%(97+31*i) == 0 {
					total = 0
				}
				total += math.Floor(next() * float64(10*(j+1)))
				return total, k%(53+i) != 7
			}, "code", code, "job", "web", "path", path)
		}
	}
	c.om.WriteString("# TYPE heat gauge\n")
	for i, host := range []string{"a", "b", "c", "d"} {
		v := 20.0 * float64(i)
		c.series(t, "heat", func(k int) (float64, bool) {
			v += next() - 0.5
			return v, k < 200 || k > 260 || i != 2
		}, "host", host, "job", "web", "zone", string(rune('x'+i%2)))
	}
	c.om.WriteString("# TYPE odd gauge\n")
	for i, values := range [][]float64{{math.NaN(), 1, 2}, {math.Inf(1), 0, -1}, {0, 0, 0}, {-3, 1e100, -1e-100}} {
		c.series(t, "odd", func(k int) (float64, bool) { return values[k%3], true }, "i", strconv.Itoa(i))
	}
	c.om.WriteString("# TYPE limit gauge\n")
	for i, zone := range []string{"x", "y"} {
		c.series(t, "limit", func(int) (float64, bool) { return 30 + float64(i), true }, "zone", zone)
	}
	c.om.WriteString("# TYPE took histogram\n")
	for _, host := range []string{"a", "b"} {
		var counts [5]float64
		tables := map[int][5]float64{}
		for k := range corpusLen {
			for range 5 {
				counts[int(next()*5)]++
			}
			tables[k] = counts
		}
		for b, le := range []string{"0.1", "0.5", "1.0", "5.0", "+Inf"} {
			c.series(t, "took_bucket", func(k int) (float64, bool) {
				sum := 0.0
				for i := range b + 1 {
					sum += tables[k][i]
				}
				return sum, true
			}, "host", host, "le", le)
		}
		c.series(t, "took_count", func(k int) (float64, bool) { return float64(5 * (k + 1)), true }, "host", host)
		c.series(t, "took_sum", func(k int) (float64, bool) { return float64(k) * 3.7, true }, "host", host)
	}
	c.om.WriteString("# EOF\n")
	return c
}

func (c *corpus) series(t *testing.T, name string, value func(k int) (float64, bool), pairs ...string) {
	t.Helper()
	l := series.FromStrings(append([]string{series.MetricName, name}, pairs...)...)
	var labels []string
	for i := 0; i < len(pairs); i += 2 {
		labels = append(labels, fmt.Sprintf("%s=%q", pairs[i], pairs[i+1]))
	}
	for k := range corpusLen {
		v, ok := value(k)
		if !ok {
			continue
		}
		at := int64(corpusBegin + k*corpusStep)
		if err := c.store.Record(l, at, v); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&c.om, "%s{%s} %s %d.%03d\n", name, strings.Join(labels, ","), strconv.FormatFloat(v, 'g', -1, 64), at/1000, at%1000)
	}
}

// expressions are made of what has not changed since Prometheus 2.42 (which keeps the
// name in atan2, and extrapolates a rate whose range begins before its series further).
func expressions() []string {
	var out []string
	over := []string{
		"rate", "increase", "delta", "irate", "idelta", "deriv", "changes", "resets", "avg_over_time", "min_over_time", "max_over_time", "sum_over_time",
		"count_over_time", "stddev_over_time", "stdvar_over_time", "last_over_time", "present_over_time", "absent_over_time",
	}
	for _, f := range over {
		for _, s := range []string{"requests_total[5m]", `heat{host!="d"}[7m]`, "took_count[4m] offset 3m", `heat{host="c"}[20m]`} {
			out = append(out, fmt.Sprintf("%s(%s)", f, s))
		}
		out = append(out, fmt.Sprintf("%s(odd[3m])", f), fmt.Sprintf("sum by (job) (%s(requests_total[2m]))", f))
	}
	for _, a := range []string{"sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"} {
		for _, by := range []string{"", "by (zone)", "without (host, zone)", "by (job, nothing)"} {
			out = append(out, fmt.Sprintf("%s %s (heat)", a, by))
		}
		out = append(out, fmt.Sprintf("%s(requests_total) by (code) > bool 100", a))
	}
	for _, f := range []string{
		"abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "deg", "rad",
		"round", "sort", "sort_desc", "absent", "timestamp", "minute", "hour", "day_of_month", "day_of_week", "day_of_year", "days_in_month", "month", "year",
	} {
		out = append(out, f+"(heat)")
	}
	for _, op := range []string{"+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<="} {
		out = append(out, "heat "+op+" 20", "2 "+op+" heat", "heat "+op+" on(host) group_left heat", "odd "+op+" odd", "heat "+op+" ignoring(host, job) group_left limit")
		if strings.ContainsAny(op, "=<>") {
			out = append(out, "heat "+op+" bool 20", "1 "+op+" bool 2")
		}
	}
	for _, op := range []string{"and", "or", "unless"} {
		out = append(out, "heat "+op+" on(zone) limit > 30", "heat > 20 "+op+" heat < 50", "requests_total "+op+" ignoring(code) requests_total{code=\"200\"}")
	}
	for _, q := range []string{"0", "0.5", "0.9", "0.99", "1", "2", "-1"} {
		out = append(out, "histogram_quantile("+q+", sum by (le) (rate(took_bucket[5m])))", "histogram_quantile("+q+", took_bucket)",
			"quantile("+q+", heat)", "quantile by (zone) ("+q+", heat)", "quantile_over_time("+q+", heat[9m])")
	}
	for n := range 4 {
		k := strconv.Itoa(n)
		out = append(out, "topk("+k+", heat)", "bottomk by (zone) ("+k+", heat)", "clamp_min(heat, "+k+"0)", "clamp_max(heat, "+k+"0)", "round(heat, 0."+k+"1)")
	}
	return append(out,
		"time()", "pi()", "vector(3)", "scalar(vector(3))", "scalar(heat)", `scalar(heat{host="a"})`, "1", "-heat", "+heat", `"text"`, "-(-3) ^ 2", "1/0", "0/0", "inf", "nan",
		`count_values("v", round(heat, 10))`, `count_values by (zone) ("v", limit)`, "clamp(heat, 10, 30)", "predict_linear(heat[10m], 600)", "predict_linear(heat[10m], -60)",
		`label_replace(heat, "to", "$1-$2", "host", "(.)()")`, `label_replace(heat, "host", "", "host", ".*")`, `label_join(heat, "to", "/", "host", "zone", "none")`,
		`{__name__=~"heat|limit"}`, `{job="web", code=~"5.."}`, `heat{host=~"a|b"}`, `heat{host!~"a|b"}`, `heat{nothing=""}`, `heat{zone=~".+", host!=""}`,
		"heat offset 10m", "heat offset -5m", "heat @ 1700003000", "rate(requests_total[5m] @ 1700003000)", "heat @ start()", "heat @ end()", "sum(heat @ end() offset 3m)",
		"max_over_time(rate(requests_total[3m])[20m:1m])", "avg_over_time(heat[10m:30s])", "sum_over_time((heat > 20)[15m:2m] offset 4m)", "min_over_time(sum(heat)[10m:])",
		"rate(requests_total[40m])", "increase(requests_total[30m])", "sum(rate(requests_total{code=\"500\"}[5m])) / sum(rate(requests_total[5m]))",
		"avg by (host) (rate(took_sum[5m]) / rate(took_count[5m]))", "absent(nothing)", `absent(nothing{a="b", c=~"d"})`, "absent(heat)", "nothing", "sum(nothing)", "count(nothing) or vector(0)",
		"heat * on(zone) group_left(host) limit", "heat + on(host, zone) heat", "hour()", "minute(vector(1700000000))", "day_of_week(vector(1700000000))",
		"heat[1m", "sum(", "rate(heat)", "heat + on() limit", "heat and 1", `foo{a=~"["}`, "unknown(heat)", "heat[5m:0s]", "heat ^ ^ 2", "rate(heat[0s])", "topk(heat, 2)",
	)
}

// TestAgainstPrometheus asks both engines the same over the same samples, at one time
// and over a range, and wants the same: values to a part in a thousand million.
func TestAgainstPrometheus(t *testing.T) {
	promtest.Tool(t, "prometheus")
	c := newCorpus(t)
	real := promtest.Start(t, c.om.String(), "global: {evaluation_interval: 1m}\n")
	ours, err := promql.New(promql.DefaultConfig(), c.store, time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := expressions()
	if len(all) < 350 {
		t.Fatalf("only %d expressions", len(all))
	}
	at := []time.Time{time.UnixMilli(corpusBegin + 6_000_777), time.UnixMilli(corpusBegin + 3_300_500)}
	var workers sync.WaitGroup
	work := make(chan string)
	for range 4 {
		workers.Go(func() {
			for expr := range work {
				for _, when := range at {
					got, err := ours.Instant(t.Context(), expr, when, 0)
					compare(t, fmt.Sprintf("%s at %d", expr, when.UnixMilli()), got, err, real, "query", url.Values{"query": {expr}, "time": {seconds(when)}})
				}
				start, end, step := at[1], at[1].Add(20*time.Minute), 97*time.Second
				got, err := ours.Range(t.Context(), expr, start, end, step, 0)
				compare(t, expr+" over a range", got, err, real, "query_range", url.Values{
					"query": {expr}, "start": {seconds(start)}, "end": {seconds(end)}, "step": {"97"},
				})
			}
		})
	}
	for _, expr := range all {
		work <- expr
	}
	close(work)
	workers.Wait()
	t.Logf("%d expressions, each at %d times and over a range", len(all), len(at))
}

func seconds(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

func compare(t *testing.T, what string, got promql.Result, err error, real *promtest.Server, path string, params url.Values) {
	want, asked := promtest.Ask(t.Context(), real.URL, path, params)
	if asked != nil {
		t.Errorf("%s: prometheus: %v", what, asked)
		return
	}
	if err != nil || want.Status != "success" {
		if kind := kindOf(err); kind != want.ErrorType {
			t.Errorf("%s: error %q (%v), want %q (%s)", what, kind, err, want.ErrorType, want.Error)
		}
		return
	}
	theirs, err := parse(want.Data)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if diff := difference(flat(got), theirs); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

func kindOf(err error) string {
	if e, ok := err.(*promql.Error); ok { //nolint:errorlint // the engine returns it as it is
		return string(e.Kind)
	}
	return ""
}

// point is one value of one series, of any type of result.
type point struct {
	labels string
	t      int64
	v      float64
	text   string
}

func flat(r promql.Result) (out []point) {
	switch r.Type {
	case promql.Scalar:
		out = append(out, point{"scalar", r.Scalar.T, r.Scalar.V, ""})
	case promql.String:
		out = append(out, point{"string", r.Scalar.T, 0, r.Text})
	case promql.Vector:
		for _, s := range r.Vector {
			out = append(out, point{s.Labels.String(), s.T, s.V, ""})
		}
	case promql.Matrix:
		for _, s := range r.Matrix {
			for _, p := range s.Points {
				out = append(out, point{s.Labels.String(), p.T, p.V, ""})
			}
		}
	}
	return sortedPoints(out)
}

func sortedPoints(points []point) []point {
	slices.SortFunc(points, func(a, b point) int { return cmp.Or(cmp.Compare(a.labels, b.labels), cmp.Compare(a.t, b.t)) })
	return points
}

func parse(data json.RawMessage) ([]point, error) {
	var d struct {
		ResultType string
		Result     json.RawMessage
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	if d.ResultType == "scalar" || d.ResultType == "string" {
		var v [2]any
		if err := json.Unmarshal(d.Result, &v); err != nil {
			return nil, err
		}
		p := point{labels: d.ResultType, t: int64(math.Round(v[0].(float64) * 1000)), text: v[1].(string)}
		if d.ResultType == "scalar" {
			p.v, _ = strconv.ParseFloat(p.text, 64)
			p.text = ""
		}
		return []point{p}, nil
	}
	var list []struct {
		Metric map[string]string
		Value  [2]any
		Values [][2]any
	}
	if err := json.Unmarshal(d.Result, &list); err != nil {
		return nil, err
	}
	var out []point
	for _, s := range list {
		values := s.Values
		if d.ResultType == "vector" {
			values = [][2]any{s.Value}
		}
		for _, v := range values {
			f, err := strconv.ParseFloat(v[1].(string), 64)
			if err != nil {
				return nil, err
			}
			out = append(out, point{series.FromMap(s.Metric).String(), int64(math.Round(v[0].(float64) * 1000)), f, ""})
		}
	}
	return sortedPoints(out), nil
}

func difference(got, want []point) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d values, want %d:\n%v\n%v", len(got), len(want), got, want)
	}
	for i := range got {
		g, w := got[i], want[i]
		if g.labels != w.labels || g.t != w.t || g.text != w.text || !near(g.v, w.v) {
			return fmt.Sprintf("value %d is %+v, want %+v", i, g, w)
		}
	}
	return ""
}

func near(a, b float64) bool {
	if a == b || math.IsNaN(a) && math.IsNaN(b) {
		return true
	}
	return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b))+1e-12
}
