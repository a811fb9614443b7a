package notify

import (
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

// inhibitRule mutes targets while a source fires that has the same values for all of
// equal, as Alertmanager does
// (https://prometheus.io/docs/alerting/latest/configuration/#inhibition-related-settings):
//
//  1. an absent label and an empty one are the same;
//  2. an alert that matches both sides is not muted by one of which that is true
//     too, so that none mutes itself.
type inhibitRule struct {
	source, target Matchers
	equal          []string
}

// inhibition is what fires at one moment, arranged by the rules.
type inhibition struct {
	rules   []inhibitRule
	sources []map[alert.Fingerprint][]*alert.Alert // one map a rule, by the equal labels
}

// inhibitionOf arranges the alerts that fire.
func inhibitionOf(rules []inhibitRule, alerts map[alert.Fingerprint]*standing, now time.Time) *inhibition {
	in := &inhibition{rules: rules, sources: make([]map[alert.Fingerprint][]*alert.Alert, len(rules))}
	for i, r := range rules {
		by := map[alert.Fingerprint][]*alert.Alert{}
		for _, s := range alerts {
			if s.FiringAt(now) && r.source.Match(s.Labels) {
				key := s.Labels.Only(r.equal...).Fingerprint()
				by[key] = append(by[key], &s.Alert)
			}
		}
		in.sources[i] = by
	}
	return in
}

// by is an alert that mutes one with these labels; nil when none does.
func (in *inhibition) by(ls alert.Labels) *alert.Alert {
	for i, r := range in.rules {
		if !r.target.Match(ls) {
			continue
		}
		bothSides := r.source.Match(ls)
		for _, source := range in.sources[i][ls.Only(r.equal...).Fingerprint()] {
			if !bothSides || !r.target.Match(source.Labels) {
				return source
			}
		}
	}
	return nil
}
