package bucket

import (
	"context"
	"errors"
)

var (
	// ErrConflict: the key has another revision than the change stands on, or exists
	// although it should not.
	ErrConflict = errors.New("changed by another in the meantime")
	// ErrUnavailable: the broker does not answer, or refuses. Retry later.
	ErrUnavailable = errors.New("the message broker's bucket cannot be reached")
)

// Store keeps documents. It is safe for concurrent use. All errors are
// ErrUnavailable, or ErrConflict where it is named.
type Store interface {
	// Load lists all documents whose key begins with prefix, which is empty or ends
	// in a dot; the order is of no meaning.
	Load(ctx context.Context, prefix string) ([]Document, error)
	// Get is the document of a key; false when there is none.
	Get(ctx context.Context, key string) (Document, bool, error)
	// Put writes a document if its revision still is as given, 0 for a key that does
	// not exist, and returns the new revision. Error: ErrConflict.
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	// Remove removes a document if its revision still is as given. Error: ErrConflict.
	Remove(ctx context.Context, key string, revision uint64) error
	// Watch calls each for all documents whose key begins with prefix, once with
	// Complete set, and then for every change, one after the other, until ctx is done
	// (it then returns nil). Changes of one key that follow each other closely may be
	// told as one.
	Watch(ctx context.Context, prefix string, each func(Change)) error
}

// Document is a value under a key.
type Document struct {
	// Key is one to 512 characters out of letters, digits and -/_=. without a dot at
	// either end.
	Key   string
	Value []byte
	// Revision is above that of every earlier state of any key of the bucket; 0 is
	// a document that does not exist.
	Revision uint64
}

// Change is what a Watch tells.
type Change struct {
	Document // without a Value when Removed
	Removed  bool
	// Complete: everything that there was at the beginning has been told; the other
	// fields are not set.
	Complete bool
}
