package storage

import (
	"time"
)

// interval is a candle's: a fixed duration counted from the Unix epoch, a week
// from Monday, or a calendar month, all in UTC.
type interval struct {
	word  string
	fixed time.Duration // 0 for a month
}

// intervals are those that can be asked for, shortest first.
var intervals = []interval{
	{"1s", time.Second}, {"1m", time.Minute}, {"3m", 3 * time.Minute}, {"5m", 5 * time.Minute}, {"15m", 15 * time.Minute},
	{"30m", 30 * time.Minute}, {"1h", time.Hour}, {"2h", 2 * time.Hour}, {"4h", 4 * time.Hour}, {"6h", 6 * time.Hour},
	{"8h", 8 * time.Hour}, {"12h", 12 * time.Hour}, {"1d", day}, {"1w", 7 * day}, {"1M", 0},
}

const day = 24 * time.Hour

func intervalWords() []string {
	words := make([]string, len(intervals))
	for i, v := range intervals {
		words[i] = v.word
	}
	return words
}

func parseInterval(word string) interval {
	for _, v := range intervals {
		if v.word == word {
			return v
		}
	}
	return intervals[1]
}

// next is the first open time at or after t, so that a range of trades that
// begins and ends there makes whole candles; the zero time stays zero.
func (v interval) next(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	if v.fixed == 0 {
		open := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
		if open.Before(t) {
			open = open.AddDate(0, 1, 0)
		}
		return open
	}
	// time.Truncate counts from the zero time, which was a Monday, and is a whole
	// number of every other interval before the epoch.
	open := t.Truncate(v.fixed)
	if open.Before(t) {
		open = open.Add(v.fixed)
	}
	return open
}
