package part

import (
	"testing"
	"time"
)

// TestGenerations: a later journal is above an earlier one, whatever the sequences and
// in whichever order they are met; in one journal the sequence decides.
func TestGenerations(t *testing.T) {
	at := func(text string) int64 {
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return day.UnixNano()
	}
	g := NewNames().Generations()
	g.Note("new", at("2026-03-01"))
	g.Note("old", at("2025-06-02"))
	g.Note("old", at("2025-06-01"))
	g.Note("old", at("2026-06-01")) // it began before
	g.Note("ancient", at("1999-01-01"))
	g.Note("far", at("2199-01-01"))
	const huge = 1<<63 - 1
	for _, c := range []struct {
		what        string
		lower, high uint64
	}{
		{"of one journal", g.Priority("old", 7), g.Priority("old", 8)},
		{"of two", g.Priority("old", 1_000_000), g.Priority("new", 1)},
		{"of two, with a sequence beyond all", g.Priority("old", huge), g.Priority("new", 0)},
		{"before the first year", g.Priority("ancient", 5), g.Priority("old", 1)},
		{"of an unknown one", g.Priority("", 5), g.Priority("old", 1)},
		{"beyond the last year, and what is not in a file yet", g.Priority("far", huge), 1<<63 - 1},
	} {
		if c.lower >= c.high {
			t.Errorf("%s: %d is not below %d", c.what, c.lower, c.high)
		}
	}
}
