package questdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	qdb "github.com/questdb/go-questdb-client/v3"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/part"
)

// Encoder writes records as rows of ILP. It is not safe for concurrent use.
type Encoder struct {
	to      qdb.LineSender
	names   map[*market.Field]decimalNames
	scratch []byte
	unkeyed bool
	from    Place
}

// decimalNames are the columns of one decimal beside its own.
type decimalNames struct{ scale, exact string }

// NewEncoder writes to a sender. The caller flushes, one table a flush.
func NewEncoder(to qdb.LineSender) *Encoder {
	return &Encoder{to: to, names: map[*market.Field]decimalNames{}}
}

// Place is where in the journal a row comes from. The zero value is nowhere.
type Place struct {
	// Journal names the journal and its shard in one word.
	Journal string
	// Seq is the sequence of the message that brought the row.
	Seq uint64
}

// placeWord is the word for a shard of a journal.
func placeWord(journalID string, shard int) string { return journalID + "/" + strconv.Itoa(shard) }

// From says where the rows that follow come from.
func (e *Encoder) From(p Place) { e.from = p }

// Encode appends a row to the sender's buffer. The error names what QuestDB has
// no form for; the buffer is then as the client left it, and is to be given up.
func (e *Encoder) Encode(ctx context.Context, r market.Record) error {
	h := r.Head()
	if h.TS <= 0 {
		// https://questdb.com/docs/concepts/designated-timestamp/: not before 1970.
		return fmt.Errorf("%w: its time is %d ns, and QuestDB has none before 1970", errNoForm, h.TS)
	}
	e.unkeyed = h.Flags&market.FlagUnkeyed != 0
	e.to.Table(r.Kind().Table())
	// ILP wants every symbol before the first column.
	market.Visit(r, (*symbols)(e))
	(*symbols)(e).put(columnJournal, e.from.Journal)
	market.Visit(r, (*values)(e))
	if e.from.Journal != "" {
		e.to.Int64Column(columnSeq, int64(e.from.Seq))
	}
	if e.unkeyed {
		e.to.StringColumn(columnUnkeyed, e.identity(h))
	}
	if err := e.to.At(ctx, time.Unix(0, h.TS)); err != nil {
		return fmt.Errorf("encoding a row of %s: %w", r.Kind().Table(), err)
	}
	return nil
}

// errNoForm: the record cannot be a row of QuestDB's.
var errNoForm = errors.New("no form for a record")

// identity is the rest of the key of a record that has none of its own.
func (e *Encoder) identity(h *market.Header) string {
	b := strconv.AppendInt(e.scratch[:0], h.ReceiveTime, 10)
	b = strconv.AppendInt(append(b, ':'), h.Epoch, 10)
	b = strconv.AppendInt(append(b, ':'), h.Conn, 10)
	b = append(b, ':')
	if h.Seq.OK {
		b = strconv.AppendInt(b, h.Seq.V, 10)
	}
	e.scratch = b
	return string(b)
}

// symbols writes the columns of type SYMBOL.
type symbols Encoder

func (s *symbols) put(name, value string) {
	if value != "" { // an empty symbol would be one, not an absent one
		s.to.Symbol(name, value)
	}
}

func (s *symbols) Instrument(v **market.Instrument) {
	i := *v
	s.put("exchange", i.Exchange)
	s.put("market", i.Market.String())
	s.put("symbol", i.Symbol)
	s.put("native_symbol", i.Native)
}

func (s *symbols) Word(f *market.Field, v *string)        { s.put(f.Column, *v) }
func (s *symbols) Enum(f *market.Field, v market.Enum)    { s.put(f.Column, v.String()) }
func (s *symbols) Time(*market.Field, *int64)             {}
func (s *symbols) Count(*market.Field, *int64)            {}
func (s *symbols) Int(*market.Field, *market.OptInt)      {}
func (s *symbols) Decimal(*market.Field, *market.Decimal) {}
func (s *symbols) ID(*market.Field, *market.ID)           {}
func (s *symbols) Bool(*market.Field, *bool)              {}
func (s *symbols) Levels(*market.Field, *[]market.Level)  {}
func (s *symbols) Flags(*market.Flags)                    {}

// values writes all other columns.
type values Encoder

func (v *values) Instrument(**market.Instrument)  {}
func (v *values) Word(*market.Field, *string)     {}
func (v *values) Enum(*market.Field, market.Enum) {}

func (v *values) Time(f *market.Field, t *int64) {
	if f == market.FieldTS { // the row's own time is given at its end
		v.to.Int64Column(columnNanos, *t)
		return
	}
	v.Count(f, t)
}

func (v *values) Count(f *market.Field, n *int64) {
	if *n != 0 {
		v.to.Int64Column(f.Column, *n)
	}
}

func (v *values) Int(f *market.Field, n *market.OptInt) {
	if n.OK {
		v.to.Int64Column(f.Column, n.V)
	}
}

func (v *values) Bool(f *market.Field, b *bool) { v.to.BoolColumn(f.Column, *b) }

func (v *values) Flags(f *market.Flags) { v.to.Int64Column(market.FieldFlags.Column, int64(*f)) }

func (v *values) ID(f *market.Field, id *market.ID) {
	if id.IsSet() {
		v.scratch = id.AppendText(v.scratch[:0])
		v.to.StringColumn(f.Column, string(v.scratch))
	}
}

func (v *values) Decimal(f *market.Field, d *market.Decimal) {
	if !d.IsSet() {
		return
	}
	names, ok := v.names[f]
	if !ok {
		names = decimalNames{f.Column + scaleSuffix, f.Column + exactSuffix}
		v.names[f] = names
	}
	if n := d.Float64(); !math.IsNaN(n) && !math.IsInf(n, 0) { // beyond a DOUBLE's range only the text has it
		v.to.Float64Column(f.Column, n)
	}
	if d.FitsFloat() {
		v.to.Int64Column(names.scale, int64(d.Scale()))
		return
	}
	v.scratch = d.AppendText(v.scratch[:0])
	v.to.StringColumn(names.exact, string(v.scratch))
}

func (v *values) Levels(f *market.Field, levels *[]market.Level) {
	v.scratch = part.AppendLevels(v.scratch[:0], *levels)
	v.to.StringColumn(f.Column, string(v.scratch))
	if len(*levels) == 0 {
		return
	}
	if best := (*levels)[0].Price.Float64(); !math.IsNaN(best) && !math.IsInf(best, 0) {
		v.to.Float64Column(part.BestColumn(f.Column), best)
	}
}
