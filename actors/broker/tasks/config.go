package tasks

import (
	"errors"
	"fmt"
	"time"
)

// Config is the tasks' part of the configuration (message-broker-service.tasks).
type Config struct {
	// Lease is how long a worker has a task before it has to report.
	Lease time.Duration `yaml:"lease" doc:"How long a worker has a task before it has to report progress; else another gets it."`
	// MaxAttempts bounds the attempts of every task.
	MaxAttempts int `yaml:"max_attempts" doc:"Attempts after which a task is dead; a task may ask for fewer."`
	// FirstPause and LastPause bound the pause after a failed attempt, which doubles.
	FirstPause time.Duration `yaml:"first_pause" doc:"Pause after the first failed attempt; each further one doubles it."`
	LastPause  time.Duration `yaml:"last_pause" doc:"The longest pause between two attempts."`
	// Keep is how long the record of a task is kept after its last change.
	Keep time.Duration `yaml:"keep" doc:"How long the record of a task is kept after its last change."`
	// MaxBytes is the size of all records.
	MaxBytes int64 `yaml:"max_bytes" unit:"bytes" doc:"Size of the records, reserved at the server."`
}

// DefaultConfig is five attempts with a lease of 30 s.
func DefaultConfig() Config {
	return Config{
		Lease: 30 * time.Second, MaxAttempts: 5, FirstPause: time.Second, LastPause: 5 * time.Minute,
		Keep: 7 * 24 * time.Hour, MaxBytes: 256 << 20,
	}
}

// Validate returns all errors at once, each beginning with its key.
func (c Config) Validate() error {
	var errs []error
	bad := func(wrong bool, key, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
		}
	}
	bad(c.Lease < 100*time.Millisecond || c.Lease > time.Hour, "lease", "%v, allowed 100ms to 1h", c.Lease)
	bad(c.MaxAttempts < 1 || c.MaxAttempts > 100, "max_attempts", "%d, allowed 1 to 100", c.MaxAttempts)
	bad(c.FirstPause < 0 || c.FirstPause > c.LastPause, "first_pause", "%v, allowed 0s to last_pause", c.FirstPause)
	bad(c.LastPause > 24*time.Hour, "last_pause", "%v, at most 24h", c.LastPause)
	bad(c.Keep < time.Minute, "keep", "%v, at least 1m", c.Keep)
	bad(c.MaxBytes < 1<<20, "max_bytes", "%d, at least %d", c.MaxBytes, 1<<20)
	return errors.Join(errs...)
}

// pause is the time before the attempt after this one.
func (c Config) pause(attempt int) time.Duration {
	p := c.FirstPause
	for range attempt - 1 {
		if p = 2 * p; p >= c.LastPause {
			return c.LastPause
		}
	}
	return p
}
