package questdb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// lookAtOnce is how many partitions are looked into by one statement, dropAtOnce, how
// many are looked into again and dropped while the table's writer waits.
const (
	lookAtOnce = 96
	dropAtOnce = 24
)

// Forget implements [scan.Hot]. The server removes rows by partitions, an hour of their
// time each: one goes when none of its rows is needed any more. Until then those that
// are forgotten are there and not read.
func (e *Engine) Forget(ctx context.Context, kind market.Kind, o persistence.ForgetOptions) (rows int64, err error) {
	if err := e.gate.Enter(); err != nil {
		return 0, err
	}
	defer e.gate.Leave()
	journals, err := e.places(ctx, kind)
	if err != nil {
		return 0, err
	}
	var limits []bound
	for _, journal := range journals {
		limits = append(limits, bound{journal, e.reach(journal, o.Before)})
	}
	if o.All {
		e.mu.Lock()
		for _, b := range limits {
			e.hide(e.forgotten[kind], b.journal, b.seq)
		}
		e.mu.Unlock()
	}
	gone := e.unread(kind, limits)
	if len(gone) == 0 {
		return 0, nil
	}
	list, err := e.partitions(ctx, kind)
	if err != nil {
		return 0, err
	}
	var idle []time.Time
	for chunk := range slices.Chunk(list, lookAtOnce) {
		hours := make([]time.Time, len(chunk))
		for i := range chunk {
			hours[i] = chunk[i].hour
		}
		if hours, _, err = e.idle(ctx, kind, hours, gone); err != nil {
			return 0, err
		}
		idle = append(idle, hours...)
	}
	for hours := range slices.Chunk(idle, dropAtOnce) {
		n, dropErr := e.drop(ctx, kind, hours, gone, &o)
		if rows += n; dropErr != nil {
			err = dropErr
			break
		}
	}
	if rows > 0 {
		e.log.Info("rows left the server", zap.String("table", kind.Table()), zap.Int64("rows", rows), zap.Bool("archived", !o.All))
	}
	return rows, err
}

// partition is an hour of a table.
type partition struct {
	hour  time.Time
	bytes int64
}

// partitions lists the hours that a table has rows of.
func (e *Engine) partitions(ctx context.Context, kind market.Kind) ([]partition, error) {
	q := question{what: "listing the partitions of " + kind.Table()}
	// The function wants a constant; the name is one of ours.
	q.add("SELECT minTimestamp, diskSize FROM table_partitions('" + kind.Table() + "') WHERE numRows > 0 ORDER BY minTimestamp")
	var list []partition
	err := e.list(ctx, &q, func(row pgx.CollectableRow) error {
		var first time.Time
		var bytes int64
		err := row.Scan(&first, &bytes)
		hour := first.UTC().Truncate(time.Hour)
		if n := len(list); n > 0 && list[n-1].hour.Equal(hour) { // the server has split it
			list[n-1].bytes += bytes
			return err
		}
		list = append(list, partition{hour, bytes})
		return err
	})
	return list, err
}

// Sizes implements [scan.Hot].
func (e *Engine) Sizes(ctx context.Context, kind market.Kind) (list []persistence.Size, err error) {
	if err := e.gate.Enter(); err != nil {
		return nil, err
	}
	defer e.gate.Leave()
	if err := e.prepare(ctx); err != nil {
		return nil, err
	}
	hours, err := e.partitions(ctx, kind)
	if err != nil {
		return nil, err
	}
	for _, h := range hours {
		at, err := e.lastArrival(ctx, kind, h.hour)
		if err != nil {
			return nil, err
		}
		list = append(list, persistence.Size{Bytes: h.bytes, Arrived: at})
	}
	return list, nil
}

// lastArrival is when the last row of an hour had arrived.
func (e *Engine) lastArrival(ctx context.Context, kind market.Kind, hour time.Time) (last time.Time, err error) {
	q := question{what: "looking into a partition of " + kind.Table()}
	q.add("SELECT journal, max(journal_seq) FROM "+kind.Table()+" WHERE ts >= ? AND ts < ? AND journal IS NOT NULL GROUP BY journal", hour, hour.Add(time.Hour))
	err = e.list(ctx, &q, func(row pgx.CollectableRow) error {
		var journal string
		var seq int64
		err := row.Scan(&journal, &seq)
		if at := e.arrivalOf(journal, uint64(seq)); at.After(last) {
			last = at
		}
		return err
	})
	return last, err
}

// idle lists the hours, of some in their order, that have no row beyond the bounds, and
// counts their rows.
func (e *Engine) idle(ctx context.Context, kind market.Kind, hours []time.Time, gone []bound) (list []time.Time, count int64, err error) {
	q := question{what: "looking into partitions of " + kind.Table()}
	q.add("SELECT timestamp_floor('h', ts) AS hour, count(), sum(CASE WHEN true").beyond(gone).add(" THEN 1 ELSE 0 END)")
	q.add(" FROM " + kind.Table() + " WHERE " + within(hours) + " GROUP BY hour ORDER BY hour")
	err = e.list(ctx, &q, func(row pgx.CollectableRow) error {
		var hour time.Time
		var n, needed int64
		if err := row.Scan(&hour, &n, &needed); err != nil {
			return err
		}
		if needed == 0 {
			list = append(list, hour.UTC())
			count += n
		}
		return nil
	})
	return list, count, err
}

// within says in SQL that a row is of one of some hours, in the form that the server
// takes for intervals of time.
func within(hours []time.Time) string {
	list := make([]string, len(hours))
	for i, h := range hours {
		list[i] = "ts IN '" + h.Format(hourName) + "'"
	}
	return "(" + strings.Join(list, " OR ") + ")"
}

// hourName is how the server names an hour, and its partition.
const hourName = "2006-01-02T15"

// drop drops the partitions of those hours that still have no row beyond the bounds,
// and counts their rows. The table's writer waits meanwhile, so that no row joins
// them unseen; one that is on its way nevertheless is in memory, and is sent again.
func (e *Engine) drop(ctx context.Context, kind market.Kind, hours []time.Time, gone []bound, o *persistence.ForgetOptions) (rows int64, err error) {
	w := e.writers[kind]
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := e.settled(ctx, kind.Table()); err != nil {
		return 0, err
	}
	if hours, rows, err = e.idle(ctx, kind, hours, gone); err != nil || len(hours) == 0 {
		return 0, err
	}
	r := persistence.Removal{Table: kind.Table(), Rows: rows, UpTo: map[string]uint64{}}
	for _, h := range hours {
		r.Places = append(r.Places, h.Format(hourName))
	}
	for _, b := range gone {
		r.UpTo[b.journal] = b.seq
	}
	if err := o.Take(r, func() error { return e.dropPartitions(ctx, kind, r.Places) }); err != nil {
		return 0, fmt.Errorf("removing %d partitions of %s: %w", len(r.Places), kind.Table(), e.away(err))
	}
	_, err = e.settled(ctx, kind.Table())
	return rows, err
}

// dropPartitions drops all of them in one transaction.
// https://questdb.com/docs/query/sql/alter-table-drop-partition/
func (e *Engine) dropPartitions(ctx context.Context, kind market.Kind, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, err := e.admin.Exec(ctx, "ALTER TABLE "+kind.Table()+" DROP PARTITION LIST '"+strings.Join(names, "', '")+"'")
	return err
}

// Removed implements [scan.Hot]: of the hours that were to go there is no row left that
// was to go with them. What the journal brings again of an archived row is not sent.
func (e *Engine) Removed(ctx context.Context, r persistence.Removal) (bool, error) {
	if err := e.gate.Enter(); err != nil {
		return false, err
	}
	defer e.gate.Leave()
	kind, ok := market.ParseKind(r.Table)
	if !ok || kind.Table() == "" {
		return false, fmt.Errorf("%w: there is no table %q", persistence.ErrQuery, r.Table)
	}
	var hours []time.Time
	for _, name := range r.Places {
		hour, err := time.Parse(hourName, name)
		if err != nil {
			return false, fmt.Errorf("%w: there is no hour %q", persistence.ErrQuery, name)
		}
		hours = append(hours, hour)
	}
	if err := e.prepare(ctx); err != nil {
		return false, err
	}
	if _, err := e.settled(ctx, r.Table); err != nil {
		return false, err
	}
	for _, journal := range slices.Sorted(maps.Keys(r.UpTo)) {
		q := question{what: "looking for rows of " + r.Table + " that were to be removed"}
		q.add("SELECT count() FROM "+r.Table+" WHERE "+within(hours)+" AND journal = ? AND journal_seq <= ?", journal, int64(r.UpTo[journal]))
		var left int64
		if err := e.ask(ctx, &q, &left); err != nil || left > 0 {
			return false, err
		}
	}
	return true, nil
}
