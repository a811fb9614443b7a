package journal

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	counter := func(name, help string, more ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mp_journal_" + name, Help: help}, append([]string{"stream"}, more...))
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "mp_journal_" + name, Help: help}, []string{"stream"})
		reg.MustRegister(g)
		return g
	}
	publish := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "mp_journal_publish_seconds", Help: "Time from a publish to its acknowledgement.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
	}, []string{"stream"})
	reg.MustRegister(publish)
	return &Metrics{
		batches:      counter("batches_total", "Batches acknowledged."),
		rows:         counter("rows_total", "Rows acknowledged."),
		payloadBytes: counter("payload_bytes_total", "Uncompressed bytes sealed into batches."),
		storedBytes:  counter("stored_bytes_total", "Message bytes acknowledged."),
		refusals:     counter("refusals_total", "Attempts to write that were not acknowledged, by outcome.", "outcome"),
		abandoned:    counter("abandoned_total", "Batches given up."),
		publish:      publish,
		acked:        gauge("acknowledged_sequence", "Stream sequence of the last acknowledged batch of this process."),
		read:         counter("read_batches_total", "Batches read."),
		readBytes:    counter("read_bytes_total", "Uncompressed bytes read."),
		repeats:      counter("repeats_total", "Batches dropped because their number was read before."),
		reopened:     counter("reader_reopened_total", "Consumers made again after a lost connection, server or consumer."),
		faults:       counter("faults_total", "Readers stopped because the journal cannot be read on."),
		position:     gauge("reader_sequence", "Stream sequence read last."),
		lag:          gauge("reader_lag_messages", "Messages behind the end when the last one was read."),
		first:        gauge("first_sequence", "First stream sequence stored."),
		last:         gauge("last_sequence", "Last stream sequence stored."),
		bytes:        gauge("stream_bytes", "Bytes stored."),
		limit:        gauge("stream_limit_bytes", "Bytes at which the stream refuses."),
		purged:       counter("purged_messages_total", "Messages purged."),
		unregistered: counter("readers_unregistered_total", "Readers unregistered because they fell far behind another full copy."),
	}
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
