package storage

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestFreshness: what is known is of the moment before the journal was asked, once
// everything that it had then is applied; what it does not say is not known.
func TestFreshness(t *testing.T) {
	var f freshness
	at := func(s int) time.Time { return time.Unix(1_700_000_000+int64(s), 0) }
	want := func(what string, applied, seen uint64, since int, why string) {
		t.Helper()
		got, when, err := f.at(applied)
		if got != seen || since < 0 && !when.IsZero() || since >= 0 && !when.Equal(at(since)) {
			t.Errorf("%s: %d at %v, want %d at %v", what, got, when, seen, at(since))
		}
		if (err == nil) != (why == "") || err != nil && !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", what, err, why)
		}
	}
	want("nobody was asked", 0, 0, -1, "not been asked")
	f.heard(at(1), 0, 0, errors.New("no majority"))
	want("nobody answers", 0, 0, -1, "no majority")
	f.heard(at(2), 10, 4, nil)
	want("behind", 4, 4, -1, "up to 4, and that went up to 10")
	f.heard(at(3), 12, 9, nil)
	want("still behind", 9, 9, -1, "up to 9, and that went up to 10")
	want("there", 10, 10, 2, "")
	f.heard(at(5), 12, 12, nil)
	want("there at once", 12, 12, 5, "")
	f.heard(at(7), 0, 12, errors.New("no majority"))
	want("cut off", 12, 12, 5, "no majority")
	f.heard(at(30), 15, 12, nil)
	want("back, and behind", 12, 12, 5, "up to 12, and that went up to 15")
	want("caught up", 15, 15, 30, "")
	f.heard(at(32), 20, 20, nil)
	want("another's turn: its store has more than is known here", 15, 20, 32, "")
}
