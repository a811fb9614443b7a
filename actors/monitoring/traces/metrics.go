package traces

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
)

// What became of a span that is sent from one process to another.
const (
	outcomeSent     = "sent"
	outcomeLost     = "lost"     // too many waited
	outcomeReceived = "received" // of another process
	outcomeRepeated = "repeated" // received before
	outcomeRefused  = "refused"  // what came is no span
)

// metrics of the traces.
type metrics struct {
	recorder        *Recorder
	spans           *prometheus.CounterVec
	kept, forgotten catalogue.Reading
}

func newMetrics(r *Recorder, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		recorder: r, spans: catalogue.NewCounterVec(catalogue.TraceSpans),
		kept: catalogue.NewReading(catalogue.TracesKept), forgotten: catalogue.NewReading(catalogue.TracesForgotten),
	}
	for _, outcome := range []string{outcomeSent, outcomeLost, outcomeReceived, outcomeRepeated, outcomeRefused} {
		m.spans.WithLabelValues(outcome)
	}
	return m, catalogue.Register(reg, m.spans, m)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	catalogue.Describe(ch, m.kept, m.forgotten)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	kept, forgotten := m.recorder.Counts()
	m.kept.Send(ch, float64(kept))
	m.forgotten.Send(ch, float64(forgotten))
}
