package series

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
)

// Reasons for refusing a sample.
const (
	outOfOrder  = "out_of_order"
	duplicate   = "duplicate"
	seriesLimit = "series_limit"
	sampleLimit = "sample_limit"
)

type metrics struct {
	store                                 *Store
	created, removed, appended, shortened prometheus.Counter
	refused                               *prometheus.CounterVec
	series, samples, bytes                catalogue.Reading
}

func newMetrics(s *Store, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		store:     s,
		created:   catalogue.NewCounter(catalogue.SeriesCreated),
		removed:   catalogue.NewCounter(catalogue.SeriesRemoved),
		appended:  catalogue.NewCounter(catalogue.SeriesAppended),
		shortened: catalogue.NewCounter(catalogue.SeriesShortened),
		refused:   catalogue.NewCounterVec(catalogue.SeriesRefused),
		series:    catalogue.NewReading(catalogue.SeriesActive),
		samples:   catalogue.NewReading(catalogue.SeriesSamples),
		bytes:     catalogue.NewReading(catalogue.SeriesBytes),
	}
	for _, why := range []string{outOfOrder, duplicate, seriesLimit, sampleLimit} {
		m.refused.WithLabelValues(why)
	}
	return m, catalogue.Register(reg, m.created, m.removed, m.appended, m.shortened, m.refused, m)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	catalogue.Describe(ch, m.series, m.samples, m.bytes)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	s := m.store.Stats()
	m.series.Send(ch, float64(s.Series))
	m.samples.Send(ch, float64(s.Samples))
	m.bytes.Send(ch, float64(s.Bytes))
}
