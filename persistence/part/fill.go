package part

import (
	"github.com/marketprism/marketprism/internal/market"
)

// Filler puts rows of blocks together as records of a batch. The zero value is
// ready; it is reused, and not safe for concurrent use.
type Filler struct {
	b    *Block
	row  int
	col  int
	into *market.Batch
	err  error
}

// Fill appends a row to the batch as a record. The error says that stored text is
// damaged.
func (f *Filler) Fill(b *Block, row int, into *market.Batch) (market.Record, error) {
	f.b, f.row, f.col, f.into, f.err = b, row, 0, into, nil
	r := into.AddKind(b.schema.Kind)
	market.Visit(r, f)
	return r, f.err
}

// next returns the column's vector, nil when it was not read.
func (f *Filler) next() *vector {
	col := f.col
	f.col++
	if !f.b.has.has(col) {
		return nil
	}
	return &f.b.cols[col]
}

// Instrument implements [market.Visitor].
func (f *Filler) Instrument(i **market.Instrument) {
	if v := f.next(); v != nil {
		*i = f.b.names.Instrument(v.u32[f.row])
	}
}

// Time implements [market.Visitor].
func (f *Filler) Time(_ *market.Field, t *int64) {
	if v := f.next(); v != nil {
		*t = v.i64[f.row]
	}
}

// Count implements [market.Visitor].
func (f *Filler) Count(_ *market.Field, c *int64) {
	if v := f.next(); v != nil {
		*c = v.i64[f.row]
	}
}

// Int implements [market.Visitor].
func (f *Filler) Int(_ *market.Field, n *market.OptInt) {
	if v := f.next(); v != nil && v.u8[f.row] != 0 {
		*n = market.Int(v.i64[f.row])
	}
}

// Decimal implements [market.Visitor].
func (f *Filler) Decimal(_ *market.Field, d *market.Decimal) {
	v := f.next()
	if v == nil {
		return
	}
	switch scale := v.u8[f.row]; scale {
	case decimalAbsent:
	case decimalLong:
		var err error
		if *d, err = market.ParseDecimal(v.text(f.row)); err != nil && f.err == nil {
			f.err = err
		}
	default:
		*d = market.NewDecimal(v.i64[f.row], scale)
	}
}

// ID implements [market.Visitor].
func (f *Filler) ID(_ *market.Field, id *market.ID) {
	v := f.next()
	if v == nil {
		return
	}
	switch v.u8[f.row] {
	case idNumber:
		*id = market.NumID(v.i64[f.row])
	case idText:
		*id = market.TextID(string(v.text(f.row)))
	}
}

// Word implements [market.Visitor].
func (f *Filler) Word(_ *market.Field, w *string) {
	if v := f.next(); v != nil {
		*w = f.b.names.Text(v.u32[f.row])
	}
}

// Enum implements [market.Visitor].
func (f *Filler) Enum(_ *market.Field, e market.Enum) {
	if v := f.next(); v != nil {
		e.SetCode(v.u8[f.row])
	}
}

// Bool implements [market.Visitor].
func (f *Filler) Bool(_ *market.Field, t *bool) {
	if v := f.next(); v != nil {
		*t = v.u8[f.row] != 0
	}
}

// Levels implements [market.Visitor].
func (f *Filler) Levels(_ *market.Field, levels *[]market.Level) {
	v := f.next()
	if v == nil {
		return
	}
	var err error
	if *levels, err = ParseLevels(v.text(f.row), f.into); err != nil && f.err == nil {
		f.err = err
	}
}

// Flags implements [market.Visitor].
func (f *Filler) Flags(flags *market.Flags) {
	if v := f.next(); v != nil {
		*flags = market.Flags(v.u32[f.row])
	}
}
