package memtable

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// Options are what a [Store] is made of; every field is needed.
type Options struct {
	// Rows, Bytes and Interval are when a shard's records are due to be published:
	// so many, of so much estimated memory, or so old. Twice as many are a backlog.
	Rows     int
	Bytes    int64
	Interval time.Duration
	// Backlog is the number of records at which Apply waits for publishing; 0 is
	// twice Rows.
	Backlog int
	Now     func() time.Time
	Names   *part.Names
	Schemas *part.Schemas
}

// Store holds the unpublished records of all shards. Apply, Seal and Due of a
// shard belong to one goroutine; all else may be called from anywhere.
type Store struct {
	o          Options
	superseded atomic.Int64
	closed     chan struct{}
	once       sync.Once

	// mu guards which tables there are.
	mu     sync.RWMutex
	shards map[int]*shard
	tables uint64
}

// New is a store without records.
func New(o Options) *Store {
	if o.Backlog == 0 {
		o.Backlog = BacklogFactor * o.Rows
	}
	return &Store{o: o, closed: make(chan struct{}), shards: map[int]*shard{}}
}

// Restore begins a shard behind what is published of it. It is for a store that
// nobody uses yet.
func (s *Store) Restore(p persistence.Position) {
	s.tables++
	s.shards[p.Shard] = newShard(p.Shard, p, s.tables)
}

// shard returns the state of a shard and makes it when needed.
func (s *Store) shard(number int) *shard {
	s.mu.RLock()
	sh := s.shards[number]
	s.mu.RUnlock()
	if sh != nil {
		return sh
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh := s.shards[number]; sh != nil {
		return sh
	}
	s.tables++
	sh = newShard(number, persistence.Position{Shard: number}, s.tables)
	s.shards[number] = sh
	return sh
}

// Position is how far a shard's records are published.
func (s *Store) Position(number int) persistence.Position {
	sh := s.shard(number)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.position.Clone()
}

// Applied is the highest sequence of a shard whose records queries see.
func (s *Store) Applied(number int) uint64 { return s.shard(number).appliedSeq() }

// WaitApplied waits until Applied(number) >= seq, or returns ctx's error, or
// persistence.ErrClosed.
func (s *Store) WaitApplied(ctx context.Context, number int, seq uint64) error {
	return s.shard(number).wait(ctx, s.closed, seq)
}

// Superseded counts the records dropped by the epoch rule.
func (s *Store) Superseded() int64 { return s.superseded.Load() }

// Oldest is the first sealed table of a shard; nil when there is none.
func (s *Store) Oldest(number int) *Table {
	sh := s.shard(number)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(sh.sealed) == 0 {
		return nil
	}
	return sh.sealed[0]
}

// After is the sealed table behind one of the same shard; nil when there is none.
func (s *Store) After(t *Table) *Table {
	sh := s.shard(t.Shard)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if i := slices.Index(sh.sealed, t); i >= 0 && i+1 < len(sh.sealed) {
		return sh.sealed[i+1]
	}
	return nil
}

// Waiting counts the sealed tables of a shard.
func (s *Store) Waiting(number int) int {
	sh := s.shard(number)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(sh.sealed)
}

// Reset forgets a shard's records, and begins it again behind a position; it
// returns how many there were. Nobody may be applying.
func (s *Store) Reset(p persistence.Position) (rows int64) {
	sh := s.shard(p.Shard)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range append(slices.Clone(sh.sealed), sh.active) {
		rows += t.Rows()
	}
	s.tables++
	sh.active, sh.sealed = newTable(sh.number, s.tables), nil
	sh.epochs = map[string]*int64{}
	for stream, epoch := range p.Epochs {
		sh.epochs[stream] = &epoch
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.applied, sh.sealedAt, sh.position = p.Seq, p.Seq, p.Clone()
	return rows
}

// Drop forgets the oldest sealed table, which is published now. Its position is
// the shard's from then on.
func (s *Store) Drop(t *Table) {
	sh := s.shard(t.Shard)
	s.mu.Lock()
	sh.sealed = slices.Clone(sh.sealed[1:])
	s.mu.Unlock()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.position = t.Position
}

// unpublished lists the shards' tables, the oldest of each first.
func (s *Store) unpublished() []*Table {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []*Table
	for _, sh := range s.shards {
		list = append(append(list, sh.sealed...), sh.active)
	}
	return list
}

// Pin fixes the records that there are now.
func (s *Store) Pin(kind market.Kind, from, to int64, has part.Projection) *View {
	return &View{kind: kind, from: from, to: to, has: has, tables: s.unpublished()}
}

// HasCollected reports whether a stream has records of a kind that we collected
// ourselves.
func (s *Store) HasCollected(kind market.Kind, stream market.StreamID) bool {
	for _, t := range s.unpublished() {
		if rows := t.kinds[kind].find(stream); rows != nil {
			if collected, _ := rows.origins(); collected > 0 {
				return true
			}
		}
	}
	return false
}

// Close ends every wait; later calls answer persistence.ErrClosed. It may be
// called again.
func (s *Store) Close() { s.once.Do(func() { close(s.closed) }) }

func (s *Store) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// View is what one query sees of the records of a kind.
type View struct {
	kind     market.Kind
	from, to int64
	has      part.Projection
	tables   []*Table
}

// Streams lists the streams that have records, in no order; some may come twice.
func (v *View) Streams() []market.StreamID {
	var list []market.StreamID
	for _, t := range v.tables {
		for _, s := range t.kinds[v.kind].all() {
			list = append(list, s.stream)
		}
	}
	return list
}

// Sources appends a stream's records as sources of a merge.
func (v *View) Sources(dst []part.Source, stream market.StreamID, _ part.Access) []part.Source {
	for _, t := range v.tables {
		if s := t.kinds[v.kind].find(stream); s != nil {
			dst = s.sources(dst, v.from, v.to, t.priority(), v.has)
		}
	}
	return dst
}

// Release does nothing: records in memory live as long as somebody reads them.
func (v *View) Release() {}

// Blocks lists a stream's records as they are kept, with their priority.
func (v *View) Blocks(stream market.StreamID, each func(b *part.Block, priority uint64)) {
	for _, t := range v.tables {
		if s := t.kinds[v.kind].find(stream); s != nil {
			for _, b := range s.snapshot() {
				each(b, t.priority())
			}
		}
	}
}
