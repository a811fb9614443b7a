package collector

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/stream"
)

// metrics export the streams. Counters and gauges are read when they are
// collected; the histograms alone are written on the way of a tick.
type metrics struct {
	collector *Collector

	exchangeToReceive, receiveToPublish *prometheus.HistogramVec

	up, last, messages, published, gaps, resyncs, duplicates, checksums, refused, unrecorded *prometheus.Desc
	reconnects, bytes, parseErrors, unrouted, sessions, builtin                              *prometheus.Desc
}

// latencyBuckets reach from what a local exchange takes to what nobody wants.
var latencyBuckets = []float64{
	.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30,
}

func newMetrics(c *Collector, r prometheus.Registerer) (*metrics, error) {
	wide := []string{"exchange", "market", "symbol"}
	narrow := []string{"exchange", "market"}
	desc := func(name, help string, labels []string) *prometheus.Desc {
		return prometheus.NewDesc("mp_stream_"+name, help, labels, nil)
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "mp", Subsystem: "stream", Name: name, Help: help, Buckets: latencyBuckets,
		}, []string{"exchange", "channel"})
	}
	m := &metrics{
		collector:         c,
		exchangeToReceive: histogram("exchange_to_receive_seconds", "Time from the exchange's event to our reading of the frame, by both clocks."),
		receiveToPublish:  histogram("receive_to_publish_seconds", "Time from the reading of a frame to its records being on the live plane."),

		up:          desc("up", "1 while everything subscribed arrives and the book, if any, is proven.", wide),
		last:        desc("last_message_timestamp_seconds", "When the newest frame was read.", wide),
		messages:    desc("messages_total", "Frames handled.", wide),
		published:   desc("published_total", "Records put on the live plane.", wide),
		gaps:        desc("sequence_gaps_total", "Ledger entries opened.", wide),
		resyncs:     desc("resyncs_total", "Books begun anew.", wide),
		duplicates:  desc("duplicates_total", "Records that came twice.", wide),
		checksums:   desc("checksum_failures_total", "Books whose checksum did not match.", wide),
		refused:     desc("refused_total", "Frames that the stream's queue did not take.", wide),
		unrecorded:  desc("unrecorded_total", "Records that the journal refused.", wide),
		reconnects:  desc("reconnects_total", "Connections lost and made again.", narrow),
		bytes:       desc("bytes_total", "Bytes of frames received.", narrow),
		parseErrors: desc("parse_errors_total", "Frames that could not be decoded.", narrow),
		unrouted:    desc("unrouted_total", "Frames of instruments that have no stream.", narrow),
		sessions:    desc("sessions", "Sockets that are subscribed.", narrow),
		builtin:     desc("builtin_instruments", "1 while the instrument table is the built-in one.", narrow),
	}
	if r == nil {
		return m, nil
	}
	for _, part := range []prometheus.Collector{m, m.exchangeToReceive, m.receiveToPublish} {
		if err := r.Register(part); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}

// latencies are the histograms of one channel, looked up once.
type latencies struct{ exchangeToReceive, receiveToPublish prometheus.Observer }

func (m *metrics) latencies(v *venue) []latencies {
	out := make([]latencies, len(v.table.Channels))
	for i := range v.table.Channels {
		name := v.table.Channels[i].Name
		out[i] = latencies{
			m.exchangeToReceive.WithLabelValues(v.exchange, name), m.receiveToPublish.WithLabelValues(v.exchange, name),
		}
	}
	return out
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.up, m.last, m.messages, m.published, m.gaps, m.resyncs, m.duplicates, m.checksums, m.refused, m.unrecorded,
		m.reconnects, m.bytes, m.parseErrors, m.unrouted, m.sessions, m.builtin,
	} {
		ch <- d
	}
}

// row is one stream's figures, or the sum of several.
type row struct {
	up, last                                                                                float64
	messages, published, gaps, resyncs, duplicates, checksums, refused, unrecorded, streams float64
}

func (r *route) row() (out row) {
	n, f := &r.counts, r.figures.Load()
	out = row{
		last: float64(n.last.Load()) / 1e9, messages: float64(n.deliveries.Load()), published: float64(n.published.Load()),
		refused: float64(n.refused.Load()), unrecorded: float64(n.unrecorded.Load()), streams: 1,
	}
	if f.live {
		out.up = 1
	}
	for i := range f.channels {
		c := &f.channels[i]
		out.gaps += float64(c.Gaps)
		out.resyncs += float64(c.Resyncs)
		out.duplicates += float64(c.Duplicates)
		out.checksums += float64(c.ChecksumWrong)
	}
	return out
}

// add sums up; up is 1 only while every stream is, last the oldest.
func (s *row) add(o row) {
	if s.streams == 0 {
		*s = o
		return
	}
	s.up, s.last = min(s.up, o.up), min(s.last, o.last)
	s.messages += o.messages
	s.published += o.published
	s.gaps += o.gaps
	s.resyncs += o.resyncs
	s.duplicates += o.duplicates
	s.checksums += o.checksums
	s.refused += o.refused
	s.unrecorded += o.unrecorded
	s.streams += o.streams
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	left := m.collector.opts.Config.MetricStreams
	for _, v := range m.collector.venues {
		if !v.enabled {
			continue
		}
		var other row
		for _, r := range v.allRoutes() {
			if left > 0 {
				left--
				m.emit(ch, r.row(), v.exchange, v.market.String(), r.instrument.Symbol)
				continue
			}
			other.add(r.row())
		}
		if other.streams > 0 {
			m.emit(ch, other, v.exchange, v.market.String(), "other")
		}
		m.emitVenue(ch, v)
	}
}

func (m *metrics) emit(ch chan<- prometheus.Metric, r row, labels ...string) {
	gauge := func(d *prometheus.Desc, x float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, x, labels...)
	}
	count := func(d *prometheus.Desc, x float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, x, labels...)
	}
	gauge(m.up, r.up)
	gauge(m.last, r.last)
	count(m.messages, r.messages)
	count(m.published, r.published)
	count(m.gaps, r.gaps)
	count(m.resyncs, r.resyncs)
	count(m.duplicates, r.duplicates)
	count(m.checksums, r.checksums)
	count(m.refused, r.refused)
	count(m.unrecorded, r.unrecorded)
}

func (m *metrics) emitVenue(ch chan<- prometheus.Metric, v *venue) {
	lost, bytes, malformed := float64(v.gone.lost.Load()), float64(v.gone.bytes.Load()), float64(v.gone.malformed.Load())
	var live, builtin float64
	for _, s := range v.sockets() {
		lost += float64(s.disconnects.Load())
		b, bad := s.traffic()
		bytes, malformed = bytes+float64(b), malformed+float64(bad)
		if s.live() {
			live++
		}
	}
	if l := v.listing.Load(); l != nil && l.builtin {
		builtin = 1
	}
	labels := []string{v.exchange, v.market.String()}
	ch <- prometheus.MustNewConstMetric(m.reconnects, prometheus.CounterValue, lost, labels...)
	ch <- prometheus.MustNewConstMetric(m.bytes, prometheus.CounterValue, bytes, labels...)
	ch <- prometheus.MustNewConstMetric(m.parseErrors, prometheus.CounterValue, malformed, labels...)
	ch <- prometheus.MustNewConstMetric(m.unrouted, prometheus.CounterValue, float64(v.unrouted.Load()), labels...)
	ch <- prometheus.MustNewConstMetric(m.sessions, prometheus.GaugeValue, live, labels...)
	ch <- prometheus.MustNewConstMetric(m.builtin, prometheus.GaugeValue, builtin, labels...)
}

// sum adds the counters of an earlier incarnation to those of the present one.
func sum(before, now []stream.ChannelStats) []stream.ChannelStats {
	for i := range before {
		old := &before[i]
		at := -1
		for j := range now {
			if now[j].Kind == old.Kind {
				at = j
			}
		}
		if at < 0 {
			c := *old
			c.Open = 0
			now = append(now, c)
			continue
		}
		c := &now[at]
		c.Received += old.Received
		c.Records += old.Records
		c.Duplicates += old.Duplicates
		c.OutOfOrder += old.OutOfOrder
		c.Dropped += old.Dropped
		c.Gaps += old.Gaps
		c.Healed += old.Healed
		c.Resyncs += old.Resyncs
		c.ChecksumOK += old.ChecksumOK
		c.ChecksumWrong += old.ChecksumWrong
		c.Crossed += old.Crossed
		c.Suspect += old.Suspect
		if old.FirstSeq.OK {
			c.FirstSeq = old.FirstSeq
		}
	}
	return now
}
