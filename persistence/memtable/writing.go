package memtable

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// Writing is how far a shard's oldest sealed table is published: each kind is
// written by itself, at its own time, and what it came to (a T) is kept until all
// of them are committed at once. It is safe for concurrent use.
type Writing[T any] struct {
	store *Store
	shard int

	commit sync.Mutex                  // one at a time
	one    [market.NumKinds]sync.Mutex // one write of a kind at a time

	mu    sync.Mutex
	of    *Table
	began time.Time
	done  map[market.Kind]T
}

// NewWriting is for a shard that has published nothing of its oldest sealed table.
func NewWriting[T any](s *Store, shard int) *Writing[T] { return &Writing[T]{store: s, shard: shard} }

// current is the oldest sealed table, nil when there is none, and when the first of
// it was to be written.
func (w *Writing[T]) current() (*Table, time.Time) {
	t := w.store.Oldest(w.shard)
	w.mu.Lock()
	defer w.mu.Unlock()
	if t != nil && w.of != t {
		w.of, w.began, w.done = t, w.store.o.Now(), map[market.Kind]T{}
	}
	return t, w.began
}

func (w *Writing[T]) written(t *Table, kind market.Kind) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.done[kind]
	return w.of == t && ok
}

func (w *Writing[T]) left(t *Table) (kinds []market.Kind) {
	for _, kind := range market.Kinds() {
		if t.KindRows(kind) > 0 && !w.written(t, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// Sealed is what the engine's method answers; see [persistence.Publisher].
func (w *Writing[T]) Sealed() (persistence.Sealed, bool) {
	t, _ := w.current()
	if t == nil {
		return persistence.Sealed{}, false
	}
	return persistence.Sealed{Seq: t.Position.Seq, Began: t.Began(), Left: w.left(t)}, true
}

// Write has the records of a kind written, unless they are, and keeps the result.
// began is the same for all kinds of a table.
func (w *Writing[T]) Write(kind market.Kind, write func(t *Table, began time.Time) (T, error)) error {
	w.one[kind].Lock()
	defer w.one[kind].Unlock()
	t, began := w.current()
	if t == nil || !slices.Contains(w.left(t), kind) {
		return nil
	}
	result, err := write(t, began)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == t {
		w.done[kind] = result
	}
	return nil
}

// Commit has the whole table committed; commit drops it from the store. Without a
// sealed table it does nothing; before every kind is written it fails.
func (w *Writing[T]) Commit(commit func(t *Table, began time.Time, done map[market.Kind]T) error) error {
	w.commit.Lock()
	defer w.commit.Unlock()
	t, began := w.current()
	if t == nil {
		return nil
	}
	if left := w.left(t); len(left) > 0 {
		return fmt.Errorf("shard %d up to %d: %v is not written yet", w.shard, t.Position.Seq, left)
	}
	w.mu.Lock()
	done := w.done
	w.mu.Unlock()
	return commit(t, began, done)
}
