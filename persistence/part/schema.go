package part

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/marketprism/marketprism/internal/market"
)

// class is how a field is kept in a block.
type class uint8

const (
	classTS         class = iota // i64
	classInstrument              // u32: code in Names
	classTime                    // i64, 0 is absent
	classInt                     // i64, u8: 1 present
	classDecimal                 // i64 coefficient, u8 scale or mark, text of a long one
	classID                      // i64 number, u8 form, text
	classWord                    // u32: code in Names, 0 is absent
	classEnum                    // u8
	classBool                    // u8
	classLevels                  // text: [["price","amount"],…]
	classFlags                   // u32
)

// Column is one field of a kind.
type Column struct {
	// Name is the column's name in every store.
	Name  string
	class class
	// words are an enum's, by code.
	words []string
	// leaf is the index of the field's first Parquet column.
	leaf int
}

// Schema is the columns of one kind, in the order of the JSON form. It is made
// by visiting an empty record, so that a new field of a record is a new column.
type Schema struct {
	Kind    market.Kind
	Columns []Column

	tsCol, instrCol, seqCol, flagsCol, originCol int
	recvCol, epochCol, connCol                   int
	// ordCol is the column of the reading order after ts.
	ordCol int
	// keyCols are the kind's own key columns.
	keyCols []int
	// ordIsKey: two records of one ts with different order numbers have different
	// keys.
	ordIsKey bool
	parquet  *parquet.Schema
	leaves   []leaf
}

// Schemas are those of every kind that has a table, by kind.
type Schemas [market.NumKinds]*Schema

// NewSchemas makes the schemas of all kinds.
func NewSchemas() (*Schemas, error) {
	var all Schemas
	var err error
	for _, kind := range market.Kinds() {
		if kind.Table() == "" {
			continue
		}
		if all[kind], err = NewSchema(kind); err != nil {
			return nil, err
		}
	}
	return &all, nil
}

// NewSchema returns the schema of a kind that has a table.
func NewSchema(kind market.Kind) (*Schema, error) {
	if !kind.Valid() || kind.Table() == "" {
		return nil, fmt.Errorf("kind %v has no table", kind)
	}
	s := &Schema{Kind: kind}
	market.Visit(kind.New(), (*schemaVisitor)(s))
	for i, c := range []struct {
		at   *int
		name string
	}{
		{&s.tsCol, market.FieldTS.Column}, {&s.instrCol, market.FieldInstrument.Column}, {&s.seqCol, market.FieldSeq.Column},
		{&s.flagsCol, market.FieldFlags.Column}, {&s.originCol, market.FieldOrigin.Column}, {&s.recvCol, market.FieldReceiveTime.Column},
		{&s.epochCol, market.FieldEpoch.Column}, {&s.connCol, market.FieldConn.Column},
	} {
		if *c.at = s.Column(c.name); *c.at < 0 {
			return nil, fmt.Errorf("kind %v: common column %d %q is missing", kind, i, c.name)
		}
	}
	s.ordCol = s.seqCol
	for _, name := range kind.KeyColumns() {
		col := s.Column(name)
		if col < 0 {
			return nil, fmt.Errorf("kind %v: key column %q is no column", kind, name)
		}
		s.keyCols = append(s.keyCols, col)
		s.ordIsKey = s.ordIsKey || col == s.seqCol
		if kind == market.KindTrade && s.Columns[col].class == classID {
			s.ordCol, s.ordIsKey = col, true
		}
	}
	s.buildParquet()
	return s, nil
}

// Column returns the index of a column by name; -1 when there is none.
func (s *Schema) Column(name string) int {
	return slices.IndexFunc(s.Columns, func(c Column) bool { return c.Name == name })
}

// Projection says which columns a reader decodes; nil is all of them.
type Projection []bool

// ProjectLean is Project without the key columns, which are then read only where
// two sources have rows of one ts. Such rows cannot be filled into records.
func (s *Schema) ProjectLean(names []string) (Projection, error) {
	p, err := s.Project(names)
	if err != nil {
		return nil, err
	}
	lean := make(Projection, len(p))
	for _, name := range names {
		if i := s.Column(name); i >= 0 {
			lean[i] = true
		}
	}
	for _, i := range []int{s.tsCol, s.instrCol, s.originCol} {
		lean[i] = true
	}
	return lean, nil
}

// Project returns the projection of the named columns and those of the key; nil
// names select all.
func (s *Schema) Project(names []string) (Projection, error) {
	if names == nil {
		return nil, nil
	}
	p := make(Projection, len(s.Columns))
	for _, name := range names {
		switch name {
		case "market", "symbol", "native_symbol", "ts_ns":
			continue
		}
		i := s.Column(name)
		if i < 0 {
			return nil, fmt.Errorf("table %s has no column %q", s.Kind.Table(), name)
		}
		p[i] = true
	}
	for _, i := range s.orderCols() {
		p[i] = true
	}
	return p, nil
}

// WithKey is a projection with the key's columns, which [Schema.ProjectLean] leaves
// out.
func (s *Schema) WithKey(p Projection) Projection {
	if p == nil {
		return nil
	}
	all := slices.Clone(p)
	for _, i := range s.orderCols() {
		all[i] = true
	}
	return all
}

// orderCols are the columns that a sort key is made of.
func (s *Schema) orderCols() []int {
	return append([]int{s.tsCol, s.instrCol, s.ordCol, s.seqCol, s.originCol, s.flagsCol, s.recvCol, s.epochCol, s.connCol}, s.keyCols...)
}

func (p Projection) has(col int) bool { return p == nil || p[col] }

type schemaVisitor Schema

func (s *schemaVisitor) add(f *market.Field, c class) *Column {
	s.Columns = append(s.Columns, Column{Name: f.Column, class: c})
	return &s.Columns[len(s.Columns)-1]
}

func (s *schemaVisitor) Instrument(**market.Instrument) {
	s.add(market.FieldInstrument, classInstrument)
}

func (s *schemaVisitor) Time(f *market.Field, _ *int64) {
	if f == market.FieldTS {
		s.add(f, classTS)
		return
	}
	s.add(f, classTime)
}

func (s *schemaVisitor) Count(f *market.Field, _ *int64)            { s.add(f, classTime) }
func (s *schemaVisitor) Int(f *market.Field, _ *market.OptInt)      { s.add(f, classInt) }
func (s *schemaVisitor) Decimal(f *market.Field, _ *market.Decimal) { s.add(f, classDecimal) }
func (s *schemaVisitor) ID(f *market.Field, _ *market.ID)           { s.add(f, classID) }
func (s *schemaVisitor) Word(f *market.Field, _ *string)            { s.add(f, classWord) }
func (s *schemaVisitor) Bool(f *market.Field, _ *bool)              { s.add(f, classBool) }
func (s *schemaVisitor) Levels(f *market.Field, _ *[]market.Level)  { s.add(f, classLevels) }
func (s *schemaVisitor) Flags(*market.Flags)                        { s.add(market.FieldFlags, classFlags) }

func (s *schemaVisitor) Enum(f *market.Field, v market.Enum) {
	c := s.add(f, classEnum)
	was := v.Code()
	for code := uint8(0); v.SetCode(code); code++ {
		c.words = append(c.words, v.String())
	}
	v.SetCode(was)
}

// BestColumn names the DOUBLE column of the first price of a side: best_bid of
// bids.
func BestColumn(side string) string { return "best_" + strings.TrimSuffix(side, "s") }
