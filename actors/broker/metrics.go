package broker

import (
	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
)

// metrics of the broker. The figures of the server and its streams are collected
// when they are scraped.
type metrics struct {
	handle   *Handle
	restarts prometheus.Counter
	changes  prometheus.Counter
	leaders  map[string]string // of streams, when they were looked at last; the probe's

	up, connections, subscriptions                catalogue.Reading
	messages, bytes, slow                         catalogue.Reading
	store, limit                                  catalogue.Reading
	streamMessages, streamBytes, streamLimit      catalogue.Reading
	consumerPending, consumerWaiting, redelivered catalogue.Reading
	accepted, pending, memory, reserved           catalogue.Reading
	requests, streams, consumers                  catalogue.Reading
	expiry                                        catalogue.Reading
	expected, online, majority, lag               catalogue.Reading
}

func newMetrics(h *Handle, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		handle:          h,
		restarts:        catalogue.NewCounter(catalogue.BrokerRestarts),
		changes:         catalogue.NewCounter(catalogue.BrokerLeaderChanges),
		expected:        catalogue.NewReading(catalogue.BrokerNodesExpected),
		online:          catalogue.NewReading(catalogue.BrokerNodesOnline),
		majority:        catalogue.NewReading(catalogue.BrokerMajority),
		lag:             catalogue.NewReading(catalogue.BrokerReplicaLag),
		up:              catalogue.NewReading(catalogue.BrokerUp),
		connections:     catalogue.NewReading(catalogue.BrokerConnections),
		subscriptions:   catalogue.NewReading(catalogue.BrokerSubscriptions),
		messages:        catalogue.NewReading(catalogue.BrokerMessages),
		bytes:           catalogue.NewReading(catalogue.BrokerBytes),
		slow:            catalogue.NewReading(catalogue.BrokerSlowConsumers),
		store:           catalogue.NewReading(catalogue.BrokerStore),
		limit:           catalogue.NewReading(catalogue.BrokerStoreLimit),
		streamMessages:  catalogue.NewReading(catalogue.BrokerStreamMessages),
		streamBytes:     catalogue.NewReading(catalogue.BrokerStreamBytes),
		streamLimit:     catalogue.NewReading(catalogue.BrokerStreamLimit),
		consumerPending: catalogue.NewReading(catalogue.BrokerConsumerPending),
		consumerWaiting: catalogue.NewReading(catalogue.BrokerConsumerUnacknowledged),
		redelivered:     catalogue.NewReading(catalogue.BrokerConsumerRedelivered),
		accepted:        catalogue.NewReading(catalogue.BrokerConnectionsTotal),
		pending:         catalogue.NewReading(catalogue.BrokerPendingBytes),
		memory:          catalogue.NewReading(catalogue.BrokerMemory),
		reserved:        catalogue.NewReading(catalogue.BrokerStoreReserved),
		requests:        catalogue.NewReading(catalogue.BrokerAPIRequests),
		streams:         catalogue.NewReading(catalogue.BrokerStreams),
		consumers:       catalogue.NewReading(catalogue.BrokerConsumers),
		expiry:          catalogue.NewReading(catalogue.BrokerCertificateExpiry),
	}
	return m, catalogue.Register(reg, m.restarts, m.changes, m)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	catalogue.Describe(ch,
		m.up, m.connections, m.subscriptions, m.messages, m.bytes, m.slow, m.store, m.limit,
		m.streamMessages, m.streamBytes, m.streamLimit, m.consumerPending, m.consumerWaiting, m.redelivered,
		m.accepted, m.pending, m.memory, m.reserved, m.requests, m.streams, m.consumers, m.expiry,
		m.expected, m.online, m.majority, m.lag,
	)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	up := 0.0
	if m.handle.Up() == nil {
		up = 1
	}
	m.up.Send(ch, up)
	if certs := m.handle.certs.Load(); certs != nil {
		m.expiry.Send(ch, float64(certs.expires().Unix()))
	}
	srv := m.handle.running()
	if srv == nil {
		return
	}
	m.peers(ch)
	if v, err := srv.Varz(nil); err == nil {
		m.connections.Send(ch, float64(v.Connections))
		m.subscriptions.Send(ch, float64(v.Subscriptions))
		m.messages.Send(ch, float64(v.InMsgs), "published")
		m.messages.Send(ch, float64(v.OutMsgs), "consumed")
		m.bytes.Send(ch, float64(v.InBytes), "published")
		m.bytes.Send(ch, float64(v.OutBytes), "consumed")
		m.slow.Send(ch, float64(v.SlowConsumers))
		m.accepted.Send(ch, float64(v.TotalConnections))
	}
	if c, err := srv.Connz(&server.ConnzOptions{Sort: server.ByPending, Limit: 1}); err == nil {
		slowest := 0
		for _, one := range c.Conns {
			slowest = one.Pending
		}
		m.pending.Send(ch, float64(slowest))
	}
	info, err := srv.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Consumer: true, Config: true, Limit: maxAccounts})
	if err != nil { // JetStream is off: up says so
		return
	}
	m.store.Send(ch, float64(info.Store))
	m.limit.Send(ch, float64(info.Config.MaxStore))
	m.memory.Send(ch, float64(info.Memory))
	m.reserved.Send(ch, float64(info.ReservedStore))
	m.requests.Send(ch, float64(info.API.Total), "accepted")
	m.requests.Send(ch, float64(info.API.Errors), "refused")
	m.streams.Send(ch, float64(info.Streams))
	m.consumers.Send(ch, float64(info.Consumers))
	seen := map[string]bool{} // a name is unique in its account
	for _, account := range info.AccountDetails {
		for i := range account.Streams {
			if s := &account.Streams[i]; !seen[s.Name] {
				seen[s.Name] = true
				m.stream(s, ch)
			}
		}
	}
}

// maxAccounts is more than a server of ours has.
const maxAccounts = 16

// stream collects one stream. Consumers without a durable name come and go with
// random names: they are left out.
func (m *metrics) stream(s *server.StreamDetail, ch chan<- prometheus.Metric) {
	m.streamMessages.Send(ch, float64(s.State.Msgs), s.Name)
	m.streamBytes.Send(ch, float64(s.State.Bytes), s.Name)
	if s.Config != nil {
		m.streamLimit.Send(ch, float64(s.Config.MaxBytes), s.Name)
	}
	if s.Cluster != nil && s.Cluster.Leader == m.handle.cfg.ServerName && m.handle.cfg.Clustered() {
		lag := uint64(0)
		for _, p := range s.Cluster.Replicas {
			lag = max(lag, p.Lag)
		}
		m.lag.Send(ch, float64(lag), s.Name)
	}
	for _, consumer := range s.Consumer {
		if consumer.Config == nil || consumer.Config.Durable == "" {
			continue
		}
		m.consumerPending.Send(ch, float64(consumer.NumPending), s.Name, consumer.Name)
		m.consumerWaiting.Send(ch, float64(consumer.NumAckPending), s.Name, consumer.Name)
		m.redelivered.Send(ch, float64(consumer.NumRedelivered), s.Name, consumer.Name)
	}
}

// peers collects how the servers of a cluster stand to each other.
func (m *metrics) peers(ch chan<- prometheus.Metric) {
	s := m.handle.Cluster()
	if s == nil {
		return
	}
	m.expected.Send(ch, float64(s.Expected))
	m.online.Send(ch, float64(len(s.Peers)-len(s.Missing())))
	majority := 0.0
	if s.Leader != "" {
		majority = 1
	}
	m.majority.Send(ch, majority)
}

// led is told, by one probe after the other, who leads what; "" while nobody does.
func (m *metrics) led(now map[string]string) {
	for what, leader := range now {
		if before := m.leaders[what]; before != "" && leader == "" {
			now[what] = before // until there is another
		} else if before != "" && before != leader {
			m.changes.Inc()
		}
	}
	m.leaders = now
}
