package promql

import (
	"errors"
	"time"
)

// Config bounds queries.
type Config struct {
	Timeout     time.Duration `yaml:"timeout" doc:"What a query may take, its wait for a slot included."`
	MaxSamples  int           `yaml:"max_samples" min:"1000" max:"1000000000" doc:"Most samples that a query may hold at a time."`
	Concurrency int           `yaml:"concurrency" min:"1" max:"1000" doc:"Queries that run at a time; more wait."`
	Lookback    time.Duration `yaml:"lookback" doc:"How old the last sample of a series may be to be its value."`
}

// DefaultConfig is two minutes, 50 million samples, 20 queries, five minutes: what
// Prometheus has.
func DefaultConfig() Config {
	return Config{Timeout: 2 * time.Minute, MaxSamples: 50_000_000, Concurrency: 20, Lookback: 5 * time.Minute}
}

// Validate reports every value out of range.
func (c Config) Validate() error {
	var errs []error
	if c.Timeout <= 0 {
		errs = append(errs, errors.New("timeout must be above 0"))
	}
	if c.MaxSamples < 1000 {
		errs = append(errs, errors.New("max_samples must be at least 1000"))
	}
	if c.Concurrency < 1 {
		errs = append(errs, errors.New("concurrency must be at least 1"))
	}
	if c.Lookback <= 0 {
		errs = append(errs, errors.New("lookback must be above 0"))
	}
	return errors.Join(errs...)
}

// Version is that of the Prometheus whose language this is.
const Version = "3.16.0"
