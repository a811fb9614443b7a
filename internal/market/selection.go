package market

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Selection is some of the fields of a kind. A nil Selection is all of them.
type Selection struct {
	kind  Kind
	bits  uint64 // by the order in which [Visit] meets the fields
	names struct{ kind, exchange, market, symbol, native bool }
	cols  []string
}

// FieldError says that a kind has no such field.
type FieldError struct {
	Kind Kind
	Name string
}

// Error implements error: it lists the fields that there are.
func (e *FieldError) Error() string {
	return fmt.Sprintf("a %s has no field %q; there are %s", e.Kind, e.Name, strings.Join(FieldNames(e.Kind), ", "))
}

// Select is the fields of those names, which are those of the JSON form; a column's
// name is taken too. The order of names does not count. Error: [*FieldError].
func Select(k Kind, names ...string) (*Selection, error) {
	s := &Selection{kind: k}
	found := fieldsOf(k)
	for _, name := range names {
		at := slices.IndexFunc(found, func(f foundField) bool { return f.name == name || f.column == name })
		if at < 0 {
			return nil, &FieldError{k, name}
		}
		f := found[at]
		s.take(f)
	}
	return s, nil
}

func (s *Selection) take(f foundField) {
	if f.name == "kind" {
		s.names.kind = true
		return
	}
	if s.bits&(1<<f.at) == 0 && f.column != "" {
		s.cols = append(s.cols, f.column)
	}
	s.bits |= 1 << f.at
	switch f.name {
	case "exchange":
		s.names.exchange = true
	case "market":
		s.names.market = true
	case "symbol":
		s.names.symbol = true
	case "native_symbol":
		s.names.native = true
	}
}

// Columns are the columns of a store that the fields are in. They may say less than
// the fields: an instrument's four names are in the column exchange.
func (s *Selection) Columns() []string {
	if s == nil {
		return nil
	}
	return append([]string{}, s.cols...)
}

// Names are the selected names, in the order of the JSON form.
func (s *Selection) Names() []string {
	if s == nil {
		return nil
	}
	names := []string{}
	for _, f := range fieldsOf(s.kind) {
		if s.has(f) {
			names = append(names, f.name)
		}
	}
	return names
}

func (s *Selection) has(f foundField) bool {
	switch f.name {
	case "kind":
		return s.names.kind
	case "exchange":
		return s.names.exchange
	case "market":
		return s.names.market
	case "symbol":
		return s.names.symbol
	case "native_symbol":
		return s.names.native
	}
	return s.bits>>f.at&1 != 0
}

// selecting goes along with a visit and says which fields are left out.
type selecting struct {
	only *Selection
	at   uint8
}

// skip says whether the next field is left out.
func (s *selecting) skip() bool {
	if s.only == nil {
		return false
	}
	at := s.at
	s.at++
	return s.only.bits>>at&1 == 0
}

// foundField is a field of a kind: its number in a visit, and its names.
type foundField struct {
	at           uint8
	name, column string
}

// FieldNames are the names of a kind's fields, in the order of the JSON form.
func FieldNames(k Kind) []string {
	names := []string{}
	for _, f := range fieldsOf(k) {
		names = append(names, f.name)
	}
	return names
}

func fieldsOf(k Kind) []foundField {
	if !k.Valid() {
		return nil
	}
	v := fieldFinder{found: []foundField{{name: "kind"}}}
	Visit(k.New(), &v)
	if v.at > bits.UintSize {
		panic("a kind has more fields than a selection can hold")
	}
	return v.found
}

// fieldFinder is a [Visitor] that notes what it meets.
type fieldFinder struct {
	found []foundField
	at    uint8
}

func (v *fieldFinder) add(f *Field) {
	if f.Name != "" {
		v.found = append(v.found, foundField{v.at, f.Name, f.Column})
	}
	v.at++
}

func (v *fieldFinder) Instrument(**Instrument) {
	for _, name := range []string{"exchange", "market", "symbol", "native_symbol"} {
		v.found = append(v.found, foundField{v.at, name, FieldInstrument.Column})
	}
	v.at++
}

func (v *fieldFinder) Time(f *Field, _ *int64)      { v.add(f) }
func (v *fieldFinder) Count(f *Field, _ *int64)     { v.add(f) }
func (v *fieldFinder) Int(f *Field, _ *OptInt)      { v.add(f) }
func (v *fieldFinder) Decimal(f *Field, _ *Decimal) { v.add(f) }
func (v *fieldFinder) ID(f *Field, _ *ID)           { v.add(f) }
func (v *fieldFinder) Word(f *Field, _ *string)     { v.add(f) }
func (v *fieldFinder) Enum(f *Field, _ Enum)        { v.add(f) }
func (v *fieldFinder) Bool(f *Field, _ *bool)       { v.add(f) }
func (v *fieldFinder) Levels(f *Field, _ *[]Level)  { v.add(f) }
func (v *fieldFinder) Flags(*Flags)                 { v.add(FieldFlags) }
