package harness

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Await polls until ok, and fails the test when that takes longer than patience.
// It is for what no signal tells: other processes, files, answers.
//
// Patience is time of a machine that has little else to do: where processes wait for a
// processor or a disk, it lasts as much longer as the load average says, ten times at
// most.
func Await(t testing.TB, patience time.Duration, what string, ok func() bool) {
	t.Helper()
	began := time.Now()
	if !Eventually(t, patience, ok) {
		t.Fatalf("%s: not within %v (%v with other work on the machine)", what, patience, time.Since(began).Round(time.Second))
	}
}

// Eventually polls until ok or patience, as [Await] counts it, is over.
func Eventually(t testing.TB, patience time.Duration, ok func() bool) bool {
	t.Helper()
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for b := newBudget(patience); !ok(); <-tick.C {
		if b.spent() {
			return false
		}
	}
	return true
}

// AwaitMoving polls until ok, and fails the test as [Moving] gives up.
func AwaitMoving(t testing.TB, patience time.Duration, what string, progress func() int64, ok func() bool) {
	t.Helper()
	began := time.Now()
	if !Moving(t, patience, progress, ok) {
		t.Fatalf("%s: nothing has moved for %v, or too little in %v", what, patience, time.Since(began).Round(time.Second))
	}
}

// Moving polls until ok, for as long as progress moves. It gives up when progress has been
// the same for patience, as [Await] counts it, or has moved for twenty times as long.
func Moving(t testing.TB, patience time.Duration, progress func() int64, ok func() bool) bool {
	t.Helper()
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	last := progress()
	for all, still := newBudget(20*patience), newBudget(patience); !ok(); <-tick.C {
		if all.spent() {
			return false
		}
		if at := progress(); at != last {
			still, last = newBudget(patience), at
		} else if still.spent() {
			return false
		}
	}
	return true
}

// budget is patience that is left.
type budget struct {
	left    time.Duration
	at      time.Time // of the last look
	stretch float64   // wall time for each second of patience
	asked   time.Time // when the load was
}

func newBudget(patience time.Duration) *budget {
	now := time.Now()
	return &budget{left: patience, at: now, stretch: stretch(), asked: now}
}

func (b *budget) spent() bool {
	now := time.Now()
	if now.Sub(b.asked) > time.Second {
		b.stretch, b.asked = stretch(), now
	}
	b.left -= time.Duration(float64(now.Sub(b.at)) / b.stretch)
	b.at = now
	return b.left < 0
}

// stretch is how many processes want a core, between 1 and 10; 1 where the system does
// not say.
func stretch() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 1
	}
	load, err := strconv.ParseFloat(strings.SplitN(string(text), " ", 2)[0], 64)
	if err != nil {
		return 1
	}
	return min(max(load/float64(runtime.NumCPU()), 1), 10)
}

// errSilent is why a request was given up.
var errSilent = errors.New("the server has been silent for too long")

// quiet is how long a server may send nothing at all, for each unit of the load: an
// archive is answered when it is over.
const quiet = time.Minute

// attended cancels a context when nobody has called heard for quiet; leave ends it.
func attended(ctx context.Context) (_ context.Context, heard, leave func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(time.Duration(float64(quiet)*stretch()), func() { cancel(errSilent) })
	heard = func() { timer.Reset(time.Duration(float64(quiet) * stretch())) }
	return ctx, heard, func() {
		timer.Stop()
		cancel(nil)
	}
}

// silence says that the server's silence ended a request; nil when something else did.
func silence(ctx context.Context) error {
	if err := context.Cause(ctx); errors.Is(err, errSilent) {
		return err
	}
	return nil
}

// heardReader tells of every piece that is read.
type heardReader struct {
	io.Reader
	heard func()
}

func (r heardReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if n > 0 {
		r.heard()
	}
	return n, err
}
