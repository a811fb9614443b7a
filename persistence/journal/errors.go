package journal

import (
	"errors"
	"fmt"
)

// What a recorder meets. Each error that it returns matches exactly one of
// these; Recorder.InDoubt tells whether the batch may have been stored.
var (
	// ErrFull: the journal, or the broker's storage limit, has no room. It
	// accepts again after a purge.
	ErrFull = errors.New("journal full")
	// ErrDiskFull: the disk guard refused; nothing was sent.
	ErrDiskFull = errors.New("journal disk nearly full")
	// ErrUnavailable: no acknowledgement came (timeout, no broker, connection
	// lost). The same bytes are to be sent again, or the batch abandoned.
	ErrUnavailable = errors.New("journal unavailable")
	// ErrTooLarge: the batch is larger than a message may be; sending it again
	// cannot succeed.
	ErrTooLarge = errors.New("journal batch too large")
	// ErrRefused: the broker refused for a reason that repeating does not cure
	// (wrong stream, sealed stream, an answer that is no acknowledgement).
	ErrRefused = errors.New("journal refused the batch")
	// ErrInFlight: a batch was sealed while another one is unacknowledged.
	ErrInFlight = errors.New("a journal batch is in flight")
	// ErrNothingInFlight: there is no batch to publish.
	ErrNothingInFlight = errors.New("no journal batch is in flight")
)

// What is wrong with a journal. A reader stops at the first and stays stopped:
// every one of these means that acknowledged data may be missing, or cannot be
// read, and none is cured by going on.
var (
	// ErrMissing: a stream of the journal does not exist.
	ErrMissing = errors.New("journal stream missing")
	// ErrOtherJournal: the stream belongs to another journal than the position.
	ErrOtherJournal = errors.New("another journal")
	// ErrShards: the number of shards differs from the one the journal was made with.
	ErrShards = errors.New("journal has another number of shards")
	// ErrSettings: a stream's settings do not keep the journal's promise.
	ErrSettings = errors.New("journal stream settings")
	// ErrPurged: the journal begins after the position.
	ErrPurged = errors.New("journal purged beyond the position")
	// ErrRolledBack: the journal ends before the position: an older copy.
	ErrRolledBack = errors.New("journal ends before the position")
	// ErrForked: the journal holds another message at the position than the one that
	// was read there: an older copy that was written to since.
	ErrForked = errors.New("journal holds another message at the position")
	// ErrHole: a message between the position and the end does not exist.
	ErrHole = errors.New("hole in the journal")
	// ErrVersion: a batch is of a version that this program does not read.
	ErrVersion = errors.New("unknown journal batch version")
	// ErrCorrupt: a batch is damaged.
	ErrCorrupt = errors.New("corrupt journal batch")
	// ErrJump: a recorder's batch number is not the one after its last.
	ErrJump = errors.New("jump in a recorder's batch numbers")
	// ErrConflict: two different batches carry the same incarnation and number.
	ErrConflict = errors.New("two batches under one number")
)

// IsForeign reports whether an error says that the journal and the position do not
// belong together: it is another journal, or an older copy of this one. What is
// written to such a journal gets places that nobody will read.
func IsForeign(err error) bool {
	return errors.Is(err, ErrRolledBack) || errors.Is(err, ErrOtherJournal) || errors.Is(err, ErrForked)
}

// What a registration meets.
var (
	// ErrUnregistered: the registration was removed, because its reader fell
	// far behind and another full copy exists. What follows the position may be
	// purged: copy from a peer, then register again.
	ErrUnregistered = errors.New("journal reader unregistered")
	// ErrReaderTaken: another process registered under the same reader id.
	ErrReaderTaken = errors.New("journal reader id taken")
	// ErrReaderMoved: a reader that was to be retired has just said where it is.
	ErrReaderMoved = errors.New("journal reader is alive")
)

// Fault says where a journal cannot be read on. It wraps one of the journal
// errors above.
type Fault struct {
	// Shard is the journal shard.
	Shard int
	// Seq is the stream sequence at which reading stopped: the one that was
	// asked for, or the one that holds the bad batch.
	Seq uint64
	// Err is the cause.
	Err error
}

// Error implements error.
func (f *Fault) Error() string {
	return fmt.Sprintf("journal shard %d at sequence %d: %v", f.Shard, f.Seq, f.Err)
}

// Unwrap gives the cause to errors.Is.
func (f *Fault) Unwrap() error { return f.Err }
