package market

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// Decimal is an exact decimal number with the digits that the exchange wrote:
// "1.50" and "1.5" are equal in value ([Decimal.Cmp]) and differ in text.
//
// The zero Decimal is absent, which is not the number zero. A number of up to 18
// digits is held as coefficient and scale; a longer one keeps its digits as
// text, and is neither refused nor rounded. A negative zero is zero.
type Decimal struct {
	long  *string // plain digits of a number that coef cannot hold, else nil
	coef  int64
	scale uint8 // digits after the point
	set   bool
}

// MaxDecimalDigits bounds the digits of a number once it is written without an
// exponent, so that 1e999999999 cannot make a megabyte of zeros.
const MaxDecimalDigits = 200

// Errors of [ParseDecimal].
var (
	ErrDecimalSyntax = errors.New("not a decimal number")
	ErrDecimalRange  = fmt.Errorf("decimal number of more than %d digits", MaxDecimalDigits)
)

// MaxPow10 is the largest power of ten that an int64 holds.
const MaxPow10 = 18

var pow10 = [MaxPow10 + 1]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// Pow10 is 10^n, for n up to [MaxPow10]; it panics beyond.
func Pow10(n uint8) int64 { return pow10[n] }

// NewDecimal returns coef × 10^-scale.
func NewDecimal(coef int64, scale uint8) Decimal {
	return Decimal{coef: coef, scale: scale, set: true}
}

// ParseDecimal reads a number in JSON's syntax, without quotes. Leading zeros
// and an exponent are accepted; the result is written without either.
func ParseDecimal(b []byte) (Decimal, error) {
	i, neg := 0, false
	if len(b) > 0 && b[0] == '-' {
		neg, i = true, 1
	}
	var coef int64
	digits, point := 0, -1
	start := i
	for ; i < len(b); i++ {
		c := b[i]
		if d := c - '0'; d <= 9 {
			if digits < 18 {
				coef = coef*10 + int64(d)
			}
			if coef != 0 {
				digits++
			}
			continue
		}
		if c != '.' || point >= 0 {
			break
		}
		point = i
	}
	if i != len(b) || digits > 18 || i == start || point == start || point == i-1 {
		return parseDecimalSlow(b)
	}
	scale := 0
	if point >= 0 {
		scale = i - point - 1
	}
	if scale > math.MaxInt8 {
		return parseDecimalSlow(b)
	}
	if neg {
		coef = -coef
	}
	return Decimal{coef: coef, scale: uint8(scale), set: true}, nil
}

// parseDecimalSlow takes exponents, numbers too long for a coefficient, and
// whatever is not a number.
func parseDecimalSlow(b []byte) (Decimal, error) {
	s := string(b)
	rest, neg := strings.CutPrefix(s, "-")
	mantissa, exponent := rest, 0
	if e := strings.IndexAny(rest, "eE"); e >= 0 {
		mantissa = rest[:e]
		text := strings.TrimPrefix(rest[e+1:], "+")
		if text == "" || strings.ContainsAny(text, "+_xX") {
			return Decimal{}, fmt.Errorf("%w: %.40q", ErrDecimalSyntax, s)
		}
		n, err := strconv.Atoi(text)
		if errors.Is(err, strconv.ErrRange) || n > MaxDecimalDigits || n < -MaxDecimalDigits {
			return Decimal{}, ErrDecimalRange
		}
		if err != nil {
			return Decimal{}, fmt.Errorf("%w: %.40q", ErrDecimalSyntax, s)
		}
		exponent = n
	}
	whole, frac, point := strings.Cut(mantissa, ".")
	if whole == "" || (point && frac == "") || !onlyDigits(whole) || !onlyDigits(frac) {
		return Decimal{}, fmt.Errorf("%w: %.40q", ErrDecimalSyntax, s)
	}
	digits := whole + frac
	scale := len(frac) - exponent
	if scale < 0 {
		digits += strings.Repeat("0", -scale)
		scale = 0
	}
	digits = strings.TrimLeft(digits, "0")
	if max(len(digits), scale) > MaxDecimalDigits {
		return Decimal{}, ErrDecimalRange
	}
	if digits == "" {
		digits, neg = "0", false
	}
	if len(digits) <= 18 && scale <= math.MaxInt8 {
		coef, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return Decimal{}, fmt.Errorf("%w: %.40q", ErrDecimalSyntax, s)
		}
		if neg {
			coef = -coef
		}
		return NewDecimal(coef, uint8(scale)), nil
	}
	return longDecimal(neg, digits, scale), nil
}

func longDecimal(neg bool, digits string, scale int) Decimal {
	if pad := scale + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	text := digits
	if scale > 0 {
		text = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if neg {
		text = "-" + text
	}
	return Decimal{long: &text, scale: uint8(scale), set: true}
}

func onlyDigits(s string) bool {
	for i := range len(s) {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return true
}

// MustDecimal parses a constant; it panics where the text is not a number.
func MustDecimal(s string) Decimal {
	d, err := ParseDecimal([]byte(s))
	if err != nil {
		panic(err)
	}
	return d
}

// DecimalFromFloat returns f rounded to scale digits after the point: the way
// back from a stored DOUBLE and its scale. It is exact for a number of up to 15
// significant digits. NaN and infinities give an absent Decimal.
func DecimalFromFloat(f float64, scale uint8) Decimal {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Decimal{}
	}
	if int(scale) < len(pow10) {
		if scaled := math.Round(f * float64(pow10[scale])); math.Abs(scaled) < 1e15 {
			return NewDecimal(int64(scaled), scale)
		}
	}
	d, err := ParseDecimal(strconv.AppendFloat(nil, f, 'f', int(scale), 64))
	if err != nil {
		return Decimal{}
	}
	return d
}

// IsSet reports whether there is a number at all.
func (d Decimal) IsSet() bool { return d.set }

// IsZero reports whether d is the number zero; an absent Decimal is not.
func (d Decimal) IsZero() bool { return d.set && d.coef == 0 && d.long == nil }

// Sign is -1, 0 or 1; 0 when absent.
func (d Decimal) Sign() int {
	switch {
	case d.long != nil && (*d.long)[0] == '-':
		return -1
	case d.long != nil || d.coef > 0:
		return 1
	case d.coef < 0:
		return -1
	}
	return 0
}

// Scale is the number of digits after the point.
func (d Decimal) Scale() uint8 { return d.scale }

// Coefficient returns the digits as an integer, d × 10^scale. ok is false for an
// absent number and for one too long for an int64.
func (d Decimal) Coefficient() (coef int64, ok bool) { return d.coef, d.set && d.long == nil }

// Float64 is the nearest float64; NaN when absent.
func (d Decimal) Float64() float64 {
	switch {
	case !d.set:
		return math.NaN()
	case d.long != nil:
		f, err := strconv.ParseFloat(*d.long, 64)
		if err != nil {
			return math.NaN()
		}
		return f
	case d.scale <= 15 && d.coef > -1e15 && d.coef < 1e15:
		// Both are exact in a float64, so that the division rounds once.
		return float64(d.coef) / float64(pow10[d.scale])
	}
	var buf [160]byte
	f, err := strconv.ParseFloat(string(d.AppendText(buf[:0])), 64)
	if err != nil {
		return math.NaN()
	}
	return f
}

// FitsFloat reports whether [Decimal.Float64] and [Decimal.Scale] give back every
// digit of d.
func (d Decimal) FitsFloat() bool {
	return d.long == nil && d.coef > -1e15 && d.coef < 1e15
}

// Cmp compares values: -1, 0 or 1. An absent Decimal is less than any number.
func (d Decimal) Cmp(e Decimal) int {
	if d.scale == e.scale && d.long == nil && e.long == nil && d.set && e.set {
		switch {
		case d.coef < e.coef:
			return -1
		case d.coef > e.coef:
			return 1
		}
		return 0
	}
	return d.cmpSlow(e)
}

func (d Decimal) cmpSlow(e Decimal) int {
	switch {
	case !d.set && !e.set:
		return 0
	case !d.set:
		return -1
	case !e.set:
		return 1
	case d.Sign() != e.Sign():
		return max(-1, min(1, d.Sign()-e.Sign()))
	}
	if d.long == nil && e.long == nil && int(max(d.scale, e.scale)-min(d.scale, e.scale)) < len(pow10) {
		return d.Sign() * cmpMagnitude(d, e)
	}
	return d.rat().Cmp(e.rat())
}

// cmpMagnitude compares |d| with |e| in 128 bits: a coefficient is below 2^63
// and a power of ten here at most 1e18.
func cmpMagnitude(d, e Decimal) int {
	up := max(d.scale, e.scale)
	dh, dl := bits.Mul64(magnitude(d.coef), uint64(pow10[up-d.scale]))
	eh, el := bits.Mul64(magnitude(e.coef), uint64(pow10[up-e.scale]))
	switch {
	case dh < eh || (dh == eh && dl < el):
		return -1
	case dh > eh || dl > el:
		return 1
	}
	return 0
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func (d Decimal) rat() *big.Rat {
	r, ok := new(big.Rat).SetString(d.String())
	if !ok {
		panic("market: a Decimal's own text is not a number: " + d.String())
	}
	return r
}

// AppendText appends the plain digits; nothing when absent.
func (d Decimal) AppendText(dst []byte) []byte {
	if !d.set {
		return dst
	}
	if d.long != nil {
		return append(dst, *d.long...)
	}
	return appendScaled(dst, d.coef, int(d.scale))
}

// String is the plain digits; "" when absent.
func (d Decimal) String() string { return string(d.AppendText(nil)) }

// MarshalJSON writes the digits as a string, null when absent.
func (d Decimal) MarshalJSON() ([]byte, error) {
	if !d.set {
		return []byte("null"), nil
	}
	return append(d.AppendText([]byte{'"'}), '"'), nil
}

// UnmarshalJSON accepts a number, a string that holds one, or null.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*d = Decimal{}
		return nil
	}
	if len(b) >= 2 && b[0] == '"' && b[len(b)-1] == '"' {
		b = b[1 : len(b)-1]
	}
	v, err := ParseDecimal(b)
	if err != nil {
		return err
	}
	*d = v
	return nil
}
