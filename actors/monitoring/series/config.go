package series

import (
	"errors"
	"time"
)

// Config bounds a [Store].
type Config struct {
	// MaxSeries is the most series at a time.
	MaxSeries int `yaml:"max_series" min:"1" max:"10000000" doc:"Most series that are kept; further ones are refused and counted."`
	// MaxSamples is the most samples at a time; each takes 1 to 4 bytes.
	MaxSamples int `yaml:"max_samples" min:"1000" max:"10000000000" doc:"Most samples that are kept, 1 to 4 bytes each; beyond it the oldest go."`
	// Retention is how old a sample may become.
	Retention time.Duration `yaml:"retention" doc:"How long samples are kept."`
	// Idle is how long a series without samples is safe from being collected for a
	// new one when MaxSeries is reached.
	Idle time.Duration `yaml:"idle" doc:"How long a series may be without a new sample before it makes room for new ones, when there are as many as may be."`
}

// DefaultConfig is 100,000 series, 40 million samples, two hours.
func DefaultConfig() Config {
	return Config{MaxSeries: 100_000, MaxSamples: 40_000_000, Retention: 2 * time.Hour, Idle: 5 * time.Minute}
}

// Validate reports every value out of range.
func (c Config) Validate() error {
	var errs []error
	if c.MaxSeries < 1 {
		errs = append(errs, errors.New("max_series must be at least 1"))
	}
	if c.MaxSamples < 1000 {
		errs = append(errs, errors.New("max_samples must be at least 1000"))
	}
	if c.Retention < time.Minute {
		errs = append(errs, errors.New("retention must be at least 1m"))
	}
	if c.Idle <= 0 {
		errs = append(errs, errors.New("idle must be above 0"))
	}
	return errors.Join(errs...)
}
