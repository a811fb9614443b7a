package supervise

import "time"

// Clock is the time a [System] runs by: backoff, windows, deadlines, timers and
// the times shown in the tree. Latency is measured on the machine's monotonic
// clock and not through it.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f on a goroutine of its own after d.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is a pending call of [Clock.AfterFunc].
type Timer interface {
	// Stop prevents the call and reports whether it did.
	Stop() bool
}

// WallClock is the clock of the machine.
type WallClock struct{}

// Now returns time.Now().
func (WallClock) Now() time.Time { return time.Now() }

// AfterFunc is time.AfterFunc.
func (WallClock) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }
