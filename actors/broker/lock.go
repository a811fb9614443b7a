package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse: another process has the broker's store open.
var ErrInUse = errors.New("the broker's store is in use")

// lockFile is beside JetStream's files in the store.
const lockFile = "lock"

// storeLock is held by the one process that has a store open. The kernel takes it back
// from a process that ends in whatever way.
type storeLock struct{ f *os.File }

// occupant is what the file says of its holder.
type occupant struct {
	PID   int       `json:"pid"`
	Doing string    `json:"doing"`
	Since time.Time `json:"since"`
}

// What has a store open.
const (
	doingServe   = "the message broker"
	doingMigrate = "journal migrate"
)

// lockStore takes the lock of a store. Error: ErrInUse, which says by whom.
func lockStore(dir, doing string) (*storeLock, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the broker's directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the broker's store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close() //nolint:errcheck // it was only read
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking the broker's store: %w", err)
		}
		return nil, fmt.Errorf("%w: %s by %s", ErrInUse, dir, occupantOf(f))
	}
	l := &storeLock{f}
	text, err := json.Marshal(occupant{os.Getpid(), doing, time.Now().UTC().Truncate(time.Second)})
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(text, 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("writing the lock of the broker's store: %w", err), l.release())
	}
	return l, nil
}

// release gives the lock back; of nil, there is none.
func (l *storeLock) release() error {
	if l == nil {
		return nil
	}
	return l.f.Close()
}

// occupantOf says who holds a lock.
func occupantOf(f io.ReaderAt) string {
	var o occupant
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<10))
	if err != nil || json.Unmarshal(text, &o) != nil {
		return "another process" // which is about to write it
	}
	return fmt.Sprintf("process %d, %s, since %s", o.PID, o.Doing, o.Since.Format(time.RFC3339))
}
