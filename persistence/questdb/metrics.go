package questdb

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
	"github.com/marketprism/marketprism/persistence/memtable"
)

type metrics struct {
	*memtable.Metrics
	suspended prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	shared, err := memtable.NewMetrics(r)
	if err != nil {
		return nil, err
	}
	m := &metrics{Metrics: shared, suspended: catalogue.NewGauge(catalogue.WriterSuspended)}
	return m, catalogue.Register(r, m.suspended)
}
