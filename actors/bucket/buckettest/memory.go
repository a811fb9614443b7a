// Package buckettest has a store of documents in memory for tests, and the suite that
// it passes together with the real one.
package buckettest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/marketprism/marketprism/actors/bucket"
)

// Memory is a [bucket.Store] in memory.
type Memory struct {
	mu        sync.Mutex
	revision  uint64
	documents map[string]bucket.Document
	watchers  map[*watcher]struct{}
	broken    error
}

type watcher struct {
	prefix string
	wake   chan struct{}
	todo   []bucket.Change
}

// New makes an empty one.
func New() *Memory {
	return &Memory{documents: map[string]bucket.Document{}, watchers: map[*watcher]struct{}{}}
}

// Break makes every call fail with ErrUnavailable and this reason, until nil is given.
func (m *Memory) Break(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
	for w := range m.watchers {
		w.notify()
	}
}

func (m *Memory) check() error {
	if m.broken != nil {
		return fmt.Errorf("%w: %w", bucket.ErrUnavailable, m.broken)
	}
	return nil
}

// Load implements [bucket.Store].
func (m *Memory) Load(_ context.Context, prefix string) (all []bucket.Document, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(); err != nil {
		return nil, err
	}
	for key, d := range m.documents {
		if strings.HasPrefix(key, prefix) {
			all = append(all, d)
		}
	}
	return all, nil
}

// Get implements [bucket.Store].
func (m *Memory) Get(_ context.Context, key string) (bucket.Document, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.documents[key]
	if err := m.check(); err != nil {
		return bucket.Document{}, false, err
	}
	return d, ok, nil
}

// Put implements [bucket.Store].
func (m *Memory) Put(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change(key, revision); err != nil {
		return 0, err
	}
	d := bucket.Document{Key: key, Value: slices.Clone(value), Revision: m.revision}
	m.documents[key] = d
	m.tell(bucket.Change{Document: d})
	return m.revision, nil
}

// Remove implements [bucket.Store].
func (m *Memory) Remove(_ context.Context, key string, revision uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change(key, revision); err != nil {
		return err
	}
	delete(m.documents, key)
	m.tell(bucket.Change{Document: bucket.Document{Key: key, Revision: m.revision}, Removed: true})
	return nil
}

// change takes the next revision, if the key still has the one that is given.
func (m *Memory) change(key string, revision uint64) error {
	if err := m.check(); err != nil {
		return err
	}
	if m.documents[key].Revision != revision {
		return fmt.Errorf("%w: %s", bucket.ErrConflict, key)
	}
	m.revision++
	return nil
}

func (m *Memory) tell(c bucket.Change) {
	for w := range m.watchers {
		if strings.HasPrefix(c.Key, w.prefix) {
			w.todo = append(w.todo, c)
			w.notify()
		}
	}
}

func (w *watcher) notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Watch implements [bucket.Store].
func (m *Memory) Watch(ctx context.Context, prefix string, each func(bucket.Change)) error {
	w := &watcher{prefix: prefix, wake: make(chan struct{}, 1)}
	m.mu.Lock()
	for key, d := range m.documents {
		if strings.HasPrefix(key, prefix) {
			w.todo = append(w.todo, bucket.Change{Document: d})
		}
	}
	w.todo = append(w.todo, bucket.Change{Complete: true})
	w.notify()
	m.watchers[w] = struct{}{}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, w)
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		}
		m.mu.Lock()
		todo, err := w.todo, m.check()
		w.todo = nil
		m.mu.Unlock()
		if err != nil {
			return err
		}
		for _, c := range todo {
			if ctx.Err() != nil {
				return nil
			}
			each(c)
		}
	}
}
