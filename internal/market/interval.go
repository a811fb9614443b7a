package market

import (
	"strconv"
	"time"
)

// Interval is how long a candle is: a fixed duration, or calendar months, in UTC.
// The zero value is none.
type Interval struct {
	word  string
	fixed int64 // ns; 0 for calendar months
	// offset moves the cuts of a fixed interval from the Unix epoch.
	offset int64
	months int
}

// Bounds of the number in an interval's word. Twelve hundred months are a century:
// beyond, an open time is no Unix time in ns any more.
const (
	maxIntervalUnits  = 10_000
	maxIntervalMonths = 1200
)

// ParseInterval reads "1s", "5m", "4h", "1d", "1w", "1M": a whole number up to 10000
// (of months up to 1200) and s, m, h, d, w or M. Intervals are counted from the Unix
// epoch; weeks from its first Monday, months from January of year 0.
func ParseInterval(word string) (Interval, bool) {
	if len(word) < 2 || word[0] < '1' || word[0] > '9' {
		return Interval{}, false
	}
	unit := word[len(word)-1]
	n, err := strconv.ParseUint(word[:len(word)-1], 10, 16)
	if err != nil || n > maxIntervalUnits {
		return Interval{}, false
	}
	i := Interval{word: word}
	switch unit {
	case 's':
		i.fixed = int64(n) * int64(time.Second)
	case 'm':
		i.fixed = int64(n) * int64(time.Minute)
	case 'h':
		i.fixed = int64(n) * int64(time.Hour)
	case 'd':
		i.fixed = int64(n) * int64(24*time.Hour)
	case 'w':
		i.fixed = int64(n) * int64(7*24*time.Hour)
		i.offset = int64(4 * 24 * time.Hour) // 1970-01-05 was a Monday
	case 'M':
		i.months = int(n)
		return i, n <= maxIntervalMonths
	default:
		return Interval{}, false
	}
	return i, true
}

// String is the word.
func (i Interval) String() string { return i.word }

// Bucket returns the half-open bounds, Unix ns, of the candle that holds ts, which
// is between the years 1900 and 2150.
func (i Interval) Bucket(ts int64) (open, end int64) {
	if i.fixed > 0 {
		into := (ts - i.offset) % i.fixed
		if into < 0 {
			into += i.fixed
		}
		return ts - into, ts - into + i.fixed
	}
	t := time.Unix(0, ts).UTC()
	month := t.Year()*12 + int(t.Month()) - 1
	month -= month % i.months
	start := time.Date(month/12, time.Month(month%12+1), 1, 0, 0, 0, 0, time.UTC)
	return start.UnixNano(), start.AddDate(0, i.months, 0).UnixNano()
}

// Next is the first open time at or after ts.
func (i Interval) Next(ts int64) int64 {
	if open, end := i.Bucket(ts); open < ts {
		return end
	}
	return ts
}
