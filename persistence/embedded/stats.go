package embedded

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/memtable"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

// Parts implements [persistence.Inspector].
func (e *Engine) Parts() []persistence.PartInfo {
	e.mu.RLock()
	defer e.mu.RUnlock()
	list := []persistence.PartInfo{}
	for _, parts := range e.parts {
		for _, p := range parts {
			info := e.info(p.meta)
			info.Archived = e.isArchived(p.meta)
			list = append(list, info)
		}
	}
	return list
}

func (e *Engine) info(m *part.Meta) persistence.PartInfo {
	return persistence.PartInfo{
		Table: m.Kind.Table(), Kind: m.Kind, Tier: "hot", Path: e.path(m), Bytes: m.Bytes, Rows: m.Rows, MinTime: m.MinTime, MaxTime: m.MaxTime,
		Shard: m.Shard, FirstSeq: m.FirstSeq, LastSeq: m.LastSeq, Created: time.Unix(0, m.Created).UTC(), Checksum: fmt.Sprintf("%016x", m.Checksum),
	}
}

// Ailments implements [persistence.Inspector]: damaged files are in Stats.
func (e *Engine) Ailments() []error { return nil }

// Streams implements [persistence.Inspector].
func (e *Engine) Streams(ctx context.Context, kind market.Kind) ([]market.StreamID, error) {
	if !kind.Valid() {
		return nil, nil
	}
	if err := e.gate.Enter(); err != nil {
		return nil, err
	}
	defer e.gate.Leave()
	return scan.Streams(ctx, e.Layers, kind)
}

// Stats implements [persistence.Inspector]. Rows are summed from the manifest and
// the memtables; only where two of an instrument's sources share a time are keys
// compared, and the outcome for parts is remembered.
func (e *Engine) Stats(ctx context.Context) (persistence.Stats, error) {
	stats := persistence.Stats{Superseded: e.memory.Superseded(), PublishFailures: int(e.failures.Load()), Quarantined: []persistence.Quarantined{}}
	for _, kind := range market.Kinds() {
		if kind.Table() == "" {
			continue
		}
		t, err := e.tableStats(ctx, kind)
		if err != nil {
			return stats, fmt.Errorf("counting %s: %w", kind.Table(), err)
		}
		stats.Tables = append(stats.Tables, t)
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, d := range e.damaged {
		stats.Quarantined = append(stats.Quarantined, persistence.Quarantined{Part: e.info(d.Meta), Path: filepath.Join(e.dir, d.Moved), Reason: d.Reason})
	}
	for _, path := range e.damagedLogs {
		stats.Quarantined = append(stats.Quarantined, persistence.Quarantined{
			Part: persistence.PartInfo{Tier: "hot", Path: filepath.Join(e.dir, "MANIFEST")}, Path: path,
			Reason: "it was made again from its readable records and the files; without this copy the next start has forgotten it",
		})
	}
	return stats, nil
}

func (e *Engine) tableStats(ctx context.Context, kind market.Kind) (persistence.TableStats, error) {
	t := persistence.TableStats{Table: kind.Table(), Kind: kind}
	if err := e.gate.Enter(); err != nil {
		return t, err
	}
	defer e.gate.Leave()
	has, err := e.schemas[kind].Project([]string{})
	if err != nil {
		return t, err
	}
	memory := e.memory.Pin(kind, math.MinInt64, math.MaxInt64, has) // before the parts: see package scan
	v := e.pin(scan.Selection{Kind: kind, From: math.MinInt64, To: math.MaxInt64, Has: has}, true)
	defer v.Release()
	for _, p := range v.parts {
		t.Parts++
		t.Bytes += p.meta.Bytes
		t.Rows += p.meta.Rows
	}
	streams := map[market.StreamID]bool{}
	for _, stream := range append(v.Streams(), memory.Streams()...) {
		if streams[stream] {
			continue
		}
		streams[stream] = true
		if err := v.countStream(ctx, stream, memory, &t); err != nil {
			return t, e.failed(err)
		}
	}
	t.Rows += t.MemoryRows
	return t, nil
}

// countStream adds a stream's rows in memory, and takes off the rows whose key
// another source has too.
func (v *view) countStream(ctx context.Context, stream market.StreamID, memory *memtable.View, t *persistence.TableStats) error {
	var extents []extent
	for _, p := range v.parts {
		if r := p.meta.Find(stream); r != nil {
			extents = append(extents, extent{name: p.meta.File, lo: r.MinTime, hi: r.MaxTime, part: p, rng: r})
		}
	}
	memory.Blocks(stream, func(b *part.Block, priority uint64) {
		t.MemoryRows += int64(b.Len())
		extents = append(extents, extent{lo: b.TS(0), hi: b.TS(b.Len() - 1), block: b, priority: priority})
	})
	for _, w := range part.Overlaps(extents, extent.bounds) {
		n, err := v.duplicates(ctx, stream, window(w))
		if err != nil {
			return err
		}
		t.Rows -= n
	}
	return nil
}

// extent is the time that one source covers.
type extent struct {
	name     string // "" in memory
	lo, hi   int64
	part     *stored
	rng      *part.Range
	block    *part.Block
	priority uint64
}

func (x extent) bounds() (lo, hi int64) { return x.lo, x.hi }

// window is a time that several sources cover.
type window part.Overlap[extent]

// duplicates counts the rows of a window that another row replaces.
func (v *view) duplicates(ctx context.Context, stream market.StreamID, w window) (int64, error) {
	name := w.name(stream)
	if n, ok := v.e.counted.Get(name); ok {
		return n, nil
	}
	var sources []part.Source
	for _, x := range w.In {
		if x.block != nil {
			lo := x.block.TimesFrom(w.Lo, 0, x.block.Len())
			hi := x.block.TimesFrom(w.Hi+1, lo, x.block.Len())
			if lo < hi {
				sources = append(sources, part.NewBlockSource(x.block.Project(v.s.Has), lo, hi, x.priority))
			}
			continue
		}
		sources = append(sources, &lateSource{part: x.part, rng: x.rng, scanOf: v.scanner(part.Interleaved), from: w.Lo, to: w.Hi + 1})
	}
	n, err := part.CountDropped(ctx, part.NewMerge(sources, false))
	if err != nil {
		return 0, err
	}
	v.e.counted.Put(name, n)
	return n, nil
}

// name identifies a window of parts; "" when memory is in it, which changes.
func (w *window) name(stream market.StreamID) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s|%d|%d", stream, w.Lo, w.Hi)
	for _, x := range w.In {
		if x.name == "" {
			return ""
		}
		b.WriteString("|" + x.name)
	}
	return b.String()
}
