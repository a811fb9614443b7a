package supervise

import (
	"fmt"
)

// Config of a [System].
type Config struct {
	// Root answers the failures of the services' branches.
	Root Strategy `yaml:"root" doc:"How the root answers the failures of whole services."`
	// EventHistory is how many events the tree keeps, 1 to 1,000,000.
	EventHistory int `yaml:"event_history" doc:"Number of lifecycle events that are kept for the tree's views."`
}

// DefaultConfig is DefaultStrategy and 4096 events.
func DefaultConfig() Config { return Config{Root: DefaultStrategy(), EventHistory: 4096} }

// Validate reports the first value out of range.
func (c Config) Validate() error {
	if err := c.Root.Validate(); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if c.EventHistory < 1 || c.EventHistory > 1_000_000 {
		return fmt.Errorf("event_history %d is not between 1 and 1,000,000", c.EventHistory)
	}
	return nil
}
