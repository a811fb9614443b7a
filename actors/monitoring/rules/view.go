package rules

import (
	"cmp"
	"slices"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/promql"
)

// GroupView is a group as it is.
type GroupView struct {
	Name, File string
	Interval   time.Duration
	Limit      int
	Rules      []RuleView
	Last       time.Time // zero before the first evaluation
	Duration   time.Duration
}

// RuleView is a rule as it is.
type RuleView struct {
	promql.Rule
	State    alert.State  // of an alerting rule: the furthest of its alerts
	Alerts   []ActiveView // pending and firing
	Health   string
	Err      string
	Last     time.Time
	Duration time.Duration
}

// ActiveView is an alert that is pending or fires.
type ActiveView struct {
	alert.Alert
	// KeepFiringSince is since when its condition is gone; zero while it holds.
	KeepFiringSince time.Time
}

// View returns the group as it is.
func (g *Group) View() GroupView {
	g.mu.RLock()
	defer g.mu.RUnlock()
	v := GroupView{Name: g.def.Name, File: g.file, Interval: g.interval, Limit: g.def.Limit, Last: g.last, Duration: g.duration}
	for _, r := range g.rules {
		v.Rules = append(v.Rules, r.view(g))
	}
	return v
}

func (r *rule) view(g *Group) RuleView {
	v := RuleView{Rule: r.def, Health: r.health, Last: r.last, Duration: r.took, Alerts: []ActiveView{}}
	if r.err != nil {
		v.Err = r.err.Error()
	}
	for _, i := range r.active {
		if i.state != alert.Pending && i.state != alert.Firing {
			continue
		}
		v.State = max(v.State, i.state)
		v.Alerts = append(v.Alerts, ActiveView{i.alert(r, g.with.ExternalURL), i.keepFiringSince})
	}
	slices.SortFunc(v.Alerts, func(a, b ActiveView) int {
		return cmp.Or(a.ActiveAt.Compare(b.ActiveAt), a.Labels.Compare(b.Labels))
	})
	return v
}
