package storage

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
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

	appliedSeq, positionSeq, registeredSeq, faults, leases catalogue.Reading
}

func newMetrics(h *Handle, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		handle:          h,
		messages:        catalogue.NewCounterVec(catalogue.ReaderMessages),
		records:         catalogue.NewCounterVec(catalogue.ReaderRecords),
		waits:           catalogue.NewCounterVec(catalogue.ReaderBacklogWait),
		publishFailures: catalogue.NewCounterVec(catalogue.ReaderPublishFailures),
		delay:           catalogue.NewHistogramVec(catalogue.StreamPublishToStore),
		requests:        catalogue.NewHistogramVec(catalogue.StorageRequest),
		appliedSeq:      catalogue.NewReading(catalogue.ReaderApplied),
		positionSeq:     catalogue.NewReading(catalogue.ReaderDurable),
		registeredSeq:   catalogue.NewReading(catalogue.ReaderRegistered),
		faults:          catalogue.NewReading(catalogue.ReaderFaulted),
		leases:          catalogue.NewReading(catalogue.StorageLeases),
	}
	if err := catalogue.Register(reg, m.messages, m.records, m.waits, m.publishFailures, m.delay, m.requests, m); err != nil {
		return nil, err
	}
	return m, nil
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	catalogue.Describe(ch, m.appliedSeq, m.positionSeq, m.registeredSeq, m.faults, m.leases)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, p := range m.handle.shards {
		s, name := m.handle.shardStatus(p), journal.StreamName(p.shard)
		m.appliedSeq.Send(ch, float64(s.Applied), name)
		m.positionSeq.Send(ch, float64(s.Position), name)
		m.registeredSeq.Send(ch, float64(s.Registered), name)
		stuck := 0.0
		if s.Fault != "" {
			stuck = 1
		}
		m.faults.Send(ch, stuck, name)
	}
	m.leases.Send(ch, float64(len(m.handle.leases)))
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
