package persistence

import (
	"errors"

	"github.com/marketprism/marketprism/internal/market"
)

// Recorder is the way into one journal shard. It is safe for concurrent use, and
// never blocks: memory is bounded by credit, which an entry takes when it is
// recorded and gives back when its outcome is known.
type Recorder interface {
	// Record hands over an entry. After nil the entry belongs to the recorder until
	// it calls Done, exactly once. After an error (ErrNoCredit, ErrRefusing,
	// ErrStopped) it stays the caller's and Done is not called.
	Record(e *Entry) error
	// Accepting reports whether an entry would be taken now, with room to spare: a
	// producer that was refused waits for it before it begins again.
	Accepting() bool
}

// Entry is records on their way into the journal. All of an entry is in one
// journal message, or none of it.
type Entry struct {
	Batch market.Batch
	// Patient: nobody waits for the outcome, and the entry may wait a moment for
	// others, to share their sync.
	Patient bool
	// Done learns the outcome. It runs on a goroutine of the recorder's and must
	// not block; the batch is the caller's again.
	Done func(e *Entry, o Outcome)
}

// Outcome is what became of an entry.
type Outcome struct {
	// Err is nil when the journal has the entry, synced. Else it is one of the
	// errors below; only with ErrDoubt may the records still appear.
	Err error
	// Shard and Seq say where the entry is.
	Shard int
	Seq   uint64
}

// Why a recorder does not record.
var (
	// ErrNoCredit: too much is on its way already.
	ErrNoCredit = errors.New("no journal credit")
	// ErrJournalFull: the journal has no room.
	ErrJournalFull = errors.New("journal full")
	// ErrDiskFull: the journal's disk has no room to spare.
	ErrDiskFull = errors.New("journal disk full")
	// ErrTooLarge: the entry does not fit a journal message.
	ErrTooLarge = errors.New("too large for the journal")
	// ErrDoubt: no acknowledgement came for so long that the recorder gave up.
	ErrDoubt = errors.New("journal does not answer")
	// ErrForeign: the journal is not the one that the store has read: another one, or
	// an older copy. The entry may be in it, and counts only if it is joined again.
	ErrForeign = errors.New("journal does not belong to the store")
	// ErrRefusing: the recorder is waiting for the journal to take the entry that
	// it refused last.
	ErrRefusing = errors.New("journal refuses")
	// ErrStopped: the recorder has stopped, or stopped before the entry was sent.
	ErrStopped = errors.New("recorder stopped")
)
