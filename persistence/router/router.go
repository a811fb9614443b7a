// Package router makes one store of a hot engine and a cold one: writes go to the
// engine, a query meets the rows of both as one, and rows move from the one to the
// other.
//
// A row is listed in at least one of them at every moment, and read once: while it
// is listed in both, its key is the same, and the later journal position wins
// (persistence/scan).
//
// While the cold store is out of reach a query fails with persistence.ErrAway
// rather than with fewer rows, unless it asks for the hot tier alone. Writes go on.
package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

// Hot is an engine that says how it answers queries, and can be archived.
type Hot interface {
	persistence.Engine
	scan.Hot
	Scan() scan.Reader
}

// Cold is what lies behind the engine.
type Cold interface {
	scan.Layer
	// Streams lists the streams that have rows of a kind.
	Streams(kind market.Kind) ([]market.StreamID, error)
	Archive(ctx context.Context, shards int, o persistence.ArchiveOptions) (persistence.ArchiveReport, error)
	Retain(ctx context.Context, age time.Duration) (rows int64, err error)
	Tend(ctx context.Context) error
	persistence.Upkeeper
	// Count makes the counts of Stats those of keys.
	Count(ctx context.Context) error
	Stats() persistence.ColdStats
	Parts() ([]persistence.PartInfo, error)
	Close() error
}

// Engine is both. What it does not say itself is the hot engine's: Stats and Parts
// are of that alone.
type Engine struct {
	persistence.Engine
	readers [3]scan.Reader // by persistence.Tier
	cold    Cold
	move    scan.Hot
	shards  int
}

var (
	_ persistence.Tiers   = (*Engine)(nil)
	_ persistence.Resumer = (*Engine)(nil)
	_ persistence.Shared  = (*Engine)(nil)
)

// New joins an engine that has a journal's shards with a cold store. Both are the
// new one's to close, and share their names (part.Names).
func New(hot Hot, older Cold, shards int) *Engine {
	e := &Engine{Engine: hot, move: hot, cold: older, shards: shards}
	reader := hot.Scan()
	layers := reader.Layers
	for tier := range e.readers {
		reader.Layers = layers
		switch persistence.Tier(tier) {
		case persistence.TierAll:
			reader.Layers = append(slices.Clone(layers), older)
		case persistence.TierCold:
			reader.Layers = []scan.Layer{older}
		}
		e.readers[tier] = reader
	}
	return e
}

// Query implements [persistence.Reader].
func (e *Engine) Query(ctx context.Context, q persistence.Query) (persistence.Rows, error) {
	if int(q.Tier) >= len(e.readers) {
		return nil, fmt.Errorf("%w: tier %d", persistence.ErrQuery, q.Tier)
	}
	return e.readers[q.Tier].Query(ctx, q)
}

// Candles implements [persistence.Reader].
func (e *Engine) Candles(ctx context.Context, q persistence.CandleQuery) (persistence.Rows, error) {
	return e.readers[persistence.TierAll].Candles(ctx, q)
}

// Last implements [persistence.Reader].
func (e *Engine) Last(ctx context.Context, kind market.Kind, stream market.StreamID, origin persistence.OriginFilter, into *market.Batch) (market.Record, bool, error) {
	return e.readers[persistence.TierAll].Last(ctx, kind, stream, origin, into)
}

// Streams implements [persistence.Inspector]. The hot store is asked first: what is
// archived meanwhile is in both.
func (e *Engine) Streams(ctx context.Context, kind market.Kind) ([]market.StreamID, error) {
	hot, err := e.Engine.Streams(ctx, kind)
	if err != nil {
		return nil, err
	}
	cold, err := e.cold.Streams(kind)
	if err != nil {
		return nil, err
	}
	list := append(slices.Clone(hot), cold...)
	slices.SortFunc(list, part.CompareStreams)
	return slices.Compact(list), nil
}

// Close implements [persistence.Engine].
func (e *Engine) Close() error { return errors.Join(e.Engine.Close(), e.cold.Close()) }

// Resume implements [persistence.Resumer], where the hot engine does.
func (e *Engine) Resume(ctx context.Context, kind market.Kind) (reason string, err error) {
	if r, ok := e.Engine.(persistence.Resumer); ok {
		return r.Resume(ctx, kind)
	}
	return "", persistence.ErrNoServer
}

// Begin implements [persistence.Shared], where the hot engine does.
func (e *Engine) Begin(ctx context.Context, shard int) error {
	if s, ok := e.Engine.(persistence.Shared); ok {
		return s.Begin(ctx, shard)
	}
	return persistence.ErrNoServer
}

// Archive implements [persistence.Tiers].
func (e *Engine) Archive(ctx context.Context, o persistence.ArchiveOptions) (persistence.ArchiveReport, error) {
	return e.cold.Archive(ctx, e.shards, o)
}

// kindsOf are the kinds that have a table, of those given, or all.
func kindsOf(kinds []market.Kind) []market.Kind {
	if len(kinds) == 0 {
		kinds = market.Kinds()
	}
	return slices.DeleteFunc(slices.Clone(kinds), func(k market.Kind) bool { return k.Table() == "" })
}

// Waiting implements [persistence.Tiers].
func (e *Engine) Waiting(ctx context.Context, kinds []market.Kind, before time.Time) (rows int64, err error) {
	for _, kind := range kindsOf(kinds) {
		n, err := e.move.Waiting(ctx, kind, before)
		rows += n
		if err != nil {
			return rows, fmt.Errorf("counting rows of %s that are not archived: %w", kind.Table(), err)
		}
	}
	return rows, nil
}

// Behind implements [persistence.Tiers].
func (e *Engine) Behind() (rows int64, oldest time.Time) {
	for _, kind := range kindsOf(nil) {
		n, at := e.move.Behind(kind)
		rows += n
		if !at.IsZero() && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
	}
	return rows, oldest
}

// Sizes implements [persistence.Tiers].
func (e *Engine) Sizes(ctx context.Context) (all []persistence.Size, err error) {
	for _, kind := range kindsOf(nil) {
		list, err := e.move.Sizes(ctx, kind)
		if err != nil {
			return nil, fmt.Errorf("measuring %s: %w", kind.Table(), err)
		}
		all = append(all, list...)
	}
	return all, nil
}

// Forget implements [persistence.Tiers].
func (e *Engine) Forget(ctx context.Context, o persistence.ForgetOptions) (rows int64, err error) {
	for _, kind := range kindsOf(o.Kinds) {
		n, err := e.move.Forget(ctx, kind, o)
		rows += n
		if err != nil {
			return rows, fmt.Errorf("removing rows of %s: %w", kind.Table(), err)
		}
	}
	return rows, nil
}

// Removed implements [persistence.Tiers].
func (e *Engine) Removed(ctx context.Context, r persistence.Removal) (bool, error) {
	done, err := e.move.Removed(ctx, r)
	if err != nil {
		return false, fmt.Errorf("looking whether rows of %s were removed: %w", r.Table, err)
	}
	return done, nil
}

// Retain implements [persistence.Tiers].
func (e *Engine) Retain(ctx context.Context, age time.Duration) (int64, error) {
	return e.cold.Retain(ctx, age)
}

// Upkeep implements [persistence.Upkeeper].
func (e *Engine) Upkeep(ctx context.Context, told func(persistence.UpkeepReport)) (persistence.UpkeepReport, error) {
	return e.cold.Upkeep(ctx, told)
}

// Stats implements [persistence.Inspector]: of the hot store. The keys of the cold one
// are counted too, for ColdStats; when they cannot be, that says so.
func (e *Engine) Stats(ctx context.Context) (persistence.Stats, error) {
	stats, err := e.Engine.Stats(ctx)
	if err == nil && e.cold.Count(ctx) != nil {
		err = ctx.Err()
	}
	return stats, err
}

// Tend implements [persistence.Tiers].
func (e *Engine) Tend(ctx context.Context) error { return e.cold.Tend(ctx) }

// ColdStats implements [persistence.Tiers].
func (e *Engine) ColdStats() persistence.ColdStats { return e.cold.Stats() }

// ColdParts implements [persistence.Tiers].
func (e *Engine) ColdParts() ([]persistence.PartInfo, error) { return e.cold.Parts() }
