package connectors_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors"
)

func TestClientFindsTheServersClock(t *testing.T) {
	ours := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ahead, silent := 3*time.Second, true
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		if !silent {
			w.Header().Set("Date", ours.Add(ahead).UTC().Format(http.TimeFormat))
		}
	}))
	defer srv.Close()
	set := newSetup(t, newServer(t, true))
	set.Venue.Limits.Weight = connectors.Rate{N: 100, Per: time.Minute}
	c := connectors.NewClient(connectors.ClientOptions{Venue: set.Venue, Now: func() time.Time { return ours }})
	call := func() {
		t.Helper()
		if _, err := c.Do(t.Context(), connectors.Request{URL: srv.URL, Weight: 25}); err != nil {
			t.Fatal(err)
		}
	}
	if r, ok := c.Remaining(); !ok || r != 1 {
		t.Errorf("remaining %v, %v before a call", r, ok)
	}
	call()
	if r, ok := c.Remaining(); !ok || r != .75 {
		t.Errorf("remaining %v, %v after a quarter", r, ok)
	}
	if _, _, ok := c.ClockOffset(); ok {
		t.Error("an offset without a Date")
	}
	silent = false
	for range 10 {
		call()
		ours = ours.Add(2*time.Minute + 130*time.Millisecond)
	}
	check := func(want time.Duration) {
		t.Helper()
		got, within, ok := c.ClockOffset()
		if !ok || within > 100*time.Millisecond || got < want-within || got > want+within {
			t.Errorf("offset %v within %v, %v; want %v", got, within, ok, want)
		}
	}
	check(ahead)
	ahead = -40 * time.Second // it was set
	for range 10 {
		call()
		ours = ours.Add(2*time.Minute + 130*time.Millisecond)
	}
	check(ahead)
	if r, ok := c.Remaining(); !ok || r != 1 {
		t.Errorf("remaining %v, %v in the next window", r, ok)
	}
}
