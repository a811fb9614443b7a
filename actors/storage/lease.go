package storage

import (
	"sync"

	"github.com/marketprism/marketprism/persistence"
)

// leased are rows whose place is given back when they are closed.
type leased struct {
	persistence.Rows
	release func()
	once    sync.Once
	err     error
}

// Close implements persistence.Rows.
func (l *leased) Close() error {
	l.once.Do(func() {
		l.err = l.Rows.Close()
		l.release()
	})
	return l.err
}

// ticket settles who closes the rows of a query: the asker, unless he left before
// they came.
type ticket struct {
	mu   sync.Mutex
	left bool
	rows persistence.Rows
}

// hand says whether the asker still waits; then the rows are his.
func (t *ticket) hand(rows persistence.Rows) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = rows
	return !t.left
}

// abandon is the asker leaving without the rows.
func (t *ticket) abandon() error {
	t.mu.Lock()
	rows := t.rows
	t.left = true
	t.mu.Unlock()
	if rows != nil {
		return rows.Close()
	}
	return nil
}
