package questdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// schemaVersion is raised with every change of the tables that adding columns does
// not make.
const schemaVersion = 1

const schemaTable = "marketprism_schema"

// prepare makes the tables, unless that was done. Error: persistence.ErrUnavailable.
func (e *Engine) prepare(ctx context.Context) error {
	if e.prepared.Load() {
		return nil
	}
	select {
	case e.preparing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-e.preparing }()
	if e.prepared.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, prepareWithin)
	defer cancel()
	if err := e.migrate(ctx); err != nil {
		return fmt.Errorf("making the tables: %w", e.away(err))
	}
	if err := e.loadArrivals(ctx); err != nil {
		return fmt.Errorf("reading when rows arrived: %w", e.away(err))
	}
	e.prepared.Store(true)
	return nil
}

// prepareWithin bounds the making of all tables.
const prepareWithin = time.Minute

// away marks an error that comes from a server that is not there, or does not
// answer in time.
func (e *Engine) away(err error) error {
	var dial *pgconn.ConnectError
	var network net.Error
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &dial), errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, context.DeadlineExceeded), pgconn.SafeToRetry(err):
		return fmt.Errorf("questdb at %s: %w: %w", e.cfg.PG, persistence.ErrUnavailable, err)
	}
	return err
}

// errSchema: the tables of the server are not what this program can use.
var errSchema = errors.New("the tables of the server do not fit")

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
		return fmt.Errorf("%w: they are of version %d, and this program knows %d: use a newer one", errSchema, *newest, schemaVersion)
	}
	if _, err := e.admin.Exec(ctx, createArrivals); err != nil {
		return err
	}
	if err := e.migrateTables(ctx); err != nil {
		return err
	}
	if newest != nil && *newest == schemaVersion {
		return nil
	}
	return e.recordChange(ctx, "all tables")
}

// migrateTables makes the tables that are missing, and looks at all of them at once:
// an engine that starts on a server that has them asks little.
func (e *Engine) migrateTables(ctx context.Context) error {
	rows, err := e.admin.Query(ctx, "SELECT table_name FROM tables()")
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	var all []string
	for _, t := range e.tables {
		if t == nil {
			continue
		}
		if !slices.Contains(names, t.Name) {
			if _, err := e.admin.Exec(ctx, t.Create()); err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
		}
		// The function wants a constant; the name is one of ours.
		all = append(all, fmt.Sprintf(`SELECT '%[1]s' AS name, "column", type FROM table_columns('%[1]s')`, t.Name))
	}
	if rows, err = e.admin.Query(ctx, strings.Join(all, " UNION ALL ")); err != nil {
		return err
	}
	type column struct{ Table, Name, Type string }
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	if err != nil {
		return err
	}
	have := map[string][]Column{}
	for _, c := range found {
		have[c.Table] = append(have[c.Table], Column{c.Name, c.Type})
	}
	for _, t := range e.tables {
		if t == nil {
			continue
		}
		if err := e.addColumns(ctx, t, have[t.Name]); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	return nil
}

func (e *Engine) recordChange(ctx context.Context, change string) error {
	_, err := e.admin.Exec(ctx, "INSERT INTO "+schemaTable+" VALUES ($1, $2, $3)", e.with.Now().UTC(), int32(schemaVersion), change)
	return err
}

// migrateTable makes one table, or adds the columns that it lacks.
func (e *Engine) migrateTable(ctx context.Context, t *Table) error {
	if _, err := e.admin.Exec(ctx, t.Create()); err != nil {
		return err
	}
	have, err := e.columns(ctx, t.Name)
	if err != nil {
		return err
	}
	return e.addColumns(ctx, t, have)
}

// addColumns adds the columns that a table lacks. A column of another type is an
// error: it would be changed by hand, or not be ours.
func (e *Engine) addColumns(ctx context.Context, t *Table, have []Column) error {
	for _, c := range t.Columns {
		i := slices.IndexFunc(have, func(h Column) bool { return h.Name == c.Name })
		if i >= 0 && have[i].Type != c.Type {
			return fmt.Errorf("%w: column %s is %s, want %s", errSchema, c.Name, have[i].Type, c.Type)
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

// lookAfter finds the tables that the server has suspended, and tries to resume
// them; and those that were set back.
// https://questdb.com/docs/query/sql/alter-table-resume-wal/
func (e *Engine) lookAfter(ctx context.Context) error {
	found, err := e.states.get(ctx)
	if err != nil {
		return fmt.Errorf("looking for suspended tables: %w", err)
	}
	var errs []error
	for _, t := range e.tables {
		if t != nil && found[t.Name].Suspended {
			errs = append(errs, e.resume(ctx, t))
		}
	}
	return errors.Join(errs...)
}

// Resume implements [persistence.Resumer].
func (e *Engine) Resume(ctx context.Context, kind market.Kind) (reason string, err error) {
	if err := e.gate.Enter(); err != nil {
		return "", err
	}
	defer e.gate.Leave()
	t := e.tables[kind]
	if t == nil {
		return "", fmt.Errorf("%w: %v has no table", persistence.ErrRecord, kind)
	}
	if err := e.prepare(ctx); err != nil {
		return "", err
	}
	s, err := e.wal(ctx, t.Name)
	if err != nil || !s.Suspended {
		return "", err
	}
	if err := e.resume(ctx, t); err != nil {
		return "", err
	}
	_, err = e.wal(ctx, t.Name) // so that the health knows
	return s.reason(), err
}

// resume makes the server go on with a table that it has suspended.
func (e *Engine) resume(ctx context.Context, t *Table) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.RequestTimeout)
	defer cancel()
	if _, err := e.admin.Exec(ctx, "ALTER TABLE "+t.Name+" RESUME WAL"); err != nil {
		return fmt.Errorf("resuming table %s: %w", t.Name, e.away(err))
	}
	return nil
}

// Suspended lists the tables that the server had suspended when it was last asked,
// with what it said.
func (e *Engine) Suspended() map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.suspended)
}

// Ailments implements [persistence.Inspector].
func (e *Engine) Ailments() (list []error) {
	for table, reason := range e.Suspended() {
		list = append(list, fmt.Errorf("the server has suspended table %s and keeps what it takes invisible: %s", table, reason))
	}
	if !e.prepared.Load() {
		list = append(list, fmt.Errorf("the tables at %s are not made yet", e.cfg.PG))
	}
	return list
}
