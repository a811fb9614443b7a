package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"

	"github.com/marketprism/marketprism/actors/gateway/forward"
	"github.com/marketprism/marketprism/actors/gateway/upstream"
	"github.com/marketprism/marketprism/internal/catalogue"
)

// What became of a request that was sent on, beside the stages of package forward.
const (
	Answered   = "answered"
	ClientLeft = "client_left"
)

// Refusal is why a request was not sent on.
type Refusal string

// The refusals.
const (
	RefusedRate        Refusal = "rate"
	RefusedQuota       Refusal = "quota"
	RefusedOverload    Refusal = "overload"
	RefusedStreams     Refusal = "streams"
	RefusedCredentials Refusal = "credentials"
	RefusedUnknown     Refusal = "unknown"
	RefusedUnhealthy   Refusal = "unhealthy"
	RefusedBreaker     Refusal = "breaker"
	RefusedLoop        Refusal = "loop"
)

func refusals() []Refusal {
	return []Refusal{
		RefusedRate, RefusedQuota, RefusedOverload, RefusedStreams, RefusedCredentials, RefusedUnknown, RefusedUnhealthy, RefusedBreaker, RefusedLoop,
	}
}

// metrics of the gateway.
type metrics struct {
	h        *Handle
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	refused  map[Refusal]prometheus.Counter

	repeats, instances, under, trips, ejections, breakers catalogue.Reading
	inFlight, streams, clients, forgotten, cached, bytes  catalogue.Reading
}

func newMetrics(h *Handle, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		h:         h,
		requests:  catalogue.NewCounterVec(catalogue.GatewayRequests),
		seconds:   catalogue.NewHistogramVec(catalogue.GatewayUpstream),
		refused:   map[Refusal]prometheus.Counter{},
		repeats:   catalogue.NewReading(catalogue.GatewayRepeats),
		instances: catalogue.NewReading(catalogue.GatewayInstances),
		under:     catalogue.NewReading(catalogue.GatewayUnder),
		trips:     catalogue.NewReading(catalogue.GatewayTrips),
		ejections: catalogue.NewReading(catalogue.GatewayEjections),
		breakers:  catalogue.NewReading(catalogue.GatewayBreakers),
		inFlight:  catalogue.NewReading(catalogue.GatewayInFlight),
		streams:   catalogue.NewReading(catalogue.GatewayStreams),
		clients:   catalogue.NewReading(catalogue.GatewayClients),
		forgotten: catalogue.NewReading(catalogue.GatewayForgotten),
		cached:    catalogue.NewReading(catalogue.GatewayCache),
		bytes:     catalogue.NewReading(catalogue.GatewayCacheBytes),
	}
	refused := catalogue.NewCounterVec(catalogue.GatewayRefused)
	for _, r := range refusals() {
		m.refused[r] = refused.WithLabelValues(string(r))
	}
	for _, s := range h.options.Services {
		for _, outcome := range []string{Answered, ClientLeft, string(forward.NotReached), string(forward.Broken), string(forward.TimedOut)} {
			m.requests.WithLabelValues(s.Name, outcome)
		}
	}
	return m, catalogue.Register(reg, m.requests, m.seconds, refused, m)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	catalogue.Describe(ch, m.repeats, m.instances, m.under, m.trips, m.ejections, m.breakers, m.inFlight, m.streams, m.clients, m.forgotten, m.cached, m.bytes)
}

// other is the label of services that clients have registered: names that come and go.
const other = "other"

func (u *Upstream) label() string {
	if u.Platform {
		return u.Service()
	}
	return other
}

// standing sums up the instances behind one label.
type standing struct {
	byState          map[upstream.State]int
	under, open      int
	trips, ejections uint64
}

func (m *metrics) standings() map[string]*standing {
	now := m.h.options.Now()
	all := map[string]*standing{}
	for _, u := range m.h.Upstreams() {
		s := all[u.label()]
		if s == nil {
			s = &standing{byState: map[upstream.State]int{}}
			all[u.label()] = s
		}
		s.trips += u.Trips()
		s.ejections += u.Ejections()
		for _, i := range u.Instances() {
			v := i.View(now)
			s.byState[v.State]++
			s.under += v.Under
			if v.Breaker != "" && v.Breaker != gobreaker.StateClosed.String() {
				s.open++
			}
		}
	}
	return all
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for service, at := range m.standings() {
		for _, s := range upstream.States() {
			m.instances.Send(ch, float64(at.byState[s]), service, string(s))
		}
		m.under.Send(ch, float64(at.under), service)
		m.breakers.Send(ch, float64(at.open), service)
		m.trips.Send(ch, float64(at.trips), service)
		m.ejections.Send(ch, float64(at.ejections), service)
	}
	f := m.h.cache.Figures()
	m.repeats.Send(ch, float64(m.h.forwarder.Repeats()))
	m.inFlight.Send(ch, float64(m.h.requests.Now()))
	m.streams.Send(ch, float64(m.h.streams.Now()))
	m.clients.Send(ch, float64(m.h.rates.Len()))
	m.forgotten.Send(ch, float64(m.h.rates.Evicted()))
	m.cached.Send(ch, float64(f.Hits), "hit")
	m.cached.Send(ch, float64(f.Misses), "miss")
	m.bytes.Send(ch, float64(f.Bytes))
}

// Refused counts a request that was not sent on.
func (h *Handle) Refused(why Refusal) { h.metrics.refused[why].Inc() }

// Sent counts what became of a request that was sent on, and how long that took.
func (h *Handle) Sent(u *Upstream, outcome string, took time.Duration) {
	u.outcomes.requests.Add(1)
	if outcome == Answered {
		u.answered.Inc()
	} else {
		u.outcomes.failed.Add(1)
		h.metrics.requests.WithLabelValues(u.label(), outcome).Inc()
	}
	u.seconds.Observe(took.Seconds())
}

// measure finds the series of a service once.
func (m *metrics) measure(u *Upstream) {
	u.answered = m.requests.WithLabelValues(u.label(), Answered)
	u.seconds = m.seconds.WithLabelValues(u.label())
}
