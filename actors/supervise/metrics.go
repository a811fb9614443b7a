package supervise

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the mp_actor_ metrics of one system, by kind of actor.
type metrics struct {
	tree *Tree

	messages    *prometheus.CounterVec   // kind, exchange, message
	handle      *prometheus.HistogramVec // kind, message
	wait        *prometheus.HistogramVec // kind
	started     *prometheus.CounterVec   // kind, exchange
	stopped     *prometheus.CounterVec
	restarted   *prometheus.CounterVec
	failures    *prometheus.CounterVec
	escalated   *prometheus.CounterVec
	abandoned   *prometheus.CounterVec
	dropped     *prometheus.CounterVec
	stale       *prometheus.CounterVec
	deadLetters *prometheus.CounterVec // kind, message

	alive *prometheus.Desc
	depth *prometheus.Desc
	busy  *prometheus.Desc

	mu    sync.Mutex
	kinds map[kindKey]*kindMetrics
}

type kindKey struct{ kind, exchange string }

// kindMetrics are the metrics of one kind and exchange, resolved once.
type kindMetrics struct {
	key  kindKey
	m    *metrics
	wait prometheus.Observer

	started, stopped, restarted, failures, escalated, abandoned, dropped, stale prometheus.Counter

	busy atomic.Int64 // nanoseconds
}

func (k *kindMetrics) message(name string) prometheus.Counter {
	return k.m.messages.WithLabelValues(k.key.kind, k.key.exchange, name)
}

func (k *kindMetrics) handle(name string) prometheus.Observer {
	return k.m.handle.WithLabelValues(k.key.kind, name)
}

var latencyBuckets = []float64{1e-6, 5e-6, 25e-6, 100e-6, 500e-6, 2.5e-3, 10e-3, 50e-3, 250e-3, 1, 5, 25}

// newMetrics registers the metrics on reg, unless reg is nil.
func newMetrics(tree *Tree, reg prometheus.Registerer) (*metrics, error) {
	byKind := []string{"kind", "exchange"}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mp_actor_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mp_actor_" + name, Help: help, Buckets: latencyBuckets}, labels)
	}
	m := &metrics{
		tree:        tree,
		kinds:       make(map[kindKey]*kindMetrics),
		messages:    counter("messages_total", "Messages handled, by type.", "kind", "exchange", "message"),
		handle:      histogram("handle_seconds", "Time to handle a message, one in 64.", "kind", "message"),
		wait:        histogram("mailbox_wait_seconds", "Time a message waited in its mailbox, one in 64.", "kind"),
		started:     counter("started_total", "Actors started, restarts not included.", byKind...),
		stopped:     counter("stopped_total", "Actors stopped.", byKind...),
		restarted:   counter("restarted_total", "Restarts of actors by their supervisors.", byKind...),
		failures:    counter("failures_total", "Failures of actors: panics, missed start deadlines, unexpected ends.", byKind...),
		escalated:   counter("escalated_total", "Supervisors that gave up because their children failed too often.", byKind...),
		abandoned:   counter("abandoned_total", "Actors and goroutines left behind because they did not stop in time.", byKind...),
		dropped:     counter("mailbox_dropped_total", "Messages given up by full mailboxes.", byKind...),
		stale:       counter("stale_results_total", "Results and timers of ended incarnations that were dropped.", byKind...),
		deadLetters: counter("dead_letters_total", "Messages that reached no actor, by the kind addressed.", "kind", "message"),
		alive:       prometheus.NewDesc("mp_actor_alive", "Actors alive.", byKind, nil),
		depth:       prometheus.NewDesc("mp_actor_mailbox_depth_max", "Messages in the deepest mailbox of the kind now.", byKind, nil),
		busy:        prometheus.NewDesc("mp_actor_busy_seconds_total", "Time actors spent handling messages.", byKind, nil),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.messages, m.handle, m.wait, m.started, m.stopped, m.restarted,
		m.failures, m.escalated, m.abandoned, m.dropped, m.stale, m.deadLetters, m} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering actor metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) kind(kind, exchange string) *kindMetrics {
	key := kindKey{kind, exchange}
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.kinds[key]; ok {
		return k
	}
	of := func(v *prometheus.CounterVec) prometheus.Counter { return v.WithLabelValues(kind, exchange) }
	k := &kindMetrics{
		key: key, m: m,
		wait:    m.wait.WithLabelValues(kind),
		started: of(m.started), stopped: of(m.stopped), restarted: of(m.restarted), failures: of(m.failures),
		escalated: of(m.escalated), abandoned: of(m.abandoned), dropped: of(m.dropped), stale: of(m.stale),
	}
	m.kinds[key] = k
	return k
}

// Describe and Collect are prometheus.Collector for what is read from the tree.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.alive
	ch <- m.depth
	ch <- m.busy
}

// Collect sends alive, depth and busy of every kind seen so far.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	alive, depth := make(map[kindKey]int), make(map[kindKey]int)
	for _, n := range m.tree.all() {
		if n.ended() {
			continue
		}
		alive[n.kind.key]++
		depth[n.kind.key] = max(depth[n.kind.key], n.queue.UserMessageCount())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, k := range m.kinds {
		labels := []string{key.kind, key.exchange}
		ch <- prometheus.MustNewConstMetric(m.alive, prometheus.GaugeValue, float64(alive[key]), labels...)
		ch <- prometheus.MustNewConstMetric(m.depth, prometheus.GaugeValue, float64(depth[key]), labels...)
		ch <- prometheus.MustNewConstMetric(m.busy, prometheus.CounterValue, seconds(k.busy.Load()), labels...)
	}
}
