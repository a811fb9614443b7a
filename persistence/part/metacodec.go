package part

import (
	"encoding/binary"
	"errors"

	"github.com/marketprism/marketprism/internal/market"
)

// The binary form of a Meta: integers as varints, texts with their length.

var errShort = errors.New("record ends early")

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendMeta(dst []byte, m *Meta) []byte {
	dst = append(dst, byte(m.Kind))
	dst = appendString(dst, m.File)
	dst = binary.AppendUvarint(dst, uint64(m.Rows))
	dst = binary.AppendUvarint(dst, uint64(m.Bytes))
	dst = binary.LittleEndian.AppendUint64(dst, m.Checksum)
	dst = binary.AppendVarint(dst, m.MinTime)
	dst = binary.AppendVarint(dst, m.MaxTime)
	dst = appendString(dst, m.JournalID)
	dst = binary.AppendUvarint(dst, uint64(m.Shard))
	dst = binary.AppendUvarint(dst, m.FirstSeq)
	dst = binary.AppendUvarint(dst, m.LastSeq)
	dst = binary.AppendVarint(dst, m.Created)
	dst = binary.AppendUvarint(dst, uint64(len(m.Ranges)))
	for i := range m.Ranges {
		r := &m.Ranges[i]
		dst = appendString(dst, r.Stream.Exchange)
		dst = append(dst, byte(r.Stream.Market))
		dst = appendString(dst, r.Stream.Symbol)
		dst = binary.AppendUvarint(dst, uint64(r.Rows))
		dst = binary.AppendVarint(dst, r.MinTime-m.MinTime)
		dst = binary.AppendVarint(dst, r.MaxTime-r.MinTime)
		dst = binary.AppendUvarint(dst, uint64(r.Collected))
	}
	return dst
}

// decoder reads what the appends wrote; after an error it returns zeros.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = errShort
	}
	d.b = nil
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) uint64() uint64 {
	if len(d.b) < 8 {
		d.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(d.b)
	d.b = d.b[8:]
	return v
}

func (d *decoder) string() string {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

// count reads the length of a list whose elements take at least size bytes.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) meta() Meta {
	var m Meta
	m.Kind = market.Kind(d.byte())
	if d.err == nil && (!m.Kind.Valid() || m.Kind.Table() == "") {
		d.err = errors.New("unknown kind")
	}
	m.File = d.string()
	m.Rows = int64(d.uvarint())
	m.Bytes = int64(d.uvarint())
	m.Checksum = d.uint64()
	m.MinTime = d.varint()
	m.MaxTime = d.varint()
	m.JournalID = d.string()
	m.Shard = int(d.uvarint())
	m.FirstSeq = d.uvarint()
	m.LastSeq = d.uvarint()
	m.Created = d.varint()
	n := d.count(7)
	first := int64(0)
	for range n {
		var r Range
		r.Stream.Exchange = d.string()
		if !r.Stream.Market.SetCode(d.byte()) && d.err == nil {
			d.err = errors.New("unknown market")
		}
		r.Stream.Symbol = d.string()
		r.First = first
		r.Rows = int64(d.uvarint())
		first += r.Rows
		r.MinTime = m.MinTime + d.varint()
		r.MaxTime = r.MinTime + d.varint()
		r.Collected = int64(d.uvarint())
		if d.err != nil {
			break
		}
		m.Ranges = append(m.Ranges, r)
	}
	return m
}
