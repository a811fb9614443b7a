package monitoring

import (
	"errors"
	"fmt"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/host"
	"github.com/marketprism/marketprism/actors/monitoring/logs"
	"github.com/marketprism/marketprism/actors/monitoring/notify"
	"github.com/marketprism/marketprism/actors/monitoring/traces"
)

// Config is the monitoring-service's part of the configuration, beside its port.
type Config struct {
	Health  HealthConfig  `yaml:"health" doc:"How the services are asked whether they are well."`
	System  host.Config   `yaml:"system" doc:"The figures of the machine."`
	Reports ReportsConfig `yaml:"reports" doc:"Reports that are made on demand."`
	Logs    logs.Config   `yaml:"logs" doc:"Log lines that can be asked for and followed."`

	Prometheus PrometheusConfig `yaml:"prometheus" doc:"Metrics that are scraped and kept, queries, and rules."`
	Notify     notify.Config    `yaml:"notify" doc:"Who is told of alerts, and when."`
	Traces     traces.Config    `yaml:"traces" doc:"Traces that were slow or failed, and where all are exported."`
	Actors     ActorsConfig     `yaml:"actors" doc:"What may be done to actors from outside."`
}

// HealthConfig says how services are asked.
type HealthConfig struct {
	Interval time.Duration `yaml:"interval" min:"100ms" max:"1h" doc:"Time between two checks of every service."`
	Timeout  time.Duration `yaml:"timeout" min:"10ms" max:"1m" doc:"What one answer may take."`
	Checks   int           `yaml:"checks" min:"1" max:"100000" doc:"Last checks that are remembered of each service."`
	Changes  int           `yaml:"changes" min:"1" max:"100000" doc:"Last changes of health that are remembered, of all services together."`
}

// ReportsConfig bounds the reports.
type ReportsConfig struct {
	Kept int `yaml:"kept" min:"1" max:"1000" doc:"Last reports that are kept; older ones are forgotten."`
}

// ActorsConfig says what may be done to actors.
type ActorsConfig struct {
	AllowOperations string `yaml:"allow_operations" enum:"auto,on,off" doc:"Whether actors may be restarted and stopped, and streams paused, by request; each is audited. auto allows it where services know who asks, and asks for the role operator; without logins nobody would be in the audit log. dev allows it."`
}

// The words of ActorsConfig.AllowOperations.
const (
	OperationsAuto = "auto"
	OperationsOn   = "on"
	OperationsOff  = "off"
)

// Allowed says whether anything may be done; identified, whether it is known who asks.
func (c ActorsConfig) Allowed(identified bool) bool {
	return c.AllowOperations == OperationsOn || c.AllowOperations == OperationsAuto && identified
}

// DefaultConfig asks every five seconds, and lets nobody touch an actor who is not known.
func DefaultConfig() Config {
	return Config{
		Health:  HealthConfig{Interval: 5 * time.Second, Timeout: 3 * time.Second, Checks: 720, Changes: 1000},
		System:  host.DefaultConfig(),
		Reports: ReportsConfig{Kept: 50},
		Logs:    logs.DefaultConfig(),
		Traces:  traces.DefaultConfig(),

		Prometheus: DefaultPrometheusConfig(),
		Notify:     notify.DefaultConfig(),
		Actors:     ActorsConfig{AllowOperations: OperationsAuto},
	}
}

// Validate returns all errors at once, each beginning with its key.
func (c Config) Validate() error {
	var errs []error
	within := func(key string, d, lo, hi time.Duration) {
		if d < lo || d > hi {
			errs = append(errs, fmt.Errorf("%s: %v, allowed %v to %v", key, d, lo, hi))
		}
	}
	count := func(key string, n, hi int) {
		if n < 1 || n > hi {
			errs = append(errs, fmt.Errorf("%s: %d, allowed 1 to %d", key, n, hi))
		}
	}
	within("health.interval", c.Health.Interval, 100*time.Millisecond, time.Hour)
	within("health.timeout", c.Health.Timeout, 10*time.Millisecond, time.Minute)
	count("health.checks", c.Health.Checks, 100_000)
	count("health.changes", c.Health.Changes, 100_000)
	count("reports.kept", c.Reports.Kept, 1000)
	if err := c.Traces.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("traces.%w", err))
	}
	if err := c.Logs.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("logs.%w", err))
	}
	if err := c.Prometheus.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("prometheus.%w", err))
	}
	if err := c.Notify.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("notify.%w", err))
	}
	if a := c.Actors.AllowOperations; a != OperationsAuto && a != OperationsOn && a != OperationsOff {
		errs = append(errs, fmt.Errorf("actors.allow_operations: %q, allowed %s, %s, %s", a, OperationsAuto, OperationsOn, OperationsOff))
	}
	if err := c.System.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("system.%w", err))
	}
	return errors.Join(errs...)
}
