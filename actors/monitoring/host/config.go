package host

import (
	"fmt"
	"time"
)

// Config of the figures of the machine.
type Config struct {
	Interval time.Duration `yaml:"interval" min:"100ms" max:"1h" doc:"Time between two readings."`
}

// DefaultConfig reads every five seconds.
func DefaultConfig() Config { return Config{Interval: 5 * time.Second} }

// Validate begins its error with the key.
func (c Config) Validate() error {
	if c.Interval < 100*time.Millisecond || c.Interval > time.Hour {
		return fmt.Errorf("interval: %v, allowed 100ms to 1h", c.Interval)
	}
	return nil
}
