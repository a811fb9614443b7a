package coordinator

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
)

type metrics struct {
	c       *Coordinator
	plans   *prometheus.CounterVec
	moved   prometheus.Counter
	handed  *prometheus.CounterVec
	handoff prometheus.Histogram
	placing prometheus.Histogram
	streams *prometheus.GaugeVec
	at      prometheus.Gauge
}

func newMetrics(c *Coordinator, r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		c:       c,
		plans:   catalogue.NewCounterVec(catalogue.PlacementPlans),
		moved:   catalogue.NewCounter(catalogue.PlacementMoves),
		handed:  catalogue.NewCounterVec(catalogue.PlacementHandoffs),
		handoff: catalogue.NewHistogram(catalogue.PlacementHandoff),
		placing: catalogue.NewHistogram(catalogue.PlacementPlacing),
		streams: catalogue.NewGaugeVec(catalogue.PlacementStreams),
		at:      catalogue.NewGauge(catalogue.PlacementRevision),
	}
	for _, outcome := range []string{"written", "conflict", "failed"} { // an increase is seen of what there is only
		m.plans.WithLabelValues(outcome)
	}
	for _, outcome := range []string{"seamless", "taken", "refused"} {
		m.handed.WithLabelValues(outcome)
	}
	return m, catalogue.Register(r, m.plans, m.moved, m.handed, m.handoff, m.placing, m)
}

// Describe implements [prometheus.Collector] for what is read when it is asked for.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	m.streams.Describe(ch)
	m.at.Describe(ch)
}

// Collect implements [prometheus.Collector].
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	recording, waiting := m.c.o.Collector.Streams()
	p, _ := m.c.Plan()
	m.streams.WithLabelValues("recording").Set(float64(recording))
	m.streams.WithLabelValues("waiting").Set(float64(waiting))
	m.streams.WithLabelValues("unplaced").Set(float64(len(p.Unplaced)))
	m.at.Set(float64(p.Revision))
	m.streams.Collect(ch)
	m.at.Collect(ch)
}

// asked counts what a question came to.
func (m *metrics) asked(took time.Duration, begun, seamless, refused int) {
	m.handoff.Observe(took.Seconds())
	m.handed.WithLabelValues("seamless").Add(float64(seamless))
	m.handed.WithLabelValues("taken").Add(float64(begun - seamless))
	m.handed.WithLabelValues("refused").Add(float64(refused))
}
