package storage

import (
	"errors"
	"fmt"
	"time"
)

// HotConfig says how much the hot store keeps (data-storage-service.storage.hot_storage).
type HotConfig struct {
	TTLHours  int `yaml:"ttl_hours" min:"1" max:"87600" doc:"Hours after their arrival at which rows leave the hot store, once they are archived."`
	MaxSizeMB int `yaml:"max_size_mb" min:"0" doc:"Size on disk, in MB of 10^6 bytes, beyond which the oldest rows are archived early and leave the hot store; 0 is no limit."`
}

// LifecycleConfig says when rows are archived (data-storage-service.storage.lifecycle).
type LifecycleConfig struct {
	Archive      bool          `yaml:"archive" doc:"Whether rows are archived by themselves. When not, rows older than hot_storage.ttl_hours are deleted."`
	Interval     time.Duration `yaml:"interval" doc:"Time between two archives; at most a twelfth of hot_storage.ttl_hours is used."`
	ArchiveAfter time.Duration `yaml:"archive_after" doc:"Age, counted from arrival, at which rows are archived; at most a third of hot_storage.ttl_hours is used."`
}

// PolicyConfig is when rows move and go.
type PolicyConfig struct {
	Hot       HotConfig
	Lifecycle LifecycleConfig
	// ColdTTLDays is after how many days archived rows are deleted; 0 keeps them.
	ColdTTLDays int
}

// DefaultPolicyConfig keeps rows for three days in the hot store and for ever in the cold
// one.
func DefaultPolicyConfig() PolicyConfig {
	return PolicyConfig{
		Hot:       HotConfig{TTLHours: 72},
		Lifecycle: LifecycleConfig{Archive: true, Interval: time.Hour, ArchiveAfter: 24 * time.Hour},
	}
}

// Validate returns all errors at once, each beginning with its key.
func (c HotConfig) Validate() error {
	var errs []error
	if c.TTLHours < 1 || c.TTLHours > 87600 {
		errs = append(errs, fmt.Errorf("ttl_hours: %d, allowed 1 to 87600", c.TTLHours))
	}
	if c.MaxSizeMB < 0 {
		errs = append(errs, fmt.Errorf("max_size_mb: %d, allowed 0 or more", c.MaxSizeMB))
	}
	return errors.Join(errs...)
}

// Validate returns all errors at once, each beginning with its key.
func (c LifecycleConfig) Validate() error {
	var errs []error
	if c.Interval < time.Second || c.Interval > 30*24*time.Hour {
		errs = append(errs, fmt.Errorf("interval: %v, allowed 1s to 720h", c.Interval))
	}
	if c.ArchiveAfter < 0 || c.ArchiveAfter > 10*365*24*time.Hour {
		errs = append(errs, fmt.Errorf("archive_after: %v, allowed 0s to 87600h", c.ArchiveAfter))
	}
	return errors.Join(errs...)
}

// Validate reports every setting that cannot be.
func (p PolicyConfig) Validate() error {
	err := errors.Join(p.Hot.Validate(), p.Lifecycle.Validate())
	if p.ColdTTLDays < 0 {
		err = errors.Join(err, fmt.Errorf("cold ttl_days: %d, allowed 0 or more", p.ColdTTLDays))
	}
	return err
}

func (p PolicyConfig) ttl() time.Duration { return time.Duration(p.Hot.TTLHours) * time.Hour }

// A lag of half the TTL is an alarm, so what is waited for on purpose stays below.

// archiveAfter is the age at which rows are archived.
func (p PolicyConfig) archiveAfter() time.Duration { return min(p.Lifecycle.ArchiveAfter, p.ttl()/3) }

// interval is the time between two archives.
func (p PolicyConfig) interval() time.Duration { return min(p.Lifecycle.Interval, p.ttl()/12) }

// sizeLimit is in bytes; 0 is none.
func (p PolicyConfig) sizeLimit() int64 { return int64(p.Hot.MaxSizeMB) * 1e6 }
