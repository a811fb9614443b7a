package part

import (
	"fmt"
	"io"
	"slices"

	"github.com/marketprism/marketprism/internal/market"
)

// Export writes records of one kind as a Parquet file for whoever asked for them. It
// has the columns of a part, or some of them; it is nobody's part, and its footer says
// nothing of a journal. What it holds in memory is bounded by a row group.
type Export struct {
	pages *pageWriter
	names *Names
	last  *market.Instrument
	code  uint32
	rows  uint64
}

// NewExport writes to w. fields are names of the JSON form or of columns; none means
// all. ts and ts_ns are always there, and a decimal or a side of a book has all its
// columns.
func NewExport(w io.Writer, s *Schema, fields []string) (*Export, error) {
	leaves, err := s.leavesOf(fields)
	if err != nil {
		return nil, err
	}
	names := NewNames()
	return &Export{pages: newPageWriter(w, s, names, leaves), names: names}, nil
}

// leavesOf are the Parquet columns of fields.
func (s *Schema) leavesOf(fields []string) ([]int, error) {
	if len(fields) == 0 {
		return s.allLeaves(), nil
	}
	only, err := market.Select(s.Kind, fields...)
	if err != nil {
		return nil, err
	}
	names, columns := only.Names(), only.Columns()
	var leaves []int
	for i, l := range s.leaves {
		switch l.role {
		case roleMicros, roleNanos:
		case roleExchange, roleMarket, roleSymbol, roleNative:
			if !slices.Contains(names, l.name) {
				continue
			}
		default:
			if !slices.Contains(columns, s.Columns[l.col].Name) {
				continue
			}
		}
		leaves = append(leaves, i)
	}
	return leaves, nil
}

// Append writes the records of a batch, which must be of the schema's kind and have
// instruments. The batch is not kept.
func (e *Export) Append(batch *market.Batch) error {
	for r := range batch.All() {
		i := r.Head().Instrument
		if r.Kind() != e.pages.schema.Kind || i == nil {
			return fmt.Errorf("a %s cannot be in a file of %s", r.Kind(), e.pages.schema.Kind.Table())
		}
		if i != e.last {
			e.last, e.code = i, e.names.InstrumentCode(i)
		}
		e.pages.page.Append(r, e.code, e.rows)
		e.rows++
		if err := e.pages.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

// Close writes what is left, and the footer with metadata. The writer is the
// caller's to close. Without it the file is none.
func (e *Export) Close(metadata map[string]string) error { return e.pages.close(metadata) }
