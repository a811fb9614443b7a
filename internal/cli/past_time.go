package cli

import (
	"fmt"
	"strings"
	"time"
)

// pastTime reads a flag that names a time by a date, a time or an age; nil for none.
func pastTime(flag, text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n float64
		if _, err := fmt.Sscanf(days+" ", "%g ", &n); err == nil && n >= 0 && n <= 36500 {
			t := now.Add(-time.Duration(n * float64(24*time.Hour)))
			return &t, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil {
		if d < 0 {
			return nil, usage("%s %s: the age is below zero", flag, text)
		}
		t := now.Add(-d)
		return &t, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime} {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if t.After(now) {
			return nil, usage("%s %s: it is in the future", flag, text)
		}
		return &t, nil
	}
	return nil, usage("%s %q: want an age (30m, 36h, 7d), a date (2026-01-31) or a time (2026-01-31T12:00:00Z)", flag, text)
}
