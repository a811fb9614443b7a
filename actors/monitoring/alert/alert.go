package alert

import (
	"context"
	"fmt"
	"time"
)

// State is where an alert stands.
type State uint8

// The states; see the package's diagram.
const (
	Inactive State = iota
	Pending
	Firing
	Resolved
)

// String is inactive, pending, firing or resolved.
func (s State) String() string {
	switch s {
	case Inactive:
		return "inactive"
	case Pending:
		return "pending"
	case Firing:
		return "firing"
	case Resolved:
		return "resolved"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *State) UnmarshalText(text []byte) error {
	for state := range Resolved + 1 {
		if state.String() == string(text) {
			*s = state
			return nil
		}
	}
	return fmt.Errorf("%q is no state of an alert", text)
}

// Alert is one alert of one rule after an evaluation.
type Alert struct {
	// Rule is the name of the alerting rule, Group that of its group.
	Rule  string `json:"rule"`
	Group string `json:"group"`
	// Labels are the identity: those of the expression's result and of the rule,
	// alertname among them.
	Labels Labels `json:"labels"`
	// Annotations are the rule's, its templates filled in at this evaluation.
	Annotations Labels `json:"annotations"`

	State State `json:"state"`
	// Value is the expression's at the last evaluation at which it had one.
	Value float64 `json:"value"`
	// ActiveAt is when the condition began to hold.
	ActiveAt time.Time `json:"active_at"`
	// FiredAt is when pending became firing; zero while pending.
	FiredAt time.Time `json:"fired_at,omitzero"`
	// ResolvedAt is when it stopped firing; zero before.
	ResolvedAt time.Time `json:"resolved_at,omitzero"`
	// CheckedAt is the time of the evaluation.
	CheckedAt time.Time `json:"checked_at"`
	// Until is when a firing alert counts as resolved if nothing more is heard of it:
	// some evaluation intervals after CheckedAt. Zero is five minutes after it.
	Until time.Time `json:"until,omitzero"`
	// GeneratorURL shows the rule's expression; may be empty.
	GeneratorURL string `json:"generator_url,omitempty"`
}

// Severity is the severity label; "" when there is none.
func (a *Alert) Severity() string { return a.Labels.Get(SeverityLabel) }

// Fingerprint is the identity.
func (a *Alert) Fingerprint() Fingerprint { return a.Labels.Fingerprint() }

// Lapse is the time from CheckedAt to Until where an alert names none.
const Lapse = 5 * time.Minute

// Ends is when the alert is over as far as is known: ResolvedAt, or Until.
func (a *Alert) Ends() time.Time {
	switch {
	case !a.ResolvedAt.IsZero():
		return a.ResolvedAt
	case !a.Until.IsZero():
		return a.Until
	}
	return a.CheckedAt.Add(Lapse)
}

// FiringAt reports whether it fires at a time.
func (a *Alert) FiringAt(now time.Time) bool { return a.State == Firing && now.Before(a.Ends()) }

// Sink takes alerts.
type Sink interface {
	// Accept takes all alerts of one rule group after one evaluation: those that are
	// pending, those that fire, and those that were resolved in the last 15 minutes;
	// each again at every evaluation. It never blocks on I/O, keeps the slice, and is
	// safe for concurrent use. An error means that they were not taken: the next
	// evaluation brings them again, so the caller counts and logs it, no more.
	Accept(ctx context.Context, alerts []Alert) error
}

// Discard is a Sink that takes everything and keeps nothing.
type Discard struct{}

// Accept implements Sink.
func (Discard) Accept(context.Context, []Alert) error { return nil }
