package journal

import (
	"errors"
	"fmt"
	"time"

	"github.com/marketprism/marketprism/internal/copies"
)

// Config is the journal's part of the configuration
// (data-storage-service.journal).
type Config struct {
	// Shards is K, 1 to 64. It is fixed when the journal is made.
	Shards int `yaml:"shards" doc:"Number of streams that the journal is made of, 1 to 64; it is fixed when the journal is made."`
	// Replicas of each stream: 1, 3 or 5; 0 is 3 where the broker has several nodes,
	// else 1.
	Replicas int `yaml:"replicas" doc:"Copies of each stream: 1, 3 or 5; 0 is 3 where the broker has several nodes, else 1."`
	// MaxBytes is the size of the whole journal on one broker node, in bytes; a
	// shard takes its share. Full, the journal refuses.
	MaxBytes int64 `yaml:"max_bytes" doc:"Size of the whole journal on one broker node, shared out among its shards; when full, it refuses."`
	// BatchBytes caps a batch, in bytes before compression.
	BatchBytes int `yaml:"batch_bytes" doc:"Largest batch, in bytes before compression; a batch goes earlier, as soon as the one before it is acknowledged."`
	// PublishTimeout is how long one attempt waits for its acknowledgement.
	PublishTimeout time.Duration `yaml:"publish_timeout" doc:"How long one attempt to publish waits for its acknowledgement."`
	// DiskFreeBytes and DiskFreePercent: a recorder refuses when the journal's
	// disk has less free than the larger of the two.
	DiskFreeBytes   int64   `yaml:"disk_free_bytes" doc:"Free disk space below which a recorder refuses; the larger of this and disk_free_percent counts."`
	DiskFreePercent float64 `yaml:"disk_free_percent" doc:"Free part of the disk, in percent, below which a recorder refuses; the larger of this and disk_free_bytes counts."`
	// ReadAheadBytes is what the broker may send ahead of a reader: more than the
	// largest message.
	ReadAheadBytes int `yaml:"read_ahead_bytes" doc:"What the broker may send ahead of a reader; more than the largest message."`
	// RegisterInterval is the shortest time between two updates of a reader's
	// registered position; each costs the broker one synced write.
	RegisterInterval time.Duration `yaml:"register_interval" doc:"Shortest time between two updates of a reader's registered position; each costs the broker one synced write."`
	// PurgeInterval is the time between two purges of a shard.
	PurgeInterval time.Duration `yaml:"purge_interval" doc:"Time between two purges of what every reader has stored."`
}

// DefaultConfig is a single node's journal.
func DefaultConfig() Config {
	return Config{
		Shards:           1,
		MaxBytes:         4 << 30,
		BatchBytes:       1 << 20,
		PublishTimeout:   5 * time.Second,
		DiskFreeBytes:    256 << 20,
		DiskFreePercent:  2,
		ReadAheadBytes:   16 << 20,
		RegisterInterval: 10 * time.Second,
		PurgeInterval:    30 * time.Second,
	}
}

// Limits of Config.
const (
	MaxShards = 64
	// minShardBytes leaves room for two of the largest messages.
	minShardBytes = 2*MaxMessage + 1<<20
	// minReadAhead is the largest message with its subjects: below it, the broker
	// would never send that message.
	minReadAhead = MaxMessage + 4<<10
)

// Validate returns all errors at once, each beginning with its key.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	between := func(key string, got, low, high time.Duration) {
		if got < low || got > high {
			bad(key, "%v, allowed %v to %v", got, low, high)
		}
	}
	if c.Shards < 1 || c.Shards > MaxShards {
		bad("shards", "%d, allowed 1 to %d", c.Shards, MaxShards)
	}
	if !copies.Allowed(c.Replicas) {
		bad("replicas", "%d, allowed 0, 1, 3, 5", c.Replicas)
	}
	if low := int64(max(c.Shards, 1)) * minShardBytes; c.MaxBytes < low {
		bad("max_bytes", "%d, at least %d for %d shards", c.MaxBytes, low, c.Shards)
	}
	if c.BatchBytes < 4<<10 || c.BatchBytes > MaxMessage {
		bad("batch_bytes", "%d, allowed %d to %d", c.BatchBytes, 4<<10, MaxMessage)
	}
	if c.DiskFreeBytes < 0 {
		bad("disk_free_bytes", "%d, at least 0", c.DiskFreeBytes)
	}
	if !(c.DiskFreePercent >= 0 && c.DiskFreePercent <= 50) {
		bad("disk_free_percent", "%v, allowed 0 to 50", c.DiskFreePercent)
	}
	if c.ReadAheadBytes < minReadAhead || c.ReadAheadBytes > 256<<20 {
		bad("read_ahead_bytes", "%d, allowed %d to %d", c.ReadAheadBytes, minReadAhead, 256<<20)
	}
	between("publish_timeout", c.PublishTimeout, 100*time.Millisecond, time.Minute)
	between("register_interval", c.RegisterInterval, 0, 10*time.Minute)
	between("purge_interval", c.PurgeInterval, time.Second, time.Hour)
	return errors.Join(errs...)
}
