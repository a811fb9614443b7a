package host

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// kernelClock reads what the kernel says of its own clock (adjtimex(2), read only).
func kernelClock(c *Clock) error {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return fmt.Errorf("reading the kernel's clock: %w", err)
	}
	unit := 1e-6
	if t.Status&unix.STA_NANO != 0 {
		unit = 1e-9
	}
	synchronized := t.Status&unix.STA_UNSYNC == 0
	c.Synchronized = &synchronized
	if synchronized { // else the two say nothing
		offset, bound := float64(t.Offset)*unit, float64(t.Maxerror)*1e-6
		c.OffsetSeconds, c.ErrorSeconds = &offset, &bound
	}
	return nil
}

// maxOpenFiles is the soft limit of this process.
func maxOpenFiles() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return l.Cur
}
