package storage

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// metrics of the branch. Those of the engine and of the journal are theirs.
type metrics struct {
	handle *Handle

	messages, records, waits *prometheus.CounterVec
	publishFailures          *prometheus.CounterVec
	delay                    *prometheus.HistogramVec
	requests                 *prometheus.HistogramVec

	appliedSeq, positionSeq, registeredSeq, faults, leases *prometheus.Desc
}

func newMetrics(h *Handle, reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"stream"})
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	m := &metrics{
		handle:          h,
		messages:        counter("mp_reader_messages_total", "Journal messages applied."),
		records:         counter("mp_reader_records_total", "Records applied."),
		waits:           counter("mp_reader_backlog_wait_seconds_total", "Time for which a reader waited for the store to publish."),
		publishFailures: counter("mp_reader_publish_failures_total", "Attempts to publish that failed."),
		delay: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mp_reader_delay_seconds", Help: "Time from the journal's acknowledgement of a message to its being visible.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 12),
		}, []string{"stream"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mp_storage_request_seconds", Help: "Time to answer a request, rows of a query not included.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 12),
		}, []string{"message", "outcome"}),
		appliedSeq:    desc("mp_reader_applied_sequence", "Journal sequence up to which queries see everything.", "stream"),
		positionSeq:   desc("mp_reader_durable_sequence", "Journal sequence up to which everything is published.", "stream"),
		registeredSeq: desc("mp_reader_registered_sequence", "Journal sequence that the journal may be purged to.", "stream"),
		faults:        desc("mp_reader_faulted", "1 when a reader has stopped because it cannot read on.", "stream"),
		leases:        desc("mp_storage_leases", "Queries whose rows are open."),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.messages, m.records, m.waits, m.publishFailures, m.delay, m.requests, m} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.appliedSeq, m.positionSeq, m.registeredSeq, m.faults, m.leases} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, p := range m.handle.shards {
		s, name := m.handle.shardStatus(p), journal.StreamName(p.shard)
		gauge(m.appliedSeq, float64(s.Applied), name)
		gauge(m.positionSeq, float64(s.Position), name)
		gauge(m.registeredSeq, float64(s.Registered), name)
		stuck := 0.0
		if s.Fault != "" {
			stuck = 1
		}
		gauge(m.faults, stuck, name)
	}
	gauge(m.leases, float64(len(m.handle.leases)))
}

func (m *metrics) applied(shard int, next *parcel) {
	name := journal.StreamName(shard)
	m.messages.WithLabelValues(name).Inc()
	m.records.WithLabelValues(name).Add(float64(next.batch.Len()))
	if !next.stored.IsZero() {
		m.delay.WithLabelValues(name).Observe(time.Since(next.stored).Seconds())
	}
}

func (m *metrics) waited(shard int, d time.Duration) {
	m.waits.WithLabelValues(journal.StreamName(shard)).Add(d.Seconds())
}

func (m *metrics) request(message string, err error, began time.Time) {
	m.requests.WithLabelValues(message, requestOutcome(err)).Observe(time.Since(began).Seconds())
}

// requestOutcome is the label value of an error.
func requestOutcome(err error) string {
	var unavailable *UnavailableError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrBusy):
		return "busy"
	case errors.As(err, &unavailable):
		return "unavailable"
	case errors.Is(err, ErrInvalidWrite), errors.Is(err, persistence.ErrQuery), errors.Is(err, persistence.ErrCursor), errors.Is(err, persistence.ErrTooLarge):
		return "refused"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "late"
	}
	return "error"
}
