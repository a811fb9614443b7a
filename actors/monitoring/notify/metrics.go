package notify

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
)

// What became of a message.
const (
	outcomeSent    = "sent"
	outcomeFailed  = "failed"  // given up until the group's next turn
	outcomeRetried = "retried" // an attempt failed
	outcomeRefused = "refused" // too many waited
)

// metrics of notification.
type metrics struct {
	handle         *Handle
	taken, refused prometheus.Counter
	messages       *prometheus.CounterVec
	seconds        *prometheus.HistogramVec
	storeFailures  prometheus.Counter

	alerts, waiting, silences, accepted catalogue.Reading
}

func newMetrics(h *Handle, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		handle:        h,
		taken:         catalogue.NewCounter(catalogue.AlertsAccepted),
		refused:       catalogue.NewCounter(catalogue.AlertsRefused),
		messages:      catalogue.NewCounterVec(catalogue.Notifications),
		seconds:       catalogue.NewHistogramVec(catalogue.NotificationSeconds),
		storeFailures: catalogue.NewCounter(catalogue.NotificationStoreFailures),
		alerts:        catalogue.NewReading(catalogue.Alerts),
		waiting:       catalogue.NewReading(catalogue.NotificationsWaiting),
		silences:      catalogue.NewReading(catalogue.Silences),
		accepted:      catalogue.NewReading(catalogue.AlertsAcceptedAt),
	}
	for _, kind := range kinds {
		for _, outcome := range []string{outcomeSent, outcomeFailed, outcomeRetried, outcomeRefused} {
			m.messages.WithLabelValues(kind, outcome)
		}
	}
	return m, catalogue.Register(reg, m.taken, m.refused, m.messages, m.seconds, m.storeFailures, m)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	catalogue.Describe(ch, m.alerts, m.waiting, m.silences, m.accepted)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	n := m.handle.counts.Load()
	m.alerts.Send(ch, float64(n.active), "active")
	m.alerts.Send(ch, float64(n.silenced), "silenced")
	m.alerts.Send(ch, float64(n.inhibited), "inhibited")
	waiting := map[string]int64{}
	for _, to := range m.handle.outs {
		waiting[to.kind] += to.depth.Load()
	}
	for kind, depth := range waiting {
		m.waiting.Send(ch, float64(depth), kind)
	}
	states := map[SilenceState]int{SilencePending: 0, SilenceActive: 0, SilenceExpired: 0}
	now := m.handle.options.Now()
	for _, s := range m.handle.silences.all() {
		states[s.State(now)]++
	}
	for state, count := range states {
		m.silences.Send(ch, float64(count), string(state))
	}
	if at := m.handle.accepted.Load(); at != 0 {
		m.accepted.Send(ch, float64(at)/1e9)
	}
}

func (m *metrics) told(kind, outcome string) { m.messages.WithLabelValues(kind, outcome).Inc() }

func (m *metrics) took(kind string, d time.Duration) {
	m.seconds.WithLabelValues(kind).Observe(d.Seconds())
}
