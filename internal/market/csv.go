package market

import (
	"strconv"
	"strings"
)

// CSV writes records of one kind as CSV (RFC 4180, lines ended by their writer): the
// fields of the JSON form as columns, an absent field as an empty cell, levels as
// JSON text, flags apart by spaces. It is a [Visitor]; it is reused, and not safe for
// concurrent use.
type CSV struct {
	kind Kind
	only *Selection

	selecting
	names bool // write the columns' names instead
	buf   []byte
	cell  []byte // for what needs quoting
	some  bool   // a cell has been written
}

// NewCSV writes what a selection has of records of a kind; all of them when it is nil.
func NewCSV(k Kind, only *Selection) *CSV { return &CSV{kind: k, only: only} }

// Header is the line of the columns' names, without its end.
func (t *CSV) Header() []byte {
	t.names = true
	defer func() { t.names = false }()
	return t.Append(nil, t.kind.New())
}

// Append appends a record as one line, without its end.
func (t *CSV) Append(dst []byte, r Record) []byte {
	t.buf, t.some, t.selecting = dst, false, selecting{only: t.only}
	if t.only == nil || t.only.names.kind {
		t.text("kind", t.kind.String())
	}
	Visit(r, t)
	out := t.buf
	t.buf = nil
	if len(out) == len(dst) { // one empty cell: an empty line would be no row to most readers
		out = append(out, `""`...)
	}
	return out
}

// begin starts a cell, and reports whether its value is to be written.
func (t *CSV) begin(name string) bool {
	if name == "" {
		return false
	}
	if t.some {
		t.buf = append(t.buf, ',')
	}
	t.some = true
	if t.names {
		t.buf = append(t.buf, name...)
	}
	return !t.names
}

func (t *CSV) text(name, s string) {
	if t.begin(name) {
		t.quoted(s)
	}
}

// quoted writes text that may hold what separates cells.
func (t *CSV) quoted(s string) {
	if !strings.ContainsAny(s, ",\"\r\n") {
		t.buf = append(t.buf, s...)
		return
	}
	t.buf = append(t.buf, '"')
	t.buf = append(t.buf, strings.ReplaceAll(s, `"`, `""`)...)
	t.buf = append(t.buf, '"')
}

func (t *CSV) number(name string, n int64, present bool) {
	if t.begin(name) && present {
		t.buf = strconv.AppendInt(t.buf, n, 10)
	}
}

// Instrument implements [Visitor].
func (t *CSV) Instrument(v **Instrument) {
	if t.skip() {
		return
	}
	var i Instrument
	if *v != nil {
		i = **v
	}
	all := t.only == nil
	if all || t.only.names.exchange {
		t.text("exchange", i.Exchange)
	}
	if all || t.only.names.market {
		t.text("market", i.Market.String())
	}
	if all || t.only.names.symbol {
		t.text("symbol", i.Symbol)
	}
	if all || t.only.names.native {
		t.text("native_symbol", i.Native)
	}
}

// Time implements [Visitor].
func (t *CSV) Time(f *Field, v *int64) {
	if !t.skip() {
		t.number(f.Name, *v, *v != 0)
	}
}

// Count implements [Visitor].
func (t *CSV) Count(f *Field, v *int64) {
	if !t.skip() {
		t.number(f.Name, *v, *v != 0)
	}
}

// Int implements [Visitor].
func (t *CSV) Int(f *Field, v *OptInt) {
	if !t.skip() {
		t.number(f.Name, v.V, v.OK)
	}
}

// Decimal implements [Visitor].
func (t *CSV) Decimal(f *Field, v *Decimal) {
	if !t.skip() && t.begin(f.Name) {
		t.buf = v.AppendText(t.buf)
	}
}

// ID implements [Visitor].
func (t *CSV) ID(f *Field, v *ID) {
	if t.skip() {
		return
	}
	if n, ok := v.Num(); ok {
		t.number(f.Name, n, true)
		return
	}
	t.text(f.Name, v.String())
}

// Word implements [Visitor].
func (t *CSV) Word(f *Field, v *string) {
	if !t.skip() {
		t.text(f.Name, *v)
	}
}

// Enum implements [Visitor].
func (t *CSV) Enum(f *Field, v Enum) {
	if !t.skip() {
		t.text(f.Name, v.String())
	}
}

// Bool implements [Visitor].
func (t *CSV) Bool(f *Field, v *bool) {
	if !t.skip() && t.begin(f.Name) {
		t.buf = strconv.AppendBool(t.buf, *v)
	}
}

// Levels implements [Visitor].
func (t *CSV) Levels(f *Field, v *[]Level) {
	if t.skip() || !t.begin(f.Name) {
		return
	}
	t.cell = append(t.cell[:0], '[')
	for i := range *v {
		l := &(*v)[i]
		if i > 0 {
			t.cell = append(t.cell, ',')
		}
		t.cell = l.Price.AppendText(append(t.cell, `["`...))
		t.cell = l.Amount.AppendText(append(t.cell, `","`...))
		t.cell = append(t.cell, `"]`...)
	}
	t.cell = append(t.cell, ']')
	t.quoted(string(t.cell))
}

// Flags implements [Visitor].
func (t *CSV) Flags(v *Flags) {
	if t.skip() || !t.begin(FieldFlags.Name) {
		return
	}
	sep := ""
	v.Each(func(word string) {
		t.buf = append(append(t.buf, sep...), word...)
		sep = " "
	})
}
