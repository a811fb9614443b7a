package part

import (
	"sort"

	"github.com/marketprism/marketprism/internal/market"
)

// Marks in the scale of a decimal, and forms of an identifier.
const (
	decimalAbsent = 255
	decimalLong   = 254

	idAbsent = 0
	idNumber = 1
	idText   = 2
)

// vector holds one column of a block; which slices are used is the class's.
type vector struct {
	i64 []int64
	u8  []uint8
	u32 []uint32
	// off holds the end of each row's text in data; nil while no row has text,
	// except in a column of levels.
	off  []uint32
	data []byte
}

// Block holds records of one kind in columns. Appending never changes rows that
// are there, so that a copy of a Block (a [Block.Snapshot]) may be read while its
// origin grows.
type Block struct {
	schema *Schema
	names  *Names
	n      int
	cols   []vector
	// ord numbers the rows by journal order; nil in a block that came from a file.
	ord []uint64
	// has says which columns are there; nil is all.
	has Projection
	// keys reads the key columns of a page that were left out; nil when they are
	// there.
	keys func() error

	taker appender
}

// NewBlock returns an empty block.
func NewBlock(s *Schema, names *Names) *Block {
	return &Block{schema: s, names: names, cols: make([]vector, len(s.Columns))}
}

// Len is the number of rows.
func (b *Block) Len() int { return b.n }

// Snapshot returns the rows that are there now. Whoever appends must not do so
// during the call.
func (b *Block) Snapshot() *Block {
	c := *b
	c.cols = append([]vector(nil), b.cols...)
	return &c
}

// Project returns the same rows, of which only the projection's columns are read.
func (b *Block) Project(p Projection) *Block {
	c := *b
	c.has = p
	return &c
}

// needKeys makes the key columns available.
func (b *Block) needKeys() error {
	if b.keys == nil {
		return nil
	}
	read := b.keys
	b.keys = nil
	return read()
}

// Reset empties the block and keeps its memory.
func (b *Block) Reset() {
	for i := range b.cols {
		v := &b.cols[i]
		v.i64, v.u8, v.u32, v.off, v.data = v.i64[:0], v.u8[:0], v.u32[:0], v.off[:0], v.data[:0]
	}
	b.ord, b.n, b.has, b.keys = b.ord[:0], 0, nil, nil
}

// TextBytes is the size of the rows' text.
func (b *Block) TextBytes() int {
	n := 0
	for i := range b.cols {
		n += len(b.cols[i].data)
	}
	return n
}

// Order numbers a row by journal order; 0 in a block that has no such numbers.
func (b *Block) Order(row int) uint64 {
	if b.ord == nil {
		return 0
	}
	return b.ord[row]
}

// TS is a row's ts.
func (b *Block) TS(row int) int64 { return b.cols[b.schema.tsCol].i64[row] }

// Instrument is a row's instrument.
func (b *Block) Instrument(row int) *market.Instrument {
	return b.names.Instrument(b.cols[b.schema.instrCol].u32[row])
}

// Origin is a row's origin.
func (b *Block) Origin(row int) market.Origin {
	return market.Origin(b.cols[b.schema.originCol].u8[row])
}

// TimesFrom returns the first row in [lo, hi) whose ts is at least t.
func (b *Block) TimesFrom(t int64, lo, hi int) int {
	ts := b.cols[b.schema.tsCol].i64
	if lo < hi && ts[lo] >= t {
		return lo
	}
	return lo + sort.Search(hi-lo, func(i int) bool { return ts[lo+i] >= t })
}

// Decimal gives a decimal's coefficient and scale; ok is false for one that is
// absent or long.
func (b *Block) Decimal(col, row int) (coef int64, scale uint8, ok bool) {
	v := &b.cols[col]
	scale = v.u8[row]
	return v.i64[row], scale, scale < decimalLong
}

// DecimalAt is a decimal of any length.
func (b *Block) DecimalAt(col, row int) market.Decimal {
	v := &b.cols[col]
	switch scale := v.u8[row]; scale {
	case decimalAbsent:
		return market.Decimal{}
	case decimalLong:
		d, err := market.ParseDecimal(v.text(row))
		if err != nil {
			return market.Decimal{}
		}
		return d
	default:
		return market.NewDecimal(v.i64[row], scale)
	}
}

func (v *vector) text(row int) []byte {
	if len(v.off) == 0 {
		return nil
	}
	start := uint32(0)
	if row > 0 {
		start = v.off[row-1]
	}
	return v.data[start:v.off[row]]
}

// noText records that the row at n has no text.
func (v *vector) noText() {
	if len(v.off) > 0 {
		v.off = append(v.off, uint32(len(v.data)))
	}
}

// startText readies off for the text of the row at n.
func (v *vector) startText(n int) {
	for len(v.off) < n {
		v.off = append(v.off, 0)
	}
}

func (v *vector) endText() { v.off = append(v.off, uint32(len(v.data))) }

// AppendRows appends rows [lo, hi) of another block of the same kind and names.
func (b *Block) AppendRows(from *Block, lo, hi int) {
	for i := range b.cols {
		if from.has.has(i) {
			b.cols[i].appendRows(&from.cols[i], b.n, lo, hi)
		}
	}
	if from.ord != nil {
		b.ord = append(b.ord, from.ord[lo:hi]...)
	}
	b.n += hi - lo
}

func (v *vector) appendRows(from *vector, n, lo, hi int) {
	if len(from.i64) > 0 {
		v.i64 = append(v.i64, from.i64[lo:hi]...)
	}
	if len(from.u8) > 0 {
		v.u8 = append(v.u8, from.u8[lo:hi]...)
	}
	if len(from.u32) > 0 {
		v.u32 = append(v.u32, from.u32[lo:hi]...)
	}
	if len(from.off) == 0 {
		if len(v.off) > 0 {
			for range hi - lo {
				v.noText()
			}
		}
		return
	}
	v.startText(n)
	start := uint32(0)
	if lo > 0 {
		start = from.off[lo-1]
	}
	base := uint32(len(v.data)) - start // modulo 2^32, as is the sum below
	v.data = append(v.data, from.data[start:from.off[hi-1]]...)
	for _, end := range from.off[lo:hi] {
		v.off = append(v.off, end+base)
	}
}
