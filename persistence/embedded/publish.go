package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/memtable"
	"github.com/marketprism/marketprism/persistence/part"
)

// finished is one kind's part of a table, before the manifest lists it.
type finished struct {
	meta    *part.Meta
	dropped int64
}

// writing is how far a shard's publication is.
func (e *Engine) writing(shard int) *memtable.Writing[finished] {
	e.publishingMu.Lock()
	defer e.publishingMu.Unlock()
	w := e.publishing[shard]
	if w == nil {
		w = memtable.NewWriting[finished](e.memory, shard)
		e.publishing[shard] = w
	}
	return w
}

// Publish implements [persistence.Writer].
func (e *Engine) Publish(ctx context.Context, shard int) error {
	for {
		sealed, ok := e.Sealed(shard)
		if !ok {
			if e.gate.IsShut() {
				return persistence.ErrClosed
			}
			return nil
		}
		for _, kind := range sealed.Left {
			if err := e.Write(ctx, shard, kind); err != nil {
				return err
			}
		}
		if err := e.Commit(ctx, shard); err != nil {
			return err
		}
	}
}

// Sealed implements [persistence.Publisher].
func (e *Engine) Sealed(shard int) (persistence.Sealed, bool) { return e.writing(shard).Sealed() }

// Write implements [persistence.Publisher]: the kind's part is made, and not listed
// yet.
func (e *Engine) Write(ctx context.Context, shard int, kind market.Kind) error {
	if err := e.gate.Enter(); err != nil {
		return err
	}
	defer e.gate.Leave()
	// Each part under way holds a row group in memory.
	select {
	case e.writers <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-e.writers }()
	err := e.writing(shard).Write(kind, func(t *memtable.Table, began time.Time) (finished, error) {
		return e.writePart(ctx, t, kind, e.firstOf(t), began.UnixNano())
	})
	return e.unpublished("writing "+kind.Table()+" of", shard, err)
}

// unpublished counts an error.
func (e *Engine) unpublished(what string, shard int, err error) error {
	if err == nil {
		return nil
	}
	e.failures.Add(1)
	e.metrics.Retries.Inc()
	return fmt.Errorf("%s shard %d: %w", what, shard, err)
}

// Commit implements [persistence.Publisher]: one record of the manifest lists the
// parts and the position, and the parts take the records' place.
func (e *Engine) Commit(_ context.Context, shard int) error {
	if err := e.gate.Enter(); err != nil {
		return err
	}
	defer e.gate.Leave()
	err := e.writing(shard).Commit(func(t *memtable.Table, began time.Time, done map[market.Kind]finished) error {
		change := &part.Change{Positions: []persistence.Position{t.Position}}
		dropped := int64(0)
		for _, kind := range market.Kinds() {
			if f, ok := done[kind]; ok {
				change.Add = append(change.Add, f.meta)
				dropped += f.dropped
			}
		}
		e.manifestMu.Lock()
		defer e.manifestMu.Unlock()
		if err := e.manifest.Append(change); err != nil {
			return err
		}
		e.install(change.Add)
		e.memory.Drop(t) // after its parts are listed: a query meets its rows in one place at least
		e.observePublication(t, change.Add, dropped)
		e.metrics.Flush.Observe(e.now().Sub(began).Seconds())
		e.failures.Store(0)
		return nil
	})
	return e.unpublished("publishing", shard, err)
}

// Settle implements [persistence.Publisher]: a commit is the position.
func (e *Engine) Settle(context.Context, int) error { return nil }

// Rewind implements [persistence.Publisher]: what is on the disk stays.
func (e *Engine) Rewind(int) {}

// firstOf is the first sequence of what a table covers: behind what is published, or where
// reading began when that is not known. What lay before it is in other parts.
func (e *Engine) firstOf(t *memtable.Table) uint64 {
	p := e.memory.Position(t.Shard)
	if p.JournalID == "" {
		return max(t.First(), p.Seq+1)
	}
	return p.Seq + 1
}

// writePart writes one kind of a table's records.
func (e *Engine) writePart(ctx context.Context, t *memtable.Table, kind market.Kind, first uint64, created int64) (finished, error) {
	meta := part.Meta{
		Kind: kind, File: e.fileName(kind, t.Shard, first, t.Position.Seq), JournalID: t.Position.JournalID,
		Shard: t.Shard, FirstSeq: first, LastSeq: t.Position.Seq, Created: created,
	}
	dropped := int64(0)
	made, err := part.Create(e.disk, e.dir, e.schemas[kind], e.names, meta, func(w *part.Writer) error {
		for _, stream := range t.Streams(kind) {
			merge, before := t.Merge(kind, stream, math.MinInt64, math.MaxInt64)
			if err := copyRows(ctx, w, stream, merge); err != nil {
				return err
			}
			dropped += merge.Dropped + before
		}
		return nil
	})
	return finished{&made, dropped}, err
}

// copyRows writes one instrument's merged rows.
func copyRows(ctx context.Context, w *part.Writer, stream market.StreamID, merge *part.Merge) error {
	w.Begin(stream)
	for {
		span, err := merge.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.Append(span); err != nil {
			return err
		}
	}
}

// install lists new parts.
func (e *Engine) install(made []*part.Meta) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, meta := range made {
		p := e.newStored(meta)
		p.verified.Store(true)
		e.addPart(p)
	}
}

// addPart lists a part; e.mu is locked.
func (e *Engine) addPart(p *stored) {
	kind := p.meta.Kind
	parts := append(slices.Clone(e.parts[kind]), p)
	sortParts(parts)
	e.parts[kind] = parts
	e.metrics.setParts(kind, parts)
}

func (e *Engine) observePublication(t *memtable.Table, made []*part.Meta, dropped int64) {
	rows := t.Rows()
	e.metrics.Queue.Sub(float64(rows))
	e.metrics.BatchRows.Observe(float64(rows))
	if dropped > 0 {
		e.metrics.Dropped.WithLabelValues("duplicate").Add(float64(dropped))
	}
	for _, meta := range made {
		e.metrics.Bytes.WithLabelValues(meta.Kind.Table()).Add(float64(meta.Bytes))
	}
	e.log.Debug("published", zap.Int("shard", t.Shard), zap.Uint64("seq", t.Position.Seq), zap.Int64("rows", rows), zap.Int("parts", len(made)))
}

func (e *Engine) refreshGauges() {
	for kind, schema := range e.schemas {
		if schema != nil {
			e.metrics.setParts(market.Kind(kind), e.parts[kind])
		}
	}
	e.metrics.quarantined.Set(float64(len(e.damaged)))
}
