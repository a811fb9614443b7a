package supervise

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
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

	alive, depth, busy catalogue.Reading // kind, exchange

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

// newMetrics registers the metrics on reg, unless reg is nil.
func newMetrics(tree *Tree, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		tree:        tree,
		kinds:       make(map[kindKey]*kindMetrics),
		messages:    catalogue.NewCounterVec(catalogue.ActorMessages),
		handle:      catalogue.NewHistogramVec(catalogue.ActorHandle),
		wait:        catalogue.NewHistogramVec(catalogue.ActorMailboxWait),
		started:     catalogue.NewCounterVec(catalogue.ActorsStarted),
		stopped:     catalogue.NewCounterVec(catalogue.ActorsStopped),
		restarted:   catalogue.NewCounterVec(catalogue.ActorsRestarted),
		failures:    catalogue.NewCounterVec(catalogue.ActorFailures),
		escalated:   catalogue.NewCounterVec(catalogue.ActorsEscalated),
		abandoned:   catalogue.NewCounterVec(catalogue.ActorsAbandoned),
		dropped:     catalogue.NewCounterVec(catalogue.ActorMailboxDrops),
		stale:       catalogue.NewCounterVec(catalogue.ActorStaleOutcomes),
		deadLetters: catalogue.NewCounterVec(catalogue.ActorDeadLetters),
		alive:       catalogue.NewReading(catalogue.ActorsAlive),
		depth:       catalogue.NewReading(catalogue.ActorMailboxDepth),
		busy:        catalogue.NewReading(catalogue.ActorBusy),
	}
	err := catalogue.Register(reg, m.messages, m.handle, m.wait, m.started, m.stopped, m.restarted,
		m.failures, m.escalated, m.abandoned, m.dropped, m.stale, m.deadLetters, m)
	if err != nil {
		return nil, err
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
	catalogue.Describe(ch, m.alive, m.depth, m.busy)
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
		m.alive.Send(ch, float64(alive[key]), key.kind, key.exchange)
		m.depth.Send(ch, float64(depth[key]), key.kind, key.exchange)
		m.busy.Send(ch, seconds(k.busy.Load()), key.kind, key.exchange)
	}
}
