package scan

import (
	"context"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/memtable"
)

// Memory is the layer of records that are not published yet.
type Memory struct{ Store *memtable.Store }

// Pin implements [Layer].
func (m Memory) Pin(_ context.Context, s Selection) (View, error) {
	return m.Store.Pin(s.Kind, s.From, s.To, s.Has), nil
}

// HasCollected implements [Layer].
func (m Memory) HasCollected(_ context.Context, kind market.Kind, stream market.StreamID) (bool, error) {
	return m.Store.HasCollected(kind, stream), nil
}

// Failed implements [Layer].
func (Memory) Failed(err error) error { return err }
