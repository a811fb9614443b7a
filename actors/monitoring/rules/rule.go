package rules

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/promql"
	"github.com/marketprism/marketprism/actors/monitoring/series"
)

// Names of the series that alerting rules make.
const (
	alertsName   = "ALERTS"
	forStateName = "ALERTS_FOR_STATE"
	stateLabel   = "alertstate"
)

// resolvedFor is how long a resolved alert is kept and told, so that one lost
// message does not leave it firing elsewhere.
const resolvedFor = 15 * time.Minute

// Health of a rule, as Prometheus' HTTP interface names it.
const (
	HealthUnknown = "unknown"
	HealthGood    = "ok"
	HealthBad     = "err"
)

// rule is one rule with its state. Its group locks it.
type rule struct {
	def      promql.Rule
	group    string
	active   map[string]*instance // by labels
	previous map[string]series.Labels

	health string
	err    error
	last   time.Time
	took   time.Duration
}

// instance is one alert of a rule.
type instance struct {
	labels          series.Labels
	annotations     map[string]string
	state           alert.State
	value           float64
	activeAt        time.Time
	firedAt         time.Time
	resolvedAt      time.Time
	keepFiringSince time.Time // since when its condition is gone
	checked         time.Time
	// heldUntil: it was remembered, and until then its condition need not be seen.
	heldUntil time.Time
}

// identity is equal for the same rule in two versions of a file.
func (r *rule) identity() string {
	var b strings.Builder
	b.WriteString(r.def.Alert + "\xff" + r.def.Record)
	for _, name := range slices.Sorted(maps.Keys(r.def.Labels)) {
		b.WriteString("\xff" + name + "\xff" + r.def.Labels[name])
	}
	return b.String()
}

// renamed are the results of a recording rule.
func (r *rule) renamed(samples []promql.Sample, limit int) ([]promql.Sample, error) {
	out := make([]promql.Sample, 0, len(samples))
	seen := make(map[string]bool, len(samples))
	for _, s := range samples {
		m := s.Labels.Map()
		m[series.MetricName] = r.def.Record
		maps.Copy(m, r.def.Labels)
		l := series.FromMap(present(m))
		if key := l.String(); seen[key] {
			return nil, errDuplicate
		} else {
			seen[key] = true
		}
		out = append(out, promql.Sample{Labels: l, Point: s.Point})
	}
	if limit > 0 && len(out) > limit {
		return nil, fmt.Errorf("exceeded limit of %d with %d series", limit, len(out))
	}
	return out, nil
}

// present leaves out empty labels: they are none.
func present(m map[string]string) map[string]string {
	maps.DeleteFunc(m, func(_, value string) bool { return value == "" })
	return m
}

// candidate is one result of an alerting rule, its templates filled in.
type candidate struct {
	labels      series.Labels
	annotations map[string]string
	value       float64
}

// candidates fills in the labels and annotations of what an expression gave. A
// template may query, so this is done without a lock.
func (g *Group) candidates(ctx context.Context, r *rule, samples []promql.Sample, at time.Time) ([]candidate, error) {
	out := make([]candidate, 0, len(samples))
	seen := make(map[string]bool, len(samples))
	for _, s := range samples {
		t := promql.Template{
			Alert: r.def.Alert, Labels: s.Labels.Map(), Value: s.V, ExternalLabels: g.with.ExternalLabels, ExternalURL: g.with.ExternalURL,
			At: at, Query: g.with.Query,
		}
		m := s.Labels.Map()
		delete(m, series.MetricName)
		for name, text := range r.def.Labels {
			m[name], _ = t.Expand(ctx, text) // a fault is in the text, where it is seen
		}
		m[alert.NameLabel] = r.def.Alert
		c := candidate{labels: series.FromMap(present(m)), annotations: map[string]string{}, value: s.V}
		for name, text := range r.def.Annotations {
			c.annotations[name], _ = t.Expand(ctx, text)
		}
		key := c.labels.String()
		if seen[key] {
			return nil, errDuplicate
		}
		seen[key] = true
		out = append(out, c)
	}
	return out, nil
}

// step brings the alerts of the rule to a time at which the condition holds for the
// candidates, and returns the series that tell of them.
func (r *rule) step(candidates []candidate, at time.Time, limit int) ([]promql.Sample, error) {
	holds := make(map[string]bool, len(candidates))
	for _, c := range candidates {
		key := c.labels.String()
		holds[key] = true
		if i := r.active[key]; i != nil && i.state != alert.Resolved {
			i.value, i.annotations = c.value, c.annotations
			continue
		}
		r.active[key] = &instance{labels: c.labels, annotations: c.annotations, state: alert.Pending, value: c.value, activeAt: at}
	}
	var out []promql.Sample
	alive := 0
	for key, i := range r.active {
		i.checked = at
		if !r.next(i, holds[key], at) {
			delete(r.active, key)
			continue
		}
		if i.state == alert.Resolved {
			continue
		}
		alive++
		out = append(out, i.samples(r, at)...)
	}
	if limit > 0 && alive > limit {
		r.active = map[string]*instance{}
		return nil, fmt.Errorf("exceeded limit of %d with %d alerts", limit, alive)
	}
	return out, nil
}

// next brings one alert to a time, and reports whether it is kept.
func (r *rule) next(i *instance, holds bool, at time.Time) bool {
	if !holds {
		return r.without(i, at)
	}
	i.keepFiringSince, i.heldUntil = time.Time{}, time.Time{}
	held := at.Sub(i.activeAt) >= r.def.For
	switch {
	case i.state == alert.Pending && held:
		i.state, i.firedAt = alert.Firing, at
	case i.state == alert.Firing && !held: // `for` has become longer
		i.state, i.firedAt = alert.Pending, time.Time{}
	}
	return true
}

// without is next for an alert whose condition does not hold.
func (r *rule) without(i *instance, at time.Time) bool {
	switch i.state {
	case alert.Firing:
		if at.Before(i.heldUntil) {
			return true
		}
		if r.def.KeepFiringFor > 0 {
			if i.keepFiringSince.IsZero() {
				i.keepFiringSince = at
			}
			if at.Sub(i.keepFiringSince) < r.def.KeepFiringFor {
				return true
			}
		}
		i.state, i.resolvedAt = alert.Resolved, at
		return true
	case alert.Resolved:
		return at.Sub(i.resolvedAt) <= resolvedFor
	}
	return at.Before(i.heldUntil)
}

// samples are the series that tell of an alert.
func (i *instance) samples(r *rule, at time.Time) []promql.Sample {
	m := i.labels.Map()
	m[alert.NameLabel] = r.def.Alert
	m[series.MetricName] = forStateName
	active := promql.Sample{Labels: series.FromMap(m), Point: promql.Point{T: at.UnixMilli(), V: float64(i.activeAt.Unix())}}
	m[series.MetricName], m[stateLabel] = alertsName, i.state.String()
	return []promql.Sample{{Labels: series.FromMap(m), Point: promql.Point{T: at.UnixMilli(), V: 1}}, active}
}

// alert is what is told of an alert.
func (i *instance) alert(r *rule, external *url.URL) alert.Alert {
	a := alert.Alert{
		Rule: r.def.Alert, Group: r.group, Labels: alert.LabelsOf(i.labels.Map()), Annotations: alert.LabelsOf(i.annotations),
		State: i.state, Value: i.value, ActiveAt: i.activeAt, FiredAt: i.firedAt, ResolvedAt: i.resolvedAt, CheckedAt: i.checked,
	}
	if external != nil && external.Host != "" {
		a.GeneratorURL = strings.TrimSuffix(external.String(), "/") + "/explore?expr=" + url.QueryEscape(r.def.Expr)
	}
	return a
}
