package app

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/monitoring"
	"github.com/marketprism/marketprism/actors/monitoring/rules"
	"github.com/marketprism/marketprism/actors/monitoring/scrape"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	facade "github.com/marketprism/marketprism/http/monitoring"
)

// monitoringBucket keeps the state of alerts, and silences.
const monitoringBucket = "monitoring"

// makePrometheus makes the built-in Prometheus, with the cluster's bucket for what its
// alerts have to remember.
func (a *App) makePrometheus(store bucket.Store) error {
	var err error
	a.prometheus, err = monitoring.NewPrometheus(monitoring.PrometheusOptions{
		Config: a.cfg.Monitoring.Monitoring.Prometheus, Targets: scrape.TargetsFunc(a.scrapeTargets), Builtin: rules.Embedded(config.Rules()),
		Memory: rules.NewBucket(store), Sink: a.notify, Begin: a.listening,
		Transport: a.carry(cluster.Monitoring)(&http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}), Registerer: a.registry,
	})
	if err != nil {
		return err
	}
	a.closers = append(a.closers, func() error { a.prometheus.Close(); return nil })
	return nil
}

// scrapeTargets are all instances of all services. Those of this process share their
// metrics, and come first.
func (a *App) scrapeTargets(ctx context.Context) ([]scrape.Target, error) {
	var own, others []scrape.Target
	services := []string{cluster.Monitoring} // the metrics of this process bear its name
	services = append(services, slices.DeleteFunc(cluster.Services(), func(s string) bool { return s == cluster.Monitoring })...)
	for _, service := range services {
		urls, err := a.resolve(ctx, service)
		if err != nil {
			return nil, err
		}
		for _, text := range urls {
			u, err := url.Parse(text)
			if err != nil {
				return nil, err
			}
			t := scrape.Target{Job: service, Instance: u.Host, URL: text + "/metrics"}
			if a.URL(service) != "" && a.runs(service) && len(a.cfg.Cluster.Services.Instances()[service]) == 0 {
				t.Process = "self"
				own = append(own, t)
			} else {
				others = append(others, t)
			}
		}
	}
	return append(own, others...), nil
}

// prometheusFacade is what Prometheus' interface stands on.
func (a *App) prometheusFacade() *facade.Prometheus {
	p := a.prometheus
	return &facade.Prometheus{
		Queries: p.Engine, Scraped: p.Scraper, Ruled: p.Rules,
		Interval: p.Config.Scrape.Interval, Timeout: p.Config.Scrape.Timeout, Version: a.options.Version,
	}
}
