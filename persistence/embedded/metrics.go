package embedded

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/memtable"
)

type metrics struct {
	rows        *prometheus.CounterVec
	batches     prometheus.Counter
	bytes       *prometheus.CounterVec
	batchRows   prometheus.Histogram
	flush       prometheus.Histogram
	queue       prometheus.Gauge
	retries     prometheus.Counter
	dropped     *prometheus.CounterVec
	parts       *prometheus.GaugeVec
	stored      *prometheus.GaugeVec
	quarantined prometheus.Gauge
	merge       prometheus.Histogram
	read        *prometheus.CounterVec
}

// newMetrics registers the engine's metrics.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		rows:        catalogue.NewCounterVec(catalogue.WriterRows),
		batches:     catalogue.NewCounter(catalogue.WriterBatches),
		bytes:       catalogue.NewCounterVec(catalogue.WriterBytes),
		batchRows:   catalogue.NewHistogram(catalogue.WriterBatchRows),
		flush:       catalogue.NewHistogram(catalogue.WriterFlush),
		queue:       catalogue.NewGauge(catalogue.WriterQueue),
		retries:     catalogue.NewCounter(catalogue.WriterRetries),
		dropped:     catalogue.NewCounterVec(catalogue.WriterDropped),
		parts:       catalogue.NewGaugeVec(catalogue.StorageParts),
		stored:      catalogue.NewGaugeVec(catalogue.StorageBytes),
		quarantined: catalogue.NewGauge(catalogue.StorageQuarantined),
		merge:       catalogue.NewHistogram(catalogue.StorageMerge),
		read:        catalogue.NewCounterVec(catalogue.StorageRowsRead),
	}
	err := catalogue.Register(r,
		m.rows, m.batches, m.bytes, m.batchRows, m.flush, m.queue, m.retries, m.dropped, m.parts, m.stored, m.quarantined, m.merge, m.read,
	)
	if err != nil {
		return nil, err
	}
	return m, nil
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

// applied counts a message's records.
func (m *metrics) applied(done *memtable.Applied) {
	total := int64(0)
	for kind, n := range done.Rows {
		if n > 0 {
			total += n
			m.rows.WithLabelValues(market.Kind(kind).Table()).Add(float64(n))
		}
	}
	m.batches.Inc()
	m.queue.Add(float64(total))
	if done.Superseded > 0 {
		m.dropped.WithLabelValues("superseded").Add(float64(done.Superseded))
	}
}
