package catalogue

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// The constructors panic when the catalogue has no such metric, has it with another
// type, or has it with labels where none are wanted or the reverse. Label values are
// given in the order of the catalogue.

// NewCounter makes a counter without labels.
func NewCounter(n Name) prometheus.Counter {
	m := wanted(n, Counter).labelled(false)
	return prometheus.NewCounter(prometheus.CounterOpts{Name: string(n), Help: m.Help})
}

// NewCounterVec makes the counters of a labelled metric.
func NewCounterVec(n Name) *prometheus.CounterVec {
	m := wanted(n, Counter).labelled(true)
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: string(n), Help: m.Help}, m.Labels)
}

// NewGauge makes a gauge without labels.
func NewGauge(n Name) prometheus.Gauge {
	m := wanted(n, Gauge).labelled(false)
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: string(n), Help: m.Help})
}

// NewGaugeVec makes the gauges of a labelled metric.
func NewGaugeVec(n Name) *prometheus.GaugeVec {
	m := wanted(n, Gauge).labelled(true)
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: string(n), Help: m.Help}, m.Labels)
}

// NewHistogram makes a histogram without labels.
func NewHistogram(n Name) prometheus.Histogram {
	return prometheus.NewHistogram(wanted(n, Histogram).labelled(false).buckets())
}

// NewHistogramVec makes the histograms of a labelled metric.
func NewHistogramVec(n Name) *prometheus.HistogramVec {
	m := wanted(n, Histogram).labelled(true)
	return prometheus.NewHistogramVec(m.buckets(), m.Labels)
}

func (m Metric) buckets() prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Name: string(m.Name), Help: m.Help, Buckets: m.Buckets.Bounds()}
}

func (m Metric) labelled(want bool) Metric {
	if (len(m.Labels) > 0) != want {
		panic(fmt.Sprintf("catalogue: %s has the labels %q", m.Name, m.Labels))
	}
	return m
}

// Reading is a counter or gauge whose values are read when they are collected, for
// collectors that are written by hand.
type Reading struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// NewReading makes the reading of a counter or gauge, with labels or without.
func NewReading(n Name) Reading {
	m, ok := index()[n]
	if !ok || m.Type == Histogram {
		panic(fmt.Sprintf("catalogue: there is no counter or gauge %q", n))
	}
	r := Reading{desc: prometheus.NewDesc(string(n), m.Help, m.Labels, nil), kind: prometheus.GaugeValue}
	if m.Type == Counter {
		r.kind = prometheus.CounterValue
	}
	return r
}

// Send sends one value, to be called while collecting. It panics when the label
// values are not as many as the labels.
func (r Reading) Send(ch chan<- prometheus.Metric, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(r.desc, r.kind, value, labels...)
}

// Describe describes the readings of a collector.
func Describe(ch chan<- *prometheus.Desc, readings ...Reading) {
	for _, r := range readings {
		ch <- r.desc
	}
}

// Register registers what a package measures, in order, up to the first error. A
// nil Registerer takes nothing: then the metrics are kept but not exported.
func Register(reg prometheus.Registerer, all ...prometheus.Collector) error {
	if reg == nil {
		return nil
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}
