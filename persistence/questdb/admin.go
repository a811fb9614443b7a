package questdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
)

// schemaVersion is raised with every change of the tables that adding columns does
// not make.
const schemaVersion = 1

const schemaTable = "marketprism_schema"

// migrate makes what the server lacks, column by column, and records it. It may
// run again at any time, and from several processes.
func (e *Engine) migrate(ctx context.Context) error {
	create := "CREATE TABLE IF NOT EXISTS " + schemaTable + " (ts TIMESTAMP, version INT, change VARCHAR) TIMESTAMP(ts) PARTITION BY YEAR WAL"
	if _, err := e.admin.Exec(ctx, create); err != nil {
		return err
	}
	var newest *int32
	if err := e.admin.QueryRow(ctx, "SELECT max(version) FROM "+schemaTable).Scan(&newest); err != nil {
		return err
	}
	if newest != nil && *newest > schemaVersion {
		return fmt.Errorf("the tables are of version %d, and this program knows %d: use a newer one", *newest, schemaVersion)
	}
	for _, t := range e.tables {
		if t == nil {
			continue
		}
		if err := e.migrateTable(ctx, t); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	if newest != nil && *newest == schemaVersion {
		return nil
	}
	return e.recordChange(ctx, "all tables")
}

func (e *Engine) recordChange(ctx context.Context, change string) error {
	_, err := e.admin.Exec(ctx, "INSERT INTO "+schemaTable+" VALUES ($1, $2, $3)", e.with.Now().UTC(), int32(schemaVersion), change)
	return err
}

// migrateTable makes a table, or adds the columns that it lacks. A column of
// another type is an error: it would be changed by hand, or not be ours.
func (e *Engine) migrateTable(ctx context.Context, t *Table) error {
	if _, err := e.admin.Exec(ctx, t.Create()); err != nil {
		return err
	}
	have, err := e.columns(ctx, t.Name)
	if err != nil {
		return err
	}
	for _, c := range t.Columns {
		i := slices.IndexFunc(have, func(h Column) bool { return h.Name == c.Name })
		if i >= 0 && have[i].Type != c.Type {
			return fmt.Errorf("column %s is %s, want %s", c.Name, have[i].Type, c.Type)
		}
		if i >= 0 {
			continue
		}
		if _, err := e.admin.Exec(ctx, fmt.Sprintf("ALTER TABLE %s ADD COLUMN IF NOT EXISTS %s %s", t.Name, c.Name, c.Type)); err != nil {
			return fmt.Errorf("adding column %s: %w", c.Name, err)
		}
		e.log.Info("a column was added to a table of the server", zap.String("table", t.Name), zap.String("column", c.Name))
		if err := e.recordChange(ctx, t.Name+"."+c.Name); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) columns(ctx context.Context, table string) ([]Column, error) {
	// The function wants a constant; the name is one of ours.
	rows, err := e.admin.Query(ctx, fmt.Sprintf(`SELECT "column", type FROM table_columns('%s')`, table))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Column])
}

// wal is the state of a table's write-ahead log: whether it is suspended, the last
// transaction that is shown, and the last that was taken.
func (e *Engine) wal(ctx context.Context, table string) (suspended bool, shown, taken int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.RequestTimeout)
	defer cancel()
	err = e.admin.QueryRow(ctx, "SELECT suspended, writerTxn, sequencerTxn FROM wal_tables() WHERE name = $1", table).Scan(&suspended, &shown, &taken)
	if err != nil {
		err = fmt.Errorf("asking for the state of table %s: %w", table, err)
	}
	return suspended, shown, taken, err
}

// lookAfter finds the tables that the server has suspended, which goes on taking
// rows for them, and tries to resume them.
// https://questdb.com/docs/query/sql/alter-table-resume-wal/
func (e *Engine) lookAfter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.RequestTimeout)
	defer cancel()
	rows, err := e.admin.Query(ctx, "SELECT name, errorMessage FROM wal_tables() WHERE suspended = true")
	if err != nil {
		return fmt.Errorf("looking for suspended tables: %w", err)
	}
	type suspension struct {
		Name    string
		Message *string
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[suspension])
	if err != nil {
		return fmt.Errorf("looking for suspended tables: %w", err)
	}
	now := map[string]string{}
	var errs []error
	for _, s := range found {
		if !slices.ContainsFunc(e.tables[:], func(t *Table) bool { return t != nil && t.Name == s.Name }) {
			continue
		}
		reason := "suspended"
		if s.Message != nil && *s.Message != "" {
			reason = *s.Message
		}
		now[s.Name] = reason
		e.log.Error("the server has suspended a table; it is resumed", zap.String("table", s.Name), zap.String("reason", reason))
		if err := e.Resume(ctx, s.Name); err != nil {
			errs = append(errs, err)
		}
	}
	e.mu.Lock()
	e.suspended = now
	e.mu.Unlock()
	e.metrics.suspended.Set(float64(len(now)))
	return errors.Join(errs...)
}

// Resume makes the server go on with a table that it has suspended.
func (e *Engine) Resume(ctx context.Context, table string) error {
	kind, ok := market.ParseKind(table)
	if !ok || kind.Table() != table {
		return fmt.Errorf("no table %q", table)
	}
	if _, err := e.admin.Exec(ctx, "ALTER TABLE "+table+" RESUME WAL"); err != nil {
		return fmt.Errorf("resuming table %s: %w", table, err)
	}
	return nil
}

// Suspended lists the tables that the server had suspended when Maintain last
// looked, with what it said.
func (e *Engine) Suspended() map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make(map[string]string, len(e.suspended))
	for k, v := range e.suspended {
		out[k] = v
	}
	return out
}

// Behind is how long ago the oldest records that the server does not show were
// applied; 0 when there are none.
func (e *Engine) Behind(shard int) time.Duration {
	t := e.memory.Oldest(shard)
	if t == nil {
		return 0
	}
	return e.with.Now().Sub(t.Began())
}
