package part

import (
	"fmt"
	"io"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"github.com/marketprism/marketprism/internal/market"
)

// pageWriter writes rows as the pages of a Parquet file. A page ends at the same row
// in every column.
type pageWriter struct {
	schema *Schema
	leaves []int // of the schema, those that the file has
	pq     *parquet.GenericWriter[any]
	page   *Block // rows that are not written yet
	values []parquet.Value
	text   []byte
	group  int64 // rows in the row group
	size   int   // text in the row group
}

func newPageWriter(out io.Writer, s *Schema, names *Names, leaves []int, sorted ...parquet.SortingOption) *pageWriter {
	options := []parquet.WriterOption{
		s.parquetOf(leaves),
		parquet.CreatedBy("marketprism", "1", ""),
		parquet.PageBufferSize(256 << 10),
		parquet.WriteBufferSize(256 << 10),
		parquet.DataPageVersion(2),
		parquet.MaxRowsPerRowGroup(1 << 40),
		parquet.SortingWriterConfig(sorted...),
	}
	for _, i := range leaves {
		if l := &s.leaves[i]; !l.bounded {
			options = append(options, parquet.SkipPageBounds(l.name))
		}
	}
	return &pageWriter{schema: s, leaves: leaves, pq: parquet.NewGenericWriter[any](out, options...), page: NewBlock(s, names)}
}

// flushFull writes the pending rows if they fill a page.
func (w *pageWriter) flushFull() error {
	if w.page.n >= PageRows || w.page.TextBytes() >= pageTextBytes {
		return w.flush()
	}
	return nil
}

// flush writes the pending rows as one page of every column.
func (w *pageWriter) flush() error {
	if w.page.n == 0 {
		return nil
	}
	for i, cw := range w.pq.ColumnWriters() {
		name := w.schema.leaves[w.leaves[i]].name
		w.encode(i)
		if _, err := cw.WriteRowValues(w.values); err != nil {
			return fmt.Errorf("column %s: %w", name, err)
		}
		if err := cw.Flush(); err != nil {
			return fmt.Errorf("column %s: %w", name, err)
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

// close writes the pending rows and the footer, with metadata.
func (w *pageWriter) close(metadata map[string]string) error {
	if err := w.flush(); err != nil {
		return err
	}
	for key, value := range metadata {
		w.pq.SetKeyValueMetadata(key, value)
	}
	return w.pq.Close()
}

// encode makes the page's values of the column-th Parquet column.
func (w *pageWriter) encode(column int) {
	l := &w.schema.leaves[w.leaves[column]]
	b, v := w.page, &w.page.cols[l.col]
	e := encoder{values: w.values[:0], col: column, text: w.text[:0]}
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
