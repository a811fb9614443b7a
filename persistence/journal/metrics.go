package journal

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
)

// Metrics of the journal, all by stream (JOURNAL_<k>). A nil *Metrics measures
// nothing.
type Metrics struct {
	batches, rows, payloadBytes, storedBytes *prometheus.CounterVec
	refusals, abandoned                      *prometheus.CounterVec
	publish                                  *prometheus.HistogramVec
	acked                                    *prometheus.GaugeVec

	read, readBytes, repeats, reopened, faults *prometheus.CounterVec
	position, lag                              *prometheus.GaugeVec

	first, last, bytes, limit *prometheus.GaugeVec
	purged, unregistered      *prometheus.CounterVec
}

// NewMetrics registers the metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		batches:      catalogue.NewCounterVec(catalogue.JournalBatches),
		rows:         catalogue.NewCounterVec(catalogue.JournalRows),
		payloadBytes: catalogue.NewCounterVec(catalogue.JournalPayloadBytes),
		storedBytes:  catalogue.NewCounterVec(catalogue.JournalStoredBytes),
		refusals:     catalogue.NewCounterVec(catalogue.JournalRefusals),
		abandoned:    catalogue.NewCounterVec(catalogue.JournalAbandoned),
		publish:      catalogue.NewHistogramVec(catalogue.JournalPublish),
		acked:        catalogue.NewGaugeVec(catalogue.JournalAcknowledged),
		read:         catalogue.NewCounterVec(catalogue.JournalReadBatches),
		readBytes:    catalogue.NewCounterVec(catalogue.JournalReadBytes),
		repeats:      catalogue.NewCounterVec(catalogue.JournalRepeats),
		reopened:     catalogue.NewCounterVec(catalogue.JournalReaderReopened),
		faults:       catalogue.NewCounterVec(catalogue.JournalFaults),
		position:     catalogue.NewGaugeVec(catalogue.JournalReaderSequence),
		lag:          catalogue.NewGaugeVec(catalogue.JournalReaderLag),
		first:        catalogue.NewGaugeVec(catalogue.JournalFirstSequence),
		last:         catalogue.NewGaugeVec(catalogue.JournalLastSequence),
		bytes:        catalogue.NewGaugeVec(catalogue.JournalStreamBytes),
		limit:        catalogue.NewGaugeVec(catalogue.JournalStreamLimit),
		purged:       catalogue.NewCounterVec(catalogue.JournalPurged),
		unregistered: catalogue.NewCounterVec(catalogue.JournalUnregistered),
	}
	reg.MustRegister(
		m.batches, m.rows, m.payloadBytes, m.storedBytes, m.refusals, m.abandoned, m.publish, m.acked,
		m.read, m.readBytes, m.repeats, m.reopened, m.faults, m.position, m.lag,
		m.first, m.last, m.bytes, m.limit, m.purged, m.unregistered,
	)
	return m
}

// outcome is the label value of an error.
func outcome(err error) string {
	switch {
	case errors.Is(err, ErrFull):
		return "full"
	case errors.Is(err, ErrDiskFull):
		return "disk_full"
	case errors.Is(err, ErrTooLarge):
		return "too_large"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	}
	return "refused"
}

func (m *Metrics) refused(shard int, err error) {
	if m != nil {
		m.refusals.WithLabelValues(StreamName(shard), outcome(err)).Inc()
	}
}

func (m *Metrics) sealed(shard, payload int) {
	if m != nil {
		m.payloadBytes.WithLabelValues(StreamName(shard)).Add(float64(payload))
	}
}

func (m *Metrics) acknowledged(shard, rows, size int, seq uint64, took time.Duration) {
	if m == nil {
		return
	}
	s := StreamName(shard)
	m.batches.WithLabelValues(s).Inc()
	m.rows.WithLabelValues(s).Add(float64(rows))
	m.storedBytes.WithLabelValues(s).Add(float64(size))
	m.publish.WithLabelValues(s).Observe(took.Seconds())
	m.acked.WithLabelValues(s).Set(float64(seq))
}

func (m *Metrics) abandon(shard int) {
	if m != nil {
		m.abandoned.WithLabelValues(StreamName(shard)).Inc()
	}
}

func (m *Metrics) observeState(shard int, st State) {
	if m == nil {
		return
	}
	s := StreamName(shard)
	m.first.WithLabelValues(s).Set(float64(st.First))
	m.last.WithLabelValues(s).Set(float64(st.Last))
	m.bytes.WithLabelValues(s).Set(float64(st.Bytes))
	m.limit.WithLabelValues(s).Set(float64(st.MaxBytes))
}

func (m *Metrics) readOne(shard int, seq, pending uint64, size int, repeat bool) {
	if m == nil {
		return
	}
	s := StreamName(shard)
	m.position.WithLabelValues(s).Set(float64(seq))
	m.lag.WithLabelValues(s).Set(float64(pending))
	if repeat {
		m.repeats.WithLabelValues(s).Inc()
		return
	}
	m.read.WithLabelValues(s).Inc()
	m.readBytes.WithLabelValues(s).Add(float64(size))
}

func (m *Metrics) reopen(shard int) {
	if m != nil {
		m.reopened.WithLabelValues(StreamName(shard)).Inc()
	}
}

func (m *Metrics) fault(shard int) {
	if m != nil {
		m.faults.WithLabelValues(StreamName(shard)).Inc()
	}
}

func (m *Metrics) purge(shard int, messages uint64) {
	if m != nil {
		m.purged.WithLabelValues(StreamName(shard)).Add(float64(messages))
	}
}

func (m *Metrics) unregister(shard int) {
	if m != nil {
		m.unregistered.WithLabelValues(StreamName(shard)).Inc()
	}
}
