package journal

import (
	"errors"
	"fmt"
	"time"
)

// Config of the recorders (data-storage-service.recorder).
type Config struct {
	// CreditWindow is how much of its own traffic a recorder holds in memory while
	// the journal does not answer.
	CreditWindow time.Duration `yaml:"credit_window" doc:"How much of its own traffic, in time, a recorder holds in memory while the journal does not answer."`
	// CreditMin and CreditMax bound that memory, in bytes, for each shard.
	CreditMin int64 `yaml:"credit_min" unit:"bytes" doc:"Least memory of a shard's recorder for records that the journal has not acknowledged."`
	CreditMax int64 `yaml:"credit_max" unit:"bytes" doc:"Most memory of a shard's recorder for records that the journal has not acknowledged."`
	// BatchInterval is the least time between two batches of entries for which
	// nobody waits; see doc.go. Each batch costs a sync.
	BatchInterval time.Duration `yaml:"batch_interval" doc:"Least time between two batches of records for which nobody waits, so that they share a sync; what an HTTP client waits for goes at once."`
	// GiveUp is how long a batch of unknown outcome is repeated before it is
	// abandoned.
	GiveUp time.Duration `yaml:"give_up" doc:"How long a batch of unknown outcome is repeated before it is given up and a gap recorded."`
	// ProbeInterval is the longest pause between two probes of a journal that
	// refuses.
	ProbeInterval time.Duration `yaml:"probe_interval" doc:"Longest pause between two tries of a journal that refuses."`
	// FlushTimeout is how long a stopping recorder waits until what it holds is
	// acknowledged.
	FlushTimeout time.Duration `yaml:"flush_timeout" doc:"How long a stopping recorder waits for the journal to acknowledge what it holds."`
}

// DefaultConfig holds 30 s of traffic, between 16 and 256 MiB.
func DefaultConfig() Config {
	return Config{
		CreditWindow:  30 * time.Second,
		CreditMin:     64 << 20,
		CreditMax:     256 << 20,
		BatchInterval: 10 * time.Millisecond,
		GiveUp:        30 * time.Second,
		ProbeInterval: 2 * time.Second,
		FlushTimeout:  15 * time.Second,
	}
}

// Validate returns all errors at once, each beginning with its key.
func (c Config) Validate() error {
	var errs []error
	bad := func(key string, got, allowed any) {
		errs = append(errs, fmt.Errorf("%s: %v, allowed %v", key, got, allowed))
	}
	if c.CreditWindow < time.Second || c.CreditWindow > 10*time.Minute {
		bad("credit_window", c.CreditWindow, "1s to 10m")
	}
	if c.CreditMin < 1<<20 {
		bad("credit_min", c.CreditMin, "1048576 or more")
	}
	if c.CreditMax < c.CreditMin {
		bad("credit_max", c.CreditMax, "credit_min or more")
	}
	if c.BatchInterval < 0 || c.BatchInterval > time.Second {
		bad("batch_interval", c.BatchInterval, "0s to 1s")
	}
	if c.GiveUp < 100*time.Millisecond || c.GiveUp > 10*time.Minute {
		bad("give_up", c.GiveUp, "100ms to 10m")
	}
	if c.ProbeInterval < 10*time.Millisecond || c.ProbeInterval > time.Minute {
		bad("probe_interval", c.ProbeInterval, "10ms to 1m")
	}
	if c.FlushTimeout < 100*time.Millisecond || c.FlushTimeout > 5*time.Minute {
		bad("flush_timeout", c.FlushTimeout, "100ms to 5m")
	}
	return errors.Join(errs...)
}
