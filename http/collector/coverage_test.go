package collector_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// answer is what came back.
type answer struct {
	status int
	body   string
	header http.Header
}

func TestQualityOfTheLedger(t *testing.T) {
	f := &fixed{}
	s := serve(t, f)
	call := func(t *testing.T, path string) answer {
		t.Helper()
		status, body, header := call(t, s, http.MethodGet, "/api/v1/"+path, "")
		return answer{status, body, header}
	}
	day := time.Date(2024, 8, 7, 0, 0, 0, 0, time.UTC)
	for query, want := range map[string][2]time.Time{
		"":                                   {day, now},
		"?day=2024-08-07":                    {day, day.Add(24 * time.Hour)},
		"?from=2024-08-07T06:00:00Z":         {day.Add(6 * time.Hour), now},
		"?to=2024-08-08T01:00:00Z&bucket=1h": {day, day.Add(25 * time.Hour)},
		"?count=false":                       {day, now},
	} {
		a := call(t, "quality/binance/BTCUSDT"+query)
		var got struct {
			Source    string    `json:"source"`
			Coverage  float64   `json:"coverage_percent"`
			Verified  float64   `json:"verified_percent"`
			From      time.Time `json:"from"`
			Live      bool      `json:"live"`
			Observed  float64   `json:"observed_seconds"`
			Covered   float64   `json:"live_seconds"`
			Days      []struct{ Start time.Time }
			Gaps      []struct{ Cause, Outcome string }
			Channels  []struct{ Kind string }
			BookState string `json:"book_state"`
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 {
			t.Fatalf("%s: %d %s", query, a.status, a.body)
		}
		if got.Source != "ledger" || got.Coverage != 75 || got.Verified != 75 || got.Observed != 200 || got.Covered != 150 || len(got.Days) != 1 || len(got.Gaps) != 1 ||
			!got.Live || got.BookState != "live" || len(got.Channels) != 1 || !got.From.Equal(want[0].Add(5*time.Second)) {
			t.Errorf("%s: %+v", query, got)
		}
		if !f.from.Equal(want[0]) || !f.to.Equal(want[1]) || f.count == (query == "?count=false") {
			t.Errorf("%s: asked for %v to %v, count %v", query, f.from, f.to, f.count)
		}
	}
	if a := call(t, "quality?day=2024-08-07"); a.status != 200 || !strings.Contains(a.body, `"source":"ledger"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := call(t, "quality"); a.status != 200 || !strings.Contains(a.body, `"source":"memory"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, query := range []string{"?day=x", "?day=2024-08-07&from=2024-08-07T00:00:00Z", "?from=2024-08-09T00:00:00Z", "?from=2024-01-01T00:00:00Z", "?bucket=1m"} {
		if a := call(t, "quality/binance/BTCUSDT"+query); a.status < 400 || a.status > 422 {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	// Without the store: what this process has seen, and why; asked for a time, no answer.
	f.away = errors.New("nobody there")
	if a := call(t, "quality/binance/BTCUSDT"); a.status != 200 || !strings.Contains(a.body, `"source_reason":"nobody there"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, path := range []string{"quality/binance/BTCUSDT?day=2024-08-07", "quality?day=2024-08-07"} {
		if a := call(t, path); a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}
