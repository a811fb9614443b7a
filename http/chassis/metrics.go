package chassis

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
)

// unmatched is the route label of requests that match no route.
const unmatched = "unmatched"

// metrics are rate, errors and duration by route. Servers that share a
// Registerer share the families, apart by the service label.
type metrics struct {
	service  string
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter
	none     routeSeries
}

func newMetrics(reg prometheus.Registerer, service string) (*metrics, error) {
	requests, err := registered(reg, catalogue.NewCounterVec(catalogue.HTTPRequests))
	if err != nil {
		return nil, err
	}
	seconds, err := registered(reg, catalogue.NewHistogramVec(catalogue.HTTPRequest))
	if err != nil {
		return nil, err
	}
	inFlight, err := registered(reg, catalogue.NewGaugeVec(catalogue.HTTPInFlight))
	if err != nil {
		return nil, err
	}
	panics, err := registered(reg, catalogue.NewCounterVec(catalogue.HTTPPanics))
	if err != nil {
		return nil, err
	}
	m := &metrics{
		service: service, requests: requests, seconds: seconds,
		inFlight: inFlight.WithLabelValues(service), panics: panics.WithLabelValues(service),
	}
	m.none = m.route(unmatched)
	return m, nil
}

// registered registers c, or returns the equal collector that is there already.
func registered[C prometheus.Collector](reg prometheus.Registerer, c C) (C, error) {
	err := reg.Register(c)
	if err == nil {
		return c, nil
	}
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if same, ok := already.ExistingCollector.(C); ok {
			return same, nil
		}
	}
	return c, fmt.Errorf("registering metrics: %w", err)
}

// routeSeries are the series of one route, looked up once.
type routeSeries struct {
	seconds prometheus.Observer
	byCode  *codeCounters
}

// codeCounters finds a route's counter by status without a lock.
type codeCounters struct {
	slots [600]atomic.Pointer[prometheus.Counter]
	make  func(code string) prometheus.Counter
	mu    sync.Mutex
}

func (m *metrics) route(pattern string) routeSeries {
	return routeSeries{
		seconds: m.seconds.WithLabelValues(m.service, pattern),
		byCode: &codeCounters{make: func(code string) prometheus.Counter {
			return m.requests.WithLabelValues(m.service, pattern, code)
		}},
	}
}

func (m *metrics) observe(rt *route, code int, took time.Duration) {
	series := &m.none
	if rt != nil {
		series = &rt.series
	}
	series.byCode.at(code).Inc()
	series.seconds.Observe(took.Seconds())
}

func (c *codeCounters) at(code int) prometheus.Counter {
	if code < 0 || code >= len(c.slots) {
		return c.make(strconv.Itoa(code))
	}
	if p := c.slots[code].Load(); p != nil {
		return *p
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	counter := c.make(strconv.Itoa(code))
	c.slots[code].Store(&counter)
	return counter
}
