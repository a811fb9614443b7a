package journal

import (
	"encoding/binary"
	"fmt"

	"github.com/marketprism/marketprism/internal/market"
)

// heading reads everything before the columns, cuts the columns out, and returns
// the kinds of the records in order.
func (d *Decoder) heading(c *column) ([]byte, error) {
	if v := d.byte(c); v != PayloadVersion && d.err == nil {
		return nil, fmt.Errorf("%w: payload version %d, this program reads %d", ErrVersion, v, PayloadVersion)
	}
	rows := d.uvarint(c)
	if rows > maxRows {
		return nil, fmt.Errorf("%w: %d records, the limit is %d", ErrCorrupt, rows, maxRows)
	}
	common, print := int(d.byte(c)), d.uint32(c)
	d.readWords(c, rows)
	if err := d.readInstruments(c, rows); err != nil {
		return nil, err
	}
	d.used = d.used[:0]
	for range d.byte(c) {
		if err := d.readKind(c, common, print); err != nil {
			return nil, err
		}
	}
	order := d.cut(c, rows)
	for _, kind := range d.used {
		k := &d.kinds[kind]
		k.masks = column{buf: d.cut(c, k.lengths[0])}
		for i := range k.columns {
			k.columns[i] = column{buf: d.cut(c, k.lengths[1+i])}
		}
	}
	if d.err == nil && c.left() > 0 {
		d.fail("%d bytes behind the columns", c.left())
	}
	return order, d.err
}

// maxWords is more words than the fields of any record.
const maxWords = 8

func (d *Decoder) readWords(c *column, rows uint64) {
	if len(d.interned) > keepWords {
		clear(d.interned)
	}
	d.words = append(d.words[:0], "")
	n := d.uvarint(c)
	if n > rows*maxWords {
		d.fail("%d words in %d records", n, rows)
	}
	for ; n > 0 && d.err == nil; n-- {
		b := d.bytes(c)
		w, ok := d.interned[string(b)]
		if !ok {
			w = string(b)
			d.interned[w] = w
		}
		d.words = append(d.words, w)
	}
}

func (d *Decoder) readInstruments(c *column, rows uint64) error {
	if len(d.known) > keepInstruments {
		clear(d.known)
	}
	n := d.uvarint(c)
	if n > rows {
		d.fail("%d instruments in %d records", n, rows)
	}
	d.instruments = d.instruments[:0]
	d.list(nil)
	for ; n > 0 && d.err == nil; n-- {
		begin := c.pos
		exchange, code := d.bytes(c), d.byte(c)
		symbol, native := d.bytes(c), d.bytes(c)
		if d.err != nil {
			break
		}
		known, ok := d.known[string(c.buf[begin:c.pos])]
		if !ok {
			known = &market.Instrument{Exchange: string(exchange), Symbol: string(symbol), Native: string(native)}
			if !known.Market.SetCode(code) {
				return fmt.Errorf("%w: market %d", ErrVersion, code)
			}
			d.known[string(c.buf[begin:c.pos])] = known
		}
		d.list(known)
	}
	return d.err
}

// list enters an instrument; the states at its place are used again.
func (d *Decoder) list(i *market.Instrument) {
	if n := len(d.instruments); n < cap(d.instruments) {
		d.instruments = d.instruments[:n+1]
	} else {
		d.instruments = append(d.instruments, decodedInstrument{})
	}
	d.instruments[len(d.instruments)-1].instrument = i
}

// readKind reads a kind's fingerprints and lengths, and plans where its fields
// stand. Fields are only ever added at the end of the common ones or of the
// kind's own, so an older payload lacks the last ones: they read as absent.
func (d *Decoder) readKind(c *column, common int, commonPrint uint32) error {
	kind, own, print := market.Kind(d.byte(c)), int(d.byte(c)), d.uint32(c)
	if d.err != nil {
		return d.err
	}
	if !kind.Valid() {
		return fmt.Errorf("%w: kind %d", ErrVersion, kind)
	}
	s, k := schemas()[kind], &d.kinds[kind]
	switch {
	case k.generation == d.generation:
		return fmt.Errorf("%w: kind %s is listed twice", ErrCorrupt, kind)
	case common <= instrumentField || common > s.common || s.commonPrints[common] != commonPrint:
		return fmt.Errorf("%w: %d common fields of %s with fingerprint %08x", ErrVersion, common, kind, commonPrint)
	case own > len(s.fields)-s.common || s.prints[own] != print:
		return fmt.Errorf("%w: %d fields of %s with fingerprint %08x", ErrVersion, own, kind, print)
	}
	if k.plan == nil || k.common != common || k.own != own {
		k.build(s, common, own)
	}
	k.generation, k.instrument = d.generation, 0
	for i := range k.lengths {
		k.lengths[i] = d.uvarint(c)
	}
	d.used = append(d.used, kind)
	return d.err
}

// build plans a kind for payloads with so many fields.
func (k *decodedKind) build(s *schema, common, own int) {
	*k = decodedKind{common: common, own: own, plan: make([]spot, len(s.fields))}
	bit, col := 0, 0
	for i, f := range s.fields {
		if i < common || i >= s.common && i < s.common+own {
			k.plan[i] = spot{bit: 1 << bit, col: col}
			bit++
			col += f.columns()
		}
	}
	// Fields that the payload lacks share a column that nothing is read from.
	for i := range k.plan {
		if k.plan[i].bit == 0 {
			k.plan[i].col = col
		}
	}
	k.columns = make([]column, col)
	k.lengths = make([]uint64, 1+col)
}

func (d *Decoder) byte(c *column) byte {
	if c.left() < 1 {
		d.fail("it ends within its heading")
		return 0
	}
	c.pos++
	return c.buf[c.pos-1]
}

func (d *Decoder) uint32(c *column) uint32 {
	if c.left() < 4 {
		d.fail("it ends within its heading")
		return 0
	}
	c.pos += 4
	return binary.LittleEndian.Uint32(c.buf[c.pos-4:])
}

// cut takes the next n bytes.
func (d *Decoder) cut(c *column, n uint64) []byte {
	if n > uint64(c.left()) {
		d.fail("columns of more bytes than there are")
		return nil
	}
	c.pos += int(n)
	return c.buf[c.pos-int(n) : c.pos : c.pos]
}
