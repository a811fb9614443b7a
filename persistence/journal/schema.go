package journal

import (
	"hash/crc32"
	"sync"

	"github.com/marketprism/marketprism/internal/market"
)

// PayloadVersion is the version of the record codec; see doc.go.
const PayloadVersion = 1

// maxRows bounds the records of one payload, and so what a decoder allocates.
const maxRows = 1 << 20

// schema is what the codec knows of one kind: its fields in the order of the
// visitor, the common ones first.
type schema struct {
	kind   market.Kind
	common int // how many fields are common to all kinds
	fields []schemaField
	// prints are fingerprints of the kind's own first n fields, n from 0 on;
	// commonPrints the same of the common ones.
	prints, commonPrints []uint32
}

type schemaField struct {
	shape  byte // one letter, see schemaVisitor
	column string
}

// columns is how many columns a field takes: levels keep prices and amounts apart.
func (f schemaField) columns() int {
	if f.shape == 'L' {
		return 2
	}
	return 1
}

// instrumentField is the place of the instrument among the fields; the codec
// needs it before the others.
const instrumentField = 1

// schemas is the table by kind, made from the visitors once.
var schemas = sync.OnceValue(func() *[market.NumKinds]*schema {
	var table [market.NumKinds]*schema
	for _, k := range market.Kinds() {
		table[k] = newSchema(k)
	}
	return &table
})

func newSchema(k market.Kind) *schema {
	var all, own schemaVisitor
	r := k.New()
	market.Visit(r, &all)
	r.Fields(&own)
	s := &schema{kind: k, common: len(all.fields) - len(own.fields), fields: all.fields}
	s.commonPrints = fingerprints(all.fields[:s.common])
	s.prints = fingerprints(own.fields)
	if len(s.fields) > 64 || s.fields[instrumentField].shape != 'N' {
		panic("journal: kind " + k.String() + " does not fit the record codec")
	}
	return s
}

// fingerprints are the running CRC32C over shape, column name and a zero byte.
func fingerprints(fields []schemaField) []uint32 {
	prints := []uint32{0}
	var sum uint32
	for _, f := range fields {
		sum = crc32.Update(sum, castagnoli, append([]byte{f.shape}, f.column+"\x00"...))
		prints = append(prints, sum)
	}
	return prints
}

// schemaVisitor notes what it meets.
type schemaVisitor struct{ fields []schemaField }

func (s *schemaVisitor) add(shape byte, f *market.Field) {
	s.fields = append(s.fields, schemaField{shape, f.Column})
}

func (s *schemaVisitor) Instrument(**market.Instrument)             { s.add('N', market.FieldInstrument) }
func (s *schemaVisitor) Time(f *market.Field, _ *int64)             { s.add('T', f) }
func (s *schemaVisitor) Count(f *market.Field, _ *int64)            { s.add('C', f) }
func (s *schemaVisitor) Int(f *market.Field, _ *market.OptInt)      { s.add('I', f) }
func (s *schemaVisitor) Decimal(f *market.Field, _ *market.Decimal) { s.add('D', f) }
func (s *schemaVisitor) ID(f *market.Field, _ *market.ID)           { s.add('X', f) }
func (s *schemaVisitor) Word(f *market.Field, _ *string)            { s.add('W', f) }
func (s *schemaVisitor) Enum(f *market.Field, _ market.Enum)        { s.add('E', f) }
func (s *schemaVisitor) Bool(f *market.Field, _ *bool)              { s.add('B', f) }
func (s *schemaVisitor) Levels(f *market.Field, _ *[]market.Level)  { s.add('L', f) }
func (s *schemaVisitor) Flags(*market.Flags)                        { s.add('F', market.FieldFlags) }

// slot remembers one column's last value within one kind and instrument.
type slot struct {
	n     int64 // the value, or the coefficient
	off   int64 // of a time: its distance from the record's ts
	scale uint8
	set   bool
}

// rowState is the slots of one kind and instrument, good for one payload.
type rowState struct {
	generation uint64
	slots      []slot
}

// stateOf finds or makes a state; one of an earlier payload is cleared.
func stateOf(p **rowState, columns int, generation uint64) []slot {
	s := *p
	if s == nil || len(s.slots) < columns {
		s = &rowState{generation: generation, slots: make([]slot, columns)}
		*p = s
	}
	if s.generation != generation {
		s.generation = generation
		clear(s.slots)
	}
	return s.slots
}

func zigzag(n int64) uint64   { return uint64(n)<<1 ^ uint64(n>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
