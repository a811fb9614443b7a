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
	return lockFile(dir, os.O_CREATE|os.O_RDWR, unix.LOCK_EX)
}

// shareDirectory keeps others from taking the directory, as several may at a time.
func shareDirectory(dir string) (*os.File, error) {
	return lockFile(dir, os.O_RDONLY, unix.LOCK_SH)
}

func lockFile(dir string, mode, how int) (*os.File, error) {
	path := filepath.Join(dir, "LOCK")
	f, err := os.OpenFile(path, mode, 0o644)
	if err != nil {
		return nil, &persistence.IOError{Op: "open lock", Path: path, Err: err}
	}
	err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
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
