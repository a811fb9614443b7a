package embedded

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/market"
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
	table := []string{"table"}
	seconds := prometheus.ExponentialBuckets(0.001, 4, 9)
	m := &metrics{
		rows:        prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mp_writer_rows_total", Help: "Records applied to the store."}, table),
		batches:     prometheus.NewCounter(prometheus.CounterOpts{Name: "mp_writer_batches_total", Help: "Journal messages applied to the store."}),
		bytes:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mp_writer_bytes_total", Help: "Bytes of published parts, merged ones not counted again."}, table),
		batchRows:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "mp_writer_batch_rows", Help: "Records of one publication.", Buckets: prometheus.ExponentialBuckets(1, 8, 8)}),
		flush:       prometheus.NewHistogram(prometheus.HistogramOpts{Name: "mp_writer_flush_seconds", Help: "Time of one publication.", Buckets: seconds}),
		queue:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "mp_writer_queue_rows", Help: "Records applied and not yet published."}),
		retries:     prometheus.NewCounter(prometheus.CounterOpts{Name: "mp_writer_retries_total", Help: "Publications that failed and are repeated."}),
		dropped:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mp_writer_dropped_total", Help: "Records dropped: superseded by a later epoch, or by another record of the same key."}, []string{"outcome"}),
		parts:       prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "mp_storage_parts", Help: "Published part files."}, table),
		stored:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "mp_storage_bytes", Help: "Size of the published part files."}, table),
		quarantined: prometheus.NewGauge(prometheus.GaugeOpts{Name: "mp_storage_quarantined_parts", Help: "Damaged part files that were moved aside."}),
		merge:       prometheus.NewHistogram(prometheus.HistogramOpts{Name: "mp_storage_merge_seconds", Help: "Time of merging parts into one.", Buckets: seconds}),
		read:        prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mp_storage_rows_read_total", Help: "Records returned by queries."}, table),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.rows, m.batches, m.bytes, m.batchRows, m.flush, m.queue, m.retries, m.dropped, m.parts, m.stored, m.quarantined, m.merge, m.read} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
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
