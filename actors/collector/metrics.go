package collector

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/catalogue"
	"github.com/marketprism/marketprism/internal/stream"
)

// metrics export the streams. Counters and gauges are read when they are
// collected; the histograms alone are written on the way of a tick.
type metrics struct {
	collector *Collector

	exchangeToReceive, receiveToPublish *prometheus.HistogramVec

	up, last, messages, published, gaps, resyncs, duplicates, checksums, refused, unrecorded catalogue.Reading
	clock, budget                                                                            catalogue.Reading
	reconnects, bytes, parseErrors, unrouted, sessions, builtin                              catalogue.Reading
	silences, silent, remedies, backlog                                                      catalogue.Reading
	pastRecords, pastCalls, pastFailures, pastUnderWay                                       catalogue.Reading
}

func newMetrics(c *Collector, r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		collector:         c,
		exchangeToReceive: catalogue.NewHistogramVec(catalogue.StreamExchangeToReceive),
		receiveToPublish:  catalogue.NewHistogramVec(catalogue.StreamReceiveToPublish),

		up:          catalogue.NewReading(catalogue.StreamUp),
		last:        catalogue.NewReading(catalogue.StreamLastMessage),
		messages:    catalogue.NewReading(catalogue.StreamMessages),
		published:   catalogue.NewReading(catalogue.StreamPublished),
		gaps:        catalogue.NewReading(catalogue.StreamGaps),
		resyncs:     catalogue.NewReading(catalogue.StreamResyncs),
		duplicates:  catalogue.NewReading(catalogue.StreamDuplicates),
		checksums:   catalogue.NewReading(catalogue.StreamChecksumFailures),
		refused:     catalogue.NewReading(catalogue.StreamRefused),
		unrecorded:  catalogue.NewReading(catalogue.StreamUnrecorded),
		reconnects:  catalogue.NewReading(catalogue.StreamReconnects),
		bytes:       catalogue.NewReading(catalogue.StreamBytes),
		parseErrors: catalogue.NewReading(catalogue.StreamParseErrors),
		unrouted:    catalogue.NewReading(catalogue.StreamUnrouted),
		sessions:    catalogue.NewReading(catalogue.StreamSessions),
		builtin:     catalogue.NewReading(catalogue.StreamBuiltin),
		silences:    catalogue.NewReading(catalogue.StreamSilences),
		silent:      catalogue.NewReading(catalogue.StreamSilent),
		remedies:    catalogue.NewReading(catalogue.StreamRemedies),
		backlog:     catalogue.NewReading(catalogue.StreamBacklog),
		clock:       catalogue.NewReading(catalogue.StreamClockOffset),
		budget:      catalogue.NewReading(catalogue.StreamRateLimit),

		pastRecords:  catalogue.NewReading(catalogue.BackfillRecords),
		pastCalls:    catalogue.NewReading(catalogue.BackfillCalls),
		pastFailures: catalogue.NewReading(catalogue.BackfillFailures),
		pastUnderWay: catalogue.NewReading(catalogue.BackfillsUnderWay),
	}
	if err := catalogue.Register(r, m, m.exchangeToReceive, m.receiveToPublish); err != nil {
		return nil, err
	}
	return m, nil
}

// latencies are the histograms of one channel, looked up once.
type latencies struct{ exchangeToReceive, receiveToPublish prometheus.Observer }

func (m *metrics) latencies(v *venue) []latencies {
	if v.table() == nil {
		return nil
	}
	out := make([]latencies, len(v.table().Channels))
	for i := range v.table().Channels {
		name := v.table().Channels[i].Name
		out[i] = latencies{
			m.exchangeToReceive.WithLabelValues(v.exchange, v.market.String(), name),
			m.receiveToPublish.WithLabelValues(v.exchange, v.market.String(), name),
		}
	}
	return out
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	catalogue.Describe(ch,
		m.up, m.last, m.messages, m.published, m.gaps, m.resyncs, m.duplicates, m.checksums, m.refused, m.unrecorded,
		m.reconnects, m.bytes, m.parseErrors, m.unrouted, m.sessions, m.builtin, m.clock, m.budget,
		m.silences, m.silent, m.remedies, m.backlog,
		m.pastRecords, m.pastCalls, m.pastFailures, m.pastUnderWay,
	)
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
	b := m.collector.opts.backlog
	m.backlog.Send(ch, float64(b.bytes()))
	left := m.collector.opts.Config.MetricStreams
	for _, v := range m.collector.venues {
		if !v.enabled() {
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
	m.up.Send(ch, r.up, labels...)
	m.last.Send(ch, r.last, labels...)
	m.messages.Send(ch, r.messages, labels...)
	m.published.Send(ch, r.published, labels...)
	m.gaps.Send(ch, r.gaps, labels...)
	m.resyncs.Send(ch, r.resyncs, labels...)
	m.duplicates.Send(ch, r.duplicates, labels...)
	m.checksums.Send(ch, r.checksums, labels...)
	m.refused.Send(ch, r.refused, labels...)
	m.unrecorded.Send(ch, r.unrecorded, labels...)
}

func (m *metrics) emitVenue(ch chan<- prometheus.Metric, v *venue) {
	lost, met := v.gone.read()
	var live, builtin, silent float64
	for _, s := range v.sockets() {
		lost += s.disconnects.Load()
		met.add(s.traffic())
		silent += float64(len(s.status().Silent))
		if s.live() {
			live++
		}
	}
	if l := v.listing.Load(); l != nil && l.builtin {
		builtin = 1
	}
	labels := []string{v.exchange, v.market.String()}
	m.reconnects.Send(ch, float64(lost), labels...)
	m.bytes.Send(ch, float64(met.bytes), labels...)
	m.parseErrors.Send(ch, float64(met.malformed), labels...)
	m.silences.Send(ch, float64(met.silences), labels...)
	m.silent.Send(ch, silent, labels...)
	for r, n := range met.remedies {
		m.remedies.Send(ch, float64(n), v.exchange, v.market.String(), connectors.Remedy(r).String())
	}
	m.unrouted.Send(ch, float64(v.unrouted.Load()), labels...)
	m.sessions.Send(ch, live, labels...)
	m.builtin.Send(ch, builtin, labels...)
	client := v.made.Load().client
	if offset, _, ok := client.ClockOffset(); ok {
		m.clock.Send(ch, offset.Seconds(), labels...)
	}
	if left, ok := client.Remaining(); ok {
		m.budget.Send(ch, left, labels...)
	}
	past := &v.backfills
	m.pastRecords.Send(ch, float64(past.records.Load()), labels...)
	m.pastCalls.Send(ch, float64(past.calls.Load()), labels...)
	m.pastFailures.Send(ch, float64(past.failures.Load()), labels...)
	m.pastUnderWay.Send(ch, float64(past.underWay()), labels...)
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
