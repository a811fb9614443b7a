package scan

import (
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

func TestInterval(t *testing.T) {
	at := time.Date(2024, 2, 29, 13, 47, 12, 5, time.UTC) // a Thursday
	day := func(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }
	for word, want := range map[string][2]time.Time{
		"1s":  {at.Truncate(time.Second), at.Truncate(time.Second).Add(time.Second)},
		"15m": {day(2024, 2, 29).Add(13*time.Hour + 45*time.Minute), day(2024, 2, 29).Add(14 * time.Hour)},
		"4h":  {day(2024, 2, 29).Add(12 * time.Hour), day(2024, 2, 29).Add(16 * time.Hour)},
		"1d":  {day(2024, 2, 29), day(2024, 3, 1)},
		"1w":  {day(2024, 2, 26), day(2024, 3, 4)},
		"1M":  {day(2024, 2, 1), day(2024, 3, 1)},
		"3M":  {day(2024, 1, 1), day(2024, 4, 1)},
	} {
		i, err := parseInterval(word)
		if err != nil {
			t.Errorf("%s: %v", word, err)
			continue
		}
		open, end := i.bucket(at.UnixNano())
		if open != want[0].UnixNano() || end != want[1].UnixNano() {
			t.Errorf("%s: %v to %v, want %v", word, time.Unix(0, open).UTC(), time.Unix(0, end).UTC(), want)
		}
		if o, e := i.bucket(open); o != open || e != end {
			t.Errorf("%s: its first instant is in another bucket", word)
		}
		if o, _ := i.bucket(end); o != end {
			t.Errorf("%s: its end does not begin the next", word)
		}
	}
	old, err := parseInterval("1d")
	if err != nil {
		t.Fatal(err)
	}
	if open, end := old.bucket(-1); open != -int64(24*time.Hour) || end != 0 {
		t.Errorf("before 1970: %d to %d", open, end)
	}
	for _, word := range []string{"", "m", "0m", "-1m", "1x", "1.5h", "99999m"} {
		if _, err := parseInterval(word); err == nil {
			t.Errorf("%q was taken", word)
		}
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
