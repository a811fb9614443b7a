// Package router makes one store of a hot engine and what is older: writes go to
// the engine, a query meets the rows of both as one.
//
// A row is listed in at least one of them at every moment, and read once: while it
// is listed in both, its key is the same, and the later journal position wins
// (persistence/scan).
package router

import (
	"context"
	"errors"
	"slices"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

// Hot is an engine that says how it answers queries.
type Hot interface {
	persistence.Engine
	Scan() scan.Reader
}

// Older is what lies behind the engine.
type Older interface {
	scan.Layer
	// Streams lists the streams that have rows of a kind.
	Streams(kind market.Kind) []market.StreamID
	Close() error
}

// Engine is both. What it does not say itself is the hot engine's: Stats and Parts
// are of that alone.
type Engine struct {
	persistence.Engine
	reader scan.Reader
	older  Older
}

// New joins an engine with what is older. Both are the new one's to close, and
// share their names (part.Names).
func New(hot Hot, older Older) *Engine {
	reader := hot.Scan()
	reader.Layers = append(slices.Clone(reader.Layers), older)
	return &Engine{Engine: hot, reader: reader, older: older}
}

// Query implements [persistence.Reader].
func (e *Engine) Query(ctx context.Context, q persistence.Query) (persistence.Rows, error) {
	return e.reader.Query(ctx, q)
}

// Candles implements [persistence.Reader].
func (e *Engine) Candles(ctx context.Context, q persistence.CandleQuery) (persistence.Rows, error) {
	return e.reader.Candles(ctx, q)
}

// Last implements [persistence.Reader].
func (e *Engine) Last(ctx context.Context, kind market.Kind, stream market.StreamID, origin persistence.OriginFilter, into *market.Batch) (market.Record, bool, error) {
	return e.reader.Last(ctx, kind, stream, origin, into)
}

// Streams implements [persistence.Inspector].
func (e *Engine) Streams(kind market.Kind) []market.StreamID {
	list := append(slices.Clone(e.Engine.Streams(kind)), e.older.Streams(kind)...)
	slices.SortFunc(list, part.CompareStreams)
	return slices.Compact(list)
}

// Close implements [persistence.Engine].
func (e *Engine) Close() error { return errors.Join(e.Engine.Close(), e.older.Close()) }
