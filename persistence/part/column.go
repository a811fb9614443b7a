package part

import (
	"math"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"github.com/marketprism/marketprism/internal/market"
)

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
