package memtable

import (
	"context"
	"fmt"
	"sync"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// MaxSealed is how many sealed tables of a shard may await publishing.
const MaxSealed = 2

// BacklogFactor times the publishing sizes is where Apply stops taking records,
// unless Options.Backlog says otherwise.
const BacklogFactor = 2

// shard is the state of one journal shard. The writer goroutine owns ord, cache
// and the epochs.
type shard struct {
	number int
	active *Table   // guarded by Store.mu
	sealed []*Table // oldest first; guarded by Store.mu
	ord    uint64
	cache  map[*market.Instrument]*streamCache
	epochs map[string]*int64

	mu       sync.Mutex
	applied  uint64
	sealedAt uint64 // applied when last sealed
	waiters  []waiter
	position persistence.Position
}

type waiter struct {
	seq   uint64
	ready chan struct{}
}

// streamCache is what a message's instrument leads to. It lives for one Apply:
// the next message may hold another instrument at the same address.
type streamCache struct {
	stream market.StreamID
	code   uint32
	epoch  *int64
	series [market.NumKinds]*series
}

func newShard(number int, p persistence.Position, tableNumber uint64) *shard {
	s := &shard{
		number: number, active: newTable(number, tableNumber), cache: map[*market.Instrument]*streamCache{},
		epochs: map[string]*int64{}, applied: p.Seq, sealedAt: p.Seq, position: p,
	}
	s.position.Shard = number
	for stream, epoch := range p.Epochs {
		s.epochs[stream] = &epoch
	}
	return s
}

// setApplied makes a message visible to those who wait for it.
func (s *shard) setApplied(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied = seq
	left := s.waiters[:0]
	for _, w := range s.waiters {
		if w.seq <= seq {
			close(w.ready)
			continue
		}
		left = append(left, w)
	}
	s.waiters = left
}

func (s *shard) appliedSeq() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied
}

func (s *shard) wait(ctx context.Context, closed <-chan struct{}, seq uint64) error {
	s.mu.Lock()
	if s.applied >= seq {
		s.mu.Unlock()
		return nil
	}
	w := waiter{seq, make(chan struct{})}
	s.waiters = append(s.waiters, w)
	s.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		s.forget(w)
		return fmt.Errorf("waiting for sequence %d of shard %d: %w", seq, s.number, ctx.Err())
	case <-closed:
		s.forget(w)
		return persistence.ErrClosed
	}
}

func (s *shard) forget(w waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.waiters {
		if s.waiters[i].ready == w.ready {
			s.waiters = append(s.waiters[:i], s.waiters[i+1:]...)
			return
		}
	}
}

// superseded applies the epoch rule to one record: it raises the stream's epoch,
// and says whether the record belongs to a former owner. Clients' records have no
// owner.
func superseded(epoch *int64, r market.Record) bool {
	h := r.Head()
	if h.Origin == market.External {
		return false
	}
	if h.Epoch >= *epoch {
		*epoch = h.Epoch
		return false
	}
	return r.Kind() == market.KindBookDelta || h.Flags.Has(market.FlagUnkeyed)
}
