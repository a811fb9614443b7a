package part

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/marketprism/marketprism/internal/market"
)

// A sort key orders records by its bytes as the reading order does:
//
//	ts (8) | order number (9) | exchange, market, symbol, origin | key columns | unkeyed: receive time, epoch, conn, seq
//
// The record's identity is the sort key without the order number.

const orderBytes = 8 + 9

// AppendSortKey appends the sort key of a row.
func (b *Block) AppendSortKey(dst []byte, row int) []byte {
	dst = appendInt(dst, b.TS(row))
	dst = appendOptInt(dst, b.order(row))
	return b.appendIdentity(dst, row)
}

// identityOf is the part of a sort key that follows the order number; two records
// of one ts are the same record when it is equal.
func identityOf(sortKey []byte) []byte { return sortKey[orderBytes:] }

// order is what orders rows of one ts: a trade's numeric id, else seq.
func (b *Block) order(row int) market.OptInt {
	s := b.schema
	v := &b.cols[s.ordCol]
	if s.ordCol != s.seqCol {
		if v.u8[row] == idNumber {
			return market.Int(v.i64[row])
		}
		v = &b.cols[s.seqCol]
	}
	return market.OptInt{V: v.i64[row], OK: v.u8[row] != 0}
}

// strictlyAfter reports whether row comes after another of its ts by their numbers
// alone, and the numbers are part of their identities.
func (b *Block) strictlyAfter(row, before int) bool {
	s := b.schema
	if !s.ordIsKey {
		return false
	}
	if s.ordCol != s.seqCol && (b.cols[s.ordCol].u8[row] != idNumber || b.cols[s.ordCol].u8[before] != idNumber) {
		return false
	}
	return b.order(before).Less(b.order(row))
}

func (b *Block) appendIdentity(dst []byte, row int) []byte {
	s := b.schema
	i := b.Instrument(row)
	dst = appendText(dst, i.Exchange)
	dst = append(dst, byte(i.Market))
	dst = appendText(dst, i.Symbol)
	dst = append(dst, b.cols[s.originCol].u8[row])
	for _, col := range s.keyCols {
		dst = b.appendKeyColumn(dst, col, row)
	}
	if market.Flags(b.cols[s.flagsCol].u32[row]).Has(market.FlagUnkeyed) {
		dst = append(dst, 1)
		dst = appendInt(dst, b.cols[s.recvCol].i64[row])
		dst = appendInt(dst, b.cols[s.epochCol].i64[row])
		dst = appendInt(dst, b.cols[s.connCol].i64[row])
		seq := &b.cols[s.seqCol]
		return appendOptInt(dst, market.OptInt{V: seq.i64[row], OK: seq.u8[row] != 0})
	}
	return append(dst, 0)
}

func (b *Block) appendKeyColumn(dst []byte, col, row int) []byte {
	v := &b.cols[col]
	switch b.schema.Columns[col].class {
	case classInt:
		return appendOptInt(dst, market.OptInt{V: v.i64[row], OK: v.u8[row] != 0})
	case classTime:
		return appendInt(dst, v.i64[row])
	case classID:
		dst = append(dst, v.u8[row])
		if v.u8[row] == idText {
			return appendText(dst, string(v.text(row)))
		}
		return appendInt(dst, v.i64[row])
	case classWord:
		return appendText(dst, b.names.Text(v.u32[row]))
	case classEnum:
		return append(dst, v.u8[row])
	case classBool: // true first: a snapshot precedes its deltas
		return append(dst, 1-v.u8[row])
	case classDecimal:
		return appendDecimalKey(dst, b.DecimalAt(col, row))
	}
	return appendText(dst, string(v.text(row)))
}

// appendDecimalKey is equal for equal values whatever their scale.
func appendDecimalKey(dst []byte, d market.Decimal) []byte {
	if !d.IsSet() {
		return append(dst, 0)
	}
	bits := math.Float64bits(d.Float64())
	if d.Sign() < 0 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	dst = binary.BigEndian.AppendUint64(append(dst, 1), bits)
	if d.FitsFloat() {
		return append(dst, 0)
	}
	text := d.String()
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	digits := strings.TrimLeft(strings.Replace(text, ".", "", 1), "-0")
	if len(digits) <= 15 {
		return append(dst, 0)
	}
	return appendText(append(dst, 1), text)
}

func appendInt(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(v)^1<<63)
}

func appendOptInt(dst []byte, v market.OptInt) []byte {
	if !v.OK {
		return append(dst, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	return appendInt(append(dst, 1), v.V)
}

// appendText keeps the order of texts among others of any length.
func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if s[i] == 0 {
			dst = append(dst, 0, 0xff)
			continue
		}
		dst = append(dst, s[i])
	}
	return append(dst, 0, 1)
}

// SortKeyTS is the ts of a sort key; ok is false for what is none.
func SortKeyTS(key []byte) (ts int64, ok bool) {
	if len(key) < orderBytes+1 {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(key) ^ 1<<63), true
}
