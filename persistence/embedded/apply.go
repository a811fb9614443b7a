package embedded

import (
	"fmt"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// Apply implements [persistence.Writer].
func (e *Engine) Apply(number int, seq uint64, batch *market.Batch) error {
	if e.isClosed() {
		return persistence.ErrClosed
	}
	s := e.shard(number)
	if applied := s.appliedSeq(); seq <= applied {
		return fmt.Errorf("shard %d: message %d was applied before; the last one was %d", number, seq, applied)
	}
	if err := storable(batch); err != nil {
		return fmt.Errorf("shard %d, message %d: %w", number, seq, err)
	}
	m := s.active
	if m.rows.Load() >= int64(backlogFactor*e.cfg.PublishRows) || m.bytes >= backlogFactor*e.cfg.PublishBytes {
		return persistence.ErrBacklog
	}
	if m.began.IsZero() {
		m.began = e.now()
	}
	clear(s.cache)
	var count [market.NumKinds]int64
	drops := 0
	for r := range batch.All() {
		c := e.lookup(s, r.Head().Instrument)
		if superseded(c.epoch, r) {
			drops++
			continue
		}
		kind := r.Kind()
		if c.series[kind] == nil {
			c.series[kind] = m.tables[kind].get(c.stream, e.schemas[kind], e.names)
		}
		s.ord++
		c.series[kind].append(r, c.code, s.ord)
		count[kind]++
		m.bytes += rowBytes + levelBytes(r)
	}
	e.account(m, &count, drops)
	s.setApplied(seq)
	return nil
}

// storable checks a message before any of it is applied.
func storable(batch *market.Batch) error {
	for i := range batch.Len() {
		r := batch.At(i)
		if r.Kind().Table() == "" {
			return fmt.Errorf("%w: record %d: %v has no table", persistence.ErrRecord, i, r.Kind())
		}
		if r.Head().Instrument == nil {
			return fmt.Errorf("%w: record %d: no instrument", persistence.ErrRecord, i)
		}
	}
	return nil
}

func (e *Engine) lookup(s *shard, i *market.Instrument) *streamCache {
	if c := s.cache[i]; c != nil {
		return c
	}
	c := &streamCache{stream: i.ID(), code: e.names.InstrumentCode(i)}
	c.stream = e.names.Instrument(c.code).ID() // texts of our own
	name := c.stream.String()
	c.epoch = s.epochs[name]
	if c.epoch == nil {
		c.epoch = new(int64)
		s.epochs[name] = c.epoch
	}
	s.cache[i] = c
	return c
}

func levelBytes(r market.Record) int64 {
	switch r := r.(type) {
	case *market.BookDelta:
		return int64(len(r.Bids)+len(r.Asks)) * 26
	case *market.BookSnapshot:
		return int64(len(r.Bids)+len(r.Asks)) * 26
	}
	return 0
}

func (e *Engine) account(m *memtable, count *[market.NumKinds]int64, drops int) {
	total := int64(0)
	for kind, n := range count {
		if n > 0 {
			m.tables[kind].rows.Add(n)
			total += n
			e.metrics.rows.WithLabelValues(market.Kind(kind).Table()).Add(float64(n))
		}
	}
	m.rows.Add(total)
	e.metrics.batches.Inc()
	e.metrics.queue.Add(float64(total))
	if drops > 0 {
		e.superseded.Add(int64(drops))
		e.metrics.dropped.WithLabelValues("superseded").Add(float64(drops))
	}
}

// Due implements [persistence.Writer].
func (e *Engine) Due(number int) bool {
	if e.isClosed() {
		return false
	}
	s := e.shard(number)
	m := s.active
	if m.began.IsZero() {
		return false
	}
	return m.rows.Load() >= int64(e.cfg.PublishRows) || m.bytes >= e.cfg.PublishBytes ||
		e.now().Sub(m.began) >= e.cfg.PublishInterval
}

// Seal implements [persistence.Writer].
func (e *Engine) Seal(p persistence.Position) error {
	if e.isClosed() {
		return persistence.ErrClosed
	}
	s := e.shard(p.Shard)
	if applied := s.appliedSeq(); p.Seq != applied {
		return fmt.Errorf("shard %d: sealing at %d, but %d is applied", p.Shard, p.Seq, applied)
	}
	p = p.Clone()
	p.Epochs = map[string]int64{}
	for stream, epoch := range s.epochs {
		if *epoch != 0 {
			p.Epochs[stream] = *epoch
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.Seq == s.sealedAt && s.active.rows.Load() == 0 {
		return nil
	}
	if len(s.sealed) >= maxSealed {
		return persistence.ErrBacklog
	}
	s.active.position = p
	s.sealed = append(s.sealed, s.active)
	s.sealedAt = p.Seq
	e.memtables++
	s.active = newMemtable(s.number, e.memtables)
	return nil
}
