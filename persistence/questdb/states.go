package questdb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// tableState is what the server says of one table's write-ahead log.
type tableState struct {
	Name string
	// Suspended says that it goes on taking rows, and shows none of them.
	Suspended bool
	// Shown is the last transaction that queries see, Taken the last that was
	// acknowledged.
	Shown, Taken int64
	// Message is why it is suspended; nil or empty when the server does not say.
	Message *string
}

// states asks the server for the state of all tables: one question at a time, whose
// answer goes to all who wanted to know before it was asked. The server looks into
// the files of every table for it.
type states struct {
	ask  func(ctx context.Context) (map[string]tableState, error)
	turn chan struct{} // of capacity 1: held by the question under way

	mu   sync.Mutex
	next *round // not asked yet; nil when nobody waits for it
}

// round is one question, and its answer.
type round struct {
	answered chan struct{} // closed when the rest stands
	tables   map[string]tableState
	err      error
	left     bool // who asked did not wait for the answer
}

func newStates(ask func(ctx context.Context) (map[string]tableState, error)) *states {
	return &states{ask: ask, turn: make(chan struct{}, 1)}
}

// get returns what the server answered to a question that was asked after the call.
// The map is shared.
func (s *states) get(ctx context.Context) (map[string]tableState, error) {
	for {
		r, first := s.join()
		if first {
			s.lead(ctx, r)
		}
		select {
		case <-r.answered:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !r.left || first {
			return r.tables, r.err
		}
	}
}

// join returns the next round, and whether it is the caller who has to ask.
func (s *states) join() (r *round, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first = s.next == nil; first {
		s.next = &round{answered: make(chan struct{}), left: true}
	}
	return s.next, first
}

// lead waits for its turn and asks.
func (s *states) lead(ctx context.Context, r *round) {
	defer close(r.answered) // whatever happens
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		r.err = ctx.Err()
	}
	s.mu.Lock()
	s.next = nil // who comes from now on asks anew
	s.mu.Unlock()
	if r.err != nil {
		return
	}
	r.tables, r.err = s.ask(ctx)
	r.left = ctx.Err() != nil
}

// askStates asks the server, and holds what it answers against what was known. Its
// error is persistence.ErrRewind when a table holds less than it had taken.
func (e *Engine) askStates(ctx context.Context) (map[string]tableState, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.RequestTimeout)
	defer cancel()
	rows, err := e.admin.Query(ctx, "SELECT name, suspended, writerTxn, sequencerTxn, errorMessage FROM wal_tables()")
	if err != nil {
		return nil, e.away(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[tableState])
	if err != nil {
		return nil, e.away(err)
	}
	found := make(map[string]tableState, len(list))
	for _, s := range list {
		found[s.Name] = s
	}
	suspended := map[string]string{}
	for _, t := range e.tables {
		if t == nil {
			continue
		}
		s, ok := found[t.Name]
		if !ok {
			e.prepared.Store(false)
		}
		if s.Suspended {
			suspended[t.Name] = s.reason()
		}
		if back := e.observe(t.Name, s.Taken); back != nil {
			err = back
		}
	}
	e.suspensions(suspended)
	return found, err
}

func (s *tableState) reason() string {
	if s.Message != nil && *s.Message != "" {
		return *s.Message
	}
	return "suspended"
}

// wal is the state of one table, as it is after the call; of a table that is not
// there it is that of one that has taken nothing.
func (e *Engine) wal(ctx context.Context, table string) (tableState, error) {
	all, err := e.states.get(ctx)
	if err != nil {
		return tableState{}, fmt.Errorf("asking for the state of table %s: %w", table, err)
	}
	return all[table], nil
}

// observe holds what the server has taken of a table against what it had. It is
// called in the order in which the server was asked.
func (e *Engine) observe(table string, taken int64) error {
	e.mu.Lock()
	had := e.taken[table]
	e.taken[table] = max(had, taken)
	e.mu.Unlock()
	if taken < had {
		return e.setBack(table, had, taken)
	}
	return nil
}

// suspensions replaces what is known of suspended tables, and tells what is new.
func (e *Engine) suspensions(now map[string]string) {
	e.mu.Lock()
	before := e.suspended
	e.suspended = now
	e.mu.Unlock()
	e.metrics.suspended.Set(float64(len(now)))
	for _, table := range slices.Sorted(maps.Keys(now)) {
		if _, known := before[table]; !known {
			e.log.Error("the server has suspended a table: it goes on taking rows, and shows none of them",
				zap.String("table", table), zap.String("reason", now[table]))
		}
	}
	for _, table := range slices.Sorted(maps.Keys(before)) {
		if _, still := now[table]; !still {
			e.log.Info("a suspended table goes on", zap.String("table", table))
		}
	}
}
