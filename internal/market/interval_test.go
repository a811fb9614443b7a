package market

import (
	"testing"
	"time"
)

func TestInterval(t *testing.T) {
	at := time.Date(2024, 2, 29, 13, 47, 12, 5, time.UTC) // a Thursday
	day := func(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }
	for word, want := range map[string][2]time.Time{
		"1s":    {at.Truncate(time.Second), at.Truncate(time.Second).Add(time.Second)},
		"15m":   {day(2024, 2, 29).Add(13*time.Hour + 45*time.Minute), day(2024, 2, 29).Add(14 * time.Hour)},
		"4h":    {day(2024, 2, 29).Add(12 * time.Hour), day(2024, 2, 29).Add(16 * time.Hour)},
		"1d":    {day(2024, 2, 29), day(2024, 3, 1)},
		"1w":    {day(2024, 2, 26), day(2024, 3, 4)},
		"1M":    {day(2024, 2, 1), day(2024, 3, 1)},
		"3M":    {day(2024, 1, 1), day(2024, 4, 1)},
		"12M":   {day(2024, 1, 1), day(2025, 1, 1)},
		"1200M": {day(2000, 1, 1), day(2100, 1, 1)},
	} {
		i, ok := ParseInterval(word)
		if !ok || i.String() != word {
			t.Errorf("%s is not taken, or is %q", word, i)
			continue
		}
		open, end := i.Bucket(at.UnixNano())
		if open != want[0].UnixNano() || end != want[1].UnixNano() {
			t.Errorf("%s: %v to %v, want %v", word, time.Unix(0, open).UTC(), time.Unix(0, end).UTC(), want)
		}
		if i.Next(at.UnixNano()) != end || i.Next(open) != open {
			t.Errorf("%s: next is %v", word, time.Unix(0, i.Next(at.UnixNano())).UTC())
		}
	}
	for _, word := range []string{"", "m", "0m", "-1m", "+1m", "1x", "01m", "1.5h", "10001m", "99999m", "1201M", "1 m", "１m"} {
		if i, ok := ParseInterval(word); ok {
			t.Errorf("%q is taken as %v", word, i)
		}
	}
}

// FuzzInterval: buckets of any interval that is taken hold their time, meet, and
// begin within the times that a store has.
func FuzzInterval(f *testing.F) {
	f.Add("1M", int64(1_700_000_000_000_000_000))
	f.Add("10000w", int64(0))
	f.Add("1200M", int64(-1))
	f.Fuzz(func(t *testing.T, word string, ts int64) {
		first, last := time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano(), time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
		i, ok := ParseInterval(word)
		if !ok || ts < first || ts >= last {
			return
		}
		open, end := i.Bucket(ts)
		if open > ts || end <= ts {
			t.Fatalf("%s of %d: %d to %d", word, ts, open, end)
		}
		if end < last {
			if next, _ := i.Bucket(end); next != end {
				t.Fatalf("%s: %d does not begin a bucket, %d does", word, end, next)
			}
		}
	})
}
