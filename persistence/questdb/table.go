package questdb

import (
	"fmt"
	"slices"
	"strings"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/part"
)

// Columns that the JSON form does not have.
const (
	columnNanos   = "ts_ns"
	columnUnkeyed = "unkeyed"
	// columnJournal and columnSeq say which message of which journal and shard
	// brought the row last: what is archived is told by them.
	columnJournal = "journal"
	columnSeq     = "journal_seq"
)

// Column is one column of a table.
type Column struct {
	Name string
	// Type is QuestDB's word: "DOUBLE".
	Type string
}

// Table is the table of one kind.
type Table struct {
	Kind market.Kind
	Name string
	// Columns begin with ts.
	Columns []Column
	// Keys are the DEDUP keys; ts is the first.
	Keys []string
}

// NewTable is the table of a kind. The error says that the kind is never stored.
func NewTable(kind market.Kind) (*Table, error) {
	if kind.Table() == "" {
		return nil, fmt.Errorf("kind %v has no table", kind)
	}
	t := &Table{Kind: kind, Name: kind.Table(), Keys: []string{market.FieldTS.Column, "exchange", "market", "symbol", market.FieldOrigin.Column}}
	market.Visit(kind.New(), (*columns)(t))
	t.add(columnUnkeyed, "VARCHAR")
	t.add(columnJournal, "SYMBOL")
	t.add(columnSeq, "LONG")
	for _, key := range append(slices.Clone(kind.KeyColumns()), columnUnkeyed) {
		if !slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Name == key }) {
			return nil, fmt.Errorf("kind %v: key column %q is no column", kind, key)
		}
		t.Keys = append(t.Keys, key)
	}
	return t, nil
}

// Create is the statement that makes the table where it is missing.
func (t *Table) Create() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s (\n", t.Name)
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "  %s %s", c.Name, c.Type)
	}
	fmt.Fprintf(&b, "\n) TIMESTAMP(%s) PARTITION BY HOUR WAL\nDEDUP UPSERT KEYS(%s)", market.FieldTS.Column, strings.Join(t.Keys, ", "))
	return b.String()
}

// columns collects the columns of a table.
type columns Table

func (t *Table) add(name, kind string) { t.Columns = append(t.Columns, Column{name, kind}) }

func (t *columns) add(name, kind string) { (*Table)(t).add(name, kind) }

func (t *columns) Instrument(**market.Instrument) {
	for _, name := range []string{"exchange", "market", "symbol", "native_symbol"} {
		t.add(name, "SYMBOL")
	}
}

func (t *columns) Time(f *market.Field, _ *int64) {
	if f == market.FieldTS {
		t.add(f.Column, "TIMESTAMP")
		t.add(columnNanos, "LONG")
		return
	}
	t.add(f.Column, "LONG")
}

func (t *columns) Count(f *market.Field, _ *int64)       { t.add(f.Column, "LONG") }
func (t *columns) Int(f *market.Field, _ *market.OptInt) { t.add(f.Column, "LONG") }
func (t *columns) ID(f *market.Field, _ *market.ID)      { t.add(f.Column, "VARCHAR") }
func (t *columns) Word(f *market.Field, _ *string)       { t.add(f.Column, "SYMBOL") }
func (t *columns) Enum(f *market.Field, _ market.Enum)   { t.add(f.Column, "SYMBOL") }
func (t *columns) Bool(f *market.Field, _ *bool)         { t.add(f.Column, "BOOLEAN") }
func (t *columns) Flags(*market.Flags)                   { t.add(market.FieldFlags.Column, "INT") }

func (t *columns) Decimal(f *market.Field, _ *market.Decimal) {
	t.add(f.Column, "DOUBLE")
	t.add(f.Column+scaleSuffix, "BYTE")
	t.add(f.Column+exactSuffix, "VARCHAR")
}

func (t *columns) Levels(f *market.Field, _ *[]market.Level) {
	t.add(f.Column, "VARCHAR")
	t.add(part.BestColumn(f.Column), "DOUBLE")
}

// Suffixes of a decimal's further columns.
const (
	scaleSuffix = "_scale"
	exactSuffix = "_exact"
)
