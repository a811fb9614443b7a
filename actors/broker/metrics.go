package broker

import (
	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the broker. The figures of the server and its streams are collected
// when they are scraped.
type metrics struct {
	handle   *Handle
	restarts prometheus.Counter

	up, connections, subscriptions                *prometheus.Desc
	messages, bytes, slow                         *prometheus.Desc
	store, limit                                  *prometheus.Desc
	streamMessages, streamBytes, streamLimit      *prometheus.Desc
	consumerPending, consumerWaiting, redelivered *prometheus.Desc
}

func newMetrics(h *Handle, reg prometheus.Registerer) (*metrics, error) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("mp_broker_"+name, help, labels, nil)
	}
	m := &metrics{
		handle: h,
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mp_broker_restarts_total", Help: "Times that the server, or the link to it, ended and was begun again.",
		}),
		up:              desc("up", "1 when the broker can be used."),
		connections:     desc("connections", "Connections to the embedded server."),
		subscriptions:   desc("subscriptions", "Subscriptions at the embedded server."),
		messages:        desc("messages_total", "Messages into (published) and out of (consumed) the embedded server.", "outcome"),
		bytes:           desc("bytes_total", "Bytes into (published) and out of (consumed) the embedded server.", "outcome"),
		slow:            desc("slow_consumers_total", "Connections that were closed because they were too slow."),
		store:           desc("store_bytes", "Bytes that JetStream has on disk."),
		limit:           desc("store_limit_bytes", "Bytes that JetStream may have on disk."),
		streamMessages:  desc("stream_messages", "Messages stored.", "stream"),
		streamBytes:     desc("stream_bytes", "Bytes stored.", "stream"),
		streamLimit:     desc("stream_limit_bytes", "Bytes that a stream may hold; -1 when it has no limit.", "stream"),
		consumerPending: desc("consumer_pending_messages", "Messages that a durable consumer has not been sent yet.", "stream", "consumer"),
		consumerWaiting: desc("consumer_unacknowledged_messages", "Messages that a durable consumer has not acknowledged yet.", "stream", "consumer"),
		redelivered:     desc("consumer_redelivered_messages", "Messages that a durable consumer was sent more than once.", "stream", "consumer"),
	}
	if reg == nil {
		return m, nil
	}
	if err := reg.Register(m.restarts); err != nil {
		return nil, err
	}
	return m, reg.Register(m)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.up, m.connections, m.subscriptions, m.messages, m.bytes, m.slow, m.store, m.limit,
		m.streamMessages, m.streamBytes, m.streamLimit, m.consumerPending, m.consumerWaiting, m.redelivered,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	up := 0.0
	if m.handle.Up() == nil {
		up = 1
	}
	gauge(m.up, up)
	srv := m.handle.running()
	if srv == nil {
		return
	}
	if v, err := srv.Varz(nil); err == nil {
		gauge(m.connections, float64(v.Connections))
		gauge(m.subscriptions, float64(v.Subscriptions))
		count(m.messages, v.InMsgs, "published")
		count(m.messages, v.OutMsgs, "consumed")
		count(m.bytes, v.InBytes, "published")
		count(m.bytes, v.OutBytes, "consumed")
		count(m.slow, v.SlowConsumers)
	}
	info, err := srv.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Consumer: true, Config: true, Limit: 1})
	if err != nil { // JetStream is off: up says so
		return
	}
	gauge(m.store, float64(info.Store))
	gauge(m.limit, float64(info.Config.MaxStore))
	for _, account := range info.AccountDetails {
		for i := range account.Streams {
			m.stream(&account.Streams[i], gauge)
		}
	}
}

// stream collects one stream. Consumers without a durable name come and go with
// random names: they are left out.
func (m *metrics) stream(s *server.StreamDetail, gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	gauge(m.streamMessages, float64(s.State.Msgs), s.Name)
	gauge(m.streamBytes, float64(s.State.Bytes), s.Name)
	if s.Config != nil {
		gauge(m.streamLimit, float64(s.Config.MaxBytes), s.Name)
	}
	for _, consumer := range s.Consumer {
		if consumer.Config == nil || consumer.Config.Durable == "" {
			continue
		}
		gauge(m.consumerPending, float64(consumer.NumPending), s.Name, consumer.Name)
		gauge(m.consumerWaiting, float64(consumer.NumAckPending), s.Name, consumer.Name)
		gauge(m.redelivered, float64(consumer.NumRedelivered), s.Name, consumer.Name)
	}
}
