package journal

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// DiskGuard refuses before the broker's disk is full: nats-server that meets
// ENOSPC lets publishes time out without an error and stays dead until it is
// restarted. The zero value guards nothing, which is right where the broker is
// on another machine.
type DiskGuard struct {
	// Free measures the file system of the journal's directory, in bytes that an
	// unprivileged process may use. nil: no guard.
	Free func() (free, total uint64, err error)
	// MinBytes and MinPercent: free space must not be below the larger of them.
	MinBytes   uint64
	MinPercent float64
}

// GuardDir guards the file system of dir with the configured thresholds.
func (c Config) GuardDir(dir string) DiskGuard {
	return DiskGuard{
		Free:       func() (uint64, uint64, error) { return freeSpace(dir) },
		MinBytes:   uint64(c.DiskFreeBytes),
		MinPercent: c.DiskFreePercent,
	}
}

// check returns ErrDiskFull when there is too little space. A measurement that
// fails refuses too: the guard must not be blind.
func (g DiskGuard) check() error {
	if g.Free == nil {
		return nil
	}
	free, total, err := g.Free()
	if err != nil {
		return fmt.Errorf("%w: measuring free space: %w", ErrDiskFull, err)
	}
	need := max(g.MinBytes, uint64(float64(total)*g.MinPercent/100))
	if free < need {
		return fmt.Errorf("%w: %d MiB free, %d MiB needed", ErrDiskFull, free>>20, need>>20)
	}
	return nil
}

func freeSpace(dir string) (free, total uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize), nil
}
