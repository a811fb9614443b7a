package journal

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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

	used, limit, accepting *prometheus.Desc
}

func newMetrics(h *Handle, reg prometheus.Registerer) (*metrics, error) {
	stream := []string{"stream"}
	m := &metrics{
		handle: h,
		entries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mp_recorder_entries_total", Help: "Entries by what became of them.",
		}, []string{"stream", "outcome"}),
		noCredit: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mp_recorder_no_credit_total", Help: "Entries refused because too much was on its way already.",
		}, stream),
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mp_recorder_probes_total", Help: "Probes of a journal that refused, by outcome.",
		}, []string{"stream", "outcome"}),
		wait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mp_recorder_acknowledge_seconds", Help: "Time from recording an entry to its acknowledgement.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, stream),
		batch: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mp_recorder_batch_entries", Help: "Entries in a batch.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 9),
		}, stream),
		used:      prometheus.NewDesc("mp_recorder_credit_used_bytes", "Memory of the entries on their way.", stream, nil),
		limit:     prometheus.NewDesc("mp_recorder_credit_limit_bytes", "Memory that entries on their way may take.", stream, nil),
		accepting: prometheus.NewDesc("mp_recorder_accepting", "1 when the recorder takes entries.", stream, nil),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.entries, m.noCredit, m.probes, m.wait, m.batch, m} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.used
	ch <- m.limit
	ch <- m.accepting
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, s := range m.handle.shards {
		name := wal.StreamName(s.index)
		accepting := 0.0
		if s.refusal() == nil {
			accepting = 1
		}
		ch <- prometheus.MustNewConstMetric(m.used, prometheus.GaugeValue, float64(s.used()), name)
		ch <- prometheus.MustNewConstMetric(m.limit, prometheus.GaugeValue, float64(s.limit.Load()), name)
		ch <- prometheus.MustNewConstMetric(m.accepting, prometheus.GaugeValue, accepting, name)
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
