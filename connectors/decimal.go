package connectors

import (
	"encoding/binary"

	"github.com/marketprism/marketprism/internal/market"
)

// TakeDecimal reads the number that begins at b[i] and returns the index after
// it; -1 when there is none, or it is longer than a [market.Decimal] may be. It
// is [market.ParseDecimal] without looking for the number's end first.
func TakeDecimal(b []byte, i int) (market.Decimal, int) {
	start := i
	neg := i < len(b) && b[i] == '-'
	if neg {
		i++
	}
	whole := i
	var coef int64
	for i < len(b) {
		c := b[i] - '0'
		if c > 9 {
			break
		}
		coef = coef*10 + int64(c)
		i++
	}
	digits, scale := i-whole, 0
	if digits == 0 {
		return market.Decimal{}, -1
	}
	if i < len(b) && b[i] == '.' {
		i++
		frac := i
		if eight, ok := eightDigits(b, i); ok {
			coef = coef*1e8 + eight
			i += 8
		}
		for i < len(b) {
			c := b[i] - '0'
			if c > 9 {
				break
			}
			coef = coef*10 + int64(c)
			i++
		}
		scale = i - frac
		if scale == 0 {
			return market.Decimal{}, -1
		}
	}
	if digits+scale > 18 {
		return takeLongDecimal(b, start)
	}
	if neg {
		coef = -coef
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		return takeExponent(b, start, i+1, coef, scale)
	}
	return market.NewDecimal(coef, uint8(scale)), i
}

// maxShortScale is the largest scale that market keeps beside a coefficient.
const maxShortScale = 127

// takeExponent reads the exponent at b[i] of a number that begins at b[start].
func takeExponent(b []byte, start, i int, coef int64, scale int) (market.Decimal, int) {
	down := i < len(b) && b[i] == '-'
	if down || i < len(b) && b[i] == '+' {
		i++
	}
	n, end := TakeInt(b, i)
	if end < 0 || n > 18 {
		return takeLongDecimal(b, start)
	}
	if down {
		scale += int(n)
	} else {
		scale -= int(n)
	}
	for ; scale < 0; scale++ {
		if coef > 1e17 || coef < -1e17 {
			return takeLongDecimal(b, start)
		}
		coef *= 10
	}
	if scale > maxShortScale {
		return takeLongDecimal(b, start)
	}
	return market.NewDecimal(coef, uint8(scale)), end
}

// takeLongDecimal takes numbers that an int64 cannot hold.
func takeLongDecimal(b []byte, start int) (market.Decimal, int) {
	end := start
	for end < len(b) && isNumberByte(b[end]) {
		end++
	}
	d, err := market.ParseDecimal(b[start:end])
	if err != nil {
		return market.Decimal{}, -1
	}
	return d, end
}

func isNumberByte(c byte) bool {
	return c-'0' <= 9 || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E'
}

// TakeWord steps over the text word at b[i]: it returns the index after it; -1 when it
// is not there, or i is -1 already.
func TakeWord(b []byte, i int, word string) int {
	if i < 0 || len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

// TakePlain steps over printable ASCII that means itself within a JSON string: it
// returns the index of the first byte that is something else, a quote for instance.
func TakePlain(b []byte, i int) int {
	for i < len(b) && b[i] >= ' ' && b[i] < 0x7f && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// TakeInt reads the non-negative integer of at most 18 digits that begins at
// b[i] and returns the index after it; -1 when there is none.
func TakeInt(b []byte, i int) (int64, int) {
	start := i
	var n int64
	if eight, ok := eightDigits(b, i); ok {
		n = eight
		i += 8
	}
	for i < len(b) {
		c := b[i] - '0'
		if c > 9 {
			break
		}
		n = n*10 + int64(c)
		i++
	}
	if i == start || i-start > 18 || b[start] == '0' && i > start+1 {
		return 0, -1
	}
	return n, i
}

// eightDigits reads b[i:i+8] as a number when all eight are digits, by
// arithmetic on the eight bytes at once.
func eightDigits(b []byte, i int) (int64, bool) {
	if len(b)-i < 8 {
		return 0, false
	}
	v := binary.LittleEndian.Uint64(b[i:])
	const high = 0xF0F0F0F0F0F0F0F0
	if v&high|((v+0x0606060606060606)&high)>>4 != 0x3333333333333333 {
		return 0, false
	}
	// Pairs of digits, then pairs of pairs, then both halves.
	v = (v & 0x0F0F0F0F0F0F0F0F) * (10<<8 + 1) >> 8
	v = (v & 0x00FF00FF00FF00FF) * (100<<16 + 1) >> 16
	v = (v & 0x0000FFFF0000FFFF) * (10000<<32 + 1) >> 32
	return int64(v), true
}
