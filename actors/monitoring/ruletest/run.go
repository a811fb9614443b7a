package ruletest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/promql"
	"github.com/marketprism/marketprism/actors/monitoring/rules"
	"github.com/marketprism/marketprism/actors/monitoring/series"
)

// Run runs the tests of a file. The faults are why it fails, none when it passes; the
// warnings are no reason to.
func Run(ctx context.Context, name string) (faults []error, warnings []string) {
	f, warnings, err := read(name)
	if err != nil {
		return []error{err}, warnings
	}
	for i := range f.Tests {
		g := &f.Tests[i]
		if g.Name == "" {
			g.Name = fmt.Sprintf("unnamed#%d", i)
		}
		if g.Interval == 0 {
			g.Interval = f.EvaluationInterval
		}
		for _, fault := range f.run(ctx, g) {
			faults = append(faults, fmt.Errorf("test %s: %w", g.Name, fault))
		}
	}
	return faults, warnings
}

// bench is what one test group runs on.
type bench struct {
	file   *file
	test   *group
	store  *series.Store
	engine *promql.Engine
	groups []*rules.Group
	input  []line
	begin  time.Time
	every  time.Duration
	next   int // index of the first input value that is not written yet
}

// line is an input series.
type line struct {
	ref    series.Ref
	values []promql.Value
}

func (f *file) run(ctx context.Context, g *group) []error {
	b, err := f.prepare(g)
	if err != nil {
		return []error{err}
	}
	faults, ok := b.alerts(ctx)
	if !ok {
		return faults
	}
	for _, e := range g.Expressions {
		if err := b.expression(ctx, e); err != nil {
			faults = append(faults, fmt.Errorf("expr: %q, time: %s: %w", e.Expr, e.At, err))
		}
	}
	return faults
}

func (f *file) prepare(g *group) (*bench, error) {
	bounds := series.DefaultConfig()
	bounds.MaxSeries, bounds.MaxSamples = math.MaxInt32, math.MaxInt32
	store, err := series.New(bounds, nil)
	if err != nil {
		return nil, err
	}
	b := &bench{file: f, test: g, store: store, begin: time.Unix(0, 0).UTC(), every: time.Duration(f.EvaluationInterval)}
	if !g.Start.IsZero() {
		b.begin = g.Start.Time
	}
	if b.engine, err = promql.New(promql.DefaultConfig(), store, b.every, nil); err != nil {
		return nil, err
	}
	for _, in := range g.InputSeries {
		l, values, err := promql.ParseSeries(in.Series + " " + in.Values)
		if err != nil {
			return nil, err
		}
		ref, err := store.Series(l)
		if err != nil {
			return nil, err
		}
		b.input = append(b.input, line{ref, values})
	}
	external, err := url.Parse(g.ExternalURL)
	if err != nil {
		return nil, err
	}
	defined, err := rulesOf(f.RuleFiles)
	if err != nil {
		return nil, err
	}
	with := rules.Evaluator{Query: b.engine.Vector, Record: store.Record, ExternalLabels: g.ExternalLabels, ExternalURL: external}
	for _, name := range f.RuleFiles {
		for _, def := range defined[name] {
			b.groups = append(b.groups, rules.NewGroup(name, def, time.Duration(g.Interval), with))
		}
	}
	slices.SortStableFunc(b.groups, func(x, y *rules.Group) int {
		return cmp.Compare(slices.Index(f.GroupEvalOrder, x.Name()), slices.Index(f.GroupEvalOrder, y.Name()))
	})
	return b, nil
}

// feed writes the input up to a time.
func (b *bench) feed(until time.Time) error {
	interval := time.Duration(b.test.Interval)
	for ; !b.begin.Add(time.Duration(b.next) * interval).After(until); b.next++ {
		at := b.begin.Add(time.Duration(b.next) * interval).UnixMilli()
		for _, l := range b.input {
			if b.next >= len(l.values) || l.values[b.next].Omitted {
				continue
			}
			if err := b.store.Append(l.ref, at, l.values[b.next].V); err != nil {
				return fmt.Errorf("series %s at %d ms: %w", l.ref.Labels(), at, err)
			}
		}
	}
	return nil
}

// end is the time of the last thing that is expected.
func (b *bench) end() time.Time {
	last := promql.Duration(0)
	for _, a := range b.test.Alerts {
		last = max(last, a.At)
	}
	for _, e := range b.test.Expressions {
		last = max(last, e.At)
	}
	return b.begin.Add(time.Duration(last))
}

// alerts evaluates the rules from beginning to end and compares alerts on the way.
// Without ok rules could not be evaluated, and nothing else is worth asking.
func (b *bench) alerts(ctx context.Context) (faults []error, ok bool) {
	for _, a := range b.test.Alerts {
		if a.Name == "" {
			return []error{fmt.Errorf("an item under alert_rule_test misses required attribute alertname at eval_time %s", a.At)}, false
		}
	}
	if b.every <= 0 {
		return []error{errors.New("evaluation_interval must be above 0")}, false
	}
	end := b.end()
	for at := b.begin; !at.After(end); at = at.Add(b.every) {
		if err := b.feed(at); err != nil {
			return append(faults, err), false
		}
		var broken []error
		for _, g := range b.groups {
			if _, err := g.Evaluate(ctx, at); err != nil {
				broken = append(broken, fmt.Errorf("group %s, time %s: %w", g.Name(), at.Sub(b.begin), err))
			}
		}
		if len(broken) > 0 {
			return append(faults, broken...), false
		}
		for _, a := range b.test.Alerts {
			if since := time.Duration(a.At) - at.Sub(b.begin); since >= 0 && since < b.every {
				if err := b.compare(a); err != nil {
					faults = append(faults, err)
				}
			}
		}
	}
	if err := b.feed(end); err != nil {
		return append(faults, err), false
	}
	return faults, true
}

// told is an alert as it is compared.
type told struct{ labels, annotations string }

func (t told) String() string { return t.labels + " " + t.annotations }

// compare compares the alerts that fire with those that are expected.
func (b *bench) compare(a alertTest) error {
	var got, want []told
	for _, g := range b.groups {
		for _, r := range g.View().Rules {
			if r.Alert != a.Name {
				continue
			}
			for _, i := range r.Alerts {
				if i.State == alert.Firing {
					got = append(got, told{i.Labels.String(), alert.LabelsOf(i.Annotations.Map()).String()})
				}
			}
		}
	}
	for _, e := range a.Expected {
		labels := map[string]string{}
		for name, value := range e.Labels {
			labels[name] = value
		}
		labels[alert.NameLabel] = a.Name
		want = append(want, told{alert.LabelsOf(labels).String(), alert.LabelsOf(e.Annotations).String()})
	}
	order := func(x, y told) int { return cmp.Compare(x.String(), y.String()) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if slices.Equal(got, want) {
		return nil
	}
	return fmt.Errorf("alertname: %s, time: %s\n  exp: %v\n  got: %v", a.Name, a.At, want, got)
}

// expression evaluates an expression and compares what it gives.
func (b *bench) expression(ctx context.Context, e exprTest) error {
	got, err := b.engine.Vector(ctx, e.Expr, b.begin.Add(time.Duration(e.At)))
	if err != nil {
		return err
	}
	var want []promql.Sample
	for _, s := range e.Expected {
		if s.Histogram != "" {
			return fmt.Errorf("native histograms are not kept: %s", s.Histogram)
		}
		l, err := promql.ParseLabels(s.Labels)
		if err != nil {
			return err
		}
		want = append(want, promql.Sample{Labels: l, Point: promql.Point{V: s.Value}})
	}
	order := func(x, y promql.Sample) int { return cmp.Compare(x.Labels.String(), y.Labels.String()) }
	slices.SortStableFunc(got, order)
	slices.SortStableFunc(want, order)
	same := slices.EqualFunc(got, want, func(x, y promql.Sample) bool {
		return x.Labels.String() == y.Labels.String() && b.equal(x.V, y.V)
	})
	if same {
		return nil
	}
	return fmt.Errorf("\n  exp: %s\n  got: %s", text(want), text(got))
}

// equal compares values; with fuzzy_compare the neighbours count too. No number equals
// NaN, as promtool has it.
func (b *bench) equal(x, y float64) bool {
	return x == y || b.file.FuzzyCompare && (math.Nextafter(x, math.Inf(-1)) == y || math.Nextafter(x, math.Inf(1)) == y)
}

func text(samples []promql.Sample) string {
	if len(samples) == 0 {
		return "nil"
	}
	out := ""
	for i, s := range samples {
		if i > 0 {
			out += ", "
		}
		out += s.Labels.String() + " " + strconv.FormatFloat(s.V, 'E', -1, 64)
	}
	return out
}
