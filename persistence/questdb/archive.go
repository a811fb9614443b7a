package questdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
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
		return nil, setBack(kind)
	}
	u := &unit{e: e, kind: kind, shard: shard, journal: journal, after: e.archivedTo(kind, journal), to: e.reach(journal, before), taken: taken, sources: map[extentKey]*source{}}
	if u.to <= u.after {
		return nil, nil
	}
	waits, err := u.behind(ctx)
	if err != nil {
		return nil, err
	}
	e.noteBacklog(kind, journal, waits)
	if waits.rows == 0 || waits.first > u.to {
		return nil, nil
	}
	u.created = e.arrivalOf(journal, waits.first)
	if err := u.shorten(ctx, waits.first); err != nil {
		return nil, err
	}
	return u, u.list(ctx)
}

// setBack says that the server has lost rows, which come again: there is nothing to
// archive until they have.
func setBack(kind market.Kind) error {
	return fmt.Errorf("table %s: %w: %w", kind.Table(), persistence.ErrUnavailable, persistence.ErrRewind)
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
			return 0, fmt.Errorf("%w: %w: table %s is suspended: %s", persistence.ErrUnavailable, errInvisible, table, s.reason())
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			s, err = e.wal(ctx, table)
		case <-ctx.Done():
			err = fmt.Errorf("%w: %w: table %s shows transaction %d of %d: %w", persistence.ErrUnavailable, errInvisible, table, s.Shown, taken, ctx.Err())
		}
		timer.Stop()
	}
	if err != nil && !errors.Is(err, persistence.ErrUnavailable) {
		err = e.away(err)
	}
	return taken, err
}

// only appends that a row is one of the unit's.
func (u *unit) only(q *question) {
	q.add(" AND journal = ? AND journal_seq > ? AND journal_seq <= ?", u.journal, int64(u.after), int64(u.to))
}

// ask asks for numbers about the unit's rows; one may be absent.
func (u *unit) ask(ctx context.Context, columns string, into ...any) error {
	q := question{what: "asking for " + columns + " of " + u.kind.Table()}
	u.only(q.add("SELECT " + columns + " FROM " + u.kind.Table() + " WHERE true"))
	return u.e.ask(ctx, &q, into...)
}

// count counts the unit's rows.
func (u *unit) count(ctx context.Context) (n int64, err error) {
	err = u.ask(ctx, "count()", &n)
	return n, err
}

// behind is what is not archived, whatever the end of the unit.
func (u *unit) behind(ctx context.Context) (b backlog, err error) {
	open := *u
	open.to = math.MaxInt64
	var first *int64
	if err := open.ask(ctx, "min(journal_seq), count()", &first, &b.rows); err != nil || first == nil {
		return backlog{}, err
	}
	b.first = uint64(*first)
	return b, nil
}

// shorten brings the unit to its span and to its size: any sequence may be its end.
// It has a row of the sequence first.
func (u *unit) shorten(ctx context.Context, first uint64) (err error) {
	if u.to == math.MaxInt64 { // of a journal that is over
		var last *int64
		if err := u.ask(ctx, "max(journal_seq)", &last); err != nil || last == nil {
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
	q := question{what: "listing the streams of " + u.kind.Table()}
	u.only(q.add("SELECT exchange, market, symbol, timestamp_floor('d', ts) AS day, min(ts_ns), max(ts_ns) FROM " + u.kind.Table() + " WHERE true"))
	q.add(" GROUP BY exchange, market, symbol, day")
	err := u.e.list(ctx, &q, func(row pgx.CollectableRow) error {
		var x scan.Extent
		var word string
		var day time.Time
		if err := row.Scan(&x.Stream.Exchange, &word, &x.Stream.Symbol, &day, &x.Min, &x.Max); err != nil {
			return err
		}
		m, ok := market.ParseMarket(word)
		if !ok {
			return fmt.Errorf("there is no market %q", word)
		}
		x.Stream.Market = m
		u.streams = append(u.streams, x)
		return nil
	})
	slices.SortFunc(u.streams, func(a, b scan.Extent) int {
		return cmp.Or(part.CompareStreams(a.Stream, b.Stream), cmp.Compare(a.Min, b.Min))
	})
	return err
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
		return setBack(u.kind)
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
	if b, ok := e.backlogs[kind][journal]; ok && b.first <= seq {
		delete(e.backlogs[kind], journal)
		e.unlooked[kind] = true
	}
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
