package rules

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/promql"
	"github.com/marketprism/marketprism/actors/monitoring/series"
)

// Evaluator is what groups are evaluated with.
type Evaluator struct {
	// Query evaluates an expression whose result is a vector or a scalar.
	Query promql.QueryFunc
	// Record adds a sample to a series: t in Unix milliseconds.
	Record func(l series.Labels, t int64, v float64) error
	// ExternalLabels and ExternalURL (which may be nil) are for templates.
	ExternalLabels map[string]string
	ExternalURL    *url.URL
}

// errDuplicate: two results of a rule would be one series.
var errDuplicate = errors.New("vector contains metrics with the same labelset after applying rule labels")

// Group is a group of rules with its state. It is safe for concurrent use;
// evaluations follow each other.
type Group struct {
	file     string
	def      promql.Group
	interval time.Duration
	with     Evaluator

	mu       sync.RWMutex
	gone     bool // another has taken over: an evaluation under way changes nothing any more
	rules    []*rule
	orphans  []series.Labels // series of rules that are gone
	last     time.Time
	duration time.Duration
}

// NewGroup makes a group without any state. every is for one that names no interval.
func NewGroup(file string, def promql.Group, every time.Duration, with Evaluator) *Group {
	g := &Group{file: file, def: def, interval: def.Interval, with: with}
	if g.interval <= 0 {
		g.interval = every
	}
	for _, d := range def.Rules {
		g.rules = append(g.rules, &rule{def: d, group: def.Name, health: HealthUnknown, active: map[string]*instance{}, previous: map[string]series.Labels{}})
	}
	return g
}

// Name is the group's.
func (g *Group) Name() string { return g.def.Name }

// Interval is the time between two evaluations.
func (g *Group) Interval() time.Duration { return g.interval }

// key tells groups of different files apart.
func (g *Group) key() string { return g.file + ";" + g.def.Name }

// Evaluate evaluates all rules in order, at a time, and returns the alerts of the
// group: those that are pending, that fire, and that were resolved in the last 15
// minutes. The error joins those of the rules; the others were evaluated.
func (g *Group) Evaluate(ctx context.Context, at time.Time) ([]alert.Alert, error) {
	begin := time.Now()
	var errs []error
	for _, r := range g.rules {
		if ctx.Err() != nil {
			errs = append(errs, ctx.Err())
			break
		}
		if err := g.evaluate(ctx, r, at); err != nil {
			errs = append(errs, fmt.Errorf("rule %s: %w", r.def.Name(), err))
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone {
		return nil, nil
	}
	for _, l := range g.orphans {
		g.end(l, at)
	}
	g.orphans = nil
	g.last, g.duration = at, time.Since(begin)
	return g.alerts(at), errors.Join(errs...)
}

// evaluate evaluates one rule.
func (g *Group) evaluate(ctx context.Context, r *rule, at time.Time) error {
	begin := time.Now()
	samples, err := g.with.Query(ctx, r.def.Expr, at.Add(-g.def.Offset))
	var candidates []candidate
	if err == nil {
		if r.def.Alert != "" {
			candidates, err = g.candidates(ctx, r, samples, at)
		} else {
			samples, err = r.renamed(samples, g.def.Limit)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone {
		return nil
	}
	if err == nil && r.def.Alert != "" {
		samples, err = r.step(candidates, at, g.def.Limit)
	}
	if err == nil {
		err = g.write(r, samples, at)
	}
	r.took, r.last, r.err, r.health = time.Since(begin), begin, err, HealthGood
	if err != nil {
		r.health = HealthBad
	}
	return err
}

// write records the results of a rule, and ends the series that it has no more.
func (g *Group) write(r *rule, samples []promql.Sample, at time.Time) error {
	t := at.Add(-g.def.Offset).UnixMilli()
	now := make(map[string]series.Labels, len(samples))
	var errs []error
	for _, s := range samples {
		if err := g.with.Record(s.Labels, t, s.V); err != nil {
			errs = append(errs, fmt.Errorf("recording %s: %w", s.Labels, err))
			continue
		}
		now[s.Labels.String()] = s.Labels
	}
	for key, l := range r.previous {
		if _, ok := now[key]; !ok {
			g.end(l, at)
		}
	}
	r.previous = now
	return errors.Join(errs...)
}

// end ends a series. Another rule may have written it at this very time: then it goes
// on, and the store refuses.
func (g *Group) end(l series.Labels, at time.Time) {
	_ = g.with.Record(l, at.Add(-g.def.Offset).UnixMilli(), series.Stale()) // counted by the store
}

// alerts are those of all rules.
func (g *Group) alerts(at time.Time) []alert.Alert {
	var all []alert.Alert
	for _, r := range g.rules {
		for _, i := range r.active {
			a := i.alert(r, g.with.ExternalURL)
			a.CheckedAt = at
			if r.err != nil { // nothing new is known of it
				a.CheckedAt = i.checked
			}
			a.Until = a.CheckedAt.Add(max(4*g.interval, time.Minute))
			all = append(all, a)
		}
	}
	return all
}

// Adopt takes over the state of the rules of an earlier version of the group: of
// rules with the same name and labels, in order.
func (g *Group) Adopt(old *Group) {
	old.mu.Lock()
	defer old.mu.Unlock()
	old.gone = true
	g.mu.Lock()
	defer g.mu.Unlock()
	left := map[string][]*rule{}
	for _, r := range old.rules {
		left[r.identity()] = append(left[r.identity()], r)
	}
	for _, r := range g.rules {
		id := r.identity()
		if len(left[id]) == 0 {
			continue
		}
		from := left[id][0]
		left[id] = left[id][1:]
		r.previous, r.active = from.previous, from.active
		r.health, r.err, r.last, r.took = from.health, from.err, from.last, from.took
	}
	g.orphans = append(g.orphans, old.orphans...)
	for _, rules := range left {
		for _, r := range rules {
			for _, l := range r.previous {
				g.orphans = append(g.orphans, l)
			}
		}
	}
	g.last, g.duration = old.last, old.duration
}

// Leave ends the series of a group that is no more, and returns its alerts, all
// resolved.
func (g *Group) Leave(at time.Time) []alert.Alert {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = true
	for _, r := range g.rules {
		for _, l := range r.previous {
			g.end(l, at)
		}
		r.previous = nil
		for key, i := range r.active {
			if i.state == alert.Pending {
				delete(r.active, key)
			} else if i.state == alert.Firing {
				i.state, i.resolvedAt = alert.Resolved, at
			}
		}
	}
	return g.alerts(at)
}
