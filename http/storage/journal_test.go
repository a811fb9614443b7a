package storage_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	branch "github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/persistence"
)

func TestApplied(t *testing.T) {
	s, _ := serve(t)
	for _, tc := range []struct {
		query   string
		status  int
		reached bool
		code    string
	}{
		{"position=0:7&journal=j", 200, true, ""},
		{"position=0:8&journal=j&wait=10ms", 200, false, ""},
		{"position=0:7&journal=k", 409, false, "journal_fault"},
		{"position=3:7&journal=j", 404, false, "unknown_shard"},
		{"position=7&journal=j", 400, false, ""},
		{"position=-1:7&journal=j", 400, false, ""},
		{"position=0:7", 400, false, ""},
		{"position=0:7&journal=j&wait=1h", 400, false, ""},
	} {
		a := get(t, s, "applied?"+tc.query)
		if a.status != tc.status && (tc.status != 400 || a.status != 422) {
			t.Errorf("%s: %d %s", tc.query, a.status, a.body)
			continue
		}
		if a.status != http.StatusOK {
			if p := problem(t, a); tc.code != "" && p.Code != tc.code {
				t.Errorf("%s: code %s", tc.query, p.Code)
			}
			continue
		}
		var got struct {
			Reached bool   `json:"reached"`
			Applied uint64 `json:"applied"`
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.Reached != tc.reached || got.Applied != 7 {
			t.Errorf("%s: %+v, %v", tc.query, got, err)
		}
	}
}

func TestAdopt(t *testing.T) {
	s, m := serve(t)
	m.standing = branch.Standing{JournalID: "j", StoreID: "k", Shards: []branch.ShardStanding{{Verdict: branch.VerdictOther, Detail: "other"}}}
	if a := get(t, s, "journal"); a.status != 200 || !strings.Contains(a.body, `"verdict":"other_journal"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, body := range []string{`{"accept_loss":false}`, `{}`} {
		if a := post(t, s, "journal/adopt", body); a.status != 422 {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	m.adopted = []branch.Adoption{{Joined: 5, RecoveredRecords: 2}}
	if a := post(t, s, "journal/adopt", `{"accept_loss":true}`); a.status != 200 || !strings.Contains(a.body, "joined again") || !strings.Contains(a.body, `"recovered_records":2`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	m.notAdopted = fmt.Errorf("%w: the other reads it too", branch.ErrNotAdoptable)
	if a := post(t, s, "journal/adopt", `{"accept_loss":true}`); a.status != 409 || problem(t, a).Code != "not_adoptable" {
		t.Errorf("%d %s", a.status, a.body)
	}
	m.notAdopted = &persistence.IOError{Op: "write", Path: "x", Err: fmt.Errorf("no space")}
	if a := post(t, s, "journal/adopt", `{"accept_loss":true}`); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestExactAndTally: names as they are stored reach what no table knows.
func TestExactAndTally(t *testing.T) {
	s, _ := serve(t)
	if a := post(t, s, "hot/trades", `{"timestamp":"2024-08-08T12:00:00Z","symbol":"new_coin","exchange":"venue","price":1,"amount":1,"side":"buy","trade_id":"1"}`); a.status != 200 {
		t.Fatal(a.body)
	}
	for path, want := range map[string]int{
		"query/trade/venue/NEWCOIN?exact=true":                   1,
		"query/trade/venue/new_coin?exact=true":                  0,
		"query/trade/venue/NEWCOIN?exact=true&market=perpetual":  0,
		"query/trade/venue/new_coin":                             1,
		"query/trade/binance/NOPE-USDT?exact=true&format=ndjson": 0,
	} {
		a := get(t, s, path)
		if got := strings.Count(a.body, `"kind":"trade","exchange"`); a.status != 200 || got != want {
			t.Errorf("%s: %d, %d records, want %d: %s", path, a.status, got, want, a.body)
		}
	}
	span := "from=2024-08-08T00:00:00Z&to=2024-08-09T00:00:00Z"
	if a := get(t, s, "tally/trade/venue/NEWCOIN?exact=true&"+span); a.status != 200 || !strings.Contains(a.body, `"data":[]`) {
		t.Errorf("external records are counted: %d %s", a.status, a.body)
	}
	for _, q := range []string{"", "from=2024-08-08T00:00:00Z", span + "&bucket=1s", span + "&bucket=x"} {
		if a := get(t, s, "tally/trade/venue/NEWCOIN?"+q); a.status < 400 || a.status > 422 {
			t.Errorf("%s: %d %s", q, a.status, a.body)
		}
	}
}
