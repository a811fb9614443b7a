package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// Publish implements [persistence.Writer].
func (e *Engine) Publish(ctx context.Context, number int) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.calls.Done()
	s := e.shard(number)
	s.publish.Lock()
	defer s.publish.Unlock()
	for {
		e.mu.RLock()
		var m *memtable
		if len(s.sealed) > 0 {
			m = s.sealed[0]
		}
		e.mu.RUnlock()
		if m == nil {
			return nil
		}
		if err := e.publish(ctx, s, m); err != nil {
			e.failures.Add(1)
			e.metrics.retries.Inc()
			return fmt.Errorf("publishing shard %d up to %d: %w", number, m.position.Seq, err)
		}
		e.failures.Store(0)
	}
}

// publish makes one sealed memtable durable and lets its parts take its place.
func (e *Engine) publish(ctx context.Context, s *shard, m *memtable) error {
	began := e.now()
	s.mu.Lock()
	first := s.position.Seq + 1
	s.mu.Unlock()
	change := &part.Change{Positions: []persistence.Position{m.position}}
	dropped := int64(0)
	for kind := range m.tables {
		if m.tables[kind].rows.Load() == 0 {
			continue
		}
		meta := m.done[market.Kind(kind)]
		if meta == nil {
			made, drop, err := e.writePart(ctx, m, market.Kind(kind), first, began.UnixNano())
			if err != nil {
				return err
			}
			meta, dropped = made, dropped+drop
			m.done[market.Kind(kind)] = meta
		}
		change.Add = append(change.Add, meta)
	}
	e.manifestMu.Lock()
	defer e.manifestMu.Unlock()
	if err := e.manifest.Append(change); err != nil {
		return err
	}
	e.install(s, m, change.Add)
	e.observePublication(m, change.Add, dropped)
	e.metrics.flush.Observe(e.now().Sub(began).Seconds())
	return nil
}

// writePart writes one table of a memtable.
func (e *Engine) writePart(ctx context.Context, m *memtable, kind market.Kind, first uint64, created int64) (*part.Meta, int64, error) {
	meta := part.Meta{
		Kind: kind, File: e.fileName(kind, m.shard, first, m.position.Seq), JournalID: m.position.JournalID,
		Shard: m.shard, FirstSeq: first, LastSeq: m.position.Seq, Created: created,
	}
	dropped := int64(0)
	made, err := part.Create(e.disk, e.dir, e.schemas[kind], e.names, meta, func(w *part.Writer) error {
		for _, s := range m.tables[kind].all() {
			merge := part.NewMerge(s.sources(nil, math.MinInt64, math.MaxInt64, 0, nil), false)
			if err := copyRows(ctx, w, s.stream, merge); err != nil {
				return err
			}
			dropped += merge.Dropped + s.dropped
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

// install swaps a memtable for its parts in one step, so that every query sees
// one of the two.
func (e *Engine) install(s *shard, m *memtable, made []*part.Meta) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, meta := range made {
		p := &stored{meta: meta}
		p.verified.Store(true)
		e.addPart(p)
	}
	s.sealed = slices.Clone(s.sealed[1:])
	s.mu.Lock()
	s.position = m.position
	s.mu.Unlock()
}

// addPart lists a part; e.mu is locked.
func (e *Engine) addPart(p *stored) {
	kind := p.meta.Kind
	parts := append(slices.Clone(e.parts[kind]), p)
	sortParts(parts)
	e.parts[kind] = parts
	e.metrics.setParts(kind, parts)
}

func (e *Engine) observePublication(m *memtable, made []*part.Meta, dropped int64) {
	rows := m.rows.Load()
	e.metrics.queue.Sub(float64(rows))
	e.metrics.batchRows.Observe(float64(rows))
	if dropped > 0 {
		e.metrics.dropped.WithLabelValues("duplicate").Add(float64(dropped))
	}
	for _, meta := range made {
		e.metrics.bytes.WithLabelValues(meta.Kind.Table()).Add(float64(meta.Bytes))
	}
	e.log.Debug("published", zap.Int("shard", m.shard), zap.Uint64("seq", m.position.Seq), zap.Int64("rows", rows), zap.Int("parts", len(made)))
}

func (e *Engine) refreshGauges() {
	for kind, schema := range e.schemas {
		if schema != nil {
			e.metrics.setParts(market.Kind(kind), e.parts[kind])
		}
	}
	e.metrics.quarantined.Set(float64(len(e.damaged)))
}
