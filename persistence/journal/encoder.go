package journal

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/marketprism/marketprism/internal/market"
)

// Instruments that an Encoder or Decoder keeps from one payload to the next.
const keepInstruments = 1 << 14

// Encoder turns records into a payload, column by column; see doc.go for the
// format. It is reused, allocates nothing once it has seen such records, and
// belongs to one goroutine.
type Encoder struct {
	generation  uint64
	rows        int
	size        int
	order       []byte // a kind a record
	kinds       [market.NumKinds]encodedKind
	used        []market.Kind
	instruments map[*market.Instrument]*encodedInstrument
	listed      []byte // the instruments of this payload, encoded
	nListed     int
	words       map[string]int
	wordList    []string
	out         []byte

	// The record at hand.
	columns [][]byte
	state   []slot
	ts      int64
	col     int
	bit     uint
	mask    uint64
}

type encodedKind struct {
	schema     *schema
	generation uint64
	masks      []byte
	columns    [][]byte
	instrument int // the last record's
}

type encodedInstrument struct {
	generation uint64
	index      int
	states     [market.NumKinds]*rowState
}

// NewEncoder makes an empty encoder.
func NewEncoder() *Encoder {
	e := &Encoder{instruments: make(map[*market.Instrument]*encodedInstrument), words: make(map[string]int)}
	for k, s := range schemas() {
		if s == nil {
			continue
		}
		n := 0
		for _, f := range s.fields {
			n += f.columns()
		}
		e.kinds[k] = encodedKind{schema: s, columns: make([][]byte, n)}
	}
	e.Reset()
	return e
}

// Reset forgets the records.
func (e *Encoder) Reset() {
	e.generation++
	e.rows, e.size, e.nListed = 0, 0, 0
	e.order, e.used, e.listed = e.order[:0], e.used[:0], e.listed[:0]
	clear(e.words)
	e.wordList = append(e.wordList[:0], "") // word 0 is absent
	if len(e.instruments) > keepInstruments {
		clear(e.instruments)
	}
}

// Rows is the number of records added.
func (e *Encoder) Rows() int { return e.rows }

// Size is the length of the payload in bytes, but for a few hundred of headings.
func (e *Encoder) Size() int { return e.size }

// AddBatch adds the records of a batch, in order. Error: ErrTooLarge; then none
// of them is added.
func (e *Encoder) AddBatch(b *market.Batch) error {
	if e.rows+b.Len() > maxRows {
		return fmt.Errorf("%w: %d records, the limit is %d", ErrTooLarge, e.rows+b.Len(), maxRows)
	}
	for i := range b.Len() {
		e.add(b.At(i))
	}
	return nil
}

// Add adds one record. Error: ErrTooLarge.
func (e *Encoder) Add(r market.Record) error {
	if e.rows == maxRows {
		return fmt.Errorf("%w: more than %d records", ErrTooLarge, maxRows)
	}
	e.add(r)
	return nil
}

func (e *Encoder) add(r market.Record) {
	kind := r.Kind()
	k := &e.kinds[kind]
	if k.generation != e.generation {
		e.begin(kind, k)
	}
	h := r.Head()
	instrument := e.instrument(h.Instrument)
	e.columns, e.ts, e.col, e.bit, e.mask = k.columns, h.TS, 0, 0, 0
	e.state = stateOf(&instrument.states[kind], len(k.columns), e.generation)
	if instrument.index != k.instrument {
		k.instrument = instrument.index
		e.mask = 1 << instrumentField
		e.put(instrumentField, uint64(instrument.index))
	}
	market.Visit(r, e)
	before := len(k.masks)
	k.masks = binary.AppendUvarint(k.masks, e.mask)
	e.order = append(e.order, byte(kind))
	e.size += len(k.masks) - before + 1
	e.rows++
}

// begin lists a kind in the payload.
func (e *Encoder) begin(kind market.Kind, k *encodedKind) {
	k.generation, k.instrument, k.masks = e.generation, 0, k.masks[:0]
	for i := range k.columns {
		k.columns[i] = k.columns[i][:0]
	}
	e.used = append(e.used, kind)
}

// instrument finds an instrument in the payload's list, or enters it. Index 0 is
// no instrument.
func (e *Encoder) instrument(i *market.Instrument) *encodedInstrument {
	x, ok := e.instruments[i]
	if !ok {
		x = &encodedInstrument{}
		e.instruments[i] = x
	}
	if x.generation == e.generation {
		return x
	}
	x.generation = e.generation
	if i == nil {
		x.index = 0
		return x
	}
	e.nListed++
	x.index = e.nListed
	before := len(e.listed)
	e.listed = appendText(e.listed, i.Exchange)
	e.listed = append(e.listed, i.Market.Code())
	e.listed = appendText(e.listed, i.Symbol)
	e.listed = appendText(e.listed, i.Native)
	e.size += len(e.listed) - before
	return x
}

// Payload returns the payload, valid until the next call of any method.
func (e *Encoder) Payload() []byte {
	out := append(e.out[:0], PayloadVersion)
	out = binary.AppendUvarint(out, uint64(e.rows))
	common := schemas()[market.KindTrade]
	out = append(out, byte(common.common))
	out = binary.LittleEndian.AppendUint32(out, common.commonPrints[common.common])
	out = binary.AppendUvarint(out, uint64(len(e.wordList)-1))
	for _, w := range e.wordList[1:] {
		out = appendText(out, w)
	}
	out = binary.AppendUvarint(out, uint64(e.nListed))
	out = append(out, e.listed...)
	out = append(out, byte(len(e.used)))
	for _, kind := range e.used {
		k := &e.kinds[kind]
		own := len(k.schema.fields) - k.schema.common
		out = append(out, byte(kind), byte(own))
		out = binary.LittleEndian.AppendUint32(out, k.schema.prints[own])
		out = binary.AppendUvarint(out, uint64(len(k.masks)))
		for _, c := range k.columns {
			out = binary.AppendUvarint(out, uint64(len(c)))
		}
	}
	out = append(out, e.order...)
	for _, kind := range e.used {
		k := &e.kinds[kind]
		out = append(out, k.masks...)
		for _, c := range k.columns {
			out = append(out, c...)
		}
	}
	e.out = out
	return out
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// put appends to a column.
func (e *Encoder) put(col int, u uint64) {
	c := e.columns[col]
	if u < 0x80 {
		e.columns[col] = append(c, byte(u))
		e.size++
		return
	}
	before := len(c)
	c = binary.AppendUvarint(c, u)
	e.size += len(c) - before
	e.columns[col] = c
}

func (e *Encoder) putText(col int, s []byte) {
	e.put(col, uint64(len(s)))
	e.columns[col] = append(e.columns[col], s...)
	e.size += len(s)
}

// step begins a field of one column. A field whose mask bit stays 0 has the
// value of the record before it of the same kind and instrument.
func (e *Encoder) step() (col int, s *slot, bit uint64) {
	col, bit = e.col, 1<<e.bit
	e.col++
	e.bit++
	return col, &e.state[col], bit
}

// Instrument implements market.Visitor; the instrument is already written.
func (e *Encoder) Instrument(**market.Instrument) { e.step() }

// Time implements market.Visitor: the change of the distance from ts; of ts
// itself (column 0), the distance from the ts before.
func (e *Encoder) Time(_ *market.Field, v *int64) {
	col, s, bit := e.step()
	if *v == s.n {
		return
	}
	e.mask |= bit
	if col == 0 {
		e.put(col, zigzag(*v-s.n))
	} else {
		off := *v - e.ts
		e.put(col, zigzag(off-s.off))
		s.off = off
	}
	s.n = *v
}

// Count implements market.Visitor.
func (e *Encoder) Count(_ *market.Field, v *int64) {
	col, s, bit := e.step()
	if *v == s.n {
		return
	}
	e.mask |= bit
	e.put(col, zigzag(*v-s.n))
	s.n = *v
}

// Int implements market.Visitor.
func (e *Encoder) Int(_ *market.Field, v *market.OptInt) {
	col, s, bit := e.step()
	if v.OK == s.set && (!v.OK || v.V == s.n) {
		return
	}
	e.mask |= bit
	s.set = v.OK
	if !v.OK {
		e.escape(col, escapeAbsent)
		return
	}
	e.number(col, s, v.V)
}

// What follows a 0 in a column of numbers, identifiers or decimals.
const (
	escapeAbsent = 0
	escapeFull   = 1 // a number without delta; a decimal without is escapeScale + its scale
	escapeText   = 2
	escapeScale  = 3
)

func (e *Encoder) escape(col int, tag uint64) {
	e.put(col, 0)
	e.put(col, tag)
}

// number writes n as 1 + the zigzag delta; the one delta for which that
// overflows is written in full.
func (e *Encoder) number(col int, s *slot, n int64) {
	u := zigzag(n - s.n)
	s.n = n
	if u != math.MaxUint64 {
		e.put(col, u+1)
		return
	}
	e.escape(col, escapeFull)
	e.put(col, zigzag(n))
}

// ID implements market.Visitor.
func (e *Encoder) ID(_ *market.Field, v *market.ID) {
	col, s, bit := e.step()
	n, ok := v.Num()
	switch {
	case ok && s.set && n == s.n, !v.IsSet() && !s.set:
		return
	case ok:
		e.number(col, s, n)
	case v.IsSet():
		var buf [64]byte
		e.escape(col, escapeText)
		e.putText(col, v.AppendText(buf[:0]))
	default:
		e.escape(col, escapeAbsent)
	}
	e.mask |= bit
	s.set = ok
}

// Decimal implements market.Visitor.
func (e *Encoder) Decimal(_ *market.Field, v *market.Decimal) {
	col, s, bit := e.step()
	if !v.IsSet() {
		if s.set {
			e.mask |= bit
			e.decimal(col, s, v)
		}
		return
	}
	if coef, ok := v.Coefficient(); ok && s.set && coef == s.n && v.Scale() == s.scale {
		return
	}
	e.mask |= bit
	e.decimal(col, s, v)
}

func (e *Encoder) decimal(col int, s *slot, v *market.Decimal) {
	coef, ok := v.Coefficient()
	if ok && s.set && v.Scale() == s.scale {
		if u := zigzag(coef - s.n); u != math.MaxUint64 {
			e.put(col, u+1)
			s.n = coef
			return
		}
	}
	s.set = ok
	switch {
	case ok:
		e.escape(col, escapeScale+uint64(v.Scale()))
		e.put(col, zigzag(coef))
		s.n, s.scale = coef, v.Scale()
	case v.IsSet(): // too long for a coefficient
		var buf [256]byte
		e.escape(col, escapeText)
		e.putText(col, v.AppendText(buf[:0]))
	default:
		e.escape(col, escapeAbsent)
	}
}

// Word implements market.Visitor: the index in the payload's list of words.
func (e *Encoder) Word(_ *market.Field, v *string) {
	col, s, bit := e.step()
	if *v == e.wordList[s.n] {
		return
	}
	e.mask |= bit
	i := 0
	if *v != "" {
		var ok bool
		if i, ok = e.words[*v]; !ok {
			i = len(e.wordList)
			e.words[*v] = i
			e.wordList = append(e.wordList, *v)
			e.size += len(*v) + 1
		}
	}
	e.put(col, uint64(i))
	s.n = int64(i)
}

// Enum implements market.Visitor.
func (e *Encoder) Enum(_ *market.Field, v market.Enum) {
	col, s, bit := e.step()
	c := int64(v.Code())
	if c == s.n {
		return
	}
	e.mask |= bit
	e.put(col, uint64(c))
	s.n = c
}

// Bool implements market.Visitor: the mask bit says that it changed.
func (e *Encoder) Bool(_ *market.Field, v *bool) {
	_, s, bit := e.step()
	if *v != s.set {
		e.mask |= bit
		s.set = *v
	}
}

// Flags implements market.Visitor.
func (e *Encoder) Flags(v *market.Flags) {
	col, s, bit := e.step()
	if int64(*v) == s.n {
		return
	}
	e.mask |= bit
	e.put(col, uint64(*v))
	s.n = int64(*v)
}

// Levels implements market.Visitor: a count and the prices, each as distance
// from the level before (the first: from the first of the record before), in one
// column, the amounts in the next. Without the mask bit there is none.
func (e *Encoder) Levels(_ *market.Field, v *[]market.Level) {
	col, s, bit := e.step()
	e.col++
	if len(*v) == 0 {
		return
	}
	e.mask |= bit
	e.put(col, uint64(len(*v)))
	amounts := &e.state[col+1]
	var top slot
	for i := range *v {
		l := &(*v)[i]
		e.decimal(col, s, &l.Price)
		amounts.n = 0
		e.decimal(col+1, amounts, &l.Amount)
		if i == 0 {
			top = *s
		}
	}
	*s = top
}
