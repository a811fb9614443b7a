package client

import (
	"time"
)

// Alert is an alert that fires.
type Alert struct {
	Description string            `json:"description"`
	Fingerprint string            `json:"fingerprint"`            // the same for the same labels
	Group       string            `json:"group"`                  // group of the rule
	InhibitedBy *string           `json:"inhibited_by,omitempty"` // fingerprint of the alert that explains it; null when none does
	Labels      map[string]string `json:"labels"`
	LastChecked time.Time         `json:"last_checked"`
	Receivers   []string          `json:"receivers"`   // who is told of it, unless it is muted
	RuleID      string            `json:"rule_id"`     // name of the rule
	RuleName    string            `json:"rule_name"`   // what it says in a line
	RunbookURL  string            `json:"runbook_url"` // what to do; empty for a rule that names none
	Severity    string            `json:"severity"`    // warning, critical
	SilencedBy  []string          `json:"silenced_by"` // ids of silences that mute it
	StartTime   time.Time         `json:"start_time"`  // since when it fires
	Value       float64           `json:"value"`       // of the rule's expression, at the last evaluation that had one
}

// PastAlert is an alert that fires no longer.
type PastAlert struct {
	Description string            `json:"description"`
	EndTime     time.Time         `json:"end_time"`
	Fingerprint string            `json:"fingerprint"` // the same for the same labels
	Labels      map[string]string `json:"labels"`
	LastChecked time.Time         `json:"last_checked"`
	RuleID      string            `json:"rule_id"`     // name of the rule
	RuleName    string            `json:"rule_name"`   // what it says in a line
	RunbookURL  string            `json:"runbook_url"` // what to do; empty for a rule that names none
	Severity    string            `json:"severity"`    // warning, critical
	StartTime   time.Time         `json:"start_time"`  // since when it fires
	Status      string            `json:"status"`      // resolved
	Value       float64           `json:"value"`       // of the rule's expression, at the last evaluation that had one
}

// Silence is what mutes alerts for a time.
type Silence struct {
	Comment   string    `json:"comment"`
	CreatedBy string    `json:"created_by"`
	EndsAt    time.Time `json:"ends_at"`
	ID        string    `json:"id"`
	Matchers  []Matcher `json:"matchers"`
	StartsAt  time.Time `json:"starts_at"`
	State     string    `json:"state"` // pending, active, expired
	UpdatedAt time.Time `json:"updated_at"`
}

// NewSilence is a silence to be made, or changed by its id.
type NewSilence struct {
	Comment         string     `json:"comment"`
	CreatedBy       string     `json:"created_by,omitempty"`       // whoever is logged in counts more; anonymous when absent
	DurationSeconds float64    `json:"duration_seconds,omitempty"` // from its start; this or ends_at
	EndsAt          *time.Time `json:"ends_at,omitempty"`          // this or duration_seconds
	ID              string     `json:"id,omitempty"`               // of one that is to be changed; absent makes a new one
	Matchers        []Matcher  `json:"matchers"`                   // all must match
	StartsAt        *time.Time `json:"starts_at,omitempty"`        // now when absent or past
}

// Matcher is what a label of an alert has to be.
type Matcher struct {
	Name  string `json:"name"`         // of a label
	Op    string `json:"op,omitempty"` // = when absent; =~ and !~ take an RE2 expression that has to match all of the value: =, !=, =~, !~
	Value string `json:"value"`        // an absent label has the value ""
}
