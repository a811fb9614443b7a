package part

import (
	"context"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"github.com/marketprism/marketprism/internal/market"
)

// Access says how the instruments of a file are read.
type Access uint8

// The ways of access.
const (
	// OneStream: only one source is made of the scan.
	OneStream Access = iota
	// InOrder: one source after the other, in the order of the file.
	InOrder
	// Interleaved: several sources take turns.
	Interleaved
)

// interleavedRows is how many rows a source copies out of a page that others
// share.
const interleavedRows = 256

// Scan reads one file for one query. It belongs to one goroutine.
type Scan struct {
	file   *File
	want   []bool // by leaf
	has    Projection
	access Access
	desc   bool

	group   int // row group of readers; -1 for none
	readers []parquet.Pages
	codes   []dictionaryCodes
	block   *Block
	page    int // page that block holds; -1 for none
	levels  []byte
	// lean: key columns are left out until they are needed.
	lean bool
}

// dictionaryCodes translates the indexes of one chunk's dictionary.
type dictionaryCodes struct {
	of    parquet.Dictionary
	codes []uint32
}

// NewScan returns a scan of a file; nil projection reads every column.
func (f *File) NewScan(p Projection, access Access, descending bool) *Scan {
	s := &Scan{
		file: f, has: p, access: access, desc: descending, group: -1, page: -1,
		want:    make([]bool, len(f.schema.leaves)),
		readers: make([]parquet.Pages, len(f.schema.leaves)),
		codes:   make([]dictionaryCodes, len(f.schema.leaves)),
		block:   NewBlock(f.schema, f.names),
	}
	for i, l := range f.schema.leaves {
		switch l.role {
		case roleMicros, roleExchange, roleMarket, roleSymbol, roleBest:
		default:
			s.want[i] = p.has(l.col)
		}
	}
	for _, col := range f.schema.orderCols() {
		s.lean = s.lean || !p.has(col)
	}
	return s
}

// Close releases what the scan holds of its file.
func (s *Scan) Close() {
	for i, r := range s.readers {
		if r != nil {
			_ = r.Close() // only read from
			s.readers[i] = nil
		}
		s.codes[i].of = nil // its memory may become another chunk's dictionary
	}
	s.group = -1
}

// Source returns the rows of one instrument with ts in [from, to); nil when there
// can be none. priority is the merge's.
func (s *Scan) Source(r *Range, from, to int64, priority uint64) Source {
	lo, hi := s.file.pageRange(r.First, r.First+r.Rows, from, to)
	if lo >= hi || r.MaxTime < from || r.MinTime >= to {
		return nil
	}
	src := &fileSource{scan: s, r: r, from: from, to: to, lo: lo, hi: hi, priority: priority}
	if s.access == Interleaved {
		src.own = NewBlock(s.file.schema, s.file.names)
	}
	return src
}

type fileSource struct {
	scan     *Scan
	r        *Range
	from, to int64
	lo, hi   int // pages to read
	priority uint64
	// own is the source's copy of rows of a shared page; done says how many rows
	// of the next page have been copied.
	own  *Block
	done int
}

func (f *fileSource) Bounds() (lo, hi int64) {
	return max(f.from, f.r.MinTime), min(f.to-1, f.r.MaxTime)
}

func (f *fileSource) Priority() uint64 { return f.priority }

func (f *fileSource) Next(ctx context.Context) (Span, error) {
	for f.lo < f.hi {
		if err := ctx.Err(); err != nil {
			return Span{}, err
		}
		page := f.lo
		if f.scan.desc {
			page = f.hi - 1
		}
		span, err := f.scan.read(page, f.r)
		if err != nil {
			return Span{}, err
		}
		span.Lo = span.Block.TimesFrom(f.from, span.Lo, span.Hi)
		span.Hi = span.Block.TimesFrom(f.to, span.Lo, span.Hi)
		if f.own != nil {
			span = f.copy(span)
		}
		if f.own == nil || span.Lo >= span.Hi {
			f.done = 0
			if f.scan.desc {
				f.hi--
			} else {
				f.lo++
			}
		}
		if span.Lo < span.Hi {
			return span, nil
		}
	}
	return Span{}, io.EOF
}

// copy takes the next rows out of a shared page.
func (f *fileSource) copy(span Span) Span {
	if f.scan.desc {
		span.Hi -= f.done
		span.Lo = max(span.Lo, span.Hi-interleavedRows)
	} else {
		span.Lo += f.done
		span.Hi = min(span.Hi, span.Lo+interleavedRows)
	}
	if span.Lo >= span.Hi {
		return Span{}
	}
	n := span.Hi - span.Lo
	f.done += n
	f.own.Reset()
	f.own.has = span.Block.has
	f.own.AppendRows(span.Block, span.Lo, span.Hi)
	return Span{f.own, 0, n}
}

// read returns the rows of r in a page. Where the page is not shared only they
// are decoded.
func (s *Scan) read(page int, r *Range) (Span, error) {
	p := &s.file.pages[page]
	lo, hi := max(r.First, p.first)-p.first, min(r.First+r.Rows, p.first+p.rows)-p.first
	if s.access == OneStream {
		if err := s.decode(p, lo, hi); err != nil {
			return Span{}, err
		}
		return Span{s.block, 0, int(hi - lo)}, nil
	}
	if s.page != page {
		s.page = -1
		if err := s.decode(p, 0, p.rows); err != nil {
			return Span{}, err
		}
		s.page = page
	}
	return Span{s.block, int(lo), int(hi)}, nil
}

// decode puts rows [lo, hi) of a page into the scan's block.
func (s *Scan) decode(p *pageRef, lo, hi int64) (err error) {
	defer s.file.guard(&err)
	if s.group != p.group {
		s.Close()
		s.group = p.group
	}
	s.block.Reset()
	s.block.has = s.has
	s.block.n = int(hi - lo)
	for i := range s.file.schema.leaves {
		if !s.want[i] {
			continue
		}
		if err := s.decodeLeaf(i, p, int(lo), int(hi)); err != nil {
			return err
		}
	}
	if s.lean {
		s.block.keys = func() error { return s.decodeKeys(p, int(lo), int(hi)) }
	}
	return nil
}

// decodeKeys reads the key columns of the page in the block that were left out.
func (s *Scan) decodeKeys(p *pageRef, lo, hi int) (err error) {
	defer s.file.guard(&err)
	for i, l := range s.file.schema.leaves {
		if s.want[i] || s.has.has(l.col) || !slices.Contains(s.file.schema.orderCols(), l.col) {
			continue
		}
		switch l.role {
		case roleMicros, roleExchange, roleMarket, roleSymbol, roleBest:
			continue
		}
		if err := s.decodeLeaf(i, p, lo, hi); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scan) decodeLeaf(at int, p *pageRef, lo, hi int) error {
	l := &s.file.schema.leaves[at]
	chunk := s.file.pq.RowGroups()[p.group].ColumnChunks()[at]
	c := column{scan: s, at: at, leaf: l, v: &s.block.cols[l.col], lo: lo, hi: hi, ref: p}
	if l.optional {
		bounds, err := chunk.ColumnIndex()
		if err != nil {
			return s.file.corrupt("column %s: %v", l.name, err)
		}
		if bounds.NullPage(p.index) {
			return c.fill(nil, make0(hi-lo, &s.levels))
		}
	}
	if s.readers[at] == nil {
		s.readers[at] = chunk.Pages()
	}
	if err := s.readers[at].SeekToRow(p.local); err != nil {
		return s.file.corrupt("column %s, row %d: %v", l.name, p.first, err)
	}
	page, err := s.readers[at].ReadPage()
	if err != nil {
		return s.file.corrupt("column %s, row %d: %v", l.name, p.first, err)
	}
	defer parquet.Release(page)
	if page.NumRows() != p.rows {
		return s.file.corrupt("column %s, row %d: a page of %d rows, want %d", l.name, p.first, page.NumRows(), p.rows)
	}
	return c.fill(page, page.DefinitionLevels())
}

func make0(n int, buf *[]byte) []byte {
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	return (*buf)[:n]
}

// column decodes rows [lo, hi) of one page of one Parquet column.
type column struct {
	scan   *Scan
	at     int
	leaf   *leaf
	v      *vector
	lo, hi int
	ref    *pageRef
}

// fill appends the rows to the vector. A nil page is all null; levels are then
// hi - lo zeros.
func (c *column) fill(page parquet.Page, levels []byte) error {
	skip := c.lo
	if page == nil {
		skip = 0
	}
	var present []byte // nil: all
	value := c.lo      // index of the first value among those present
	if c.leaf.optional {
		value = 0
		nulls := false
		for _, level := range levels[:skip] {
			value += int(level)
		}
		present = levels[skip : skip+c.hi-c.lo]
		for _, level := range present {
			nulls = nulls || level == 0
		}
		if !nulls {
			present = nil
		}
	}
	switch c.leaf.role {
	case roleNanos, roleTime:
		c.v.i64 = spread(c.v.i64, ints(page), present, value, c.hi-c.lo)
	case roleInt:
		c.v.i64 = spread(c.v.i64, ints(page), present, value, c.hi-c.lo)
		c.v.u8 = marks(c.v.u8, present, 1, 0, c.hi-c.lo)
	case roleDouble, roleScale, roleExact:
		return c.decimals(page, present, value)
	case roleID:
		return c.ids(page, present, value)
	case roleLevels:
		c.texts(page, value)
	case roleBool:
		bits := page.Data()
		packed := bits.Boolean()
		for i := c.lo; i < c.hi; i++ {
			c.v.u8 = append(c.v.u8, packed[i/8]>>(i%8)&1)
		}
	default:
		return c.coded(page, present, value)
	}
	return nil
}

func ints(page parquet.Page) []int64 {
	if page == nil {
		return nil
	}
	data := page.Data()
	return data.Int64()
}

// spread appends n rows, values where present, zero elsewhere.
func spread[T int64 | uint32](dst, values []T, present []byte, value, n int) []T {
	if present == nil {
		return append(dst, values[value:value+n]...)
	}
	for _, level := range present {
		if level == 0 {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, values[value])
		value++
	}
	return dst
}

func marks(dst []uint8, present []byte, yes, no uint8, n int) []uint8 {
	for i := range n {
		if present == nil || present[i] != 0 {
			dst = append(dst, yes)
			continue
		}
		dst = append(dst, no)
	}
	return dst
}

// decimals meets a decimal's three columns one after the other: scales after
// numbers, exact texts last.
func (c *column) decimals(page parquet.Page, present []byte, value int) error {
	n := c.hi - c.lo
	switch c.leaf.role {
	case roleDouble:
		// The bits wait in i64 for the scale.
		if page == nil {
			c.v.i64 = spread(c.v.i64, nil, present, value, n)
			return nil
		}
		data := page.Data()
		c.v.i64 = spreadDoubles(c.v.i64, data.Double(), present, value, n)
	case roleScale:
		return c.scales(page, present, value)
	default:
		if page == nil {
			return nil
		}
		return c.exact(page, present, value)
	}
	return nil
}

func (c *column) scales(page parquet.Page, present []byte, value int) error {
	c.v.u8 = marks(c.v.u8, present, 0, decimalAbsent, c.hi-c.lo)
	if page == nil {
		return nil
	}
	scale := c.int32s(page)
	for i := range c.v.u8 {
		if c.v.u8[i] == decimalAbsent {
			continue
		}
		s := scale(value)
		value++
		c.v.u8[i] = s
		coef, ok := coefficient(c.v.i64[i], s)
		if !ok {
			s = decimalLong // its exact text follows
			c.v.u8[i] = s
		}
		c.v.i64[i] = coef
	}
	return nil
}

// int32s gives access to the values of an INT32 column, with or without
// dictionary.
func (c *column) int32s(page parquet.Page) func(i int) uint8 {
	data := page.Data()
	raw := data.Int32()
	dict := page.Dictionary()
	if dict == nil {
		return func(i int) uint8 { return uint8(raw[i]) }
	}
	codes := c.translate(dict, func(v parquet.Value) uint32 { return uint32(v.Int32()) })
	return func(i int) uint8 { return uint8(codes[raw[i]]) }
}

// exact replaces decimals whose digits a DOUBLE does not hold.
func (c *column) exact(page parquet.Page, present []byte, value int) error {
	data := page.Data()
	text, offsets := data.ByteArray()
	for i := range c.hi - c.lo {
		if present != nil && present[i] == 0 {
			c.v.noText()
			continue
		}
		digits := text[offsets[value]:offsets[value+1]]
		value++
		d, err := market.ParseDecimal(digits)
		if err != nil {
			return c.scan.file.corrupt("column %s: %v", c.leaf.name, err)
		}
		if coef, ok := d.Coefficient(); ok {
			c.v.i64[i], c.v.u8[i] = coef, d.Scale()
			c.v.noText()
			continue
		}
		c.v.u8[i], c.v.i64[i] = decimalLong, 0
		c.v.startText(i)
		c.v.data = append(c.v.data, digits...)
		c.v.endText()
	}
	return nil
}

func (c *column) ids(page parquet.Page, present []byte, value int) error {
	n := c.hi - c.lo
	if page == nil {
		c.v.i64 = spread(c.v.i64, nil, present, value, n)
		c.v.u8 = marks(c.v.u8, present, idNumber, idAbsent, n)
		return nil
	}
	data := page.Data()
	text, offsets := data.ByteArray()
	for i := range n {
		if present != nil && present[i] == 0 {
			c.v.i64, c.v.u8 = append(c.v.i64, 0), append(c.v.u8, idAbsent)
			c.v.noText()
			continue
		}
		id := text[offsets[value]:offsets[value+1]]
		value++
		if num, ok := parseID(id); ok {
			c.v.i64, c.v.u8 = append(c.v.i64, num), append(c.v.u8, idNumber)
			c.v.noText()
			continue
		}
		c.v.i64, c.v.u8 = append(c.v.i64, 0), append(c.v.u8, idText)
		c.v.startText(i)
		c.v.data = append(c.v.data, id...)
		c.v.endText()
	}
	return nil
}

// parseID tells numeric identifiers from texts as market.TextID does.
func parseID(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > 19 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	n := uint64(0)
	for _, c := range text {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return int64(n), n <= math.MaxInt64
}

func (c *column) texts(page parquet.Page, value int) {
	data := page.Data()
	text, offsets := data.ByteArray()
	lo, hi := offsets[value], offsets[value+c.hi-c.lo]
	c.v.data = append(c.v.data, text[lo:hi]...)
	for _, end := range offsets[value+1 : value+1+c.hi-c.lo] {
		c.v.off = append(c.v.off, end-lo)
	}
}

// coded decodes dictionary columns into codes of ours.
func (c *column) coded(page parquet.Page, present []byte, value int) error {
	n := c.hi - c.lo
	if page == nil {
		c.v.u32 = spread(c.v.u32, nil, present, value, n)
		return nil
	}
	dict := page.Dictionary()
	if dict == nil {
		return c.scan.file.corrupt("column %s has no dictionary", c.leaf.name)
	}
	data := page.Data()
	indexes := data.Int32()
	switch c.leaf.role {
	case roleNative:
		return c.natives(dict, indexes)
	case roleEnum:
		codes := c.translate(dict, c.enumCode)
		for _, i := range indexes[c.lo:c.hi] {
			c.v.u8 = append(c.v.u8, uint8(codes[i]))
		}
		return nil
	}
	codes := c.translate(dict, func(v parquet.Value) uint32 {
		if c.leaf.role == roleFlags {
			return uint32(v.Int32())
		}
		return c.scan.file.names.Word(string(v.ByteArray()))
	})
	for i := range n {
		if present != nil && present[i] == 0 {
			c.v.u32 = append(c.v.u32, 0)
			continue
		}
		c.v.u32 = append(c.v.u32, codes[indexes[value]])
		value++
	}
	return nil
}

func (c *column) enumCode(v parquet.Value) uint32 {
	for code, word := range c.scan.file.schema.Columns[c.leaf.col].words {
		if word == string(v.ByteArray()) {
			return uint32(code)
		}
	}
	panic("unknown word " + strconv.Quote(string(v.ByteArray())) + " in column " + c.leaf.name)
}

// translate returns our code of each index of a dictionary.
func (c *column) translate(dict parquet.Dictionary, code func(parquet.Value) uint32) []uint32 {
	t := &c.scan.codes[c.at]
	if t.of == dict {
		return t.codes
	}
	t.of, t.codes = dict, t.codes[:0]
	for i := range dict.Len() {
		t.codes = append(t.codes, code(dict.Index(int32(i))))
	}
	return t.codes
}

// natives makes instruments of native symbols and the streams of the file's row
// ranges.
func (c *column) natives(dict parquet.Dictionary, indexes []int32) error {
	names := c.scan.file.names
	words := c.translate(dict, func(v parquet.Value) uint32 { return names.Word(string(v.ByteArray())) })
	meta := c.scan.file.Meta
	row, end := c.ref.first+int64(c.lo), c.ref.first+int64(c.hi)
	r := rangeAt(meta.Ranges, row)
	for row < end {
		stop := min(end, meta.Ranges[r].First+meta.Ranges[r].Rows)
		var last, code uint32
		for i := row; i < stop; i++ {
			word := words[indexes[i-c.ref.first]]
			if i == row || word != last {
				last = word
				code = names.instrument(instrumentName{meta.Ranges[r].Stream, names.Text(word)})
			}
			c.v.u32 = append(c.v.u32, code)
		}
		row = stop
		r++
	}
	return nil
}

func rangeAt(ranges []Range, row int64) int {
	lo, hi := 0, len(ranges)-1
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if ranges[mid].First <= row {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}
