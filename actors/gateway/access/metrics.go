package access

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/internal/catalogue"
)

// metrics of the desk.
type metrics struct {
	attempts *prometheus.CounterVec
	hashing  prometheus.Histogram
	waiting  prometheus.Gauge
	hit      prometheus.Counter
	miss     prometheus.Counter
	users    *prometheus.GaugeVec
	keys     prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	cache := catalogue.NewCounterVec(catalogue.AuthCache)
	m := &metrics{
		attempts: catalogue.NewCounterVec(catalogue.AuthAttempts), hashing: catalogue.NewHistogram(catalogue.AuthHashing),
		waiting: catalogue.NewGauge(catalogue.AuthHashingQueue), users: catalogue.NewGaugeVec(catalogue.AuthUsers),
		keys: catalogue.NewGauge(catalogue.AuthKeys), hit: cache.WithLabelValues("hit"), miss: cache.WithLabelValues("miss"),
	}
	return m, catalogue.Register(reg, m.attempts, m.hashing, m.waiting, cache, m.users, m.keys)
}
