package certs

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
)

// metrics are those of all pairs of a registry.
type metrics struct {
	expiry, authority *prometheus.GaugeVec
	reloads           *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	expiry, err := shared(reg, catalogue.NewGaugeVec(catalogue.CertificateExpiry))
	if err != nil {
		return nil, err
	}
	authority, err := shared(reg, catalogue.NewGaugeVec(catalogue.AuthorityExpiry))
	if err != nil {
		return nil, err
	}
	reloads, err := shared(reg, catalogue.NewCounterVec(catalogue.CertificateReloads))
	return &metrics{expiry, authority, reloads}, err
}

// shared registers a collector, or takes the one that another pair has registered.
func shared[C prometheus.Collector](reg prometheus.Registerer, c C) (C, error) {
	err := catalogue.Register(reg, c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing, nil
		}
	}
	return c, err
}

func (m *metrics) took(name string, files *material) {
	m.expiry.WithLabelValues(name).Set(float64(files.expires().Unix()))
	if t := files.authorityExpires(); !t.IsZero() {
		m.authority.WithLabelValues(name).Set(float64(t.Unix()))
	}
}

func (m *metrics) reloaded(name string, err error) {
	outcome := "taken"
	if err != nil {
		outcome = "refused"
	}
	m.reloads.WithLabelValues(name, outcome).Inc()
}
