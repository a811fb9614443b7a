package questdb

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/memtable"
)

// backlog is what a table has of a journal, that is not archived, as far as it is known:
// the lowest sequence of it, and rows, of which some may be others again.
type backlog struct {
	first uint64
	rows  int64
}

// stored notes that the server shows what was sealed behind a sequence; e.mu is locked.
func (e *Engine) stored(t *memtable.Table, after uint64) {
	journal := placeWord(t.Position.JournalID, t.Shard)
	e.arrived(journal, t.Position.Seq)
	for _, kind := range market.Kinds() {
		n, archived := t.KindRows(kind), e.archived[kind][journal]
		if n == 0 {
			continue
		}
		if e.known[kind] != nil {
			e.known[kind][journal] = true
		}
		if t.Position.Seq <= archived {
			continue // they come again
		}
		b := e.backlogs[kind][journal]
		if b.first == 0 {
			b.first = max(after, archived) + 1
		}
		b.rows += n
		e.backlogs[kind][journal] = b
	}
}

// noteBacklog replaces what is known.
func (e *Engine) noteBacklog(kind market.Kind, journal string, b backlog) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if b.rows == 0 {
		delete(e.backlogs[kind], journal)
		return
	}
	e.backlogs[kind][journal] = b
}

// Behind implements [scan.Hot].
func (e *Engine) Behind(kind market.Kind) (rows int64, oldest time.Time) {
	e.mu.Lock()
	all := maps.Clone(e.backlogs[kind])
	e.mu.Unlock()
	for journal, b := range all {
		rows += b.rows
		if at := e.arrivalOf(journal, b.first); oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	return rows, oldest
}

// look finds out what is not archived, of the tables of which it is not known.
func (e *Engine) look(ctx context.Context) error {
	for _, kind := range market.Kinds() {
		e.mu.Lock()
		due := e.tables[kind] != nil && e.unlooked[kind]
		e.unlooked[kind] = false
		e.mu.Unlock()
		if !due {
			continue
		}
		if err := e.lookAt(ctx, kind); err != nil {
			e.mu.Lock()
			e.unlooked[kind] = true
			e.mu.Unlock()
			return err
		}
	}
	return nil
}

func (e *Engine) lookAt(ctx context.Context, kind market.Kind) error {
	journals, err := e.places(ctx, kind)
	if err != nil {
		return err
	}
	for _, journal := range journals {
		u := &unit{e: e, kind: kind, journal: journal, after: e.archivedTo(kind, journal)}
		b, err := u.behind(ctx)
		if err != nil {
			return err
		}
		e.noteBacklog(kind, journal, b)
	}
	return nil
}

// places lists the journals, with the shard, that a table has rows of, or had since
// the program started: the server is asked once, later ones are our own.
func (e *Engine) places(ctx context.Context, kind market.Kind) ([]string, error) {
	if err := e.prepare(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	known := slices.Sorted(maps.Keys(e.known[kind]))
	asked := e.known[kind] != nil
	e.mu.Unlock()
	if asked {
		return known, nil
	}
	found := map[string]bool{}
	q := question{what: "listing the journals of " + kind.Table()}
	q.add("SELECT DISTINCT journal FROM " + kind.Table() + " WHERE journal IS NOT NULL")
	err := e.list(ctx, &q, func(row pgx.CollectableRow) error {
		journal, err := pgx.RowTo[string](row)
		found[journal] = true
		return err
	})
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known[kind] = found
	for shard := range e.with.Shards { // what was stored while it was asked
		if p := e.memory.Position(shard); p.JournalID != "" {
			e.known[kind][placeWord(p.JournalID, shard)] = true
		}
	}
	return slices.Sorted(maps.Keys(e.known[kind])), nil
}
