package upstream

import (
	"errors"
	"fmt"
	"time"
)

// Config says how instances are judged.
type Config struct {
	// ProbeInterval is the time between two probes of one instance, ProbeTimeout what
	// each may take.
	ProbeInterval time.Duration `yaml:"probe_interval" doc:"Between two probes of an instance; each is a tenth earlier or later."`
	ProbeTimeout  time.Duration `yaml:"probe_timeout" doc:"Bounds one probe."`
	// Breaker and Ejection take instances out of use.
	Breaker  BreakerConfig  `yaml:"breaker" doc:"Keeps requests from an instance that fails."`
	Ejection EjectionConfig `yaml:"ejection" doc:"Prefers other instances to one that fails."`
}

// BreakerConfig are the settings of the circuit breakers.
type BreakerConfig struct {
	// Enabled turns them on.
	Enabled bool `yaml:"enabled" doc:"Whether there are circuit breakers."`
	// Window is what is looked back at, MinRequests how many must be in it, Ratio how
	// many of them must have failed.
	Window      time.Duration `yaml:"window" doc:"Requests of this time count."`
	MinRequests int           `yaml:"min_requests" min:"1" max:"100000" doc:"Fewer requests in the window open nothing."`
	Ratio       float64       `yaml:"ratio" doc:"Share of failed requests that opens it, above 0 to 1."`
	// OpenFor is how long it stays open; then Trials requests decide.
	OpenFor time.Duration `yaml:"open_for" doc:"How long it stays open; then a few requests decide."`
	Trials  int           `yaml:"trials" min:"1" max:"1000" doc:"Requests that must succeed to close it again."`
}

// EjectionConfig are the settings of outlier ejection.
type EjectionConfig struct {
	// Failures in a row eject an instance; 0 ejects none.
	Failures int `yaml:"failures" min:"0" max:"10000" doc:"Failures in a row that eject an instance, unless it is the last one; 0 ejects none."`
	// Base is how long the first time, doubled with each that follows, to Longest.
	Base    time.Duration `yaml:"base" doc:"How long the first time; doubled each further time."`
	Longest time.Duration `yaml:"longest" doc:"How long at most."`
}

// DefaultConfig notices a dead instance within seconds.
func DefaultConfig() Config {
	return Config{
		ProbeInterval: 5 * time.Second, ProbeTimeout: 2 * time.Second,
		Breaker:  BreakerConfig{Enabled: true, Window: 10 * time.Second, MinRequests: 20, Ratio: 0.5, OpenFor: 5 * time.Second, Trials: 3},
		Ejection: EjectionConfig{Failures: 5, Base: 2 * time.Second, Longest: time.Minute},
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
	count := func(key string, n, lo, hi int) {
		if n < lo || n > hi {
			errs = append(errs, fmt.Errorf("%s: %d, allowed %d to %d", key, n, lo, hi))
		}
	}
	within("probe_interval", c.ProbeInterval, 10*time.Millisecond, time.Hour)
	within("probe_timeout", c.ProbeTimeout, time.Millisecond, time.Minute)
	within("breaker.window", c.Breaker.Window, 100*time.Millisecond, time.Hour)
	within("breaker.open_for", c.Breaker.OpenFor, 10*time.Millisecond, time.Hour)
	count("breaker.min_requests", c.Breaker.MinRequests, 1, 100_000)
	count("breaker.trials", c.Breaker.Trials, 1, 1000)
	if !(c.Breaker.Ratio > 0 && c.Breaker.Ratio <= 1) {
		errs = append(errs, fmt.Errorf("breaker.ratio: %v, allowed above 0 to 1", c.Breaker.Ratio))
	}
	count("ejection.failures", c.Ejection.Failures, 0, 10_000)
	within("ejection.base", c.Ejection.Base, 10*time.Millisecond, time.Hour)
	within("ejection.longest", c.Ejection.Longest, c.Ejection.Base, 24*time.Hour)
	return errors.Join(errs...)
}
