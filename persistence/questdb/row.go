package questdb

import (
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/part"
)

// rowReader turns rows of a table into records. It is not safe for concurrent
// use.
type rowReader struct {
	kind market.Kind
	// columns are those to select; cells meet them in that order.
	columns []string
	targets []any
	wanted  []bool // by field of the visitor

	field, cell int
	stream      market.StreamID
	last        *market.Instrument
	batch       *market.Batch
	err         error
}

// newRowReader reads the columns of a projection, and those of the key.
func newRowReader(t *Table, has part.Projection) *rowReader {
	r := &rowReader{kind: t.Kind}
	market.Visit(t.Kind.New(), &selector{r: r, has: has})
	return r
}

// selector decides what to select, one field after the other.
type selector struct {
	r     *rowReader
	has   part.Projection
	field int
}

func (s *selector) want(f func()) {
	wanted := s.has == nil || s.has[s.field]
	s.field++
	s.r.wanted = append(s.r.wanted, wanted)
	if wanted {
		f()
	}
}

func (s *selector) add(column string, target any) {
	s.r.columns = append(s.r.columns, column)
	s.r.targets = append(s.r.targets, target)
}

func (s *selector) Instrument(**market.Instrument) {
	s.want(func() { s.add("native_symbol", new(pgtype.Text)) })
}

func (s *selector) Time(f *market.Field, _ *int64) {
	name := f.Column
	if f == market.FieldTS {
		name = columnNanos
	}
	s.want(func() { s.add(name, new(pgtype.Int8)) })
}

func (s *selector) Count(f *market.Field, _ *int64) {
	s.want(func() { s.add(f.Column, new(pgtype.Int8)) })
}
func (s *selector) Int(f *market.Field, _ *market.OptInt) {
	s.want(func() { s.add(f.Column, new(pgtype.Int8)) })
}
func (s *selector) ID(f *market.Field, _ *market.ID) {
	s.want(func() { s.add(f.Column, new(pgtype.Text)) })
}
func (s *selector) Word(f *market.Field, _ *string) {
	s.want(func() { s.add(f.Column, new(pgtype.Text)) })
}
func (s *selector) Enum(f *market.Field, _ market.Enum) {
	s.want(func() { s.add(f.Column, new(pgtype.Text)) })
}
func (s *selector) Bool(f *market.Field, _ *bool) {
	s.want(func() { s.add(f.Column, new(pgtype.Bool)) })
}
func (s *selector) Levels(f *market.Field, _ *[]market.Level) {
	s.want(func() { s.add(f.Column, new(pgtype.Text)) })
}
func (s *selector) Flags(*market.Flags) {
	s.want(func() { s.add(market.FieldFlags.Column, new(pgtype.Int4)) })
}
func (s *selector) Decimal(f *market.Field, _ *market.Decimal) {
	s.want(func() {
		s.add(f.Column, new(pgtype.Float8))
		s.add(f.Column+scaleSuffix, new(pgtype.Int2))
		s.add(f.Column+exactSuffix, new(pgtype.Text))
	})
}

// read appends one row to the batch.
func (r *rowReader) read(rows pgx.Rows, stream market.StreamID, into *market.Batch) error {
	if err := rows.Scan(r.targets...); err != nil {
		return err
	}
	r.field, r.cell, r.stream, r.batch, r.err = 0, 0, stream, into, nil
	market.Visit(into.AddKind(r.kind), r)
	return r.err
}

// next is the field's first cell; nil when the field was not selected.
func (r *rowReader) next() any {
	wanted := r.wanted[r.field]
	r.field++
	if !wanted {
		return nil
	}
	r.cell++
	return r.targets[r.cell-1]
}

func text(cell any) (string, bool) {
	if t, ok := cell.(*pgtype.Text); ok && t.Valid {
		return t.String, true
	}
	return "", false
}

func (r *rowReader) Instrument(i **market.Instrument) {
	native, _ := text(r.next())
	if r.last == nil || r.last.Native != native || r.last.ID() != r.stream {
		r.last = &market.Instrument{Exchange: r.stream.Exchange, Market: r.stream.Market, Symbol: r.stream.Symbol, Native: native}
	}
	*i = r.last
}

func (r *rowReader) Time(_ *market.Field, t *int64) { r.Count(nil, t) }

func (r *rowReader) Count(_ *market.Field, n *int64) {
	if c, ok := r.next().(*pgtype.Int8); ok && c.Valid {
		*n = c.Int64
	}
}

func (r *rowReader) Int(_ *market.Field, n *market.OptInt) {
	if c, ok := r.next().(*pgtype.Int8); ok && c.Valid {
		*n = market.Int(c.Int64)
	}
}

func (r *rowReader) Bool(_ *market.Field, b *bool) {
	if c, ok := r.next().(*pgtype.Bool); ok {
		*b = c.Bool
	}
}

func (r *rowReader) Flags(f *market.Flags) {
	if c, ok := r.next().(*pgtype.Int4); ok {
		*f = market.Flags(c.Int32)
	}
}

func (r *rowReader) ID(_ *market.Field, id *market.ID) {
	if t, ok := text(r.next()); ok {
		*id = market.TextID(t)
	}
}

func (r *rowReader) Word(_ *market.Field, w *string) { *w, _ = text(r.next()) }

func (r *rowReader) Enum(f *market.Field, e market.Enum) {
	if t, ok := text(r.next()); ok && !e.Parse(t) {
		r.fail(f, fmt.Errorf("no such word as %q", t))
	}
}

func (r *rowReader) fail(f *market.Field, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("column %s: %w", f.Column, err)
	}
}

func (r *rowReader) Levels(f *market.Field, levels *[]market.Level) {
	t, ok := text(r.next())
	if !ok {
		return
	}
	l, err := part.ParseLevels([]byte(t), r.batch)
	if err != nil {
		r.fail(f, err)
	}
	*levels = l
}

// Decimal puts a number together: from its text where there is one, else from the
// double and its scale.
func (r *rowReader) Decimal(f *market.Field, d *market.Decimal) {
	cell := r.next()
	if cell == nil {
		return
	}
	number, scale := cell.(*pgtype.Float8), r.targets[r.cell].(*pgtype.Int2)
	exact := r.targets[r.cell+1].(*pgtype.Text)
	r.cell += 2
	switch {
	case exact.Valid:
		v, err := market.ParseDecimal([]byte(exact.String))
		if err != nil {
			r.fail(f, err)
		}
		*d = v
	case number.Valid:
		*d = market.DecimalFromFloat(number.Float64, uint8(scale.Int16))
	}
}
