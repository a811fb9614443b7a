package stream

import (
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// Proof is what shows that a channel has lost nothing.
type Proof uint8

// The proofs.
const (
	// Unproven: no sequence and no checksum.
	Unproven Proof = iota
	// Rising: a sequence number that never falls, with jumps.
	Rising
	// Contiguous: a sequence number that rises by one.
	Contiguous
	// Chained: book changes under [BookRules].
	Chained
)

// String is the proof's word.
func (p Proof) String() string {
	switch p {
	case Rising:
		return "rising"
	case Contiguous:
		return "contiguous"
	case Chained:
		return "chained"
	}
	return "unproven"
}

// BookRules are an exchange's rules for the sequence numbers of book changes.
// They hold no state.
type BookRules interface {
	// Splice judges a change that was received before or after a snapshot with
	// sequence number snapshotSeq, as the first to follow it.
	Splice(snapshotSeq int64, d *market.BookDelta) market.Continuity
	// Follow judges a change after one with sequence number lastSeq.
	Follow(lastSeq int64, d *market.BookDelta) market.Continuity
}

// Checksummer is implemented by BookRules of an exchange whose changes carry a
// checksum of the book that results.
type Checksummer interface {
	// ChecksumDepth is the number of levels a side that it covers.
	ChecksumDepth() int
	// Checksum computes it over levels, best first. An exchange that counts in
	// contracts computes it over those: i says how much one of them is.
	Checksum(i *market.Instrument, bids, asks []market.Level) int64
}

// Config says how one stream is proven and what it emits.
type Config struct {
	Instrument *market.Instrument
	// Epoch is written to every record; 0 outside the live service.
	Epoch int64
	// Proofs is the proof of each kind; a kind that is not in it is [Unproven].
	Proofs map[market.Kind]Proof
	// Rules are needed where a kind is [Chained].
	Rules BookRules
	// Backfills says that trades that were missed can be asked for.
	Backfills bool
	// SnapshotsInBand says that the exchange sends snapshots on the channel, so
	// that a new one comes by subscribing again rather than by REST.
	SnapshotsInBand bool
	// SnapshotLimit is the number of levels a side at which the exchange cuts a
	// snapshot off; 0 when it never does.
	SnapshotLimit int

	// Refresh lets a live book ask for a new snapshot when the price nears the edge
	// of the last one; for owners who answer requests.
	Refresh bool

	// BookDepth and BookInterval make book_snapshot records: the best BookDepth
	// levels at each multiple of BookInterval of the exchange's clock. 0 is none.
	BookDepth    int
	BookInterval time.Duration
	// Tops emits a book_top after every applied change.
	Tops bool

	// MaxPending bounds the book changes that wait for a snapshot; the oldest go
	// first. 0 means [DefaultMaxPending].
	MaxPending int
	// MaxUnasked bounds them while the exchange has not been asked for the snapshot
	// yet ([Stream.SnapshotAsked]): it will be newer than all of them but the last few
	// that are on their way. 0 is for owners who do not say when they ask, and means
	// MaxPending.
	MaxUnasked int
}

// DefaultMaxPending is some minutes of the busiest books.
const DefaultMaxPending = 10_000

// narrowBook is the number of proven levels a side below which a book that began
// with a cut-off snapshot asks for a new one. It is looked at every reachEvery
// changes, and asks again after refreshPause nanoseconds.
const (
	narrowBook   = 50
	reachEvery   = 64
	refreshPause = int64(30 * time.Second)
)
