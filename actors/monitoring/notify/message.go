package notify

import (
	"slices"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

// message is what a receiver is told of one group at one time: immutable.
type message struct {
	receiver    string
	groupKey    string
	groupLabels alert.Labels
	alerts      []alert.Alert // those that fire first, each part sorted by labels
	now         time.Time
}

// firing is the number of alerts that fire.
func (m *message) firing() int {
	n := 0
	for i := range m.alerts {
		if m.alerts[i].State == alert.Firing {
			n++
		}
	}
	return n
}

// status is firing while any alert is.
func (m *message) status() string {
	if m.firing() > 0 {
		return alert.Firing.String()
	}
	return alert.Resolved.String()
}

// common are the labels that all alerts have with the same value.
func (m *message) common(of func(*alert.Alert) alert.Labels) alert.Labels {
	if len(m.alerts) == 0 {
		return alert.Labels{}
	}
	shared := slices.Clone(of(&m.alerts[0]))
	for i := range m.alerts {
		other := of(&m.alerts[i])
		shared = slices.DeleteFunc(shared, func(l alert.Label) bool { return other.Get(l.Name) != l.Value })
	}
	return shared
}

func labelsOf(a *alert.Alert) alert.Labels      { return a.Labels }
func annotationsOf(a *alert.Alert) alert.Labels { return a.Annotations }

// without leaves out what is resolved.
func (m *message) without() *message {
	kept := *m
	kept.alerts = m.alerts[:m.firing()]
	return &kept
}
