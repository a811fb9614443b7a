package questdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/memtable"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

// Parts implements [persistence.Inspector]: the server's files are its own.
func (e *Engine) Parts() []persistence.PartInfo { return nil }

// Streams implements [persistence.Inspector].
func (e *Engine) Streams(ctx context.Context, kind market.Kind) ([]market.StreamID, error) {
	if kind.Table() == "" {
		return nil, nil
	}
	if err := e.gate.Enter(); err != nil {
		return nil, err
	}
	defer e.gate.Leave()
	ctx, cancel := context.WithTimeout(ctx, e.cfg.RequestTimeout)
	defer cancel()
	return scan.Streams(ctx, e.Layers, kind)
}

// Stats implements [persistence.Inspector]. What is on its way to the server just
// then may be counted twice, or not.
func (e *Engine) Stats(ctx context.Context) (persistence.Stats, error) {
	stats := persistence.Stats{Superseded: e.memory.Superseded(), PublishFailures: int(e.failures.Load()), Quarantined: []persistence.Quarantined{}}
	if err := e.gate.Enter(); err != nil {
		return stats, err
	}
	defer e.gate.Leave()
	if err := e.prepare(ctx); err != nil {
		return stats, err
	}
	for _, kind := range market.Kinds() {
		if e.tables[kind] == nil {
			continue
		}
		t, err := e.tableStats(ctx, kind)
		if err != nil {
			return stats, fmt.Errorf("counting %s: %w", kind.Table(), e.away(err))
		}
		stats.Tables = append(stats.Tables, t)
	}
	return stats, nil
}

func (e *Engine) tableStats(ctx context.Context, kind market.Kind) (persistence.TableStats, error) {
	t := persistence.TableStats{Table: kind.Table(), Kind: kind}
	has, err := e.schemas[kind].Project([]string{})
	if err != nil {
		return t, err
	}
	memory := e.memory.Pin(kind, math.MinInt64, math.MaxInt64, has)
	if err := e.reads.QueryRow(ctx, "SELECT count() FROM "+t.Table).Scan(&t.Rows); err != nil {
		return t, err
	}
	// The function wants a constant; the name is one of ours.
	if err := e.reads.QueryRow(ctx, fmt.Sprintf("SELECT coalesce(sum(diskSize), 0) FROM table_partitions('%s')", t.Table)).Scan(&t.Bytes); err != nil {
		return t, err
	}
	seen := map[market.StreamID]bool{}
	for _, stream := range memory.Streams() {
		if seen[stream] {
			continue
		}
		seen[stream] = true
		if err := e.countMemory(ctx, memory, stream, has, &t); err != nil {
			return t, err
		}
	}
	t.Rows += t.MemoryRows
	return t, nil
}

// countMemory adds a stream's rows in memory, and takes off those whose key
// another row has too, in memory or on the server.
func (e *Engine) countMemory(ctx context.Context, memory *memtable.View, stream market.StreamID, has part.Projection, t *persistence.TableStats) error {
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	memory.Blocks(stream, func(b *part.Block, _ uint64) {
		t.MemoryRows += int64(b.Len())
		lo, hi = min(lo, b.TS(0)), max(hi, b.TS(b.Len()-1))
	})
	if lo > hi {
		return nil
	}
	v, err := e.pin(ctx, scan.Selection{Kind: t.Kind, Stream: &stream, From: lo, To: hi + 1, Has: has}, true)
	if err != nil {
		return err
	}
	defer v.Release()
	m := part.NewMerge(memory.Sources(v.Sources(nil, stream, part.OneStream), stream, part.OneStream), false)
	for {
		if _, err := m.Next(ctx); errors.Is(err, io.EOF) {
			t.Rows -= m.Dropped
			return nil
		} else if err != nil {
			return err
		}
	}
}
