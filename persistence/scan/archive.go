package scan

import (
	"context"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// Hot is a store whose oldest rows can be copied into a cold one. It remembers what
// it was told to be archived, by journal: the positions of one say nothing about
// another's.
type Hot interface {
	// Oldest is the next rows of a table and shard that are not archived, in journal
	// order, all of which arrived before an instant; nil when there are none. The
	// caller releases the unit.
	Oldest(ctx context.Context, kind market.Kind, shard int, before time.Time) (Unit, error)
	// Archived says that the cold store lists every row of a table and shard up to a
	// position of a journal: they need not be read here any more.
	Archived(kind market.Kind, shard int, journalID string, seq uint64)
	// Waiting counts the published rows of a table that arrived before an instant and
	// are not archived.
	Waiting(ctx context.Context, kind market.Kind, before time.Time) (rows int64, err error)
	// Behind counts all that are not archived, and says when the oldest arrived, as far
	// as it is known, without asking anybody.
	Behind(kind market.Kind) (rows int64, oldest time.Time)
	// Sizes says what the rows of a table take on disk, by what Forget can remove at
	// once.
	Sizes(ctx context.Context, kind market.Kind) ([]persistence.Size, error)
	// Forget removes rows of a table that arrived before an instant and, unless all may
	// go, are archived; it returns how many have left. A store may keep some of them,
	// which are not read any more, until it can remove them with others. Those who read
	// them go on. Of o, Kinds is not looked at.
	Forget(ctx context.Context, kind market.Kind, o persistence.ForgetOptions) (rows int64, err error)
	// Removed is as [persistence.Tiers].
	Removed(ctx context.Context, r persistence.Removal) (bool, error)
}

// UnitSpan is the longest time between the arrivals of two parts of a unit, so that
// what is as old as the oldest of its rows is not much older than the others.
const UnitSpan = 24 * time.Hour

// Unit is rows of one table and shard: all of a range of one journal.
type Unit interface {
	// Meta has the kind, the journal range and when the oldest row arrived.
	Meta() part.Meta
	// Rows counts them, before equal keys are dropped.
	Rows() int64
	// Streams lists the streams with the lowest and the highest ts of each; one may come
	// several times, for times that do not share a day (UTC).
	Streams() []Extent
	// Merge reads a stream's rows with ts in [from, to), each key once.
	Merge(stream market.StreamID, from, to int64) *part.Merge
	// Confirm is asked when all is read, before it counts. Its error says that what was
	// read may not have been all.
	Confirm(ctx context.Context) error
	// Release ends the unit and its merges.
	Release()
}

// Extent is the time that a stream's rows cover, both ends inclusive, Unix ns.
type Extent struct {
	Stream   market.StreamID
	Min, Max int64
}
