package remote

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// pageRows is how many records one page may have; a smaller limit makes it smaller.
const pageRows = 2000

// Query implements persistence.Reader, for one stream. Of Columns, those that make the
// record's key and its time travel too. Errors: persistence.ErrQuery without a stream
// or of a column that there is not, and when the first page is asked for, those of
// asking.
func (r *Reader) Query(_ context.Context, q persistence.Query) (persistence.Rows, error) {
	if q.Stream == nil || q.Kind.Table() == "" {
		return nil, fmt.Errorf("%w: another process is asked for one stream of a kind that is stored", persistence.ErrQuery)
	}
	v := url.Values{"exact": {"true"}, "format": {"ndjson"}, "market": {q.Stream.Market.String()}, "order": {"asc"}}
	if q.Newest {
		v.Set("order", "desc")
	}
	if q.From > 0 {
		v.Set("from", stamp(q.From))
	}
	if q.To > 0 {
		v.Set("to", stamp(q.To))
	}
	switch q.Origin {
	case persistence.OriginCollected:
		v.Set("origin", "collected")
	case persistence.OriginExternal:
		v.Set("origin", "external")
	case persistence.OriginPreferCollected:
		return nil, fmt.Errorf("%w: rows of one origin or of all", persistence.ErrQuery)
	}
	fields, err := fieldsOf(q.Kind, q.Columns)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", persistence.ErrQuery, err)
	}
	if fields != "" {
		v.Set("fields", fields)
	}
	return &rows{reader: r, path: streamPath("query", q.Kind, *q.Stream), values: v, kind: q.Kind, left: q.Limit, limited: q.Limit > 0, cursor: q.Cursor}, nil
}

// identity are the members without which a record is not the same record: its names,
// its key, and what its ts is made of.
var identity = []string{
	"kind", "exchange", "market", "symbol", "native_symbol",
	market.FieldExchangeTime.Name, market.FieldReceiveTime.Name, market.FieldSeq.Name, market.FieldConn.Name, market.FieldEpoch.Name,
	market.FieldOrigin.Name, market.FieldFlags.Name,
}

// fieldsOf names the members that hold some columns of a kind; "" is all.
func fieldsOf(k market.Kind, columns []string) (string, error) {
	if columns == nil {
		return "", nil
	}
	names := slices.Concat(identity, k.KeyColumns())
	switch k {
	case market.KindCandle:
		names = append(names, "open_time_ns")
	case market.KindGap:
		names = append(names, "from_time_ns")
	}
	for _, c := range columns {
		if c != market.FieldTS.Column { // it is made of the others
			names = append(names, c)
		}
	}
	only, err := market.Select(k, names...)
	return strings.Join(only.Names(), ","), err
}

// rows are the pages of one query.
type rows struct {
	reader  *Reader
	path    string
	values  url.Values
	kind    market.Kind
	left    int // of the limit
	limited bool
	cursor  string
	ended   bool
	closed  bool
	json    market.JSONReader
}

// Next implements persistence.Rows: it appends one page.
func (w *rows) Next(ctx context.Context, into *market.Batch) (int, error) {
	switch {
	case w.closed:
		return 0, persistence.ErrClosed
	case w.ended || w.limited && w.left == 0:
		return 0, io.EOF
	}
	size := pageRows
	if w.limited {
		size = min(size, w.left)
	}
	w.values.Set("limit", strconv.Itoa(size))
	w.values.Del("cursor")
	if w.cursor != "" {
		w.values.Set("cursor", w.cursor)
	}
	before := into.Len()
	cursor, err := w.page(ctx, into)
	n := into.Len() - before
	if err == nil && n > size {
		err = fmt.Errorf("%d records were sent, %d were asked for", n, size)
	}
	if err != nil {
		into.Truncate(before)
		return 0, fmt.Errorf("reading a page of %s: %w", w.path, err)
	}
	w.cursor, w.left = cursor, w.left-n
	w.ended = cursor == "" || n == 0
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// page reads one answer to its end, and returns the cursor of the next.
func (w *rows) page(ctx context.Context, into *market.Batch) (cursor string, err error) {
	res, err := w.reader.get(ctx, w.path, w.values)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	lines := bufio.NewReaderSize(res.Body, 64<<10)
	for {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			return nextCursor(res), nil
		}
		if err != nil {
			return "", err
		}
		r, err := w.json.Read(line, into)
		if err != nil {
			return "", err
		}
		if r.Kind() != w.kind || r.Head().Instrument == nil {
			return "", fmt.Errorf("a %s came, %s was asked for", r.Kind(), w.kind)
		}
	}
}

// nextCursor is the trailer that continues a page.
func nextCursor(res *http.Response) string { return res.Trailer.Get("X-Next-Cursor") }

// readLine reads a line of any length up to a record's. A last line without its end
// was cut short.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		long := bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && len(long) <= market.MaxJSONRecord {
			line, err = in.ReadSlice('\n')
			long = append(long, line...)
		}
		line = long
	}
	if errors.Is(err, io.EOF) && len(line) > 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return line, err
}

// Cursor implements persistence.Rows.
func (w *rows) Cursor() string {
	if w.ended {
		return ""
	}
	return w.cursor
}

// Close implements persistence.Rows.
func (w *rows) Close() error {
	w.closed = true
	return nil
}
