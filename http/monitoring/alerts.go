package monitoring

import (
	"context"
	"errors"
	"net/http"
	"time"

	branch "github.com/marketprism/marketprism/actors/monitoring"
	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/notify"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
)

// Notifier knows what fires, and keeps silences; *notify.Handle is one.
type Notifier interface {
	Alerts(ctx context.Context) (*notify.View, error)
	Standing() notify.Standing
	Silences() []notify.Silence
	Silence(id string) (notify.Silence, error)
	SetSilence(ctx context.Context, s notify.Silence) (notify.Silence, error)
	ExpireSilence(ctx context.Context, id string) (notify.Silence, error)
}

const tagAlerts = "alerts"

// silentFor is how long the rule engine may bring nothing before that is a warning.
const silentFor = 2 * time.Minute

// alertRow is an alert as clients know it.
type alertRow struct {
	RuleID      string       `json:"rule_id" required:"true" doc:"name of the rule"`
	RuleName    string       `json:"rule_name" required:"true" doc:"what it says in a line"`
	Description string       `json:"description" required:"true" doc:"what is wrong, for people"`
	Severity    string       `json:"severity" enum:"warning,critical" required:"true"`
	StartTime   time.Time    `json:"start_time" required:"true" doc:"since when it fires"`
	LastChecked time.Time    `json:"last_checked" required:"true" doc:"when its rule was evaluated last"`
	Value       float64      `json:"value" required:"true" doc:"of the rule's expression, at the last evaluation that had one"`
	Labels      alert.Labels `json:"labels" required:"true" doc:"of the rule, and of the result of its expression"`
	Runbook     string       `json:"runbook_url" required:"true" doc:"what to do; empty for a rule that names none"`
	Fingerprint string       `json:"fingerprint" required:"true" doc:"the same for the same labels"`
}

// activeRow is one that fires.
type activeRow struct {
	alertRow
	Group       string   `json:"group" required:"true" doc:"group of the rule"`
	SilencedBy  []string `json:"silenced_by" required:"true" doc:"ids of silences that mute it"`
	InhibitedBy *string  `json:"inhibited_by" doc:"fingerprint of the alert that explains it; null when none does"`
	Receivers   []string `json:"receivers" required:"true" doc:"who is told of it, unless it is muted"`
}

// pastRow is one that fires no longer.
type pastRow struct {
	alertRow
	EndTime time.Time `json:"end_time" required:"true" doc:"since when it fires no longer"`
	Status  string    `json:"status" enum:"resolved" required:"true"`
}

// alertList is the answer of GET alerts.
type alertList struct {
	Active    []activeRow `json:"active_alerts" required:"true" doc:"those that fire, muted ones included, by when they began"`
	History   []pastRow   `json:"alert_history" required:"true" doc:"those that fire no longer, newest first"`
	Timestamp time.Time   `json:"timestamp" required:"true"`
}

func (f *service) alertRoutes() []chassis.Route {
	if f.Notify == nil {
		return nil
	}
	return append(f.silenceRoutes(), chassis.Route{
		Method: http.MethodGet, Path: base + "alerts", ID: "alerts", Tag: tagAlerts, Summary: "What fires, and what did",
		Description: "Of severity `critical` and `warning`. What only informs, and the Watchdog, are seen at `/prometheus/api/v1/alerts`.",
		Params: []chassis.Param{
			{Name: "severity", Enum: []string{"critical", "warning"}, Doc: "Only these."},
			{Name: "limit", Type: 0, Default: historyRows, Min: 1, Max: maxHistoryRows, Doc: "Rows of the history."},
		},
		Responses: []chassis.Response{{Body: alertList{}}}, Handler: f.alerts,
	})
}

// Rows of the history.
const (
	historyRows    = 100
	maxHistoryRows = 10_000
)

func (f *service) alerts(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	severity := q.OneOf("severity", "", "critical", "warning")
	limit := q.Limit(historyRows, maxHistoryRows)
	if err := q.Err(); err != nil {
		return err
	}
	v, err := f.Notify.Alerts(r.Context())
	if err != nil {
		return notReady(err)
	}
	shown := func(a *alert.Alert) bool {
		return notify.Documented(a) && (severity == "" || a.Severity() == severity)
	}
	list := alertList{Active: []activeRow{}, History: []pastRow{}, Timestamp: f.Now().UTC()}
	for i := range v.Active {
		a := &v.Active[i]
		if !shown(&a.Alert) {
			continue
		}
		row := activeRow{alertRow: rowOf(&a.Alert), Group: a.Group, SilencedBy: []string{}, Receivers: a.Receivers}
		row.SilencedBy = append(row.SilencedBy, a.SilencedBy...)
		if a.InhibitedBy != nil {
			by := a.InhibitedBy.String()
			row.InhibitedBy = &by
		}
		list.Active = append(list.Active, row)
	}
	for i := range v.History {
		if a := &v.History[i]; shown(a) && len(list.History) < limit {
			list.History = append(list.History, pastRow{alertRow: rowOf(a), EndTime: a.ResolvedAt.UTC(), Status: alert.Resolved.String()})
		}
	}
	return chassis.WriteJSON(w, r, http.StatusOK, list)
}

func rowOf(a *alert.Alert) alertRow {
	row := alertRow{
		RuleID: a.Rule, RuleName: a.Annotations.Get(alert.SummaryAnnotation), Description: a.Annotations.Get(alert.DescriptionAnnotation),
		Severity: a.Severity(), StartTime: a.FiredAt.UTC(), LastChecked: a.CheckedAt.UTC(), Value: notify.Plain(a.Value), Labels: a.Labels,
		Runbook: a.Annotations.Get(alert.RunbookAnnotation), Fingerprint: a.Fingerprint().String(),
	}
	if row.RuleName == "" {
		row.RuleName = a.Rule
	}
	return row
}

// notReady is the answer while notification starts or stops.
func notReady(err error) error {
	if errors.Is(err, supervise.ErrStopped) {
		return chassis.Unavailable(time.Second, "notification is not running at the moment").WithCause(err)
	}
	return err
}

// activeAlerts are those that overview and reports count.
func (f *service) activeAlerts(ctx context.Context) []branch.Alert {
	var out []branch.Alert
	for _, row := range f.firing(ctx) {
		out = append(out, branch.Alert{RuleID: row.RuleID, Name: row.RuleName, Severity: row.Severity, Description: row.Description, Since: row.StartTime, Value: row.Value})
	}
	return out
}

// firing are the rows of all that fires.
func (f *service) firing(ctx context.Context) (rows []alertRow) {
	if f.Notify == nil {
		return nil
	}
	v, err := f.Notify.Alerts(ctx)
	if err != nil {
		return nil // the check below says so
	}
	for i := range v.Active {
		if a := &v.Active[i].Alert; notify.Documented(a) {
			rows = append(rows, rowOf(a))
		}
	}
	return rows
}

// checkAlerts warns when the rule engine is silent, or somebody cannot be told.
func (f *service) checkAlerts(ctx context.Context) chassis.CheckResult {
	v, err := f.Notify.Alerts(ctx)
	if err != nil {
		return chassis.Failed(err)
	}
	s := f.Notify.Standing()
	failing := map[string]string{}
	for id, err := range s.Failing {
		failing[id] = err.Error()
	}
	critical, warning := v.Counts()
	result := chassis.CheckResult{Status: chassis.Pass, Fields: map[string]any{"phase": s.Phase, "critical": critical, "warning": warning, "failing_receivers": failing}}
	since := f.began
	if !s.Accepted.IsZero() {
		since = s.Accepted
		result.Fields["last_evaluation"] = since.UTC()
	}
	switch {
	case f.Now().Sub(since) > silentFor:
		result.Status, result.Err = chassis.Warn, errors.New("the rule engine brings no alerts, not even the Watchdog: nothing would be told")
	case len(failing) > 0:
		result.Status, result.Err = chassis.Warn, errors.New("receivers of alerts cannot be told")
	}
	return result
}
