package scan

import (
	"fmt"
	"strconv"
	"time"

	"github.com/marketprism/marketprism/persistence"
)

// interval cuts time into candles.
type interval struct {
	word  string
	fixed int64 // ns; 0 for calendar months
	// offset moves the cuts of a fixed interval from the Unix epoch.
	offset int64
	months int
}

// parseInterval reads "1s", "5m", "4h", "1d", "1w" (from Monday), "1M" (calendar
// months, UTC).
func parseInterval(word string) (interval, error) {
	bad := fmt.Errorf("%w: interval %q is not a number and one of s, m, h, d, w, M", persistence.ErrQuery, word)
	if len(word) < 2 {
		return interval{}, bad
	}
	n, err := strconv.Atoi(word[:len(word)-1])
	if err != nil || n < 1 || n > 10_000 {
		return interval{}, bad
	}
	unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[word[len(word)-1]]
	switch {
	case word[len(word)-1] == 'M':
		return interval{word: word, months: n}, nil
	case unit == 0:
		return interval{}, bad
	}
	i := interval{word: word, fixed: int64(n) * int64(unit)}
	if word[len(word)-1] == 'w' {
		i.offset = int64(4 * 24 * time.Hour) // 1970-01-05 was a Monday
	}
	return i, nil
}

// bucket returns the half-open bounds of the candle that holds ts.
func (i interval) bucket(ts int64) (open, end int64) {
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
