package scrape

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
)

type metrics struct {
	handle  *Handle
	scrapes *prometheus.CounterVec
	seconds prometheus.Histogram
	targets catalogue.Reading
}

func newMetrics(h *Handle, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		handle:  h,
		scrapes: catalogue.NewCounterVec(catalogue.Scrapes),
		seconds: catalogue.NewHistogram(catalogue.ScrapeSeconds),
		targets: catalogue.NewReading(catalogue.ScrapeTargets),
	}
	return m, catalogue.Register(reg, m.scrapes, m.seconds, m)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) { catalogue.Describe(ch, m.targets) }

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	n := map[string]int{}
	for _, t := range m.handle.Targets() {
		n[t.Health]++
	}
	for _, health := range []string{Unknown, Up, Down} {
		m.targets.Send(ch, float64(n[health]), health)
	}
}

func (m *metrics) scraped(job string, o outcome) {
	outcome := Up
	if o.err != nil {
		outcome = Down
	}
	m.scrapes.WithLabelValues(job, outcome).Inc()
	m.seconds.Observe(o.took.Seconds())
}
