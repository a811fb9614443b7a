package consul

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
)

type metrics struct {
	beats, anew *prometheus.CounterVec
	known, held *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		beats: catalogue.NewCounterVec(catalogue.ConsulHeartbeats),
		anew:  catalogue.NewCounterVec(catalogue.ConsulRegistrations),
		known: catalogue.NewGaugeVec(catalogue.ConsulMembers),
		held:  catalogue.NewGaugeVec(catalogue.LeaseHeld),
	}
	return m, catalogue.Register(r, m.beats, m.anew, m.known, m.held)
}

func (m *metrics) heartbeat(service string, err error) {
	outcome := "accepted"
	if err != nil {
		outcome = "failed"
	}
	m.beats.WithLabelValues(service, outcome).Inc()
}

// begin shows that nothing has happened yet: an increase is seen of what there is only.
func (m *metrics) begin(service string) {
	m.beats.WithLabelValues(service, "accepted")
	m.beats.WithLabelValues(service, "failed")
}

func (m *metrics) registered(service string)     { m.anew.WithLabelValues(service).Inc() }
func (m *metrics) members(service string, n int) { m.known.WithLabelValues(service).Set(float64(n)) }

func (m *metrics) holds(role string, held bool) {
	value := 0.0
	if held {
		value = 1
	}
	m.held.WithLabelValues(role).Set(value)
}
