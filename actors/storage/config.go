package storage

import (
	"errors"
	"fmt"
	"time"
)

// Config of the branch (data-storage-service.actors).
type Config struct {
	// SealInterval is the time between two looks at whether records are due to be
	// published.
	SealInterval time.Duration `yaml:"seal_interval" doc:"Time between two looks at whether records are due to be published."`
	// PublishRetry is the longest pause between two attempts to publish.
	PublishRetry time.Duration `yaml:"publish_retry" doc:"Longest pause between two attempts to publish."`
	// StopTimeout is how long a stopping reader may take to publish what it has
	// applied.
	StopTimeout time.Duration `yaml:"stop_timeout" doc:"How long a stopping reader may take to publish what it has applied."`
	// MaintainInterval is the time between two runs of maintenance.
	MaintainInterval time.Duration `yaml:"maintain_interval" doc:"Time between two runs of maintenance: checking, merging and removing files."`
	// VisibleTimeout is how long a write waits until queries see it.
	VisibleTimeout time.Duration `yaml:"visible_timeout" doc:"How long a write waits until queries see it, before it is answered with visible false."`
	// Takeover is after how much silence of the node that brings a shard into a store that
	// several share another does.
	Takeover time.Duration `yaml:"takeover" doc:"After how much silence of the node that brings a shard of the journal into a shared QuestDB another one does."`
	// RetireAfter is how long a reader of the journal must have said nothing before it
	// can be retired.
	RetireAfter time.Duration `yaml:"retire_after" doc:"How long another reader of the journal must have said nothing before it can be retired."`
	// StaleAfter is for how long it may be unknown whether queries see all that the
	// journal has, until their answers say so.
	StaleAfter time.Duration `yaml:"stale_after" doc:"For how long it may be unknown whether queries see all that the journal has, until their answers say so (X-Stale)."`
	// MaxLeases bounds the queries whose rows are open.
	MaxLeases int `yaml:"max_leases" doc:"Most queries whose rows are open at once; more are refused."`
	// MaxRequests bounds the other questions under way, MaxWrites the writes.
	MaxRequests int `yaml:"max_requests" doc:"Most other questions under way at once; more are refused."`
	MaxWrites   int `yaml:"max_writes" doc:"Most writes under way at once; more are refused."`
}

// DefaultConfig is one node's.
func DefaultConfig() Config {
	return Config{
		SealInterval:     250 * time.Millisecond,
		PublishRetry:     10 * time.Second,
		StopTimeout:      time.Minute,
		MaintainInterval: 15 * time.Second,
		VisibleTimeout:   2 * time.Second,
		Takeover:         6 * time.Second,
		RetireAfter:      10 * time.Minute,
		StaleAfter:       10 * time.Second,
		MaxLeases:        256,
		MaxRequests:      256,
		MaxWrites:        1024,
	}
}

// Validate returns all errors at once, each beginning with its key.
func (c Config) Validate() error {
	var errs []error
	between := func(key string, got, low, high time.Duration) {
		if got < low || got > high {
			errs = append(errs, fmt.Errorf("%s: %v, allowed %v to %v", key, got, low, high))
		}
	}
	count := func(key string, got int) {
		if got < 1 || got > 1<<20 {
			errs = append(errs, fmt.Errorf("%s: %d, allowed 1 to %d", key, got, 1<<20))
		}
	}
	between("seal_interval", c.SealInterval, time.Millisecond, time.Minute)
	between("publish_retry", c.PublishRetry, time.Millisecond, 10*time.Minute)
	between("stop_timeout", c.StopTimeout, 100*time.Millisecond, time.Hour)
	between("maintain_interval", c.MaintainInterval, 10*time.Millisecond, time.Hour)
	between("visible_timeout", c.VisibleTimeout, 0, time.Minute)
	between("takeover", c.Takeover, time.Second, 5*time.Minute)
	between("retire_after", c.RetireAfter, 0, 24*time.Hour)
	between("stale_after", c.StaleAfter, 3*time.Second, time.Hour)
	count("max_leases", c.MaxLeases)
	count("max_requests", c.MaxRequests)
	count("max_writes", c.MaxWrites)
	return errors.Join(errs...)
}
