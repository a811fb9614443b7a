package ledger

import (
	"context"

	"github.com/marketprism/marketprism/actors/bucket"
)

// Store keeps the ledger and the tasks. It is safe for concurrent use.
type Store interface {
	// Lead takes over: from now on no other writer appends. It fills book with what
	// the ledger holds. Errors: ErrUnavailable, ErrDamaged.
	Lead(ctx context.Context, book *Book) (Writer, error)
	// Documents are the keys and values beside the ledger.
	Documents
}

// Writer appends to the ledger. Fires and results may be appended at the same time,
// each by one goroutine.
type Writer interface {
	// Fires and Results append one batch. After ErrUnavailable the same batch is to
	// be given again, until there is another outcome. ErrFenced is final.
	Fires(ctx context.Context, fires []Fire) error
	Results(ctx context.Context, results []Result) error
	// Snapshot writes down what book holds and drops what led there. It is called
	// while neither of the others is, and returns what goes on beside them; errors
	// leave everything as it was.
	Snapshot(ctx context.Context, book *Book) (write func(ctx context.Context) error, err error)
	// Written is how many bytes were appended since the last snapshot.
	Written() int64
	// Fence is the number of this leadership, above every one before.
	Fence() uint64
}

// Documents are values under keys, each with a revision.
type Documents interface {
	// Load lists all with a prefix; the order is of no meaning.
	Load(ctx context.Context, prefix string) ([]Document, error)
	// Get is the value of a key; false when there is none. Error: ErrUnavailable.
	Get(ctx context.Context, key string) (Document, bool, error)
	// Put writes the value of a key if its revision still is as given, 0 for a key
	// that does not exist, and returns the new one. Errors: ErrConflict,
	// ErrUnavailable.
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	// Remove removes a key if its revision still is as given. Errors: as of Put.
	Remove(ctx context.Context, key string, revision uint64) error
}

// Document is a value under a key, with its revision.
type Document = bucket.Document
