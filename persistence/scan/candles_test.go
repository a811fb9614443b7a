package scan

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// TestInterval: a word that is no interval is a query that cannot be.
func TestInterval(t *testing.T) {
	if i, err := parseInterval("3M"); err != nil || i.word != "3M" {
		t.Errorf("3M is %v, %v", i, err)
	}
	if _, err := parseInterval("1.5h"); !errors.Is(err, persistence.ErrQuery) {
		t.Errorf("1.5h: %v", err)
	}
}

func TestSum(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var s sum
		want, set := new(big.Rat), false
		for range r.IntN(40) {
			d := market.NewDecimal(r.Int64N(1<<uint(1+r.IntN(59)))-5, uint8(r.IntN(20)))
			switch r.IntN(8) {
			case 0:
				d = market.Decimal{}
			case 1:
				d = market.MustDecimal("12345678901234567890123.000000001")
			}
			s.add(d)
			if d.IsSet() {
				v, _ := new(big.Rat).SetString(d.String())
				want.Add(want, v)
				set = true
			}
		}
		got := s.decimal()
		if got.IsSet() != set {
			t.Fatalf("set: %v, want %v", got.IsSet(), set)
		}
		if v, _ := new(big.Rat).SetString(got.String()); set && v.Cmp(want) != 0 {
			t.Fatalf("sum %s, want %s", got, want.RatString())
		}
	}
}
