package questdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

// serverLayer is the rows that the server has.
type serverLayer Engine

// view is what one query sees of a table. The server fixes nothing for it: what
// is written meanwhile may be met, and has the same keys. What is hidden later is
// read to the end, because nothing is removed that an open view may read.
type view struct {
	e       *Engine
	s       scan.Selection
	table   *Table
	streams []market.StreamID
	hidden  []bound // not read
}

// Pin implements [scan.Layer].
func (l *serverLayer) Pin(ctx context.Context, s scan.Selection) (scan.View, error) {
	v, err := (*Engine)(l).pin(ctx, s, false)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// pin sees the rows that are not archived, or all.
func (e *Engine) pin(ctx context.Context, s scan.Selection, all bool) (*view, error) {
	if err := e.prepare(ctx); err != nil {
		return nil, err
	}
	v := &view{e: e, s: s, table: e.tables[s.Kind]}
	e.mu.Lock()
	if !all {
		v.hidden = e.hidden(s.Kind)
	}
	e.views[v] = struct{}{}
	e.mu.Unlock()
	if s.Stream != nil {
		v.streams = []market.StreamID{*s.Stream}
		return v, nil
	}
	var err error
	if v.streams, err = v.list(ctx); err != nil {
		v.Release()
		return nil, err
	}
	return v, nil
}

// list asks for the streams that have rows.
func (v *view) list(ctx context.Context) ([]market.StreamID, error) {
	lo, hi := micros(v.s.From, v.s.To)
	var c question
	c.add("SELECT DISTINCT exchange, market, symbol FROM "+v.table.Name+" WHERE ts >= ? AND ts <= ?", lo, hi).beyond(v.hidden)
	rows, err := v.e.reads.Query(ctx, c.String(), c.args...)
	if err != nil {
		return nil, fmt.Errorf("listing the streams of %s: %w", v.table.Name, v.e.away(err))
	}
	defer rows.Close()
	var out []market.StreamID
	for rows.Next() {
		var id market.StreamID
		var word string
		if err := rows.Scan(&id.Exchange, &word, &id.Symbol); err != nil {
			return nil, fmt.Errorf("listing the streams of %s: %w", v.table.Name, v.e.away(err))
		}
		m, ok := market.ParseMarket(word)
		if !ok {
			return nil, fmt.Errorf("table %s has the market %q, which there is not", v.table.Name, word)
		}
		id.Market = m
		out = append(out, id)
	}
	return out, v.e.away(rows.Err())
}

// Streams implements [scan.View].
func (v *view) Streams() []market.StreamID { return v.streams }

// Sources implements [scan.View].
func (v *view) Sources(dst []part.Source, stream market.StreamID, access part.Access) []part.Source {
	if !slices.Contains(v.streams, stream) {
		return dst
	}
	size := pageRows
	if access != part.OneStream {
		size = sharedPageRows
	}
	return append(dst, newSource(v.e, v.s, stream, size, func(c *question) { c.beyond(v.hidden) }))
}

// Release implements [scan.View].
func (v *view) Release() {
	v.e.mu.Lock()
	defer v.e.mu.Unlock()
	delete(v.e.views, v)
}

// HasCollected implements [scan.Layer].
func (l *serverLayer) HasCollected(ctx context.Context, kind market.Kind, stream market.StreamID) (bool, error) {
	name := kind.Table() + "|" + stream.String()
	l.mu.Lock()
	known := l.collected[name]
	l.mu.Unlock()
	if known {
		return true, nil
	}
	if err := (*Engine)(l).prepare(ctx); err != nil {
		return false, err
	}
	var one int32
	err := l.reads.QueryRow(ctx, "SELECT 1 FROM "+kind.Table()+" WHERE exchange = $1 AND market = $2 AND symbol = $3 AND origin = $4 LIMIT 1",
		stream.Exchange, stream.Market.String(), stream.Symbol, market.Collected.String()).Scan(&one)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for collected rows of %s: %w", kind.Table(), (*Engine)(l).away(err))
	}
	l.mu.Lock()
	l.collected[name] = true // it stays so until retention, and then says what it was
	l.mu.Unlock()
	return true, nil
}

// Failed implements [scan.Layer].
func (*serverLayer) Failed(err error) error { return err }

// Rows of one request for a page: of a stream that is read alone, and of one of
// many.
const (
	pageRows       = 8192
	sharedPageRows = 1024
)

// micros turns a half-open range of ns into a closed one of the server's
// microseconds.
func micros(from, to int64) (lo, hi time.Time) {
	const far = 253_402_300_799 // s: the end of the year 9999
	clamp := func(ns int64) time.Time {
		switch {
		case ns == math.MinInt64:
			return time.Unix(0, 0).UTC()
		case ns == math.MaxInt64:
			return time.Unix(far, 0).UTC()
		}
		return time.Unix(0, ns).UTC().Truncate(time.Microsecond)
	}
	if to != math.MaxInt64 {
		to--
	}
	return clamp(from), clamp(to)
}

// source is one stream's rows, fetched page by page: no connection is held
// between two pages. A page ends with all rows of a microsecond, unless those are a
// crowd.
type source struct {
	e        *Engine
	s        scan.Selection
	stream   market.StreamID
	only     func(*question) // appends which rows
	from, to int64
	size     int
	// crowdRows is how many rows of a crowd are one page.
	crowdRows int
	crowd     *crowd // nil outside of one
	has       part.Projection
	reader    *rowReader
	done      bool
	block     *part.Block
	read      int64 // rows of the selection
}

// newSource reads a stream's rows of a selection that fulfil a condition, size of
// them at a time.
func newSource(e *Engine, sel scan.Selection, stream market.StreamID, size int, only func(*question)) *source {
	s := &source{e: e, s: sel, stream: stream, only: only, from: sel.From, to: sel.To, size: size, crowdRows: crowdRows}
	s.has = e.schemas[sel.Kind].WithKey(sel.Has)
	s.reader = newRowReader(e.tables[sel.Kind], s.has)
	return s
}

// Bounds implements [part.Source].
func (s *source) Bounds() (lo, hi int64) {
	hi = s.to
	if hi != math.MaxInt64 {
		hi--
	}
	return s.from, hi
}

// Priority implements [part.Source]. The server keeps one row of a key: the last
// in journal order of those that it was sent.
func (s *source) Priority() uint64 { return serverPriority }

// serverPriority is below memory's and above that of cold parts, which hold what
// was sent before.
const serverPriority = 1<<63 - 1

// Next implements [part.Source].
func (s *source) Next(ctx context.Context) (part.Span, error) {
	for !s.done {
		block, err := s.page(ctx)
		if err != nil {
			return part.Span{}, fmt.Errorf("reading %s of %s: %w", s.s.Kind.Table(), s.stream, s.e.away(err))
		}
		if block.Len() > 0 {
			s.block = block
			return part.Span{Block: block, Lo: 0, Hi: block.Len()}, nil
		}
	}
	return part.Span{}, io.EOF
}

// page fetches the next rows, in reading order.
func (s *source) page(ctx context.Context) (*part.Block, error) {
	if s.crowd != nil {
		block, err := s.crowd.next(ctx)
		if err == nil && block.Len() == 0 {
			s.crowd = nil
		}
		return block, err
	}
	rows, err := s.fetch(ctx, s.size)
	if err != nil {
		return nil, err
	}
	if len(rows) < s.size {
		s.done = true
		return s.sorted(rows)
	}
	// The last microsecond may have more rows.
	last := micro(rows[len(rows)-1].Head().TS)
	n := len(rows)
	for n > 0 && micro(rows[n-1].Head().TS) == last {
		n--
	}
	switch beyond := last * 1000; {
	case n == 0: // all rows are of one microsecond: read on behind it afterwards
		s.crowd = &crowd{s: s, at: last}
		if s.s.Newest {
			s.to = beyond
		} else {
			s.from = beyond + 1000
		}
	case s.s.Newest:
		s.to = beyond + 1000
	default:
		s.from = beyond
	}
	return s.sorted(rows[:n])
}

func micro(ns int64) int64 { return ns / 1000 }

// fetch asks for at most limit rows from the near end of what is left.
func (s *source) fetch(ctx context.Context, limit int) ([]market.Record, error) {
	lo, hi := micros(s.from, s.to)
	var c question
	s.selecting(&c)
	c.add(" AND ts >= ? AND ts <= ?", lo, hi)
	s.only(&c)
	c.add(" ORDER BY ts")
	if s.s.Newest {
		c.add(" DESC")
	}
	c.add(fmt.Sprintf(" LIMIT %d", limit))
	rows, err := s.e.reads.Query(ctx, c.String(), c.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	batch := new(market.Batch)
	for rows.Next() {
		if err := s.reader.read(rows, s.stream, batch); err != nil {
			return nil, err
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	list := make([]market.Record, 0, batch.Len())
	for r := range batch.All() {
		list = append(list, r)
	}
	return list, nil
}

// sorted puts rows of the selection into a block in reading order; the server
// orders by microseconds alone.
func (s *source) sorted(rows []market.Record) (*part.Block, error) {
	e := s.e
	names := e.with.Names
	fetched := part.NewBlock(e.schemas[s.s.Kind], names)
	var at []int
	for _, r := range rows {
		if ts := r.Head().TS; ts < s.s.From || ts >= s.s.To {
			continue
		}
		fetched.Append(r, names.InstrumentCode(r.Head().Instrument), 0)
		at = append(at, fetched.Len()-1)
	}
	keys := make([][]byte, fetched.Len())
	for i := range keys {
		keys[i] = fetched.AppendSortKey(nil, i)
	}
	slices.SortFunc(at, func(a, b int) int { return bytes.Compare(keys[a], keys[b]) })
	out := part.NewBlock(e.schemas[s.s.Kind], names)
	for _, i := range at {
		out.AppendRows(fetched, i, i+1)
	}
	s.read += int64(out.Len())
	return out.Project(s.has), nil
}
