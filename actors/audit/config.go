package audit

import (
	"errors"
	"fmt"
	"time"

	"github.com/marketprism/marketprism/internal/copies"
)

// Config bounds the log.
type Config struct {
	MaxAge   time.Duration `yaml:"max_age" doc:"Age at which entries of the audit log are removed; 0 keeps them until max_bytes."`
	MaxBytes int64         `yaml:"max_bytes" unit:"bytes" doc:"Size of the audit log, reserved at the broker; the oldest entries go first. At least 1 MiB."`
	Replicas int           `yaml:"replicas" doc:"Copies of the audit log: 1, 3 or 5; 0 is 3 where the broker has several nodes, else 1."`
}

// DefaultConfig keeps a year, in at most 128 MiB.
func DefaultConfig() Config {
	return Config{MaxAge: 365 * 24 * time.Hour, MaxBytes: 128 << 20}
}

// Validate reports everything that is out of range, joined.
func (c Config) Validate() error {
	var errs []error
	if c.MaxAge < 0 {
		errs = append(errs, fmt.Errorf("max_age: is %v, must not be negative", c.MaxAge))
	}
	if c.MaxBytes < 1<<20 {
		errs = append(errs, fmt.Errorf("max_bytes: is %d, must be at least 1 MiB", c.MaxBytes))
	}
	if !copies.Allowed(c.Replicas) {
		errs = append(errs, fmt.Errorf("replicas: is %d, must be 0, 1, 3 or 5", c.Replicas))
	}
	return errors.Join(errs...)
}
