package memtable

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
	"github.com/marketprism/marketprism/internal/market"
)

// Metrics are what every engine counts of its way from memory to where it
// publishes.
type Metrics struct {
	// Bytes were published, by table; Read are records that queries yielded.
	Bytes, Read *prometheus.CounterVec
	// BatchRows and Flush are the size and the time of publications.
	BatchRows, Flush prometheus.Histogram
	// Queue is the number of records that are not published.
	Queue prometheus.Gauge
	// Retries counts publications that failed, Dropped records by reason.
	Retries prometheus.Counter
	Dropped *prometheus.CounterVec

	rows    *prometheus.CounterVec
	batches prometheus.Counter
}

// NewMetrics makes the metrics and registers them; nil registers nowhere.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		rows:      catalogue.NewCounterVec(catalogue.WriterRows),
		batches:   catalogue.NewCounter(catalogue.WriterBatches),
		Bytes:     catalogue.NewCounterVec(catalogue.WriterBytes),
		BatchRows: catalogue.NewHistogram(catalogue.WriterBatchRows),
		Flush:     catalogue.NewHistogram(catalogue.WriterFlush),
		Queue:     catalogue.NewGauge(catalogue.WriterQueue),
		Retries:   catalogue.NewCounter(catalogue.WriterRetries),
		Dropped:   catalogue.NewCounterVec(catalogue.WriterDropped),
		Read:      catalogue.NewCounterVec(catalogue.StorageRowsRead),
	}
	if err := catalogue.Register(r, m.rows, m.batches, m.Bytes, m.BatchRows, m.Flush, m.Queue, m.Retries, m.Dropped, m.Read); err != nil {
		return nil, err
	}
	return m, nil
}

// Observe counts a message's records.
func (m *Metrics) Observe(done *Applied) {
	total := int64(0)
	for kind, n := range done.Rows {
		if n > 0 {
			total += n
			m.rows.WithLabelValues(market.Kind(kind).Table()).Add(float64(n))
		}
	}
	m.batches.Inc()
	m.Queue.Add(float64(total))
	if done.Superseded > 0 {
		m.Dropped.WithLabelValues("superseded").Add(float64(done.Superseded))
	}
}

// Yielded counts the records of a kind that a query yielded.
func (m *Metrics) Yielded(kind market.Kind, n int) {
	m.Read.WithLabelValues(kind.Table()).Add(float64(n))
}
