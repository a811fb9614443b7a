package embedded

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/memtable"
)

type metrics struct {
	*memtable.Metrics
	parts       *prometheus.GaugeVec
	stored      *prometheus.GaugeVec
	quarantined prometheus.Gauge
	merge       prometheus.Histogram
}

// newMetrics registers the engine's metrics.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	shared, err := memtable.NewMetrics(r)
	if err != nil {
		return nil, err
	}
	m := &metrics{
		Metrics:     shared,
		parts:       catalogue.NewGaugeVec(catalogue.StorageParts),
		stored:      catalogue.NewGaugeVec(catalogue.StorageBytes),
		quarantined: catalogue.NewGauge(catalogue.StorageQuarantined),
		merge:       catalogue.NewHistogram(catalogue.StorageMerge),
	}
	return m, catalogue.Register(r, m.parts, m.stored, m.quarantined, m.merge)
}

// setParts sets the gauges of one table.
func (m *metrics) setParts(kind market.Kind, parts []*stored) {
	bytes := int64(0)
	for _, p := range parts {
		bytes += p.meta.Bytes
	}
	m.parts.WithLabelValues(kind.Table()).Set(float64(len(parts)))
	m.stored.WithLabelValues(kind.Table()).Set(float64(bytes))
}
