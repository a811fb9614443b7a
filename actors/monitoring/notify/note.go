package notify

import (
	"context"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

// note writes alerts to the log.
type note struct{ log *zap.Logger }

func (note) close() {}

func (n note) tell(_ context.Context, m *message) error {
	for i := range m.alerts {
		a := &m.alerts[i]
		write, text := n.log.Warn, "alert fires"
		switch {
		case a.State == alert.Resolved:
			write, text = n.log.Info, "alert is resolved"
		case a.Severity() == "critical":
			write = n.log.Error
		}
		write(text, zap.String("alert", a.Labels.Get(alert.NameLabel)), zap.String("summary", headline(a)), zap.Any("labels", a.Labels.Map()),
			zap.Float64("value", a.Value), zap.Time("since", a.FiredAt))
	}
	return nil
}
