package journal

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// What an entry is taken to hold in memory, in bytes: a little more than it does.
const (
	entryCost  = 256
	recordCost = 384
	levelCost  = 80
)

// item is an entry on its way.
type item struct {
	entry *persistence.Entry
	cost  int64
	at    time.Time
}

// items is a list that is filled at one end and emptied at the other.
type items struct {
	all  []item
	next int
}

func (l *items) len() int     { return len(l.all) - l.next }
func (l *items) first() *item { return &l.all[l.next] }
func (l *items) push(i item)  { l.all = append(l.all, i) }

func (l *items) pop() item {
	i := l.all[l.next]
	l.all[l.next] = item{}
	if l.next++; l.next == len(l.all) {
		l.all, l.next = l.all[:0], 0
	}
	return i
}

// dropLast forgets the item that was pushed last.
func (l *items) dropLast() {
	l.all[len(l.all)-1] = item{}
	l.all = l.all[:len(l.all)-1]
}

// shard is the intake of one recorder and what its actor holds. It outlives the
// actor's incarnations.
type shard struct {
	index   int
	credits *supervise.Credits
	limit   atomic.Int64  // of the credit that may be taken now
	taken   atomic.Int64  // bytes ever taken in
	refused atomic.Uint64 // entries, for want of credit
	metrics *shardMetrics
	ref     atomic.Pointer[ref]

	mu     sync.Mutex
	intake items
	awake  bool  // the actor knows, or is about to learn, that there is something
	urgent bool  // somebody waits for an entry of the intake, and the actor was told
	closed bool  // Record answers ErrStopped
	refuse error // not nil: Record answers ErrRefusing

	// The actor's: three lists of what it has taken, in this order. The slices
	// outlive a crash.
	pending, building, flight items
}

type ref struct {
	system *supervise.System
	pid    *actor.PID
}

func newShard(index int, c Config) *shard {
	s := &shard{index: index, credits: supervise.NewCredits(c.CreditMax), closed: true}
	s.limit.Store(c.CreditMin)
	return s
}

// Record implements persistence.Recorder.
func (s *shard) Record(e *persistence.Entry) error {
	cost, err := costOf(&e.Batch)
	if err != nil {
		return err
	}
	if err := s.take(cost); err != nil {
		return err
	}
	s.mu.Lock()
	if err := s.closedOr(s.refuse); err != nil {
		s.mu.Unlock()
		s.credits.Return(cost)
		return err
	}
	s.intake.push(item{e, cost, time.Now()})
	wake := !s.awake || !e.Patient && !s.urgent
	s.awake = true
	s.urgent = s.urgent || !e.Patient
	s.mu.Unlock()
	s.taken.Add(cost)
	if wake {
		if r := s.ref.Load(); r != nil {
			// Refused when the actor is gone, and its end has seen to the intake; or when
			// its mailbox is full, and then it looks by itself within a second.
			_ = r.system.Tell(r.pid, wakeUp{})
		}
	}
	return nil
}

// closedOr needs the lock.
func (s *shard) closedOr(refuse error) error {
	switch {
	case s.closed:
		return persistence.ErrStopped
	case refuse != nil:
		return fmt.Errorf("%w: %w", persistence.ErrRefusing, refuse)
	}
	return nil
}

// take takes credit. One entry alone may take more than the limit, up to the whole
// pool.
func (s *shard) take(cost int64) error {
	if cost > s.credits.Capacity() {
		return fmt.Errorf("%w: %d bytes of memory, %d of credit", persistence.ErrTooLarge, cost, s.credits.Capacity())
	}
	used := s.used()
	if used > 0 && used+cost > s.limit.Load() || !s.credits.TryTake(cost) {
		s.refused.Add(1)
		s.metrics.noCredit.Inc()
		return persistence.ErrNoCredit
	}
	return nil
}

func (s *shard) used() int64 { return s.credits.Capacity() - s.credits.Available() }

// Accepting implements persistence.Recorder: a quarter of the credit is to spare.
func (s *shard) Accepting() bool {
	return s.refusal() == nil && s.used() <= s.limit.Load()*3/4
}

func (s *shard) refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closedOr(s.refuse)
}

// costOf estimates the memory of a batch. Error: persistence.ErrRecord for a record
// that no store could hold: in the journal it would stop every reader.
func costOf(b *market.Batch) (int64, error) {
	for i := range b.Len() {
		r := b.At(i)
		if r.Kind().Table() == "" {
			return 0, fmt.Errorf("%w: records of kind %s are not stored", persistence.ErrRecord, r.Kind())
		}
		if r.Head().Instrument == nil {
			return 0, fmt.Errorf("%w: a %s without an instrument", persistence.ErrRecord, r.Kind())
		}
	}
	// A batch that is used again keeps the memory of what was in it before.
	return entryCost + max(b.Memory(), int64(b.Len())*recordCost+int64(b.LevelMark())*levelCost), nil
}

// open lets entries in. The actor looks at the intake itself.
func (s *shard) open(r *ref) {
	s.ref.Store(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.refuse, s.awake, s.urgent = false, nil, true, true
}

// close lets no more entries in.
func (s *shard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// setRefusal lets no entries in until it is lifted with nil.
func (s *shard) setRefusal(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = why
}

// collect makes the intake the pending list, which must be empty, and reports
// whether there was any. When not, the next Record wakes the actor.
func (s *shard) collect() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.intake.len() == 0 {
		s.awake = false
		return false
	}
	s.intake, s.pending = s.pending, s.intake
	s.urgent = false
	return true
}

// doze lets patient entries come without waking the actor, which will look at the
// intake by itself.
func (s *shard) doze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awake = true
}

// finish tells everyone in the list the outcome. An item leaves the list before
// its Done runs, so that a Done that panics ends no other entry twice.
func (s *shard) finish(l *items, o persistence.Outcome) {
	for l.len() > 0 {
		s.finishOne(l.pop(), o)
	}
}

func (s *shard) finishOne(i item, o persistence.Outcome) {
	s.credits.Return(i.cost)
	s.metrics.outcome(o.Err, i.at)
	if i.entry.Done != nil {
		i.entry.Done(i.entry, o)
	}
}

// finishAll ends everything that has not been sent, the intake included.
func (s *shard) finishAll(err error) {
	o := persistence.Outcome{Err: err, Shard: s.index}
	s.finish(&s.building, o)
	for {
		s.finish(&s.pending, o)
		if !s.collect() {
			return
		}
	}
}

// crashed ends what an incarnation had taken and cannot account for.
func (s *shard) crashed() {
	s.finish(&s.flight, persistence.Outcome{Err: errCrashed(persistence.ErrDoubt), Shard: s.index})
	s.finish(&s.building, persistence.Outcome{Err: errCrashed(persistence.ErrStopped), Shard: s.index})
}

var errCrash = errors.New("the recorder crashed")

func errCrashed(sentinel error) error { return fmt.Errorf("%w: %w", sentinel, errCrash) }

// outstanding counts the entries without an outcome.
func (s *shard) outstanding() int {
	s.mu.Lock()
	n := s.intake.len()
	s.mu.Unlock()
	return n + s.pending.len() + s.building.len() + s.flight.len()
}
