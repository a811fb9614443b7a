package journal

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
	"github.com/marketprism/marketprism/persistence"
	wal "github.com/marketprism/marketprism/persistence/journal"
)

// metrics of the recorders, by stream (JOURNAL_<k>). Those of the journal itself
// (mp_journal_…) are persistence/journal's.
type metrics struct {
	handle   *Handle
	entries  *prometheus.CounterVec
	noCredit *prometheus.CounterVec
	probes   *prometheus.CounterVec
	wait     *prometheus.HistogramVec
	batch    *prometheus.HistogramVec

	used, limit, accepting catalogue.Reading
}

func newMetrics(h *Handle, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		handle:    h,
		entries:   catalogue.NewCounterVec(catalogue.RecorderEntries),
		noCredit:  catalogue.NewCounterVec(catalogue.RecorderNoCredit),
		probes:    catalogue.NewCounterVec(catalogue.RecorderProbes),
		wait:      catalogue.NewHistogramVec(catalogue.RecorderAcknowledge),
		batch:     catalogue.NewHistogramVec(catalogue.RecorderBatch),
		used:      catalogue.NewReading(catalogue.RecorderCreditUsed),
		limit:     catalogue.NewReading(catalogue.RecorderCreditLimit),
		accepting: catalogue.NewReading(catalogue.RecorderAccepting),
	}
	if err := catalogue.Register(reg, m.entries, m.noCredit, m.probes, m.wait, m.batch, m); err != nil {
		return nil, err
	}
	return m, nil
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	catalogue.Describe(ch, m.used, m.limit, m.accepting)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, s := range m.handle.shards {
		name := wal.StreamName(s.index)
		accepting := 0.0
		if s.refusal() == nil {
			accepting = 1
		}
		m.used.Send(ch, float64(s.used()), name)
		m.limit.Send(ch, float64(s.limit.Load()), name)
		m.accepting.Send(ch, accepting, name)
	}
}

// shardMetrics are the metrics of one shard, looked up once.
type shardMetrics struct {
	noCredit           prometheus.Counter
	stored             prometheus.Counter
	wait, batch        prometheus.Observer
	entries            *prometheus.CounterVec
	probed, probeFails prometheus.Counter
}

func (m *metrics) shard(k int) *shardMetrics {
	name := wal.StreamName(k)
	return &shardMetrics{
		noCredit:   m.noCredit.WithLabelValues(name),
		stored:     m.entries.WithLabelValues(name, "stored"),
		wait:       m.wait.WithLabelValues(name),
		batch:      m.batch.WithLabelValues(name),
		entries:    m.entries.MustCurryWith(prometheus.Labels{"stream": name}),
		probed:     m.probes.WithLabelValues(name, "stored"),
		probeFails: m.probes.WithLabelValues(name, "refused"),
	}
}

func (m *shardMetrics) outcome(err error, at time.Time) {
	if err == nil {
		m.stored.Inc()
		m.wait.Observe(time.Since(at).Seconds())
		return
	}
	m.entries.WithLabelValues(outcome(err)).Inc()
}

// outcome is the label value of an error.
func outcome(err error) string {
	switch {
	case errors.Is(err, persistence.ErrDoubt):
		return "doubt"
	case errors.Is(err, persistence.ErrJournalFull):
		return "full"
	case errors.Is(err, persistence.ErrDiskFull):
		return "disk_full"
	case errors.Is(err, persistence.ErrTooLarge):
		return "too_large"
	case errors.Is(err, persistence.ErrStopped):
		return "stopped"
	}
	return "refused"
}
