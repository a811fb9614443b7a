package storage

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// table is what is known of the writer of one table of a shard. It outlives the
// writer's incarnations; any goroutine may ask it.
type table struct {
	kind   market.Kind
	writer atomic.Pointer[ref]

	mu       sync.Mutex
	writing  bool
	err      error // why the last write failed; nil after one that did not
	failures int   // in a row
	failed   int64 // since the start
	writes   int64 // since the start
	took     time.Duration
	at       time.Time // of the last write that did not fail
}

func (t *table) set(change func(t *table)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(t)
}

// poke asks the writer to look. One that is not there looks when it starts.
func (t *table) poke() {
	if w := t.writer.Load(); w != nil {
		// Refused when it is stopping, or has been asked often enough already.
		_ = w.system.Tell(w.pid, writeDue{})
	}
}

// trouble is why the table is not written; nil while it is.
func (t *table) trouble() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		return nil
	}
	return fmt.Errorf("table %s, %d attempts: %w", t.kind.Table(), t.failures, t.err)
}

// WriterStatus is how one table of a shard is written.
type WriterStatus struct {
	Table         string    `json:"table"`
	State         string    `json:"state" doc:"idle, writing, or waiting for the next attempt after a failure"`
	Writes        int64     `json:"writes_total" doc:"since the start"`
	Failures      int64     `json:"failures_total" doc:"since the start"`
	FailuresInRow int       `json:"failures_in_row" doc:"since the last success"`
	Error         string    `json:"error,omitempty" doc:"why the last attempt failed; absent when it did not"`
	Took          float64   `json:"took_seconds" doc:"of the last successful write"`
	At            time.Time `json:"at" doc:"when that ended; 0001-01-01T00:00:00Z before the first"`
}

func (t *table) status() WriterStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := WriterStatus{
		Table: t.kind.Table(), State: "idle", Writes: t.writes, Failures: t.failed, FailuresInRow: t.failures, Took: t.took.Seconds(), At: t.at,
	}
	if t.err != nil {
		s.State, s.Error = "waiting", t.err.Error()
	}
	if t.writing {
		s.State = "writing"
	}
	return s
}
