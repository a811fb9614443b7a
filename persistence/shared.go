package persistence

import "context"

// Shared is a store on a server that several processes bring the journal into, each shard
// by one of them at a time.
type Shared interface {
	// Begin forgets what was applied of a shard, and begins it behind the position that is
	// saved: that of whoever had it last. Nobody may be applying.
	Begin(ctx context.Context, shard int) error
}
