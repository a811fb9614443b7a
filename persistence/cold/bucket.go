package cold

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/marketprism/marketprism/persistence/part"
)

// Bucket is where objects are kept: a directory, or a bucket of an S3 service.
// Names are paths with slashes. It is safe for concurrent use. Errors that are
// none of the below are the medium's: *persistence.IOError where it is a disk.
type Bucket interface {
	// Create stores an object under a name that has none yet; [ErrExists] when it
	// has. After any other error it may or may not be there. When it returns
	// without error the object survives a crash.
	Create(ctx context.Context, name string, data []byte) error
	// Put stores the content of a file, in place of whatever had the name. When it
	// returns without error the object survives a crash.
	Put(ctx context.Context, name string, from *os.File, size int64) error
	// Get reads a small object; [ErrNotFound].
	Get(ctx context.Context, name string) ([]byte, error)
	// Open reads an object in pieces; [ErrNotFound]. The reads obey ctx.
	Open(ctx context.Context, name string) (content part.Content, size int64, err error)
	// List tells the objects whose names begin with prefix, by name.
	List(ctx context.Context, prefix string) ([]Object, error)
	// Delete removes an object; one that is gone is no error.
	Delete(ctx context.Context, name string) error
	// Tidy removes what interrupted writes that began before an instant have left and
	// List does not show; it returns how many.
	Tidy(ctx context.Context, before time.Time) (int, error)
	// String names the bucket in logs and errors: a path or a URL, without secrets.
	String() string
}

// Object is one object of a bucket.
type Object struct {
	Name string
	// Size is in bytes.
	Size int64
	// Modified is when it was written, by the clock of the medium.
	Modified time.Time
}

// Errors of every bucket.
var (
	// ErrExists: the name is taken.
	ErrExists = errors.New("the object exists")
	// ErrNotFound: there is no such object.
	ErrNotFound = errors.New("no such object")
)
