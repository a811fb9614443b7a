package rules_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/promql"
	"github.com/marketprism/marketprism/actors/monitoring/rules"
	"github.com/marketprism/marketprism/actors/monitoring/series"
)

var begin = time.Unix(1_700_000_000, 0).UTC()

// bench is a store with an engine over it, and a clock.
type bench struct {
	t      *testing.T
	store  *series.Store
	engine *promql.Engine
	now    time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	store, err := series.New(series.DefaultConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := promql.New(promql.DefaultConfig(), store, time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, store: store, engine: engine, now: begin}
}

func (b *bench) group(text string) *rules.Group {
	b.t.Helper()
	groups, errs := promql.ParseRules([]byte(text))
	if len(errs) > 0 {
		b.t.Fatal(errs)
	}
	return rules.NewGroup("test.yaml", groups[0], time.Minute, rules.Evaluator{
		Query: b.engine.Vector, Record: b.store.Record, ExternalLabels: map[string]string{"dc": "home"},
	})
}

func (b *bench) set(v float64, pairs ...string) {
	b.t.Helper()
	if err := b.store.Record(series.FromStrings(pairs...), b.now.UnixMilli(), v); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) evaluate(g *rules.Group) []alert.Alert {
	b.t.Helper()
	alerts, err := g.Evaluate(b.t.Context(), b.now)
	if err != nil {
		b.t.Fatal(err)
	}
	return alerts
}

// ask evaluates an expression now, as "labels=value …".
func (b *bench) ask(expr string) string {
	b.t.Helper()
	got, err := b.engine.Vector(context.Background(), expr, b.now)
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, s := range got {
		out = append(out, fmt.Sprintf("%s=%v", s.Labels, s.V))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func states(alerts []alert.Alert) string {
	var out []string
	for _, a := range alerts {
		out = append(out, a.Labels.Get("host")+":"+a.State.String())
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

const hot = `
groups:
  - name: g
    rules:
      - record: doubled
        expr: heat * 2
        labels: {unit: celsius}
      - alert: Hot
        expr: doubled > 10
        for: 2m
        keep_firing_for: 90s
        labels: {severity: warning, who: "{{ $labels.host }}"}
        annotations: {summary: '{{ $value | humanize }} at {{ .Labels.host }} in {{ $externalLabels.dc }}'}
`

// TestLife brings an alert through all its states.
func TestLife(t *testing.T) {
	b := newBench(t)
	g := b.group(hot)
	for _, step := range []struct {
		after  time.Duration
		heat   float64
		alerts string
		series string // ALERTS
	}{
		{0, 1, "", ""},
		{time.Minute, 6, "a:pending", "pending"},
		{time.Minute, 1, "", ""}, // gone before it fired
		{time.Minute, 6, "a:pending", "pending"},
		{time.Minute, 6, "a:pending", "pending"},
		{time.Minute, 7, "a:firing", "firing"}, // held for two minutes; the pending series has ended
		{time.Minute, 1, "a:firing", "firing"}, // keeps firing
		{time.Minute, 1, "a:firing", "firing"},
		{time.Minute, 1, "a:resolved", ""},
		{15 * time.Minute, 1, "a:resolved", ""}, // told for a quarter of an hour
		{time.Minute, 1, "", ""},
		{time.Minute, 6, "a:pending", "pending"},
	} {
		b.now = b.now.Add(step.after)
		b.set(step.heat, "__name__", "heat", "host", "a")
		alerts := b.evaluate(g)
		if got := states(alerts); got != step.alerts {
			t.Errorf("after %v: alerts %q, want %q", b.now.Sub(begin), got, step.alerts)
		}
		want := ""
		if step.series != "" {
			want = fmt.Sprintf(`{__name__="ALERTS", alertname="Hot", alertstate="%s", host="a", severity="warning", unit="celsius", who="a"}=1`, step.series)
		}
		if got := b.ask("ALERTS"); got != want {
			t.Errorf("after %v: ALERTS %s, want %s", b.now.Sub(begin), got, want)
		}
		for _, a := range alerts {
			if a.State == alert.Firing && step.heat == 7 {
				if got := a.Annotations.Get("summary"); got != "14 at a in home" {
					t.Errorf("summary %q", got)
				}
				if want := float64(a.ActiveAt.Unix()); b.ask("ALERTS_FOR_STATE") != fmt.Sprintf(`{__name__="ALERTS_FOR_STATE", alertname="Hot", host="a", severity="warning", unit="celsius", who="a"}=%v`, want) {
					t.Errorf("ALERTS_FOR_STATE %s", b.ask("ALERTS_FOR_STATE"))
				}
				if !a.Until.After(b.now) {
					t.Errorf("fires until %v, now is %v", a.Until, b.now)
				}
			}
		}
	}
	if got := b.ask("doubled"); got != `{__name__="doubled", host="a", unit="celsius"}=12` {
		t.Errorf("recorded %s", got)
	}
}

// TestVanished: a series that a recording rule gives no more ends at once.
func TestVanished(t *testing.T) {
	b := newBench(t)
	g := b.group(hot)
	b.set(6, "__name__", "heat", "host", "a")
	b.evaluate(g)
	b.now = b.now.Add(time.Minute)
	b.set(series.Stale(), "__name__", "heat", "host", "a")
	b.evaluate(g)
	if got := b.ask("doubled"); got != "" {
		t.Errorf("recorded is still %s", got)
	}
}

func TestLimit(t *testing.T) {
	b := newBench(t)
	g := b.group("groups: [{name: g, limit: 1, rules: [{alert: A, expr: x > 0}, {record: r, expr: x}]}]")
	b.set(1, "__name__", "x", "i", "1")
	b.set(1, "__name__", "x", "i", "2")
	alerts, err := g.Evaluate(t.Context(), b.now)
	if err == nil || len(alerts) != 0 || strings.Count(err.Error(), "exceeded limit of 1 with 2") != 2 {
		t.Errorf("alerts %v, error %v", alerts, err)
	}
	for _, r := range g.View().Rules {
		if r.Health != rules.HealthBad || r.Err == "" {
			t.Errorf("rule %s has health %s", r.Name(), r.Health)
		}
	}
}

// TestBroken: a rule that cannot be evaluated keeps its alerts.
func TestBroken(t *testing.T) {
	b := newBench(t)
	g := b.group(`groups: [{name: g, rules: [{alert: A, expr: 'x + on() y > 0'}]}]`)
	b.set(1, "__name__", "x")
	b.set(1, "__name__", "y", "i", "1")
	if got := states(b.evaluate(g)); got != ":firing" {
		t.Fatalf("alerts %q", got)
	}
	b.now = b.now.Add(time.Minute)
	b.set(1, "__name__", "x")
	b.set(1, "__name__", "y", "i", "1")
	b.set(1, "__name__", "y", "i", "2") // many to many
	alerts, err := g.Evaluate(t.Context(), b.now)
	if err == nil || states(alerts) != ":firing" || !alerts[0].CheckedAt.Equal(begin) {
		t.Errorf("alerts %v, error %v", alerts, err)
	}
}

// TestAdopt: another version of a file goes on where the one before was.
func TestAdopt(t *testing.T) {
	b := newBench(t)
	old := b.group(hot)
	for range 3 {
		b.set(6, "__name__", "heat", "host", "a")
		b.evaluate(old)
		b.now = b.now.Add(time.Minute)
	}
	g := b.group(strings.Replace(strings.Replace(hot, "record: doubled", "record: twice", 1), "expr: doubled", "expr: twice", 1))
	g.Adopt(old)
	b.set(6, "__name__", "heat", "host", "a")
	if got := states(b.evaluate(g)); got != "a:firing" {
		t.Errorf("alerts after the change %q", got)
	}
	if b.ask("doubled") != "" || b.ask("twice") == "" {
		t.Errorf("doubled %q, twice %q: want the first to have ended", b.ask("doubled"), b.ask("twice"))
	}
	if alerts, err := old.Evaluate(t.Context(), b.now); err != nil || len(alerts) != 0 {
		t.Errorf("the version before goes on: %v, %v", alerts, err)
	}
	b.now = b.now.Add(time.Minute)
	if got := states(g.Leave(b.now)); got != "a:resolved" {
		t.Errorf("alerts of a group that is no more %q", got)
	}
	if got := b.ask(`{__name__=~"ALERTS.*|twice"}`); got != "" {
		t.Errorf("series of a group that is no more: %s", got)
	}
}

// TestRecall: what an alert has held is remembered, the time away does not count, and
// one that fires does not resolve because nothing was scraped yet.
func TestRecall(t *testing.T) {
	b := newBench(t)
	g := b.group(hot)
	b.set(6, "__name__", "heat", "host", "a")
	b.evaluate(g)
	b.now = b.now.Add(time.Minute)
	b.set(6, "__name__", "heat", "host", "a")
	b.evaluate(g)
	pending := g.Remember(b.now)
	b.now = b.now.Add(time.Minute)
	b.set(6, "__name__", "heat", "host", "a")
	b.evaluate(g)
	firing := g.Remember(b.now)

	fresh := newBench(t)
	fresh.now = b.now.Add(time.Hour)
	g = fresh.group(hot)
	g.Recall(pending, fresh.now, 0)
	fresh.set(6, "__name__", "heat", "host", "a")
	if got := states(fresh.evaluate(g)); got != "a:pending" {
		t.Errorf("after an hour away %q: the hour must not count", got)
	}
	fresh.now = fresh.now.Add(time.Minute)
	fresh.set(6, "__name__", "heat", "host", "a")
	if got := states(fresh.evaluate(g)); got != "a:firing" {
		t.Errorf("with the minute before and one more %q", got)
	}

	fresh = newBench(t)
	fresh.now = b.now.Add(time.Hour)
	g = fresh.group(hot)
	g.Recall(firing, fresh.now, 3*time.Minute)
	for _, want := range []string{"a:firing", "a:firing", "a:firing", "a:firing", "a:firing", "a:resolved"} { // grace, then keep_firing_for
		if got := states(fresh.evaluate(g)); got != want {
			t.Errorf("%v after the start %q, want %q", fresh.now.Sub(b.now)-time.Hour, got, want)
		}
		fresh.now = fresh.now.Add(time.Minute)
	}
}
