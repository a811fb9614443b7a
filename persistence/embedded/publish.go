package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/memtable"
	"github.com/marketprism/marketprism/persistence/part"
)

// publication is the state of a shard's publishing.
type publication struct {
	sync.Mutex // one at a time
	// of is the table under way, done the parts that a failed attempt has made.
	of   *memtable.Table
	done map[market.Kind]*part.Meta
}

func (e *Engine) publicationOf(shard int) *publication {
	e.publishingMu.Lock()
	defer e.publishingMu.Unlock()
	p := e.publishing[shard]
	if p == nil {
		p = &publication{}
		e.publishing[shard] = p
	}
	return p
}

// Publish implements [persistence.Writer].
func (e *Engine) Publish(ctx context.Context, shard int) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.calls.Done()
	p := e.publicationOf(shard)
	p.Lock()
	defer p.Unlock()
	for {
		t := e.memory.Oldest(shard)
		if t == nil {
			return nil
		}
		if p.of != t {
			p.of, p.done = t, map[market.Kind]*part.Meta{}
		}
		if err := e.publish(ctx, p); err != nil {
			e.failures.Add(1)
			e.metrics.Retries.Inc()
			return fmt.Errorf("publishing shard %d up to %d: %w", shard, t.Position.Seq, err)
		}
		e.failures.Store(0)
	}
}

// publish makes one sealed table durable and lets its parts take its place.
func (e *Engine) publish(ctx context.Context, p *publication) error {
	t := p.of
	began := e.now()
	first := e.memory.Position(t.Shard).Seq + 1
	change := &part.Change{Positions: []persistence.Position{t.Position}}
	dropped := int64(0)
	for _, kind := range market.Kinds() {
		if t.KindRows(kind) == 0 {
			continue
		}
		meta := p.done[kind]
		if meta == nil {
			made, drop, err := e.writePart(ctx, t, kind, first, began.UnixNano())
			if err != nil {
				return err
			}
			meta, dropped = made, dropped+drop
			p.done[kind] = meta
		}
		change.Add = append(change.Add, meta)
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
	return nil
}

// writePart writes one kind of a table's records.
func (e *Engine) writePart(ctx context.Context, t *memtable.Table, kind market.Kind, first uint64, created int64) (*part.Meta, int64, error) {
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
	return &made, dropped, err
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
		p := &stored{meta: meta}
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
