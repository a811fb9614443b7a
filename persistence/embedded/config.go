package embedded

import (
	"errors"
	"fmt"
	"time"
)

// Config are the engine's settings.
type Config struct {
	// PublishInterval is how old unpublished records may become.
	PublishInterval time.Duration `yaml:"publish_interval" doc:"Greatest age of records that are not yet in a part file."`
	// PublishRows is the number of a shard's unpublished records that is sealed
	// without waiting for the interval.
	PublishRows int `yaml:"publish_rows" doc:"Number of a shard's unpublished records that are published without waiting for the interval."`
	// PublishBytes is the estimated memory of a shard's unpublished records that is
	// sealed without waiting for the interval.
	PublishBytes int64 `yaml:"publish_bytes" doc:"Estimated memory of a shard's unpublished records that are published without waiting for the interval."`
	// MergedRows is the largest number of rows that merging puts into one part.
	MergedRows int64 `yaml:"merged_rows" doc:"Most rows that merging puts into one part."`
	// UnlinkAfter is how long a file stays after it has left the manifest, for
	// readers outside the process.
	UnlinkAfter time.Duration `yaml:"unlink_after" doc:"How long a part that was merged away stays on disk, for readers outside the process."`
	// OpenParts is the number of part files that are kept open.
	OpenParts int `yaml:"open_parts" doc:"Number of part files that are kept open."`
}

// DefaultConfig are the settings for one node.
func DefaultConfig() Config {
	return Config{
		PublishInterval: 30 * time.Second,
		PublishRows:     1_000_000,
		PublishBytes:    512 << 20,
		MergedRows:      16_000_000,
		UnlinkAfter:     10 * time.Minute,
		OpenParts:       256,
	}
}

// Validate returns every setting that is out of range, joined.
func (c Config) Validate() error {
	var errs []error
	bad := func(key string, value any, allowed string) {
		errs = append(errs, fmt.Errorf("%s: %v is not %s", key, value, allowed))
	}
	if c.PublishInterval < time.Second || c.PublishInterval > time.Hour {
		bad("publish_interval", c.PublishInterval, "between 1s and 1h")
	}
	if c.PublishRows < 1 || c.PublishRows > 16_000_000 {
		bad("publish_rows", c.PublishRows, "between 1 and 16000000")
	}
	if c.PublishBytes < 1<<20 {
		bad("publish_bytes", c.PublishBytes, "at least 1048576")
	}
	if c.MergedRows < 1 {
		bad("merged_rows", c.MergedRows, "at least 1")
	}
	if c.UnlinkAfter < 0 {
		bad("unlink_after", c.UnlinkAfter, "at least 0")
	}
	if c.OpenParts < 1 {
		bad("open_parts", c.OpenParts, "at least 1")
	}
	return errors.Join(errs...)
}
