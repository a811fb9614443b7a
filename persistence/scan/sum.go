package scan

import (
	"math"
	"math/big"

	"github.com/marketprism/marketprism/internal/market"
)

// sum adds decimals exactly: in an int64 while that holds, then without limit.
type sum struct {
	set   bool
	coef  int64
	scale uint8
	big   *big.Int // nil while coef holds the sum
}

// addCoef adds coef × 10^-scale.
func (s *sum) addCoef(coef int64, scale uint8) {
	if s.big == nil && s.set && scale == s.scale {
		if c := s.coef + coef; (c > s.coef) == (coef > 0) {
			s.coef = c
			return
		}
	}
	if s.big == nil && s.set && s.rescale(&coef, scale) {
		s.addCoef(coef, s.scale)
		return
	}
	s.addSlow(big.NewInt(coef), scale)
}

// rescale brings the sum and coef to one scale; false when an int64 is too small.
func (s *sum) rescale(coef *int64, scale uint8) bool {
	small, by := coef, int(s.scale)-int(scale)
	if by < 0 {
		small, by = &s.coef, -by
	}
	if by == 0 || by > market.MaxPow10 {
		return false
	}
	factor := market.Pow10(uint8(by))
	limit := math.MaxInt64 / factor
	if *small > limit || *small < -limit {
		return false
	}
	*small *= factor
	s.scale = max(s.scale, scale)
	return true
}

// add adds a decimal of any length; an absent one adds nothing.
func (s *sum) add(d market.Decimal) {
	if coef, ok := d.Coefficient(); ok {
		s.addCoef(coef, d.Scale())
		return
	}
	if !d.IsSet() {
		return
	}
	r, ok := new(big.Rat).SetString(d.String())
	if !ok {
		return
	}
	r.Mul(r, new(big.Rat).SetInt(bigPow10(d.Scale())))
	s.addSlow(new(big.Int).Set(r.Num()), d.Scale())
}

func bigPow10(n uint8) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

func (s *sum) addSlow(v *big.Int, scale uint8) {
	if !s.set {
		s.set, s.scale = true, scale
		if v.IsInt64() {
			s.coef = v.Int64()
			return
		}
		s.big = v
		return
	}
	if s.big == nil {
		s.big = big.NewInt(s.coef)
	}
	switch {
	case scale > s.scale:
		s.big.Mul(s.big, bigPow10(scale-s.scale))
		s.scale = scale
	case scale < s.scale:
		v.Mul(v, bigPow10(s.scale-scale))
	}
	s.big.Add(s.big, v)
	if s.big.IsInt64() {
		s.coef, s.big = s.big.Int64(), nil
	}
}

// decimal is the sum; absent when nothing was added, or when its digits are more
// than a Decimal has.
func (s *sum) decimal() market.Decimal {
	switch {
	case !s.set:
		return market.Decimal{}
	case s.big == nil && s.coef > -1e18 && s.coef < 1e18:
		return market.NewDecimal(s.coef, s.scale)
	}
	v := s.big
	if v == nil {
		v = big.NewInt(s.coef)
	}
	text := new(big.Rat).SetFrac(v, bigPow10(s.scale)).FloatString(int(s.scale))
	d, err := market.ParseDecimal([]byte(text))
	if err != nil {
		return market.Decimal{}
	}
	return d
}
