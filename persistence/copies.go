package persistence

import (
	"context"
	"encoding/json"
	"errors"
	"io"
)

// CopyFile is a file that one store can give to another.
type CopyFile struct {
	Tier      string          `json:"tier" doc:"hot or cold"`
	Table     string          `json:"table"`
	Name      string          `json:"name" doc:"the giver's: below its hot store, or in its bucket"`
	Bytes     int64           `json:"bytes"`
	Checksum  string          `json:"checksum" doc:"xxHash64 of the file, 16 hex digits"`
	JournalID string          `json:"journal_id" doc:"of the journal that the rows come from"`
	Shard     int             `json:"shard" doc:"of that journal"`
	FirstSeq  uint64          `json:"first_seq" doc:"first position that the rows come from"`
	LastSeq   uint64          `json:"last_seq" doc:"last position that the rows come from"`
	Entry     json.RawMessage `json:"entry,omitempty" doc:"how the giver's manifest lists a cold file; absent for a hot one"`
}

// Offer is what a store can give to others: its files, and the positions of the journal
// that these reach up to. The positions are from before the files were listed.
type Offer struct {
	Reader    string       `json:"reader" doc:"the giver's name among the readers of the journal"`
	Positions []Position   `json:"positions" doc:"up to where the giver has the journal durably, by shard"`
	Files     []CopyFile   `json:"files"`
	Archived  []ArchivedTo `json:"archived" doc:"up to where the cold files reach"`
	Shared    string       `json:"shared_cold,omitempty" doc:"names the cold store that several nodes have together; absent when it is the giver's own"`
	Damaged   []CopyFile   `json:"damaged" doc:"journal ranges of files that are set aside: what they held cannot be given"`
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
