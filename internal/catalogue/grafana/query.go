package grafana

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/internal/catalogue"
)

// Query is what a panel asks Prometheus.
type Query struct {
	Expr   string // PromQL; $instance and the page's filters are Grafana's variables
	Legend string // Grafana's template of a series' name
	Unit   string // Grafana's
	// Uses are the metrics that it reads; none where it reads the Go runtime's.
	Uses []catalogue.Name
}

// window is the range of rates: Grafana makes it four scrapes, or more where a pixel is
// wider.
const window = "$__rate_interval"

// filters are the labels by which one can narrow a page, beside instance.
type filters []string

// selector picks the series of a metric that the page's variables allow.
func (f filters) selector(m catalogue.Metric, suffix string, matchers []string) string {
	parts := []string{`instance=~"$instance"`}
	for _, label := range f {
		if slices.Contains(m.Labels, label) {
			parts = append(parts, fmt.Sprintf(`%s=~"$%s"`, label, label))
		}
	}
	return string(m.Name) + suffix + "{" + strings.Join(append(parts, matchers...), ", ") + "}"
}

// rate is how often a counter counts in a second, summed by labels.
func (f filters) rate(n catalogue.Name, by ...string) Query {
	return f.rateOf(n, nil, by...)
}

// rateOf is rate of those series that match, such as `outcome="failed"`.
func (f filters) rateOf(n catalogue.Name, matchers []string, by ...string) Query {
	m := wanted(n, catalogue.Counter, by)
	unit := map[catalogue.Unit]string{catalogue.Seconds: "percentunit", catalogue.Bytes: "Bps"}[m.Unit]
	return Query{
		Expr:   sum(by, "rate("+f.selector(m, "", matchers)+"["+window+"])"),
		Legend: legend(by), Unit: orElse(unit, "cps"), Uses: []catalogue.Name{n},
	}
}

// increase is how often a counter has counted within a time such as 1h, summed by labels.
func (f filters) increase(n catalogue.Name, within string, by ...string) Query {
	m := wanted(n, catalogue.Counter, by)
	return Query{
		Expr:   sum(by, "increase("+f.selector(m, "", nil)+"["+within+"])"),
		Legend: legend(by), Unit: unitOf(m), Uses: []catalogue.Name{n},
	}
}

// quantile is a quantile of a histogram by labels, between 0 and 1.
func (f filters) quantile(q float64, n catalogue.Name, by ...string) Query {
	m := wanted(n, catalogue.Histogram, by)
	rate := "rate(" + f.selector(m, "_bucket", nil) + "[" + window + "])"
	return Query{
		Expr:   fmt.Sprintf("histogram_quantile(%v, %s)", q, sum(append(slices.Clone(by), "le"), rate)),
		Legend: legend(by), Unit: unitOf(m), Uses: []catalogue.Name{n},
	}
}

// value is a gauge, put together by sum, max, min, avg or count; by may be instance too.
func (f filters) value(how string, n catalogue.Name, by ...string) Query {
	return f.valueOf(how, n, nil, by...)
}

// valueOf is value of those series that match.
func (f filters) valueOf(how string, n catalogue.Name, matchers []string, by ...string) Query {
	m := wanted(n, catalogue.Gauge, by)
	return Query{
		Expr:   aggregate(how, by, f.selector(m, "", matchers)),
		Legend: legend(by), Unit: unitOf(m), Uses: []catalogue.Name{n},
	}
}

// age is the time since the moment that a gauge tells in Unix time, 0 being never.
func (f filters) age(n catalogue.Name, by ...string) Query {
	m := wanted(n, catalogue.Gauge, by)
	return Query{
		Expr:   "time() - " + aggregate("max", by, f.selector(m, "", nil)+" > 0"),
		Legend: legend(by), Unit: "s", Uses: []catalogue.Name{n},
	}
}

// left is the time until the moment that a gauge tells in Unix time.
func (f filters) left(n catalogue.Name, by ...string) Query {
	m := wanted(n, catalogue.Gauge, by)
	return Query{
		Expr:   aggregate("min", by, f.selector(m, "", nil)) + " - time()",
		Legend: legend(by), Unit: "s", Uses: []catalogue.Name{n},
	}
}

// over divides one query by another, which has to have the same labels.
func (q Query) over(other Query, unit string) Query {
	return Query{
		Expr: q.Expr + " / " + other.Expr, Legend: q.Legend, Unit: unit,
		Uses: slices.Concat(q.Uses, other.Uses),
	}
}

// top keeps the n largest.
func (q Query) top(n int) Query {
	q.Expr = "topk(" + strconv.Itoa(n) + ", " + q.Expr + ")"
	return q
}

// plus adds another query, which has to have the same labels.
func (q Query) plus(other Query) Query {
	q.Expr, q.Uses = q.Expr+" + "+other.Expr, slices.Concat(q.Uses, other.Uses)
	return q
}

// orZero is 0 where a query without labels gives nothing, because no engine that is in
// use measures it.
func (q Query) orZero() Query {
	q.Expr = "(" + q.Expr + " or vector(0))"
	return q
}

// total sums all series.
func (q Query) total() Query {
	q.Expr, q.Legend = "sum("+q.Expr+")", ""
	return q
}

// orNone is 0 for what only another query, of the same labels, has series of.
func (q Query) orNone(all Query) Query {
	q.Expr += " or 0 * " + all.Expr
	return q
}

// called gives a query's series a fixed name, or a prefix where they have labels.
func (q Query) called(name string) Query {
	if q.Legend == "" || strings.Contains(q.Legend, "{{") {
		name = strings.TrimSpace(name + " " + q.Legend)
	}
	q.Legend = name
	return q
}

// in gives the query another unit.
func (q Query) in(unit string) Query {
	q.Unit = unit
	return q
}

// runtime asks for a metric of the Go runtime or the process, which the catalogue does
// not have; the expression has %s where the selector goes.
func runtime(expr, unit string) Query {
	return Query{Expr: fmt.Sprintf(expr, `{instance=~"$instance"}`), Legend: "{{instance}}", Unit: unit}
}

// wanted is a metric of a type that has some labels.
func wanted(n catalogue.Name, t catalogue.Type, by []string) catalogue.Metric {
	m, ok := catalogue.Lookup(n)
	if !ok || m.Type != t {
		panic(fmt.Sprintf("grafana: there is no %s %q", t, n))
	}
	for _, label := range by {
		if label != "instance" && !slices.Contains(m.Labels, label) {
			panic(fmt.Sprintf("grafana: %s has no label %q", n, label))
		}
	}
	return m
}

func sum(by []string, of string) string { return aggregate("sum", by, of) }

func aggregate(how string, by []string, of string) string {
	if len(by) == 0 {
		return how + "(" + of + ")"
	}
	return how + " by (" + strings.Join(by, ", ") + ") (" + of + ")"
}

func legend(by []string) string {
	names := make([]string, len(by))
	for i, label := range by {
		names[i] = "{{" + label + "}}"
	}
	return strings.Join(names, " ")
}

// unitOf is the unit of a metric's value in Grafana's words.
func unitOf(m catalogue.Metric) string {
	return orElse(map[catalogue.Unit]string{
		catalogue.Seconds: "s", catalogue.Bytes: "bytes", catalogue.Ratio: "percentunit", catalogue.Percent: "percent",
	}[m.Unit], "short")
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
