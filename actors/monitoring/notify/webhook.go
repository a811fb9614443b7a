package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

// teller tells one destination.
type teller interface {
	// tell blocks until it is told or ctx ends.
	tell(ctx context.Context, m *message) error
	close()
}

// webhookMessage is version 4 of Alertmanager's webhook message
// (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).
type webhookMessage struct {
	Version           string         `json:"version"`
	GroupKey          string         `json:"groupKey"`
	TruncatedAlerts   int            `json:"truncatedAlerts"`
	Status            string         `json:"status"`
	Receiver          string         `json:"receiver"`
	GroupLabels       alert.Labels   `json:"groupLabels"`
	CommonLabels      alert.Labels   `json:"commonLabels"`
	CommonAnnotations alert.Labels   `json:"commonAnnotations"`
	ExternalURL       string         `json:"externalURL"`
	Alerts            []webhookAlert `json:"alerts"`
}

// webhookAlert is one alert of it; EndsAt is zero while it fires.
type webhookAlert struct {
	Status       string       `json:"status"`
	Labels       alert.Labels `json:"labels"`
	Annotations  alert.Labels `json:"annotations"`
	StartsAt     time.Time    `json:"startsAt"`
	EndsAt       time.Time    `json:"endsAt"`
	GeneratorURL string       `json:"generatorURL"`
	Fingerprint  string       `json:"fingerprint"`
}

func webhookMessageOf(m *message, external string, most int) webhookMessage {
	w := webhookMessage{
		Version: "4", GroupKey: m.groupKey, Status: m.status(), Receiver: m.receiver, GroupLabels: m.groupLabels,
		CommonLabels: m.common(labelsOf), CommonAnnotations: m.common(annotationsOf), ExternalURL: external, Alerts: []webhookAlert{},
	}
	for i := range m.alerts {
		if most > 0 && i >= most {
			w.TruncatedAlerts = len(m.alerts) - most
			break
		}
		a := &m.alerts[i]
		w.Alerts = append(w.Alerts, webhookAlert{
			Status: a.State.String(), Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.FiredAt.UTC(), EndsAt: a.ResolvedAt.UTC(),
			GeneratorURL: a.GeneratorURL, Fingerprint: a.Fingerprint().String(),
		})
	}
	return w
}

// webhook tells an address by Alertmanager's message.
type webhook struct {
	*caller
	external string
	most     int
}

func (w *webhook) tell(ctx context.Context, m *message) error {
	body, err := json.Marshal(webhookMessageOf(m, w.external, w.most))
	if err != nil {
		return permanentError{fmt.Errorf("writing the message: %w", err)}
	}
	return w.post(ctx, body)
}
