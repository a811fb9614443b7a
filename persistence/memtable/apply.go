package memtable

import (
	"fmt"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// Applied says what became of a message's records.
type Applied struct {
	// Rows counts the records taken, by kind.
	Rows [market.NumKinds]int64
	// Superseded counts those of a former owner, which were dropped.
	Superseded int
}

// Apply makes a message's records visible; see [persistence.Writer].
func (s *Store) Apply(number int, seq uint64, batch *market.Batch) (done Applied, err error) {
	if s.isClosed() {
		return done, persistence.ErrClosed
	}
	sh := s.shard(number)
	if applied := sh.appliedSeq(); seq <= applied {
		return done, fmt.Errorf("shard %d: message %d was applied before; the last one was %d", number, seq, applied)
	}
	if err := storable(batch); err != nil {
		return done, fmt.Errorf("shard %d, message %d: %w", number, seq, err)
	}
	t := sh.active
	if t.rows.Load() >= int64(s.o.Backlog) || t.bytes >= BacklogFactor*s.o.Bytes {
		return done, persistence.ErrBacklog
	}
	if t.began.IsZero() {
		t.began = s.o.Now()
	}
	clear(sh.cache)
	before := sh.ord
	for r := range batch.All() {
		c := s.lookup(sh, r.Head().Instrument)
		if superseded(c.epoch, r) {
			done.Superseded++
			continue
		}
		kind := r.Kind()
		if c.series[kind] == nil {
			c.series[kind] = t.kinds[kind].get(c.stream, s.o.Schemas[kind], s.o.Names)
		}
		sh.ord++
		c.series[kind].append(r, c.code, sh.ord)
		done.Rows[kind]++
		t.bytes += rowBytes + levelBytes(r)
	}
	if sh.ord > before {
		t.messages = append(t.messages, message{before + 1, seq})
	}
	for kind, n := range done.Rows {
		if n > 0 {
			t.kinds[kind].rows.Add(n)
			t.rows.Add(n)
		}
	}
	s.superseded.Add(int64(done.Superseded))
	sh.setApplied(seq)
	return done, nil
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

func (s *Store) lookup(sh *shard, i *market.Instrument) *streamCache {
	if c := sh.cache[i]; c != nil {
		return c
	}
	c := &streamCache{stream: i.ID(), code: s.o.Names.InstrumentCode(i)}
	c.stream = s.o.Names.Instrument(c.code).ID() // texts of our own
	name := c.stream.String()
	c.epoch = sh.epochs[name]
	if c.epoch == nil {
		c.epoch = new(int64)
		sh.epochs[name] = c.epoch
	}
	sh.cache[i] = c
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

// Due says whether the shard's records should be sealed now: enough of them, or
// old enough.
func (s *Store) Due(number int) bool {
	if s.isClosed() {
		return false
	}
	t := s.shard(number).active
	if t.began.IsZero() {
		return false
	}
	return t.rows.Load() >= int64(s.o.Rows) || t.bytes >= s.o.Bytes || s.o.Now().Sub(t.began) >= s.o.Interval
}

// Seal freezes what has been applied to the position's shard; see
// [persistence.Writer].
func (s *Store) Seal(p persistence.Position) error {
	if s.isClosed() {
		return persistence.ErrClosed
	}
	sh := s.shard(p.Shard)
	if applied := sh.appliedSeq(); p.Seq != applied {
		return fmt.Errorf("shard %d: sealing at %d, but %d is applied", p.Shard, p.Seq, applied)
	}
	p = p.Clone()
	p.Epochs = map[string]int64{}
	for stream, epoch := range sh.epochs {
		if *epoch != 0 {
			p.Epochs[stream] = *epoch
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Seq == sh.sealedAt && sh.active.rows.Load() == 0 {
		return nil
	}
	if len(sh.sealed) >= MaxSealed {
		return persistence.ErrBacklog
	}
	sh.active.Position = p
	sh.sealed = append(sh.sealed, sh.active)
	sh.sealedAt = p.Seq
	s.tables++
	sh.active = newTable(sh.number, s.tables)
	return nil
}
