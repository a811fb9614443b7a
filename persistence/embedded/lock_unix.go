//go:build unix

package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/marketprism/marketprism/persistence"
)

// lockDirectory takes the directory for this process; closing the file releases
// it, and so does the end of the process.
func lockDirectory(dir string) (*os.File, error) {
	path := filepath.Join(dir, "LOCK")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, &persistence.IOError{Op: "open lock", Path: path, Err: err}
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		err = fmt.Errorf("%w: %s", persistence.ErrLocked, dir)
	case err != nil:
		err = &persistence.IOError{Op: "lock", Path: path, Err: err}
	default:
		return f, nil
	}
	return nil, errors.Join(err, f.Close())
}
