package market

import (
	"encoding/binary"
	"math/bits"
)

// maxDigits is room for a uint64, in groups of eight.
const maxDigits = 24

// appendInt appends n in decimal.
func appendInt(dst []byte, n int64) []byte {
	if n >= 0 && n < 10 {
		return append(dst, byte('0'+n))
	}
	if n < 0 {
		dst = append(dst, '-')
	}
	var buf [maxDigits]byte
	return append(dst, buf[putDigits(&buf, magnitude(n), 1):]...)
}

// appendScaled appends coef / 10^scale in plain digits, all of its scale digits
// behind the point; scale is 0 or more.
func appendScaled(dst []byte, coef int64, scale int) []byte {
	if coef < 0 {
		dst = append(dst, '-')
	}
	var buf [maxDigits]byte
	from := putDigits(&buf, magnitude(coef), scale+1)
	if scale == 0 {
		return append(dst, buf[from:]...)
	}
	point := maxDigits - scale
	if point <= 0 { // more places than a coefficient has digits
		dst = append(dst, '0', '.')
		for range -point {
			dst = append(dst, '0')
		}
		return append(dst, buf[:]...)
	}
	dst = append(append(dst, buf[from:point]...), '.')
	return append(dst, buf[point:]...)
}

// putDigits writes n to the end of buf, in least digits or more, as far as they
// fit, and returns where it begins.
func putDigits(buf *[maxDigits]byte, n uint64, least int) int {
	var first uint64 // the group that begins with what is not 0
	from := maxDigits - 8
	switch {
	case n < 1e8:
		first = eightDigits(uint32(n))
	case n < 1e16:
		from = maxDigits - 16
		first = eightDigits(uint32(n / 1e8))
		binary.LittleEndian.PutUint64(buf[16:], eightDigits(uint32(n%1e8)))
	default:
		from = 0
		first = eightDigits(uint32(n / 1e16))
		binary.LittleEndian.PutUint64(buf[8:], eightDigits(uint32(n/1e8%1e8)))
		binary.LittleEndian.PutUint64(buf[16:], eightDigits(uint32(n%1e8)))
	}
	binary.LittleEndian.PutUint64(buf[from:], first)
	// The last digit of a group stands, 0 or not.
	from += bits.TrailingZeros64((first^zeros)|1<<63) / 8
	for from > 0 && maxDigits-from < least {
		from--
		buf[from] = '0'
	}
	return from
}

// zeros is eight times '0'.
const zeros = 0x3030303030303030

// eightDigits are the digits of n, below 1e8, the first one in the lowest byte.
// All pairs, then all digits, are divided at once, each in a lane of its own: the
// factors are reciprocals, exact for what fits the lane.
func eightDigits(n uint32) uint64 {
	four := uint64(n/1e4) | uint64(n%1e4)<<32
	hundreds := four * 10486 >> 20 & 0x7f_0000_007f
	two := hundreds + (four-100*hundreds)<<16
	tens := two * 103 >> 10 & 0xf_000f_000f_000f
	return tens + (two-10*tens)<<8 + zeros
}
