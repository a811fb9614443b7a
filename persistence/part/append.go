package part

import (
	"bytes"

	"github.com/marketprism/marketprism/internal/market"
)

// Append takes a record apart into the block's columns. The record must be of
// the block's kind and have an instrument. ord is its place in journal order,
// instrument the code of its instrument.
func (b *Block) Append(r market.Record, instrument uint32, ord uint64) {
	b.taker = appender{b: b, instrument: instrument} // kept in the block: a visitor of its own would be garbage
	market.Visit(r, &b.taker)
	b.ord = append(b.ord, ord)
	b.n++
}

type appender struct {
	b          *Block
	instrument uint32
	col        int
}

func (a *appender) next() *vector {
	v := &a.b.cols[a.col]
	a.col++
	return v
}

func (a *appender) Instrument(**market.Instrument) {
	v := a.next()
	v.u32 = append(v.u32, a.instrument)
}

func (a *appender) Time(_ *market.Field, t *int64) {
	v := a.next()
	v.i64 = append(v.i64, *t)
}

func (a *appender) Count(_ *market.Field, c *int64) {
	v := a.next()
	v.i64 = append(v.i64, *c)
}

func (a *appender) Int(_ *market.Field, n *market.OptInt) {
	v := a.next()
	if n.OK {
		v.i64, v.u8 = append(v.i64, n.V), append(v.u8, 1)
		return
	}
	v.i64, v.u8 = append(v.i64, 0), append(v.u8, 0)
}

func (a *appender) Decimal(_ *market.Field, d *market.Decimal) {
	a.next().appendDecimal(d, a.b.n)
}

func (v *vector) appendDecimal(d *market.Decimal, n int) {
	if coef, ok := d.Coefficient(); ok {
		v.i64, v.u8 = append(v.i64, coef), append(v.u8, d.Scale())
		v.noText()
		return
	}
	if !d.IsSet() {
		v.i64, v.u8 = append(v.i64, 0), append(v.u8, decimalAbsent)
		v.noText()
		return
	}
	v.i64, v.u8 = append(v.i64, 0), append(v.u8, decimalLong)
	v.startText(n)
	v.data = d.AppendText(v.data)
	v.endText()
}

func (a *appender) ID(_ *market.Field, id *market.ID) {
	v := a.next()
	// A negative number is read back as text: it is kept as such from the start.
	if num, ok := id.Num(); ok && num >= 0 || !id.IsSet() {
		form := uint8(idAbsent)
		if ok {
			form = idNumber
		}
		v.i64, v.u8 = append(v.i64, num), append(v.u8, form)
		v.noText()
		return
	}
	v.i64, v.u8 = append(v.i64, 0), append(v.u8, idText)
	v.startText(a.b.n)
	v.data = id.AppendText(v.data)
	v.endText()
}

func (a *appender) Word(_ *market.Field, w *string) {
	v := a.next()
	v.u32 = append(v.u32, a.b.names.Word(*w))
}

func (a *appender) Enum(_ *market.Field, e market.Enum) {
	v := a.next()
	v.u8 = append(v.u8, e.Code())
}

func (a *appender) Bool(_ *market.Field, t *bool) {
	v := a.next()
	var one uint8
	if *t {
		one = 1
	}
	v.u8 = append(v.u8, one)
}

func (a *appender) Levels(_ *market.Field, levels *[]market.Level) {
	v := a.next()
	v.startText(a.b.n)
	v.data = AppendLevels(v.data, *levels)
	v.endText()
}

func (a *appender) Flags(f *market.Flags) {
	v := a.next()
	v.u32 = append(v.u32, uint32(*f))
}

// KeepsOrder reports whether the last row comes after all before it in reading
// order and has a key of its own.
func (b *Block) KeepsOrder() bool {
	last, prev := b.n-1, b.n-2
	if prev < 0 {
		return true
	}
	ts := b.TS(last)
	switch before := b.TS(prev); {
	case before < ts:
		return true
	case before > ts:
		return false
	case b.strictlyAfter(last, prev):
		return true
	}
	key := b.AppendSortKey(nil, last)
	other := b.AppendSortKey(nil, prev)
	if bytes.Compare(other, key) >= 0 {
		return false
	}
	for ; prev >= 0 && b.TS(prev) == ts; prev-- {
		other = b.AppendSortKey(other[:0], prev)
		if bytes.Equal(identityOf(other), identityOf(key)) {
			return false
		}
	}
	return true
}

// DropLast removes the last row again, before anybody has a snapshot of it.
func (b *Block) DropLast() {
	b.n--
	for i := range b.cols {
		b.cols[i].cut(b.n)
	}
	b.ord = b.ord[:b.n]
}

func (v *vector) cut(n int) {
	v.i64 = v.i64[:min(n, len(v.i64))]
	v.u8 = v.u8[:min(n, len(v.u8))]
	v.u32 = v.u32[:min(n, len(v.u32))]
	if len(v.off) > n {
		v.off = v.off[:n]
		end := uint32(0)
		if n > 0 {
			end = v.off[n-1]
		}
		v.data = v.data[:end]
	}
}
