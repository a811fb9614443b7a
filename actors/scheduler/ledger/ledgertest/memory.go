// Package ledgertest has a ledger in memory, for tests of what stands on one, and
// what every ledger has to do.
package ledgertest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
)

// Memory is a ledger that lasts as long as itself.
type Memory struct {
	mu        sync.Mutex
	fence     uint64
	appended  []any // []ledger.Fire or []ledger.Result
	documents map[string]ledger.Document
	revision  uint64
	down      error // what everything fails with; nil: it works
	batches   int
	lose      bool
}

// New is an empty ledger.
func New() *Memory { return &Memory{documents: map[string]ledger.Document{}} }

// Break makes everything fail until it is called with nil.
func (m *Memory) Break(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
}

// Fires are all that were appended, in order.
func (m *Memory) Fires() (all []ledger.Fire) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.appended {
		if fires, ok := a.([]ledger.Fire); ok {
			all = append(all, fires...)
		}
	}
	return all
}

// Batches is how often something was appended.
func (m *Memory) Batches() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.batches
}

func (m *Memory) check() error {
	if m.down != nil {
		return errors.Join(ledger.ErrUnavailable, m.down)
	}
	return nil
}

// Lead implements [ledger.Store].
func (m *Memory) Lead(_ context.Context, book *ledger.Book) (ledger.Writer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(); err != nil {
		return nil, err
	}
	m.fence++
	for _, a := range m.appended {
		switch a := a.(type) {
		case []ledger.Fire:
			book.Fired(a)
		case []ledger.Result:
			book.Finished(a)
		}
	}
	return &writer{memory: m, fence: m.fence}, nil
}

type writer struct {
	memory *Memory
	fence  uint64
}

func (w *writer) append(batch any) error {
	w.memory.mu.Lock()
	defer w.memory.mu.Unlock()
	if err := w.memory.check(); err != nil {
		return err
	}
	if w.memory.fence != w.fence {
		return ledger.ErrFenced
	}
	w.memory.appended = append(w.memory.appended, batch)
	w.memory.batches++
	return nil
}

// Fires implements [ledger.Writer].
func (w *writer) Fires(_ context.Context, fires []ledger.Fire) error {
	return w.append(slices.Clone(fires))
}

// Results implements [ledger.Writer].
func (w *writer) Results(_ context.Context, results []ledger.Result) error {
	return w.append(slices.Clone(results))
}

// Snapshot implements [ledger.Writer]: memory is not purged.
func (w *writer) Snapshot(context.Context, *ledger.Book) (func(context.Context) error, error) {
	return func(context.Context) error { return nil }, nil
}

// Written implements [ledger.Writer].
func (w *writer) Written() int64 { return 0 }

// Fence implements [ledger.Writer].
func (w *writer) Fence() uint64 { return w.fence }

// Load implements [ledger.Documents].
func (m *Memory) Load(_ context.Context, prefix string) (all []ledger.Document, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, d := range m.documents {
		if strings.HasPrefix(key, prefix) {
			all = append(all, d)
		}
	}
	return all, m.check()
}

// Get implements [ledger.Documents].
func (m *Memory) Get(_ context.Context, key string) (ledger.Document, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.documents[key]
	return d, ok, m.check()
}

// LoseAnswer lets the next write be done and its answer be lost.
func (m *Memory) LoseAnswer() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lose = true
}

// lost says whether this answer is to be.
func (m *Memory) lost() error {
	if !m.lose {
		return nil
	}
	m.lose = false
	return errors.Join(ledger.ErrUnavailable, errors.New("no answer"))
}

// Put implements [ledger.Documents].
func (m *Memory) Put(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(); err != nil {
		return 0, err
	}
	if m.documents[key].Revision != revision {
		return 0, ledger.ErrConflict
	}
	m.revision++
	m.documents[key] = ledger.Document{Key: key, Value: slices.Clone(value), Revision: m.revision}
	return m.revision, m.lost()
}

// Remove implements [ledger.Documents].
func (m *Memory) Remove(_ context.Context, key string, revision uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(); err != nil {
		return err
	}
	if m.documents[key].Revision != revision {
		return ledger.ErrConflict
	}
	delete(m.documents, key)
	return m.lost()
}

// Leaders is how often somebody took over.
func (m *Memory) Leaders() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fence
}
