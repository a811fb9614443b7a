package persistence

import (
	"context"
	"encoding/json"
	"errors"
	"io"
)

// CopyFile is a file that one store can give to another.
type CopyFile struct {
	// Tier is "hot" or "cold".
	Tier  string `json:"tier"`
	Table string `json:"table"`
	// Name is the giver's: below its hot store, or in its bucket.
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	// Checksum is xxHash64 of the file, 16 hexadecimal digits.
	Checksum string `json:"checksum"`
	// Shard of the journal, and the range of it that the rows come from.
	JournalID string `json:"journal_id"`
	Shard     int    `json:"shard"`
	FirstSeq  uint64 `json:"first_seq"`
	LastSeq   uint64 `json:"last_seq"`
	// Entry is how the giver's manifest lists a cold file.
	Entry json.RawMessage `json:"entry,omitempty"`
}

// Offer is what a store can give to others: its files, and the positions of the journal
// that these reach up to. The positions are from before the files were listed.
type Offer struct {
	// Reader is the giver's name among the readers of the journal.
	Reader string `json:"reader"`
	// Positions are durable, by shard.
	Positions []Position `json:"positions"`
	Files     []CopyFile `json:"files"`
	// Archived is up to where the cold files reach.
	Archived []ArchivedTo `json:"archived"`
	// Shared names the cold store that several nodes have together; "" when it is the
	// giver's own.
	Shared string `json:"shared_cold,omitempty"`
	// Damaged are the journal ranges of files that are set aside: what they held cannot
	// be given.
	Damaged []CopyFile `json:"damaged"`
}

// Position of a shard; false when the giver has nothing of it.
func (o *Offer) Position(shard int) (Position, bool) {
	for _, p := range o.Positions {
		if p.Shard == shard && p.JournalID != "" {
			return p, true
		}
	}
	return Position{}, false
}

// ErrNoCopy: a file that is asked for has left the list of its store.
var ErrNoCopy = errors.New("no such file to copy")

// Copying is a store that gives its files to others, and takes theirs.
type Copying interface {
	// Offer lists what can be given; Reader is left to the caller. Errors: [ErrAway],
	// [ErrClosed].
	Offer(ctx context.Context) (Offer, error)
	// OpenCopy opens a file of an offer; it stays readable for ten minutes after it has
	// left the list. The reads obey ctx. Error: [ErrNoCopy].
	OpenCopy(ctx context.Context, tier, name string) (content CopyContent, size int64, err error)
	// Lacking are the files of an offer, of one shard and tier, that this store needs to
	// reach the offer's position. Hot ones are right once the cold ones were taken.
	Lacking(o *Offer, shard int, tier string) ([]CopyFile, error)
	// Take makes files part of the store, in one step: a crash leaves all of them or
	// none. at is where each is, complete. With the hot ones the shard's position becomes
	// that of the offer, and what was applied and not published is forgotten; nobody may
	// be applying. Errors: a [*CorruptError] for a file that is not what it is said to be.
	Take(ctx context.Context, o *Offer, shard int, tier string, files []CopyFile, at func(CopyFile) string) error
}

// CopyContent is an open file.
type CopyContent interface {
	io.ReaderAt
	io.Closer
}

// The tiers of a [CopyFile].
const (
	CopyHot  = "hot"
	CopyCold = "cold"
)
