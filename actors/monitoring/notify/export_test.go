package notify

import (
	"context"
	"encoding/json"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

// Told is a message that a destination got.
type Told struct {
	To     string
	At     time.Time
	Status string
	Alerts []string // alertname, with a minus when it is resolved
}

// Replace has all destinations call tell in place of a server.
func (h *Handle) Replace(tell func(ctx context.Context, t Told) error) {
	for _, to := range h.outs {
		to.open = func(*zap.Logger) (teller, error) { return heard{to.id, h.options.Now, tell}, nil }
	}
}

type heard struct {
	id   string
	now  func() time.Time
	call func(context.Context, Told) error
}

func (heard) close() {}

func (d heard) tell(ctx context.Context, m *message) error {
	t := Told{To: d.id, At: d.now(), Status: m.status()}
	for i := range m.alerts {
		name := m.alerts[i].Rule
		if m.alerts[i].State == alert.Resolved {
			name = "-" + name
		}
		t.Alerts = append(t.Alerts, name)
	}
	return d.call(ctx, t)
}

// Permanent marks an error as one that is not tried again.
func Permanent(err error) error { return permanentError{err} }

// WebhookBody is the message that a webhook gets of some alerts.
func WebhookBody(receiver, groupKey string, groupLabels alert.Labels, external string, most int, alerts ...alert.Alert) ([]byte, error) {
	m := &message{receiver: receiver, groupKey: groupKey, groupLabels: groupLabels, alerts: alerts}
	return json.MarshalIndent(webhookMessageOf(m, external, most), "", "  ")
}

// Mail tells some addresses of alerts.
func Mail(ctx context.Context, to []string, server SMTPConfig, at time.Time, alerts ...alert.Alert) error {
	e, err := newEmail(to, server, "http://127.0.0.1:8084", 5*time.Second)
	if err != nil {
		return err
	}
	return e.tell(ctx, &message{receiver: "r", groupKey: "{}:{}", groupLabels: alert.LabelsOf(map[string]string{"alertname": "Ä"}), alerts: alerts, now: at})
}

// SlackBody is the message that Slack gets.
func SlackBody(channel string, groupLabels alert.Labels, alerts ...alert.Alert) ([]byte, error) {
	return json.MarshalIndent(slackMessageOf(&message{receiver: "r", groupLabels: groupLabels, alerts: alerts}, channel), "", "  ")
}

// Post calls an address once, and says whether an error is permanent.
func Post(ctx context.Context, c HTTPConfig, body []byte) (err error, gone bool) { // as the tests read it
	to, err := newCaller(c, 5*time.Second, "test")
	if err != nil {
		return err, true
	}
	defer to.close()
	err = to.post(ctx, body)
	return err, permanent(err)
}
