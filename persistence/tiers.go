package persistence

import (
	"context"
	"errors"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// Tier selects between the hot store and the cold one.
type Tier uint8

// The tiers.
const (
	// TierAll reads both as one.
	TierAll Tier = iota
	// TierHot reads what the cold store does not have yet.
	TierHot
	// TierCold reads what is archived.
	TierCold
)

// ParseTier reads the words of the HTTP contract: "all", "hot", "cold"; "" is
// TierAll.
func ParseTier(s string) (Tier, bool) {
	switch s {
	case "", "all":
		return TierAll, true
	case "hot":
		return TierHot, true
	case "cold":
		return TierCold, true
	}
	return TierAll, false
}

// ErrAway: the cold store is out of reach, so that nobody can say which rows it
// has. A query of [TierHot] alone does not need it.
var ErrAway = errors.New("the cold store is out of reach")

// Tiers moves rows from the hot store to the cold one, and takes away what is too
// old. Age counts from when rows arrived, never from the time that they are of. All
// methods are safe for concurrent use.
type Tiers interface {
	Upkeeper
	// Archive copies what is old enough into the cold store, which lists it, unit by
	// unit, each in one commit. It may be ended at any moment and goes on from there
	// the next time; the report says what was listed. Errors: [ErrAway], those of reading
	// and writing.
	Archive(ctx context.Context, o ArchiveOptions) (ArchiveReport, error)
	// Waiting counts the rows of the hot store that arrived before an instant and are
	// not archived. No kinds means all.
	Waiting(ctx context.Context, kinds []market.Kind, before time.Time) (rows int64, err error)
	// Behind counts all that are not archived, and says when the oldest of them arrived
	// (zero without any), as far as it is known, without asking anybody.
	Behind() (rows int64, oldest time.Time)
	// Sizes says what the hot store takes on disk, by what can be removed at once.
	Sizes(ctx context.Context) ([]Size, error)
	// Forget removes rows from the hot store that arrived before an instant and,
	// unless all of them may go, are archived; it returns how many.
	Forget(ctx context.Context, o ForgetOptions) (rows int64, err error)
	// Removed reports whether a removal has taken place that a process began that is no
	// more.
	Removed(ctx context.Context, r Removal) (bool, error)
	// Retain removes archived rows that arrived, and are of a time, longer ago than
	// age; it returns how many.
	Retain(ctx context.Context, age time.Duration) (rows int64, err error)
	// Tend opens the cold store when it is not open, reads what others have committed
	// to it, and deletes files that nobody reads any more.
	Tend(ctx context.Context) error
	// ColdStats counts what is archived. It asks no medium.
	ColdStats() ColdStats
	// ColdParts lists the archived files; ErrAway.
	ColdParts() ([]PartInfo, error)
}

// Size is what some rows of a hot store take on disk.
type Size struct {
	Bytes int64
	// Arrived is when the last of them had arrived.
	Arrived time.Time
}

// ArchiveOptions say what to archive.
type ArchiveOptions struct {
	// Kinds are the tables; none means all.
	Kinds []market.Kind
	// Before is the instant that rows must have arrived before.
	Before time.Time
	// Progress is told what is done so far, after each file and at least once; nil
	// is not.
	Progress func(ArchiveReport)
	// Operation names the archive in what it commits; "" does not. Since, of one that a
	// process before has begun, is when: the report begins with what that had listed.
	Operation string
	Since     time.Time
}

// ForgetOptions say what to remove from the hot store.
type ForgetOptions struct {
	// Kinds are the tables; none means all.
	Kinds []market.Kind
	// Before is the instant that rows must have arrived before.
	Before time.Time
	// All removes what is not archived too.
	All bool
	// Step is called for each removal, and calls remove, once, which takes it away, or
	// does not when it fails. In between it can note what a later process must ask
	// Tiers.Removed about. Nil calls remove.
	Step func(r Removal, remove func() error) error
}

// Take has one removal made.
func (o *ForgetOptions) Take(r Removal, remove func() error) error {
	if o.Step == nil {
		return remove()
	}
	return o.Step(r, remove)
}

// Removal is rows that leave the hot store at once.
type Removal struct {
	Table string `json:"table"`
	// Rows is how many.
	Rows int64 `json:"rows"`
	// Places are where they are, in the words of the hot store: files, or hours.
	Places []string `json:"places"`
	// Up to a sequence of each journal (and shard), rows of those places are meant; of
	// a hot store whose places may get others.
	UpTo map[string]uint64 `json:"up_to,omitempty"`
}

// ArchiveReport says what an archive did.
type ArchiveReport struct {
	// Rows are in Files, of Bytes.
	Rows  int64 `json:"rows"`
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// ByTable counts the rows by table.
	ByTable map[string]int64 `json:"by_table"`
}

// ColdStats are counts of the cold store.
type ColdStats struct {
	Place   string       `json:"place" doc:"a path, or the URL of a bucket; empty without a cold store"`
	Open    bool         `json:"open" doc:"whether it could be opened; if not, the counts are 0 and mean nothing"`
	Problem string       `json:"problem,omitempty" doc:"why it is not open, or out of reach since; absent when all is well"`
	Corrupt bool         `json:"corrupt" doc:"the problem is damage, which time does not heal"`
	Tables  []TableStats `json:"tables" doc:"those that have files; rows count keys"`
	Exact   bool         `json:"exact" doc:"false: files have come since keys were compared, and a key of theirs that another file has too counts twice"`
	// Record is the number of the manifest's last record: whoever archives makes the next
	// one only where there is none yet.
	Record   uint64        `json:"record" doc:"number of the manifest's last record"`
	Archived []ArchivedTo  `json:"archived" doc:"up to where each table has the journal"`
	Damaged  []Quarantined `json:"damaged" doc:"files that a query, or the check of one, has found damaged"`
}

// ArchivedTo says that the cold store has every row of a table and shard up to a
// position of a journal.
type ArchivedTo struct {
	Table     string `json:"table"`
	Shard     int    `json:"shard" doc:"its number, from 0"`
	JournalID string `json:"journal_id"`
	Seq       uint64 `json:"seq" doc:"position of the journal up to which the cold store has every row"`
}
