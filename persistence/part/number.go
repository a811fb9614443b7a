package part

import (
	"math"

	"github.com/marketprism/marketprism/internal/market"
)

// spreadDoubles appends the bits of n doubles, zero where not present.
func spreadDoubles(dst []int64, values []float64, present []byte, value, n int) []int64 {
	for i := range n {
		if present != nil && present[i] == 0 {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, int64(math.Float64bits(values[value])))
		value++
	}
	return dst
}

// coefficient turns a double's bits and a scale into the exact coefficient; ok is
// false for a number of more digits than a double holds, whose text is in the
// exact column.
func coefficient(bits int64, scale uint8) (int64, bool) {
	coef, ok := market.DecimalFromFloat(math.Float64frombits(uint64(bits)), scale).Coefficient()
	return coef, ok
}
