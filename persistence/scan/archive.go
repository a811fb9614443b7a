package scan

import (
	"context"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/part"
)

// Hot is a store whose oldest rows can be copied into a cold one.
type Hot interface {
	// Oldest is the next rows of a table and shard behind a journal position, in
	// journal order, all of which arrived before an instant; nil when there are none.
	// The caller releases the unit.
	Oldest(ctx context.Context, kind market.Kind, shard int, above uint64, before time.Time) (Unit, error)
	// Archived says that the cold store lists every row of a table and shard up to a
	// journal position: they need not be read here any more.
	Archived(kind market.Kind, shard int, seq uint64)
	// JournalID names the journal of the rows; "" when there are none.
	JournalID(shard int) string
}

// Unit is rows of one table and shard: all of a range of the journal.
type Unit interface {
	// Meta has the kind, the journal range and when the oldest row arrived.
	Meta() part.Meta
	// Rows counts them, before equal keys are dropped.
	Rows() int64
	// Streams lists the streams with the lowest and the highest ts of each.
	Streams() []Extent
	// Merge reads a stream's rows with ts in [from, to), each key once.
	Merge(stream market.StreamID, from, to int64) *part.Merge
	// Release ends the unit and its merges.
	Release()
}

// Extent is the time that a stream's rows cover, both ends inclusive, Unix ns.
type Extent struct {
	Stream   market.StreamID
	Min, Max int64
}
