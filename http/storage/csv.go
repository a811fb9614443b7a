package storage

import (
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/internal/market"
)

const mediaCSV = "text/csv"

// table writes records as CSV (RFC 4180): the fields of the one JSON form as
// columns, an absent field as an empty cell, levels as JSON text, flags apart by spaces. It
// is a market.Visitor, and belongs to one request.
type table struct {
	kind  market.Kind
	names bool // write the columns' names instead
	buf   []byte
	cell  []byte // for what needs quoting
	some  bool   // a cell has been written
}

func newTable(kind market.Kind) *table { return &table{kind: kind} }

// header is the line of the columns' names.
func (t *table) header() []byte {
	t.names, t.buf, t.some = true, nil, true
	t.buf = append(t.buf, "kind"...)
	market.Visit(t.kind.New(), t)
	t.names = false
	return t.buf
}

// Append appends a record as one line, without its end.
func (t *table) Append(dst []byte, r market.Record) []byte {
	t.buf, t.some = dst, false
	t.text("kind", t.kind.String())
	market.Visit(r, t)
	out := t.buf
	t.buf = nil
	return out
}

// begin starts a cell, and reports whether its value is to be written.
func (t *table) begin(name string) bool {
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

func (t *table) text(name, s string) {
	if t.begin(name) {
		t.quoted(s)
	}
}

// quoted writes text that may hold what separates cells.
func (t *table) quoted(s string) {
	if !strings.ContainsAny(s, ",\"\r\n") {
		t.buf = append(t.buf, s...)
		return
	}
	t.buf = append(t.buf, '"')
	t.buf = append(t.buf, strings.ReplaceAll(s, `"`, `""`)...)
	t.buf = append(t.buf, '"')
}

func (t *table) number(name string, n int64, present bool) {
	if t.begin(name) && present {
		t.buf = strconv.AppendInt(t.buf, n, 10)
	}
}

// Instrument implements market.Visitor.
func (t *table) Instrument(v **market.Instrument) {
	var i market.Instrument
	if *v != nil {
		i = **v
	}
	t.text("exchange", i.Exchange)
	t.text("market", i.Market.String())
	t.text("symbol", i.Symbol)
	t.text("native_symbol", i.Native)
}

// Time implements market.Visitor.
func (t *table) Time(f *market.Field, v *int64) { t.number(f.Name, *v, *v != 0) }

// Count implements market.Visitor.
func (t *table) Count(f *market.Field, v *int64) { t.number(f.Name, *v, *v != 0) }

// Int implements market.Visitor.
func (t *table) Int(f *market.Field, v *market.OptInt) { t.number(f.Name, v.V, v.OK) }

// Decimal implements market.Visitor.
func (t *table) Decimal(f *market.Field, v *market.Decimal) {
	if t.begin(f.Name) {
		t.buf = v.AppendText(t.buf)
	}
}

// ID implements market.Visitor.
func (t *table) ID(f *market.Field, v *market.ID) {
	if n, ok := v.Num(); ok {
		t.number(f.Name, n, true)
		return
	}
	t.text(f.Name, v.String())
}

// Word implements market.Visitor.
func (t *table) Word(f *market.Field, v *string) { t.text(f.Name, *v) }

// Enum implements market.Visitor.
func (t *table) Enum(f *market.Field, v market.Enum) { t.text(f.Name, v.String()) }

// Bool implements market.Visitor.
func (t *table) Bool(f *market.Field, v *bool) {
	if t.begin(f.Name) {
		t.buf = strconv.AppendBool(t.buf, *v)
	}
}

// Levels implements market.Visitor.
func (t *table) Levels(f *market.Field, v *[]market.Level) {
	if !t.begin(f.Name) {
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

// Flags implements market.Visitor.
func (t *table) Flags(v *market.Flags) {
	if !t.begin(market.FieldFlags.Name) {
		return
	}
	sep := ""
	v.Each(func(word string) {
		t.buf = append(append(t.buf, sep...), word...)
		sep = " "
	})
}
