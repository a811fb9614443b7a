package market

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// Numbers come out as strconv and math/big write them.
func TestDigits(t *testing.T) {
	numbers := []int64{0, 1, -1, 9, 10, 99, 100, 101, 999, 1000, -10, -100, math.MaxInt64, math.MinInt64, math.MinInt64 + 1}
	for range 2000 {
		numbers = append(numbers, int64(rand.Uint64())>>rand.IntN(64))
	}
	for _, n := range numbers {
		if got, want := string(appendInt([]byte("x"), n)), "x"+strconv.FormatInt(n, 10); got != want {
			t.Errorf("%d is written %s", n, got)
		}
		for scale := range 26 {
			want := byBigInt(n, scale)
			if got := string(appendScaled([]byte("x"), n, scale)); got != "x"+want {
				t.Errorf("%d of scale %d is written %s, want %s", n, scale, got, want)
			}
		}
	}
}

// byBigInt is coef / 10^scale by big integers.
func byBigInt(coef int64, scale int) string {
	digits := new(big.Int).Abs(big.NewInt(coef)).String()
	digits = strings.Repeat("0", max(0, scale+1-len(digits))) + digits
	if scale > 0 {
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if coef < 0 {
		digits = "-" + digits
	}
	return digits
}
