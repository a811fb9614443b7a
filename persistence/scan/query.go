package scan

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// chunkRows is how many records one Next yields at most.
const chunkRows = 1024

// Reader answers queries over layers. It is safe for concurrent use.
type Reader struct {
	// Layers are in the order in which they are pinned: the newest rows first.
	Layers  []Layer
	Schemas *part.Schemas
	Now     func() time.Time
	// Gate is the store's: its end waits for calls under way.
	Gate *Gate
	// Read counts the records of a kind that were yielded.
	Read func(kind market.Kind, records int)
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

// Query opens a scan; see [persistence.Reader].
func (r *Reader) Query(ctx context.Context, q persistence.Query) (persistence.Rows, error) {
	if err := r.Gate.Enter(); err != nil {
		return nil, err
	}
	defer r.Gate.Leave()
	if !q.Kind.Valid() || q.Kind.Table() == "" {
		return nil, fmt.Errorf("%w: kind %v has no table", persistence.ErrQuery, q.Kind)
	}
	has, err := r.Schemas[q.Kind].Project(q.Columns)
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
	out := &rows{reader: r, query: q, key: after, after: after}
	if out.origin, err = originFilter(ctx, r.Layers, q.Origin, persistence.OriginAll, q.Kind, q.Stream); err != nil {
		return nil, err
	}
	if out.views, err = pin(ctx, r.Layers, Selection{Kind: q.Kind, Stream: q.Stream, From: from, To: to, Has: has, Newest: q.Newest, Reads: persistence.ReadsOf(ctx)}); err != nil {
		return nil, err
	}
	out.spans = out.views.open(q.Stream)
	return out, nil
}

// rows implements [persistence.Rows] for queries.
type rows struct {
	reader *Reader
	views  *views // nil once closed
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
	if r.views == nil {
		return 0, persistence.ErrClosed
	}
	if err := r.reader.Gate.Enter(); err != nil {
		return 0, err
	}
	defer r.reader.Gate.Leave()
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
					r.err = r.views.failed(err)
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
	r.reader.Read(r.query.Kind, n)
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
	if r.views != nil {
		r.views.release()
		r.views = nil
	}
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

// Last is a stream's last record; see [persistence.Reader].
func (r *Reader) Last(ctx context.Context, kind market.Kind, stream market.StreamID, origin persistence.OriginFilter, into *market.Batch) (market.Record, bool, error) {
	found, err := r.Query(ctx, persistence.Query{Kind: kind, Stream: &stream, Newest: true, Limit: 1, Origin: origin})
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = found.Close() }() // it only gives back what was read
	n, err := found.Next(ctx, into)
	if errors.Is(err, io.EOF) {
		return nil, false, nil
	}
	if err != nil || n == 0 {
		return nil, false, err
	}
	return into.At(into.Len() - 1), true, nil
}
