package questdb

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/memtable"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

var _ scan.Hot = (*Engine)(nil)

// unitRows is how many rows a unit has at most, unless one message brought more.
const unitRows = 4_000_000

// Oldest implements [scan.Hot]. A row is where the message that brought it last is: one
// that is replaced meanwhile leaves the unit for a later one.
func (e *Engine) Oldest(ctx context.Context, kind market.Kind, shard int, before time.Time) (scan.Unit, error) {
	if err := e.gate.Enter(); err != nil {
		return nil, err
	}
	defer e.gate.Leave()
	journals, err := e.journals(ctx, kind, shard)
	if err != nil {
		return nil, err
	}
	for _, journal := range journals {
		u, err := e.oldest(ctx, kind, shard, journal, before)
		if err != nil || u != nil {
			return u, err
		}
	}
	return nil, nil
}

// journals lists the journals that a table has rows of, of one shard.
func (e *Engine) journals(ctx context.Context, kind market.Kind, shard int) ([]string, error) {
	all, err := e.places(ctx, kind)
	return slices.DeleteFunc(all, func(journal string) bool { _, s := splitPlace(journal); return s != shard }), err
}

// places lists the journals, with the shard, that a table has rows of.
func (e *Engine) places(ctx context.Context, kind market.Kind) ([]string, error) {
	if err := e.prepare(ctx); err != nil {
		return nil, err
	}
	rows, err := e.admin.Query(ctx, "SELECT DISTINCT journal FROM "+kind.Table()+" WHERE journal IS NOT NULL")
	if err != nil {
		return nil, fmt.Errorf("listing the journals of %s: %w", kind.Table(), e.away(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("listing the journals of %s: %w", kind.Table(), e.away(err))
	}
	slices.Sort(list)
	return list, nil
}

// reach is the sequence of a journal up to which the server shows every row that
// arrived before an instant; 0 for none.
func (e *Engine) reach(journal string, before time.Time) uint64 {
	id, shard := splitPlace(journal)
	switch p := e.memory.Position(shard); p.JournalID {
	case "":
		return 0 // nothing of the shard is stored yet: what the server has is a part of it
	case id:
		return min(e.arrivedBefore(journal, before), p.Seq)
	}
	if e.started.Before(before) { // no more comes of a journal that is over
		return math.MaxInt64
	}
	return e.arrivedBefore(journal, before)
}

// unit is the rows of a table that came by one shard of a journal, above one sequence
// and up to another.
type unit struct {
	e         *Engine
	kind      market.Kind
	shard     int
	journal   string
	after, to uint64
	created   time.Time
	rows      int64 // when they were counted first
	streams   []scan.Extent
	taken     int64 // transactions of the table, all of them shown
	sources   map[extentKey]*source
}

// extentKey says what a source of a unit reads.
type extentKey struct {
	stream market.StreamID
	from   int64
}

func (e *Engine) oldest(ctx context.Context, kind market.Kind, shard int, journal string, before time.Time) (*unit, error) {
	taken, err := e.settled(ctx, kind.Table())
	if err != nil {
		return nil, err
	}
	if e.lost(shard) {
		return nil, fmt.Errorf("table %s: %w", kind.Table(), persistence.ErrRewind)
	}
	u := &unit{e: e, kind: kind, shard: shard, journal: journal, after: e.archivedTo(kind, journal), to: e.reach(journal, before), taken: taken, sources: map[extentKey]*source{}}
	if u.to <= u.after {
		return nil, nil
	}
	first, err := u.first(ctx)
	if err != nil {
		return nil, err
	}
	e.since(kind, journal, first)
	if first == 0 || first > u.to {
		return nil, nil
	}
	u.created = e.arrivalOf(journal, first)
	if err := u.shorten(ctx, first); err != nil {
		return nil, err
	}
	return u, u.list(ctx)
}

// settled waits until the server shows all that it has taken of a table, and returns
// the number of its transactions. After a crash of the machine it applies again what
// had been shown before.
func (e *Engine) settled(ctx context.Context, table string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.VisibleWithin)
	defer cancel()
	s, err := e.wal(ctx, table)
	taken := s.Taken
	for pause := firstLook; err == nil && s.Shown < taken; pause = min(2*pause, lastLook) {
		if s.Suspended {
			return 0, fmt.Errorf("%w: table %s is suspended: %s", errInvisible, table, s.reason())
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			s, err = e.wal(ctx, table)
		case <-ctx.Done():
			err = fmt.Errorf("%w: table %s shows transaction %d of %d: %w", errInvisible, table, s.Shown, taken, ctx.Err())
		}
		timer.Stop()
	}
	return taken, err
}

// only appends that a row is one of the unit's.
func (u *unit) only(c *condition) {
	c.add(" AND journal = ? AND journal_seq > ? AND journal_seq <= ?", u.journal, int64(u.after), int64(u.to))
}

// ask asks for one number about the unit's rows; nil when there is none.
func (u *unit) ask(ctx context.Context, what string) (n *int64, err error) {
	var c condition
	u.only(c.add("SELECT " + what + " FROM " + u.kind.Table() + " WHERE true"))
	if err := u.e.admin.QueryRow(ctx, c.String(), c.args...).Scan(&n); err != nil {
		return nil, fmt.Errorf("asking for %s of %s: %w", what, u.kind.Table(), u.e.away(err))
	}
	return n, nil
}

// count counts the unit's rows.
func (u *unit) count(ctx context.Context) (int64, error) {
	n, err := u.ask(ctx, "count()")
	if err != nil || n == nil {
		return 0, err
	}
	return *n, nil
}

// first is the lowest sequence above those that are archived; 0 without any.
func (u *unit) first(ctx context.Context) (uint64, error) {
	open := *u
	open.to = math.MaxInt64
	n, err := open.ask(ctx, "min(journal_seq)")
	if err != nil || n == nil {
		return 0, err
	}
	return uint64(*n), nil
}

// shorten brings the unit to its span and to its size: any sequence may be its end.
// It has a row of the sequence first.
func (u *unit) shorten(ctx context.Context, first uint64) (err error) {
	if u.to == math.MaxInt64 { // of a journal that is over
		last, err := u.ask(ctx, "max(journal_seq)")
		if err != nil || last == nil {
			return err
		}
		u.to = uint64(*last)
	}
	if span := u.e.arrivedBefore(u.journal, u.created.Add(scan.UnitSpan)); span >= first {
		u.to = min(u.to, span)
	}
	for {
		if u.rows, err = u.count(ctx); err != nil || u.rows <= unitRows {
			return err
		}
		width := u.to - u.after
		// As many rows a message, more or less; in doubt fewer.
		fewer := u.after + uint64(0.9*float64(width)*unitRows/float64(u.rows))
		if fewer = max(fewer, first); fewer >= u.to {
			return nil
		}
		u.to = fewer
	}
}

// list finds the streams, day by day.
func (u *unit) list(ctx context.Context) error {
	var c condition
	u.only(c.add("SELECT exchange, market, symbol, timestamp_floor('d', ts) AS day, min(ts_ns), max(ts_ns) FROM " + u.kind.Table() + " WHERE true"))
	c.add(" GROUP BY exchange, market, symbol, day")
	rows, err := u.e.admin.Query(ctx, c.String(), c.args...)
	if err != nil {
		return fmt.Errorf("listing the streams of %s: %w", u.kind.Table(), u.e.away(err))
	}
	defer rows.Close()
	for rows.Next() {
		var x scan.Extent
		var word string
		var day time.Time
		if err := rows.Scan(&x.Stream.Exchange, &word, &x.Stream.Symbol, &day, &x.Min, &x.Max); err != nil {
			return fmt.Errorf("listing the streams of %s: %w", u.kind.Table(), u.e.away(err))
		}
		m, ok := market.ParseMarket(word)
		if !ok {
			return fmt.Errorf("table %s has the market %q, which there is not", u.kind.Table(), word)
		}
		x.Stream.Market = m
		u.streams = append(u.streams, x)
	}
	slices.SortFunc(u.streams, func(a, b scan.Extent) int {
		if c := part.CompareStreams(a.Stream, b.Stream); c != 0 {
			return c
		}
		return cmp.Compare(a.Min, b.Min)
	})
	return u.e.away(rows.Err())
}

// Meta implements [scan.Unit].
func (u *unit) Meta() part.Meta {
	id, _ := splitPlace(u.journal)
	return part.Meta{Kind: u.kind, JournalID: id, Shard: u.shard, FirstSeq: u.after + 1, LastSeq: u.to, Created: u.created.UnixNano()}
}

// Rows implements [scan.Unit].
func (u *unit) Rows() int64 { return u.rows }

// Streams implements [scan.Unit]: an extent for each stream and day.
func (u *unit) Streams() []scan.Extent { return u.streams }

// Merge implements [scan.Unit].
func (u *unit) Merge(stream market.StreamID, from, to int64) *part.Merge {
	sel := scan.Selection{Kind: u.kind, Stream: &stream, From: from, To: to}
	s := newSource(u.e, sel, stream, pageRows, u.only)
	u.sources[extentKey{stream, from}] = s // again, when a file is written again
	return part.NewMerge([]part.Source{s}, false)
}

// Confirm implements [scan.Unit]. Rows may leave the unit while it is read, because
// they are replaced, and none can join it: so there were as many as were read at some
// moment between the first count and this one.
func (u *unit) Confirm(ctx context.Context) error {
	e := u.e
	var read int64
	for _, s := range u.sources {
		read += s.read
	}
	taken, err := e.settled(ctx, u.kind.Table())
	if err != nil {
		return err
	}
	if taken < u.taken || e.lost(u.shard) {
		return fmt.Errorf("table %s: %w", u.kind.Table(), persistence.ErrRewind)
	}
	left, err := u.count(ctx)
	if err != nil {
		return err
	}
	if read > u.rows || read < left {
		return fmt.Errorf("%s from %d to %d of journal %s: %d rows were counted, %d read, and %d are there now",
			u.kind.Table(), u.after+1, u.to, u.journal, u.rows, read, left)
	}
	return nil
}

// Release implements [scan.Unit].
func (*unit) Release() {}

// Archived implements [scan.Hot]: queries meet those rows there alone.
func (e *Engine) Archived(kind market.Kind, shard int, journalID string, seq uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	journal := placeWord(journalID, shard)
	e.hide(e.archived[kind], journal, seq)
	if first, ok := e.first[kind][journal]; ok && first <= seq {
		delete(e.first[kind], journal)
		e.unlooked[kind] = true
	}
}

// stored notes that the server shows what was sealed behind a sequence; e.mu is locked.
func (e *Engine) stored(t *memtable.Table, after uint64) {
	journal := placeWord(t.Position.JournalID, t.Shard)
	e.arrived(journal, t.Position.Seq)
	for _, kind := range market.Kinds() {
		archived := e.archived[kind][journal]
		if _, ok := e.first[kind][journal]; !ok && t.KindRows(kind) > 0 && t.Position.Seq > archived {
			e.first[kind][journal] = max(after, archived) + 1
		}
	}
}

// look finds the oldest rows that are not archived, of the tables of which they are
// not known.
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
		first, err := u.first(ctx)
		if err != nil {
			return err
		}
		e.since(kind, journal, first)
	}
	return nil
}

// since notes the lowest sequence of rows of a table that are not archived; 0 for
// none.
func (e *Engine) since(kind market.Kind, journal string, seq uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if seq == 0 {
		delete(e.first[kind], journal)
		return
	}
	e.first[kind][journal] = seq
}

// Since implements [scan.Hot].
func (e *Engine) Since(kind market.Kind) (oldest time.Time) {
	e.mu.Lock()
	first := map[string]uint64{}
	for journal, seq := range e.first[kind] {
		first[journal] = seq
	}
	e.mu.Unlock()
	for journal, seq := range first {
		if at := e.arrivalOf(journal, seq); oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	return oldest
}

// Waiting implements [scan.Hot].
func (e *Engine) Waiting(ctx context.Context, kind market.Kind, before time.Time) (rows int64, err error) {
	if err := e.gate.Enter(); err != nil {
		return 0, err
	}
	defer e.gate.Leave()
	journals, err := e.places(ctx, kind)
	if err != nil {
		return 0, err
	}
	for _, journal := range journals {
		u := &unit{e: e, kind: kind, journal: journal, after: e.archivedTo(kind, journal), to: e.reach(journal, before)}
		if u.to <= u.after {
			continue
		}
		n, err := u.count(ctx)
		if err != nil {
			return 0, err
		}
		rows += n
	}
	return rows, nil
}

// archivedTo is the sequence up to which the cold store has a table's rows of a
// journal.
func (e *Engine) archivedTo(kind market.Kind, journal string) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.archived[kind][journal]
}

// splitPlace is the inverse of placeWord; of another word the shard is -1.
func splitPlace(journal string) (id string, shard int) {
	id, number, _ := strings.Cut(journal, "/")
	shard, err := strconv.Atoi(number)
	if err != nil {
		return journal, -1
	}
	return id, shard
}
