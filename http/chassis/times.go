package chassis

import (
	"errors"
	"math/big"
	"strings"
	"time"
)

// Times outside these bounds are refused: before crypto markets, and far
// enough ahead that only a wrong unit explains them.
var (
	earliest = time.Date(2009, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2101, 1, 1, 0, 0, 0, 0, time.UTC)
)

var (
	errTimeForm  = errors.New("must be a time: RFC 3339, a date and time without zone (read as UTC), or a Unix epoch in s, ms, µs or ns")
	errTimeRange = errors.New("must be a time within the years 2009 and 2100")
)

// timeLayouts are the accepted forms, after a space or t between date and time
// has become T. A fraction of a second is accepted after the seconds of each.
var timeLayouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02",
}

// ParseTime reads a time as clients send it: RFC 3339; a date, or date and
// time, without zone, which is UTC; or a Unix epoch, with or without a
// fraction, in seconds, milliseconds, microseconds or nanoseconds by its
// magnitude. The result is UTC, within 2009 and 2100.
func ParseTime(s string) (time.Time, error) {
	if len(s) < 4 || len(s) > 64 {
		return time.Time{}, errTimeForm
	}
	if c := s[0]; (c == '-' || c == '+' || c >= '0' && c <= '9') && !strings.ContainsAny(s[1:], ":-") || strings.ContainsAny(s, "eE") {
		return parseEpoch(s)
	}
	if len(s) > 10 && (s[10] == ' ' || s[10] == 't') {
		s = s[:10] + "T" + s[11:]
	}
	if s[len(s)-1] == 'z' {
		s = s[:len(s)-1] + "Z"
	}
	for _, layout := range timeLayouts {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		return inRange(t.UTC())
	}
	return time.Time{}, errTimeForm
}

// parseEpoch is exact: no digit goes through a float.
func parseEpoch(s string) (time.Time, error) {
	if strings.ContainsAny(s, "/_xXpPbBoO") {
		return time.Time{}, errTimeForm // forms of big.Rat that are no decimal
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 && len(s)-i > 4 {
		return time.Time{}, errTimeForm // an exponent of three digits or more
	}
	v, ok := new(big.Rat).SetString(s)
	if !ok {
		return time.Time{}, errTimeForm
	}
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond, time.Nanosecond} {
		ns := new(big.Rat).Mul(v, new(big.Rat).SetInt64(int64(unit)))
		whole := new(big.Int).Quo(ns.Num(), ns.Denom())
		if !whole.IsInt64() {
			continue
		}
		if t, err := inRange(time.Unix(0, whole.Int64()).UTC()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errTimeRange
}

func inRange(t time.Time) (time.Time, error) {
	if t.Before(earliest) || !t.Before(latest) {
		return time.Time{}, errTimeRange
	}
	return t, nil
}

// FormatTime renders t as answers do: RFC 3339, UTC, as many digits as needed.
func FormatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
