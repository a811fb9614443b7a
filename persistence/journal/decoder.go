package journal

import (
	"encoding/binary"
	"fmt"

	"github.com/marketprism/marketprism/internal/market"
)

// keepWords bounds the words that a Decoder keeps from one payload to the next.
const keepWords = 1 << 12

// Decoder turns payloads into records. It is reused, allocates nothing a record
// once it has seen such payloads (textual identifiers cost one allocation a
// column), and belongs to one goroutine.
//
// The instruments that it hands out carry exchange, market, symbol and native
// symbol alone; the same instrument is the same pointer in every payload. Text
// of identifiers shares the memory of its column: copy what is to be kept long.
type Decoder struct {
	generation  uint64
	words       []string
	interned    map[string]string
	instruments []decodedInstrument
	known       map[string]*market.Instrument
	kinds       [market.NumKinds]decodedKind
	used        []market.Kind

	// The record at hand.
	kind  *decodedKind
	into  *market.Batch
	inst  *market.Instrument
	state []slot
	field int
	mask  uint64
	ts    int64
	err   error
}

type decodedInstrument struct {
	instrument *market.Instrument
	states     [market.NumKinds]*rowState
}

type decodedKind struct {
	generation  uint64
	plan        []spot // by field
	masks       column
	columns     []column
	lengths     []uint64 // of the masks and the columns
	instrument  int      // the last record's
	own, common int      // fields in the payload
}

// spot is where a field stands in the payload: its mask bit and its first
// column; bit 0 for a field that the payload does not have.
type spot struct {
	bit uint64
	col int
}

// NewDecoder makes a decoder.
func NewDecoder() *Decoder {
	return &Decoder{interned: make(map[string]string), known: make(map[string]*market.Instrument)}
}

// Decode appends the records of a payload to a batch and returns how many. After
// an error the batch is as it was. Errors: ErrVersion for a payload, kind, field
// or enumeration value that this program does not know; ErrCorrupt.
func (d *Decoder) Decode(payload []byte, into *market.Batch) (int, error) {
	before := into.Len()
	d.generation++
	d.into, d.err = into, nil
	rows, err := d.decode(payload)
	d.into = nil
	if err != nil {
		into.Truncate(before)
		return 0, err
	}
	return rows, nil
}

func (d *Decoder) decode(payload []byte) (int, error) {
	c := column{buf: payload}
	order, err := d.heading(&c)
	if err != nil {
		return 0, err
	}
	for _, kind := range order {
		if err := d.record(market.Kind(kind)); err != nil {
			return 0, err
		}
	}
	return len(order), d.exhausted()
}

// record decodes the next record of a kind.
func (d *Decoder) record(kind market.Kind) error {
	if int(kind) >= len(d.kinds) || d.kinds[kind].generation != d.generation {
		return fmt.Errorf("%w: a record of kind %d, which the payload does not list", ErrCorrupt, kind)
	}
	k := &d.kinds[kind]
	d.kind = k
	d.mask = d.uvarint(&k.masks)
	if p := k.plan[instrumentField]; d.mask&p.bit != 0 {
		i := d.uvarint(&k.columns[p.col])
		if i >= uint64(len(d.instruments)) {
			return fmt.Errorf("%w: instrument %d of %d", ErrCorrupt, i, len(d.instruments)-1)
		}
		k.instrument = int(i)
	}
	x := &d.instruments[k.instrument]
	d.inst = x.instrument
	d.state = stateOf(&x.states[kind], len(k.columns)+2, d.generation)
	d.field = 0
	market.Visit(d.into.AddKind(kind), d)
	return d.err
}

// exhausted makes sure that nothing is left in a column.
func (d *Decoder) exhausted() error {
	for _, kind := range d.used {
		k := &d.kinds[kind]
		left := k.masks.left()
		for i := range k.columns {
			left += k.columns[i].left()
		}
		if left > 0 {
			return fmt.Errorf("%w: %d bytes of kind %s are left over", ErrCorrupt, left, kind)
		}
	}
	return nil
}

// column is a cursor over bytes.
type column struct {
	buf  []byte
	pos  int
	text string // buf as a string, once it is asked for
}

func (c *column) left() int { return len(c.buf) - c.pos }

// fail keeps the first error; the values read after it do not matter.
func (d *Decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
	}
}

func (d *Decoder) uvarint(c *column) uint64 {
	if c.pos < len(c.buf) && c.buf[c.pos] < 0x80 {
		c.pos++
		return uint64(c.buf[c.pos-1])
	}
	return d.uvarintSlow(c)
}

func (d *Decoder) uvarintSlow(c *column) uint64 {
	u, n := binary.Uvarint(c.buf[c.pos:])
	if n <= 0 {
		d.fail("a column ends within a number")
		c.pos = len(c.buf)
		return 0
	}
	c.pos += n
	return u
}

// bytes takes a text: a length and as many bytes, which alias the column.
func (d *Decoder) bytes(c *column) []byte {
	n := d.uvarint(c)
	if n > uint64(c.left()) {
		d.fail("a text of %d bytes where %d are left", n, c.left())
		return nil
	}
	c.pos += int(n)
	return c.buf[c.pos-int(n) : c.pos]
}

// step begins a field: its column, its last value, and whether it changed.
func (d *Decoder) step() (p spot, s *slot, changed bool) {
	p = d.kind.plan[d.field]
	d.field++
	return p, &d.state[p.col], d.mask&p.bit != 0
}

// Instrument implements market.Visitor.
func (d *Decoder) Instrument(v **market.Instrument) {
	d.field++
	*v = d.inst
}

// Time implements market.Visitor.
func (d *Decoder) Time(_ *market.Field, v *int64) {
	p, s, changed := d.step()
	switch {
	case changed && p.col == 0:
		s.n += unzigzag(d.uvarint(&d.kind.columns[0]))
	case changed:
		s.off += unzigzag(d.uvarint(&d.kind.columns[p.col]))
		s.n = d.ts + s.off
	}
	if p.col == 0 {
		d.ts = s.n
	}
	*v = s.n
}

// Count implements market.Visitor.
func (d *Decoder) Count(_ *market.Field, v *int64) {
	p, s, changed := d.step()
	if changed {
		s.n += unzigzag(d.uvarint(&d.kind.columns[p.col]))
	}
	*v = s.n
}

// Int implements market.Visitor.
func (d *Decoder) Int(_ *market.Field, v *market.OptInt) {
	p, s, changed := d.step()
	if changed {
		c := &d.kind.columns[p.col]
		if u := d.uvarint(c); u != 0 {
			s.n += unzigzag(u - 1)
			s.set = true
		} else {
			d.escapedNumber(c, s, d.uvarint(c))
		}
	}
	if s.set {
		*v = market.Int(s.n)
	}
}

func (d *Decoder) escapedNumber(c *column, s *slot, tag uint64) {
	switch tag {
	case escapeAbsent:
		s.set = false
	case escapeFull:
		s.n, s.set = unzigzag(d.uvarint(c)), true
	default:
		d.fail("number escape %d", tag)
	}
}

// ID implements market.Visitor.
func (d *Decoder) ID(_ *market.Field, v *market.ID) {
	p, s, changed := d.step()
	if changed {
		c := &d.kind.columns[p.col]
		if u := d.uvarint(c); u != 0 {
			s.n += unzigzag(u - 1)
			s.set = true
		} else if tag := d.uvarint(c); tag == escapeText {
			s.set = false
			*v = market.TextID(d.text(c))
		} else {
			d.escapedNumber(c, s, tag)
		}
	}
	if s.set {
		*v = market.NumID(s.n)
	}
}

// text takes a text without copying it more than once for the whole column.
func (d *Decoder) text(c *column) string {
	b := d.bytes(c)
	if c.text == "" {
		c.text = string(c.buf)
	}
	return c.text[c.pos-len(b) : c.pos]
}

// Decimal implements market.Visitor.
func (d *Decoder) Decimal(_ *market.Field, v *market.Decimal) {
	p, s, changed := d.step()
	if changed {
		*v = d.decimal(&d.kind.columns[p.col], s)
		return
	}
	if s.set {
		*v = market.NewDecimal(s.n, s.scale)
	}
}

func (d *Decoder) decimal(c *column, s *slot) market.Decimal {
	if u := d.uvarint(c); u != 0 && s.set {
		s.n += unzigzag(u - 1)
		return market.NewDecimal(s.n, s.scale)
	} else if u != 0 {
		d.fail("a decimal without a scale")
		return market.Decimal{}
	}
	return d.escapedDecimal(c, s)
}

func (d *Decoder) escapedDecimal(c *column, s *slot) market.Decimal {
	switch tag := d.uvarint(c); {
	case tag == escapeAbsent:
		s.set = false
		return market.Decimal{}
	case tag == escapeText:
		s.set = false
		v, err := market.ParseDecimal(d.bytes(c))
		if err != nil {
			d.fail("%w", err)
		}
		return v
	case tag >= escapeScale && tag <= escapeScale+127:
		s.n, s.scale, s.set = unzigzag(d.uvarint(c)), uint8(tag-escapeScale), true
		return market.NewDecimal(s.n, s.scale)
	default:
		d.fail("decimal escape %d", tag)
		return market.Decimal{}
	}
}

// Word implements market.Visitor.
func (d *Decoder) Word(_ *market.Field, v *string) {
	p, s, changed := d.step()
	if changed {
		i := d.uvarint(&d.kind.columns[p.col])
		if i >= uint64(len(d.words)) {
			d.fail("word %d of %d", i, len(d.words)-1)
			return
		}
		s.n = int64(i)
	}
	*v = d.words[s.n]
}

// Enum implements market.Visitor.
func (d *Decoder) Enum(f *market.Field, v market.Enum) {
	p, s, changed := d.step()
	if changed {
		s.n = int64(d.uvarint(&d.kind.columns[p.col]))
	}
	if s.n == 0 {
		return // the zero value, in a fresh record
	}
	if (s.n > 255 || s.n < 0 || !v.SetCode(uint8(s.n))) && d.err == nil {
		d.err = fmt.Errorf("%w: %s has the unknown value %d", ErrVersion, f.Column, s.n)
	}
}

// Bool implements market.Visitor.
func (d *Decoder) Bool(_ *market.Field, v *bool) {
	_, s, changed := d.step()
	if changed {
		s.set = !s.set
	}
	*v = s.set
}

// Flags implements market.Visitor.
func (d *Decoder) Flags(v *market.Flags) {
	p, s, changed := d.step()
	if changed {
		s.n = int64(uint32(d.uvarint(&d.kind.columns[p.col])))
	}
	*v = market.Flags(s.n)
}

// Levels implements market.Visitor.
func (d *Decoder) Levels(_ *market.Field, v *[]market.Level) {
	p, s, changed := d.step()
	if !changed {
		return
	}
	prices, amounts := &d.kind.columns[p.col], &d.kind.columns[p.col+1]
	n := d.uvarint(prices)
	if n > uint64(min(prices.left(), amounts.left())) {
		d.fail("%d levels in %d and %d bytes", n, prices.left(), amounts.left())
		return
	}
	amount := &d.state[p.col+1]
	mark := d.into.LevelMark()
	var top slot
	for i := range n {
		price := d.decimal(prices, s)
		amount.n = 0
		d.into.Level(market.Level{Price: price, Amount: d.decimal(amounts, amount)})
		if i == 0 {
			top = *s
		}
	}
	if n > 0 {
		*s = top
	}
	*v = d.into.LevelsFrom(mark)
}
