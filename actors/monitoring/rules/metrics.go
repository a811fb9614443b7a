package rules

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
)

type metrics struct {
	handle                 *Handle
	evaluations, reloads   *prometheus.CounterVec
	groupSeconds           prometheus.Histogram
	missed, memoryFailures prometheus.Counter
	rules, good            catalogue.Reading
}

func newMetrics(h *Handle, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		handle:         h,
		evaluations:    catalogue.NewCounterVec(catalogue.RuleEvaluations),
		reloads:        catalogue.NewCounterVec(catalogue.RuleReloads),
		groupSeconds:   catalogue.NewHistogram(catalogue.RuleGroupSeconds),
		missed:         catalogue.NewCounter(catalogue.RuleMissed),
		memoryFailures: catalogue.NewCounter(catalogue.RuleMemoryFailures),
		rules:          catalogue.NewReading(catalogue.Rules),
		good:           catalogue.NewReading(catalogue.RuleReloadGood),
	}
	for _, outcome := range []string{"success", "failure"} {
		m.evaluations.WithLabelValues(outcome)
		m.reloads.WithLabelValues(outcome)
	}
	return m, catalogue.Register(reg, m.evaluations, m.reloads, m.groupSeconds, m.missed, m.memoryFailures, m)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) { catalogue.Describe(ch, m.rules, m.good) }

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	n := 0
	for _, g := range m.handle.current() {
		n += len(g.rules)
	}
	m.rules.Send(ch, float64(n))
	good := 1.0
	if m.handle.Fault() != nil {
		good = 0
	}
	m.good.Send(ch, good)
}

// evaluated counts the rules of a group after a turn.
func (m *metrics) evaluated(g *Group) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, r := range g.rules {
		outcome := "success"
		if r.err != nil {
			outcome = "failure"
		}
		m.evaluations.WithLabelValues(outcome).Inc()
	}
}
