package live

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
)

// outcome is how a client ended, in the metrics.
type outcome string

const (
	outcomeSlow       outcome = "slow"
	outcomeOverloaded outcome = "overloaded"
	outcomeFailed     outcome = "failed"
	outcomeDead       outcome = "dead"
	outcomeLost       outcome = "lost"
)

// metrics export the hub. What is counted for each message is read when it is
// collected.
type metrics struct {
	hub               *Hub
	websocket, events consumerCounts

	coalesced, behind, slow atomic.Uint64

	disconnects                 *prometheus.CounterVec
	resumes                     *prometheus.CounterVec
	replayed, reset             prometheus.Counter
	refused                     *prometheus.CounterVec
	refusedClients, refusedSubs prometheus.Counter
	lag                         *prometheus.HistogramVec

	clients, subscriptions, messages, bytes, coalescedTotal, behindTotal, dropped catalogue.Reading
}

// consumerCounts count what one kind of client was given.
type consumerCounts struct {
	messages, bytes atomic.Uint64
	lag             prometheus.Observer
}

func newMetrics(h *Hub, r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		hub:            h,
		disconnects:    catalogue.NewCounterVec(catalogue.LiveDisconnects),
		resumes:        catalogue.NewCounterVec(catalogue.LiveResumes),
		refused:        catalogue.NewCounterVec(catalogue.LiveRefused),
		lag:            catalogue.NewHistogramVec(catalogue.LiveLag),
		clients:        catalogue.NewReading(catalogue.LiveClients),
		subscriptions:  catalogue.NewReading(catalogue.LiveSubscriptions),
		messages:       catalogue.NewReading(catalogue.LiveMessages),
		bytes:          catalogue.NewReading(catalogue.LiveBytes),
		coalescedTotal: catalogue.NewReading(catalogue.LiveCoalesced),
		behindTotal:    catalogue.NewReading(catalogue.LiveBehind),
		dropped:        catalogue.NewReading(catalogue.LiveDropped),
	}
	m.websocket.lag, m.events.lag = m.lag.WithLabelValues(string(WebSocket)), m.lag.WithLabelValues(string(Events))
	m.replayed, m.reset = m.resumes.WithLabelValues("replayed"), m.resumes.WithLabelValues("reset")
	m.refusedClients, m.refusedSubs = m.refused.WithLabelValues("connection"), m.refused.WithLabelValues("subscription")
	for _, o := range []outcome{outcomeSlow, outcomeOverloaded, outcomeFailed, outcomeDead, outcomeLost} {
		m.disconnects.WithLabelValues(string(o))
	}
	if err := catalogue.Register(r, m, m.disconnects, m.resumes, m.refused, m.lag); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *metrics) of(c Consumer) *consumerCounts {
	if c == Events {
		return &m.events
	}
	return &m.websocket
}

func (m *metrics) ended(o outcome) {
	if o == outcomeSlow {
		m.slow.Add(1)
	}
	m.disconnects.WithLabelValues(string(o)).Inc()
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	catalogue.Describe(ch, m.clients, m.subscriptions, m.messages, m.bytes, m.coalescedTotal, m.behindTotal, m.dropped)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	s := m.hub.Stats()
	for _, c := range []Consumer{WebSocket, Events} {
		n := m.of(c)
		m.clients.Send(ch, float64(s.Clients[string(c)]), string(c))
		m.messages.Send(ch, float64(n.messages.Load()), string(c))
		m.bytes.Send(ch, float64(n.bytes.Load()), string(c))
	}
	m.subscriptions.Send(ch, float64(s.Subscriptions))
	m.coalescedTotal.Send(ch, float64(s.Coalesced))
	m.behindTotal.Send(ch, float64(m.behind.Load()))
	m.dropped.Send(ch, float64(s.Dropped))
}
