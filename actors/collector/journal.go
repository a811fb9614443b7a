package collector

import (
	"errors"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// While fewer than entriesAtOnce of a stream's entries are on their way, each
// frame is handed over at once; above that, frames share an entry, which goes
// when one comes back, when it is full, or when those of all streams together hold
// too much ([Config.BacklogBytes]). So a slow journal makes entries larger, not more
// numerous.
const (
	entriesAtOnce = 8
	entryRecords  = 512
	entryLevels   = 16_384
	hungryBelow   = entriesAtOnce / 2
	// pooledMemory bounds an entry that is used again, in bytes: it keeps the memory of
	// the most that it ever held, a whole book say.
	pooledMemory = 64 << 10
)

// entry is a stream's records on their way into the journal. It is pooled.
type entry struct {
	persistence.Entry
	route  *route
	born   uint64
	levels int
	memory int64 // bytes, when looked at last
}

// grown is how much memory has come to the batch since it was looked at, in bytes.
func (e *entry) grown() int64 {
	before := e.memory
	e.memory = e.Batch.Memory()
	return e.memory - before
}

func newEntry() *entry {
	e := &entry{}
	e.Patient = true // what is live has been published
	e.Done = e.settled
	return e
}

// settled learns the outcome, on the recorder's goroutine.
func (e *entry) settled(_ *persistence.Entry, o persistence.Outcome) {
	r := e.route
	if o.Err != nil {
		r.answer(&journalRefusal{entry: e, err: o.Err})
	} else {
		r.venue.recycle(e)
	}
	if left := r.flight.done(); left < hungryBelow && r.hungry.Load() {
		r.poke()
	}
}

// recycle keeps an entry for the next one, unless it is large: thousands of streams
// begin with a whole book each, and what follows is small.
func (v *venue) recycle(e *entry) {
	if e.Batch.Memory() > pooledMemory {
		return
	}
	e.Batch.Reset()
	e.route, e.levels, e.memory = nil, 0, 0
	v.entries.Put(e)
}

// journalRefusal: the journal did not take an entry.
type journalRefusal struct {
	entry *entry
	err   error
}

// record hands records over, or gives them to the ledger.
func (s *streamActor) record(records []market.Record) {
	if s.stream.Refusing() {
		s.refused(s.storable(records))
		return
	}
	for _, r := range records {
		if r.Kind().Table() == "" {
			continue
		}
		e := s.entry()
		e.Batch.Copy(r)
		switch r := r.(type) {
		case *market.BookDelta:
			e.levels += len(r.Bids) + len(r.Asks)
		case *market.BookSnapshot:
			e.levels += len(r.Bids) + len(r.Asks)
		}
	}
	if s.open == nil {
		return
	}
	s.route.fills(s.open.grown())
	small := s.open.Batch.Len() < entryRecords && s.open.levels < entryLevels && !s.opts.backlog.fillFull()
	if small && s.route.flight.count() >= entriesAtOnce {
		s.route.hungry.Store(true)
		return
	}
	s.handOver()
}

// entry is the open one.
func (s *streamActor) entry() *entry {
	if s.open == nil {
		s.open = s.venue.entries.Get().(*entry)
		s.open.route, s.open.born = s.route, s.born
	}
	return s.open
}

// handOver gives the open entry to the recorder.
func (s *streamActor) handOver() {
	e := s.open
	s.open = nil
	s.route.filled()
	s.route.flight.add()
	err := s.recorder.Record(&e.Entry)
	if err == nil {
		return
	}
	s.route.flight.done()
	s.because(err)
	s.refused(s.recordsOf(e))
	s.venue.recycle(e)
}

// flushHungry hands the open entry over when there is room for it, and ends the
// drain when all is settled.
func (s *streamActor) flushHungry() {
	if !s.route.hungry.Load() {
		return
	}
	left := s.route.flight.count()
	if s.open != nil && (left < hungryBelow || s.phase == draining) {
		s.handOver()
		left = s.route.flight.count()
	}
	if s.phase == draining {
		if left == 0 && s.route.lane.n.Load() == 0 {
			s.c.Drained()
		}
		return
	}
	if s.open == nil {
		s.route.hungry.Store(false)
	}
}

// journalRefused takes back an entry that the journal did not take.
func (s *streamActor) journalRefused(m *journalRefusal) {
	s.because(m.err)
	records := s.recordsOf(m.entry)
	if m.entry.born != s.born {
		// What an earlier incarnation lost lies behind what is stored, and is
		// covered by the gap that this one began with. Its ledger entries are not.
		records = gapsOf(records)
	}
	s.refused(records)
	s.venue.recycle(m.entry)
	if s.open != nil {
		open := s.open
		s.open = nil
		s.route.filled()
		s.refused(s.recordsOf(open))
		s.venue.recycle(open)
	}
}

// refused puts records that are in no journal into the ledger.
func (s *streamActor) refused(records []market.Record) {
	if len(records) == 0 {
		return
	}
	if !s.stream.Refusing() {
		s.c.Log().Warn("the journal refuses: the live plane goes on, the ledger waits", zap.String("cause", s.cause))
	}
	s.route.counts.unrecorded.Add(uint64(len(records)))
	s.stream.Refused(s.cause, records, s.venue.now())
	s.retryLater()
}

func (s *streamActor) retryLater() {
	if !s.retrying && s.phase != draining {
		s.retrying = true
		s.c.After(retryJournalEvery, retryJournal{})
	}
}

// retryJournal writes the ledger once the recorder takes entries again.
func (s *streamActor) retryJournal() {
	if !s.stream.Refusing() {
		return
	}
	if s.phase != stepping || !s.recorder.Accepting() {
		s.retryLater()
		return
	}
	s.stream.Accepting(s.venue.now(), &s.desk.out)
	s.emit()
	if !s.stream.Refusing() {
		s.c.Log().Info("the journal accepts again")
	}
}

// because remembers the cause of a refusal; ErrRefusing repeats an earlier one.
func (s *streamActor) because(err error) {
	switch {
	case errors.Is(err, persistence.ErrForeign):
		s.cause = market.CauseJournalForeign
	case errors.Is(err, persistence.ErrNoCredit):
		s.cause = market.CauseNoCredit
	case errors.Is(err, persistence.ErrDiskFull):
		s.cause = market.CauseDiskFull
	case errors.Is(err, persistence.ErrTooLarge):
		s.cause = market.CauseTooLarge
	case errors.Is(err, persistence.ErrJournalFull), errors.Is(err, persistence.ErrRefusing) && s.cause == "":
		s.cause = market.CauseJournalFull
	case errors.Is(err, persistence.ErrRefusing):
	default: // ErrDoubt, ErrStopped
		s.cause = market.CauseGaveUp
	}
}

// recordsOf lists an entry's records, good until the next call.
func (s *streamActor) recordsOf(e *entry) []market.Record {
	s.desk.scratch = s.desk.scratch[:0]
	for r := range e.Batch.All() {
		s.desk.scratch = append(s.desk.scratch, r)
	}
	return s.desk.scratch
}

// storable leaves out what has no table.
func (s *streamActor) storable(records []market.Record) []market.Record {
	s.desk.scratch = s.desk.scratch[:0]
	for _, r := range records {
		if r.Kind().Table() != "" {
			s.desk.scratch = append(s.desk.scratch, r)
		}
	}
	return s.desk.scratch
}

func gapsOf(records []market.Record) []market.Record {
	out := records[:0]
	for _, r := range records {
		if r.Kind() == market.KindGap {
			out = append(out, r)
		}
	}
	return out
}
