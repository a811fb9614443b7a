package monitoring

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/promql"
	"github.com/marketprism/marketprism/actors/monitoring/rules"
	"github.com/marketprism/marketprism/actors/monitoring/scrape"
	"github.com/marketprism/marketprism/actors/monitoring/series"
	"github.com/marketprism/marketprism/actors/supervise"
)

// PrometheusConfig is what is scraped, kept, asked and judged by rules.
type PrometheusConfig struct {
	Scrape  scrape.Config `yaml:"scrape" doc:"What is scraped."`
	Series  series.Config `yaml:"series" doc:"Bounds of the samples that are kept in memory."`
	Queries promql.Config `yaml:"queries" doc:"Bounds of PromQL queries."`
	Rules   rules.Config  `yaml:"rules" doc:"Recording and alerting rules."`
}

// DefaultPrometheusConfig scrapes and evaluates each five seconds.
func DefaultPrometheusConfig() PrometheusConfig {
	return PrometheusConfig{Scrape: scrape.DefaultConfig(), Series: series.DefaultConfig(), Queries: promql.DefaultConfig(), Rules: rules.DefaultConfig()}
}

// Validate returns all errors at once, each beginning with its key.
func (c PrometheusConfig) Validate() error {
	var errs []error
	for _, part := range []struct {
		key string
		err error
	}{
		{"scrape", c.Scrape.Validate()}, {"series", c.Series.Validate()}, {"queries", c.Queries.Validate()}, {"rules", c.Rules.Validate()},
	} {
		if part.err != nil {
			errs = append(errs, fmt.Errorf("%s.%w", part.key, part.err))
		}
	}
	return errors.Join(errs...)
}

// PrometheusOptions are what the built-in Prometheus stands on; all but Config are
// optional.
type PrometheusOptions struct {
	Config  PrometheusConfig
	Targets scrape.Targets
	// Transport carries the scrapes.
	Transport http.RoundTripper
	// Builtin are the rules when no files are configured.
	Builtin rules.Source
	Sink    alert.Sink
	Memory  rules.Memory
	// Begin is closed once this process's own services answer.
	Begin      <-chan struct{}
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// Prometheus is the built-in one: its store, its engine, its scrapers and its rules.
// It outlives the actors.
type Prometheus struct {
	Config  PrometheusConfig
	Store   *series.Store
	Engine  *promql.Engine
	Scraper *scrape.Handle
	Rules   *rules.Handle
}

// NewPrometheus makes one that starts with its Specs.
func NewPrometheus(o PrometheusOptions) (*Prometheus, error) {
	c := o.Config
	p := &Prometheus{Config: c}
	var err error
	if p.Store, err = series.New(c.Series, o.Registerer); err != nil {
		return nil, err
	}
	if p.Engine, err = promql.New(c.Queries, p.Store, c.Rules.Interval, o.Registerer); err != nil {
		return nil, err
	}
	p.Scraper, err = scrape.New(scrape.Options{
		Config: c.Scrape, Store: p.Store, Targets: o.Targets, Begin: o.Begin, Transport: o.Transport, Registerer: o.Registerer, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	p.Rules, err = rules.New(rules.Options{
		Config: c.Rules, Engine: p.Engine, Store: p.Store, Builtin: o.Builtin, Sink: o.Sink, Memory: o.Memory, Begin: o.Begin,
		Registerer: o.Registerer, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Specs are its parts of the branch, in start order.
func (p *Prometheus) Specs() []supervise.Spec {
	return []supervise.Spec{p.Scraper.Spec(), p.Rules.Spec()}
}

// Close ends idle connections, once the actors have stopped.
func (p *Prometheus) Close() { p.Scraper.Close() }
