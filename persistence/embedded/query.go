package embedded

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// ownScans is how many streams of one query each keep a page of their own; more of
// them share pages, which takes time instead of memory.
const ownScans = 32

// chunkRows is how many records one Next yields at most.
const chunkRows = 1024

// blame names the part that damage was found in.
func blame(p *stored, err error) error {
	if err != nil && errors.Is(err, persistence.ErrCorrupt) {
		return &damagedPart{p, err}
	}
	return err
}

// view is what one query pins of the store.
type view struct {
	e     *Engine
	kind  market.Kind
	parts []*stored
	mem   []*memtable
	scans []*part.Scan
	from  int64
	to    int64
	desc  bool
	has   part.Projection
}

// pin takes the parts that can have the wanted rows, and the memtables.
func (e *Engine) pin(kind market.Kind, from, to int64, stream *market.StreamID) (*view, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.calls.Done()
	v := &view{e: e, kind: kind, from: from, to: to}
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, p := range e.parts[kind] {
		if p.meta.MaxTime < from || p.meta.MinTime >= to || stream != nil && p.meta.Find(*stream) == nil {
			continue
		}
		p.pins.Add(1)
		v.parts = append(v.parts, p)
	}
	for _, s := range e.shards {
		v.mem = append(append(v.mem, s.sealed...), s.active)
	}
	return v, nil
}

// release ends the view; it is idempotent.
func (v *view) release() {
	if v.e == nil {
		return
	}
	for _, s := range v.scans {
		s.Close()
	}
	unpin(v.parts)
	v.e = nil
}

// enter begins a call on an open view; the caller ends it with e.calls.Done.
func (v *view) enter() (*Engine, error) {
	if v.e == nil {
		return nil, persistence.ErrClosed
	}
	return v.e, v.e.enter()
}

// merge returns the merge of one stream's rows. A part's file is opened only when
// the merge reaches its rows.
func (v *view) merge(stream market.StreamID, scanOf scanner) *part.Merge {
	var sources []part.Source
	for _, p := range v.parts {
		r := p.meta.Find(stream)
		if r == nil || r.MaxTime < v.from || r.MinTime >= v.to {
			continue
		}
		sources = append(sources, &lateSource{part: p, rng: r, scanOf: scanOf, from: v.from, to: v.to})
	}
	for _, m := range v.mem {
		if s := m.tables[v.kind].find(stream); s != nil {
			sources = s.sources(sources, v.from, v.to, m.priority(), v.has)
		}
	}
	return part.NewMerge(sources, v.desc)
}

// scanner returns the one scan of a part in a view.
type scanner func(*stored) (*part.Scan, error)

// lateSource is one instrument's rows in a part that may not be open yet.
type lateSource struct {
	part     *stored
	rng      *part.Range
	scanOf   scanner
	from, to int64
	source   part.Source
}

// Bounds implements [part.Source].
func (s *lateSource) Bounds() (lo, hi int64) {
	return max(s.from, s.rng.MinTime), min(s.to-1, s.rng.MaxTime)
}

// Priority implements [part.Source].
func (s *lateSource) Priority() uint64 { return s.part.meta.LastSeq }

// Next implements [part.Source]. Its errors name the part.
func (s *lateSource) Next(ctx context.Context) (part.Span, error) {
	if s.source == nil {
		scan, err := s.scanOf(s.part)
		if err != nil {
			return part.Span{}, err
		}
		if s.source = scan.Source(s.rng, s.from, s.to, s.Priority()); s.source == nil {
			return part.Span{}, io.EOF
		}
	}
	span, err := s.source.Next(ctx)
	return span, blame(s.part, err)
}

// scanner returns a function that makes one scan for each part.
func (v *view) scanner(access part.Access) scanner {
	scans := map[*stored]*part.Scan{}
	return func(p *stored) (*part.Scan, error) {
		if s := scans[p]; s != nil {
			return s, nil
		}
		f, err := p.open(v.e)
		if err != nil {
			return nil, blame(p, err)
		}
		s := f.NewScan(v.has, access, v.desc)
		scans[p] = s
		v.scans = append(v.scans, s)
		return s, nil
	}
}

// streams lists the streams that the view has.
func (v *view) streams() []market.StreamID {
	seen := map[market.StreamID]bool{}
	for _, p := range v.parts {
		for i := range p.meta.Ranges {
			seen[p.meta.Ranges[i].Stream] = true
		}
	}
	for _, m := range v.mem {
		for _, s := range m.tables[v.kind].all() {
			seen[s.stream] = true
		}
	}
	list := make([]market.StreamID, 0, len(seen))
	for s := range seen {
		list = append(list, s)
	}
	slices.SortFunc(list, part.CompareStreams)
	return list
}

// spans yields rows in reading order.
type spans interface {
	Next(ctx context.Context) (part.Span, error)
}

// open returns the spans of one stream, or of all.
func (v *view) open(stream *market.StreamID) spans {
	if stream != nil {
		return v.merge(*stream, v.scanner(part.OneStream))
	}
	streams := v.streams()
	scanOf := v.scanner(part.Interleaved)
	var merges []*part.Merge
	for _, s := range streams {
		if len(streams) <= ownScans {
			scanOf = v.scanner(part.OneStream)
		}
		merges = append(merges, v.merge(s, scanOf))
	}
	return part.NewFan(merges, v.desc)
}

// bounds turns 0 into an open side.
func bounds(from, to int64) (int64, int64) {
	if from == 0 {
		from = math.MinInt64
	}
	if to == 0 {
		to = math.MaxInt64
	}
	return from, to
}

// Query implements [persistence.Reader].
func (e *Engine) Query(_ context.Context, q persistence.Query) (persistence.Rows, error) {
	if !q.Kind.Valid() || q.Kind.Table() == "" {
		return nil, fmt.Errorf("%w: kind %v has no table", persistence.ErrQuery, q.Kind)
	}
	schema := e.schemas[q.Kind]
	has, err := schema.Project(q.Columns)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", persistence.ErrQuery, err)
	}
	after, err := parseCursor(q)
	if err != nil {
		return nil, err
	}
	from, to := bounds(q.From, q.To)
	if ts, ok := part.SortKeyTS(after); ok && q.Newest {
		to = min(to, ts+1)
	} else if ok {
		from = max(from, ts)
	}
	v, err := e.pin(q.Kind, from, to, q.Stream)
	if err != nil {
		return nil, err
	}
	v.desc, v.has = q.Newest, has
	r := &rows{view: v, query: q, key: after, after: after}
	r.origin = e.originFilter(q.Origin, persistence.OriginAll, q.Kind, q.Stream)
	r.spans = v.open(q.Stream)
	return r, nil
}

// failed quarantines the part that an error is about, and returns the error. What
// goes wrong with that joins it.
func (e *Engine) failed(err error) error {
	var bad *damagedPart
	if !errors.As(err, &bad) {
		return err
	}
	if q := e.report(bad.part, bad.err); q != nil {
		return errors.Join(bad.err, fmt.Errorf("moving it aside: %w", q))
	}
	return bad.err
}

// originFilter resolves the filters that depend on the stream.
func (e *Engine) originFilter(f, byDefault persistence.OriginFilter, kind market.Kind, stream *market.StreamID) persistence.OriginFilter {
	if f == persistence.OriginDefault {
		f = byDefault
	}
	if f != persistence.OriginPreferCollected {
		return f
	}
	if stream == nil || e.hasCollected(kind, *stream) {
		return persistence.OriginCollected
	}
	return persistence.OriginExternal
}

func (e *Engine) hasCollected(kind market.Kind, stream market.StreamID) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, p := range e.parts[kind] {
		if r := p.meta.Find(stream); r != nil && r.Collected > 0 {
			return true
		}
	}
	for _, s := range e.shards {
		for _, m := range append(s.sealed[:len(s.sealed):len(s.sealed)], s.active) {
			if series := m.tables[kind].find(stream); series != nil {
				if collected, _ := series.origins(); collected > 0 {
					return true
				}
			}
		}
	}
	return false
}

func wanted(f persistence.OriginFilter, o market.Origin) bool {
	switch f {
	case persistence.OriginCollected:
		return o == market.Collected
	case persistence.OriginExternal:
		return o == market.External
	}
	return true
}

// rows implements [persistence.Rows] for queries.
type rows struct {
	view   *view
	query  persistence.Query
	origin persistence.OriginFilter
	spans  spans
	span   part.Span
	filler part.Filler
	taken  int
	done   bool
	err    error
	// after is the sort key that the scan continues behind; nil once behind it.
	after []byte
	// key is the last yielded record's sort key.
	key  []byte
	last struct {
		block *part.Block
		row   int
	}
}

// Next implements [persistence.Rows].
func (r *rows) Next(ctx context.Context, into *market.Batch) (int, error) {
	e, err := r.view.enter()
	if err != nil {
		return 0, err
	}
	defer e.calls.Done()
	if r.err != nil {
		return 0, r.err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	n := 0
	for n < chunkRows {
		if r.done || r.query.Limit > 0 && r.taken >= r.query.Limit {
			break
		}
		if r.span.Lo >= r.span.Hi {
			r.keepKey()
			span, err := r.spans.Next(ctx)
			if errors.Is(err, io.EOF) {
				r.done = true
				break
			}
			if err != nil {
				if !errors.Is(err, ctx.Err()) || ctx.Err() == nil {
					r.err = e.failed(err)
					return n, r.err
				}
				return n, err
			}
			r.span = span
		}
		got, err := r.fill(into, chunkRows-n)
		n += got
		if err != nil {
			r.err = err
			return n, err
		}
	}
	r.keepKey()
	e.metrics.read.WithLabelValues(r.query.Kind.Table()).Add(float64(n))
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// keepKey makes the last record's key before its block is used again.
func (r *rows) keepKey() {
	if r.last.block != nil {
		r.key = r.last.block.AppendSortKey(r.key[:0], r.last.row)
		r.last.block = nil
	}
}

// fill yields rows of the current span, at most room of them.
func (r *rows) fill(into *market.Batch, room int) (n int, err error) {
	if r.query.Limit > 0 {
		room = min(room, r.query.Limit-r.taken)
	}
	b := r.span.Block
	for n < room && r.span.Lo < r.span.Hi {
		row := r.span.Lo
		if r.query.Newest {
			row = r.span.Hi - 1
			r.span.Hi--
		} else {
			r.span.Lo++
		}
		if !wanted(r.origin, b.Origin(row)) || r.before(b, row) {
			continue
		}
		if _, err := r.filler.Fill(b, row, into); err != nil {
			return n, fmt.Errorf("%w: table %s: %w", persistence.ErrCorrupt, r.query.Kind.Table(), err)
		}
		r.last.block, r.last.row = b, row
		n++
		r.taken++
	}
	return n, nil
}

// before reports whether a row is at or before the cursor.
func (r *rows) before(b *part.Block, row int) bool {
	if r.after == nil {
		return false
	}
	c := bytes.Compare(b.AppendSortKey(nil, row), r.after)
	if r.query.Newest {
		c = -c
	}
	if c > 0 {
		r.after = nil
		return false
	}
	return true
}

// Cursor implements [persistence.Rows].
func (r *rows) Cursor() string {
	if r.done || len(r.key) == 0 {
		return ""
	}
	direction := byte(0)
	if r.query.Newest {
		direction = 1
	}
	return base64.RawURLEncoding.EncodeToString(append([]byte{cursorVersion, byte(r.query.Kind), direction}, r.key...))
}

// Close implements [persistence.Rows].
func (r *rows) Close() error {
	r.view.release()
	return nil
}

const cursorVersion = 1

func parseCursor(q persistence.Query) ([]byte, error) {
	if q.Cursor == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(q.Cursor)
	if err != nil || len(raw) < 3 || raw[0] != cursorVersion || raw[1] != byte(q.Kind) || (raw[2] == 1) != q.Newest {
		return nil, persistence.ErrCursor
	}
	if _, ok := part.SortKeyTS(raw[3:]); !ok {
		return nil, persistence.ErrCursor
	}
	return raw[3:], nil
}

// Last implements [persistence.Reader].
func (e *Engine) Last(ctx context.Context, kind market.Kind, stream market.StreamID, origin persistence.OriginFilter, into *market.Batch) (market.Record, bool, error) {
	r, err := e.Query(ctx, persistence.Query{Kind: kind, Stream: &stream, Newest: true, Limit: 1, Origin: origin})
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = r.Close() }() // it only gives back what was read
	n, err := r.Next(ctx, into)
	if errors.Is(err, io.EOF) {
		return nil, false, nil
	}
	if err != nil || n == 0 {
		return nil, false, err
	}
	return into.At(into.Len() - 1), true, nil
}

// WaitApplied implements [persistence.Visibility].
func (e *Engine) WaitApplied(ctx context.Context, number int, seq uint64) error {
	return e.shard(number).wait(ctx, e.closed, seq)
}
