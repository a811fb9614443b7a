package part

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/cespare/xxhash/v2"
	"github.com/parquet-go/parquet-go"

	"github.com/marketprism/marketprism/internal/market"
)

// Sizes of a file's pages and row groups.
const (
	// PageRows is the number of rows in a page, unless text fills it before.
	PageRows = 4096
	// GroupRows is the number of rows after which a row group ends.
	GroupRows = 32 * PageRows

	pageTextBytes  = 1 << 20
	groupTextBytes = 64 << 20
)

// metaKey is the key of the footer's metadata that holds the encoded Meta,
// hexadecimal.
const metaKey = "marketprism.part"

// Writer writes one file: for each instrument in the order of CompareStreams one
// Begin, then its rows in reading order without equal keys.
type Writer struct {
	schema *Schema
	out    *countingWriter
	pq     *parquet.GenericWriter[any]
	page   *Block
	values []parquet.Value
	text   []byte
	meta   Meta
	group  int64 // rows in the row group
	size   int   // text in the row group
}

type countingWriter struct {
	w   io.Writer
	sum *xxhash.Digest
	n   int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	if _, e := c.sum.Write(p[:n]); e != nil {
		return n, errors.Join(err, e)
	}
	return n, err
}

// NewWriter writes to w. Of meta it takes Kind, File, the journal range and
// Created; it finds out the rest.
func NewWriter(w io.Writer, s *Schema, names *Names, meta Meta) *Writer {
	out := &countingWriter{w: w, sum: xxhash.New()}
	options := []parquet.WriterOption{
		s.parquet,
		parquet.CreatedBy("marketprism", "1", ""),
		parquet.PageBufferSize(256 << 10),
		parquet.WriteBufferSize(256 << 10),
		parquet.DataPageVersion(2),
		parquet.MaxRowsPerRowGroup(1 << 40),
		parquet.SortingWriterConfig(parquet.SortingColumns(
			parquet.Ascending("exchange"), parquet.Ascending("market"), parquet.Ascending("symbol"), parquet.Ascending("ts_ns"))),
	}
	for _, l := range s.leaves {
		if !l.bounded {
			options = append(options, parquet.SkipPageBounds(l.name))
		}
	}
	meta.Ranges = nil
	return &Writer{schema: s, out: out, pq: parquet.NewGenericWriter[any](out, options...), page: NewBlock(s, names), meta: meta}
}

// Begin starts the rows of an instrument.
func (w *Writer) Begin(stream market.StreamID) {
	w.endRange()
	w.meta.Ranges = append(w.meta.Ranges, Range{Stream: stream, First: w.meta.Rows})
}

// endRange drops a range that got no rows.
func (w *Writer) endRange() {
	if n := len(w.meta.Ranges); n > 0 && w.meta.Ranges[n-1].Rows == 0 {
		w.meta.Ranges = w.meta.Ranges[:n-1]
	}
}

// Append takes rows of the instrument that Begin named.
func (w *Writer) Append(s Span) error {
	w.account(s)
	for lo := s.Lo; lo < s.Hi; {
		hi := min(s.Hi, lo+PageRows-w.page.n)
		if s.Block.hasText() { // page by page of text
			hi = min(hi, lo+max(1, (pageTextBytes-w.page.TextBytes())/(1+s.Block.TextBytes()/s.Block.n)))
		}
		w.page.AppendRows(s.Block, lo, hi)
		lo = hi
		if w.page.n >= PageRows || w.page.TextBytes() >= pageTextBytes {
			if err := w.flushPage(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Block) hasText() bool {
	for i := range b.cols {
		if len(b.cols[i].data) > 0 {
			return true
		}
	}
	return false
}

// account adds rows to the range and the file.
func (w *Writer) account(s Span) {
	r := &w.meta.Ranges[len(w.meta.Ranges)-1]
	first, last := s.Block.TS(s.Lo), s.Block.TS(s.Hi-1)
	if r.Rows == 0 {
		r.MinTime, r.MaxTime = first, last
	}
	r.MinTime, r.MaxTime = min(r.MinTime, first), max(r.MaxTime, last)
	if w.meta.Rows == 0 {
		w.meta.MinTime, w.meta.MaxTime = first, last
	}
	w.meta.MinTime, w.meta.MaxTime = min(w.meta.MinTime, first), max(w.meta.MaxTime, last)
	n := int64(s.Hi - s.Lo)
	r.Rows += n
	w.meta.Rows += n
	for _, origin := range s.Block.cols[w.schema.originCol].u8[s.Lo:s.Hi] {
		if market.Origin(origin) == market.Collected {
			r.Collected++
		}
	}
}

// flushPage writes the pending rows as one page of every column.
func (w *Writer) flushPage() error {
	if w.page.n == 0 {
		return nil
	}
	for i, cw := range w.pq.ColumnWriters() {
		w.encode(i)
		if _, err := cw.WriteRowValues(w.values); err != nil {
			return fmt.Errorf("column %s: %w", w.schema.leaves[i].name, err)
		}
		if err := cw.Flush(); err != nil {
			return fmt.Errorf("column %s: %w", w.schema.leaves[i].name, err)
		}
	}
	w.group += int64(w.page.n)
	w.size += w.page.TextBytes()
	w.page.Reset()
	if w.group < GroupRows && w.size < groupTextBytes {
		return nil
	}
	w.group, w.size = 0, 0
	return w.pq.Flush()
}

// Finish ends the file and returns its description.
func (w *Writer) Finish() (Meta, error) {
	w.endRange()
	if err := w.flushPage(); err != nil {
		return Meta{}, err
	}
	w.pq.SetKeyValueMetadata(metaKey, hex.EncodeToString(appendMeta(nil, &w.meta)))
	if err := w.pq.Close(); err != nil {
		return Meta{}, err
	}
	w.meta.Bytes, w.meta.Checksum = w.out.n, w.out.sum.Sum64()
	return w.meta, nil
}

// encode makes the page's values of one Parquet column.
func (w *Writer) encode(at int) {
	l := &w.schema.leaves[at]
	b, v := w.page, &w.page.cols[l.col]
	e := encoder{values: w.values[:0], col: at, text: w.text[:0]}
	switch l.role {
	case roleMicros:
		for _, ns := range v.i64 {
			e.required(parquet.Int64Value(floorDiv(ns, 1000)))
		}
	case roleNanos:
		for _, ns := range v.i64 {
			e.required(parquet.Int64Value(ns))
		}
	case roleExchange, roleMarket, roleSymbol, roleNative:
		e.instruments(l.role, b, v)
	case roleTime:
		for _, t := range v.i64 {
			e.optional(parquet.Int64Value(t), t != 0)
		}
	case roleInt:
		for i, n := range v.i64 {
			e.optional(parquet.Int64Value(n), v.u8[i] != 0)
		}
	case roleDouble, roleScale, roleExact:
		e.decimals(l.role, b, l.col)
	case roleID:
		e.ids(v)
	case roleWord:
		e.words(b, v)
	case roleEnum:
		words := enumValues(w.schema.Columns[l.col].words)
		for _, code := range v.u8 {
			e.required(words[min(int(code), len(words)-1)])
		}
	case roleBool:
		for _, t := range v.u8 {
			e.required(parquet.BooleanValue(t != 0))
		}
	case roleLevels:
		for i := range b.n {
			e.required(parquet.ByteArrayValue(v.text(i)))
		}
	case roleBest:
		for i := range b.n {
			best, ok := bestPrice(v.text(i))
			e.optional(parquet.DoubleValue(best), ok)
		}
	case roleFlags:
		for _, f := range v.u32 {
			e.required(parquet.Int32Value(int32(f)))
		}
	}
	w.values, w.text = e.values, e.text
}

func enumValues(words []string) []parquet.Value {
	values := make([]parquet.Value, len(words))
	for i, word := range words {
		values[i] = parquet.ByteArrayValue([]byte(word))
	}
	return values
}

type encoder struct {
	values []parquet.Value
	col    int
	text   []byte
}

// required adds a value of a column without levels.
func (e *encoder) required(v parquet.Value) { e.values = append(e.values, v) }

// optional adds a value, or null, whose level is 0 as the zero Value's.
func (e *encoder) optional(v parquet.Value, ok bool) {
	if !ok {
		e.values = append(e.values, parquet.Value{})
		return
	}
	e.values = append(e.values, v.Level(0, 1, e.col))
}

func (e *encoder) words(b *Block, v *vector) {
	var last uint32
	var value parquet.Value
	for _, code := range v.u32 {
		if code != 0 && code != last {
			last, value = code, parquet.ByteArrayValue([]byte(b.names.Text(code)))
		}
		e.optional(value, code != 0)
	}
}

// instruments repeats the value of a row while its instrument stays.
func (e *encoder) instruments(r role, b *Block, v *vector) {
	var last uint32
	var value parquet.Value
	for i, code := range v.u32 {
		if i == 0 || code != last {
			last = code
			instrument := b.names.Instrument(code)
			s := instrument.Exchange
			switch r {
			case roleMarket:
				s = instrument.Market.String()
			case roleSymbol:
				s = instrument.Symbol
			case roleNative:
				s = instrument.Native
			}
			value = parquet.ByteArrayValue([]byte(s))
		}
		e.required(value)
	}
}

func (e *encoder) decimals(r role, b *Block, col int) {
	v := &b.cols[col]
	for i := range b.n {
		scale := v.u8[i]
		if scale == decimalAbsent {
			e.optional(parquet.Value{}, false)
			continue
		}
		d := market.NewDecimal(v.i64[i], scale)
		if scale == decimalLong {
			d = b.DecimalAt(col, i)
		}
		switch r {
		case roleDouble:
			e.optional(parquet.DoubleValue(d.Float64()), true)
		case roleScale:
			e.optional(parquet.Int32Value(int32(d.Scale())), true)
		default:
			if d.FitsFloat() {
				e.optional(parquet.Value{}, false)
				continue
			}
			mark := len(e.text)
			e.text = d.AppendText(e.text)
			e.optional(parquet.ByteArrayValue(e.text[mark:]), true)
		}
	}
}

func (e *encoder) ids(v *vector) {
	for i, form := range v.u8 {
		mark := len(e.text)
		switch form {
		case idNumber:
			e.text = strconv.AppendInt(e.text, v.i64[i], 10)
		case idText:
			e.text = append(e.text, v.text(i)...)
		}
		e.optional(parquet.ByteArrayValue(e.text[mark:]), form != idAbsent)
	}
}

// bestPrice is the first price in the text of a side.
func bestPrice(levels []byte) (float64, bool) {
	p := levelParser{text: levels}
	p.want('[')
	p.want('[')
	if p.err != nil {
		return 0, false
	}
	d := p.number()
	return d.Float64(), p.err == nil && d.IsSet()
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
