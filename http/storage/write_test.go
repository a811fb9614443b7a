package storage_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	branch "github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/persistence"
)

func TestJournalRefuses(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
		code   string
		retry  string
	}{
		{persistence.ErrNoCredit, 503, "journal_busy", "7"},
		{persistence.ErrRefusing, 503, "journal_refuses", "7"},
		{persistence.ErrJournalFull, 503, "journal_full", "7"},
		{persistence.ErrDiskFull, 503, "disk_full", "7"},
		{persistence.ErrDoubt, 503, "journal_in_doubt", "7"},
		{persistence.ErrStopped, 503, "stopping", "7"},
		{persistence.ErrTooLarge, 413, "too_large", ""},
		{branch.ErrBusy, 503, "busy", "1"},
		{branch.ErrReadOnly, 503, "read_only", "10"},
	} {
		t.Run(tc.code, func(t *testing.T) {
			s, m := serve(t)
			m.refuse = tc.err
			for _, media := range []string{"application/json", "application/x-ndjson"} {
				a := call(t, s, http.MethodPost, "/api/v1/storage/hot/trades", media, trade1)
				if a.status != tc.status || problem(t, a).Code != tc.code || a.header.Get("Retry-After") != tc.retry {
					t.Errorf("%s: got %d after %q, %s", media, a.status, a.header.Get("Retry-After"), a.body)
				}
			}
		})
	}
}

// What the journal has is stored, though nobody sees it yet.
func TestNotVisibleYet(t *testing.T) {
	s, m := serve(t)
	m.hidden = true
	a := post(t, s, "hot/trades", trade1)
	if want := strings.Replace(written("1", "trade"), `"visible":true`, `"visible":false`, 1); a.status != 200 || a.body != want {
		t.Errorf("got %d %s, want %s", a.status, a.body, want)
	}
	if got := a.header.Get("X-Journal-Position"); got != "0:1" {
		t.Errorf("its position is %q", got)
	}
}

// An array is all or nothing; of lines, those before the bad one are stored.
func TestAtomicity(t *testing.T) {
	bad := strings.Replace(trade3, `"unknown"`, `"heads"`, 1)
	s, m := serve(t)
	if a := post(t, s, "hot/trades", "["+trade1+","+trade2+","+bad+"]"); a.status != 422 || problem(t, a).Errors[0].Pointer != "/2/side" {
		t.Errorf("array: %d %s", a.status, a.body)
	}
	if a := post(t, s, "hot/trades", "["+trade1+","+trade2+",{]"); a.status != 400 {
		t.Errorf("malformed array: %d %s", a.status, a.body)
	}
	if len(m.records) != 0 {
		t.Fatalf("%d records of bad arrays were stored", len(m.records))
	}
	for name, line := range map[string]string{"bad": bad, "malformed": `{"timestamp":`} {
		a := call(t, s, http.MethodPost, "/api/v1/storage/hot/trades", "application/x-ndjson", trade1+"\n"+trade2+"\n"+line+"\n"+trade3)
		if a.status != map[string]int{"bad": 422, "malformed": 400}[name] || a.header.Get("X-Stored-Records") != "2" ||
			!strings.Contains(problem(t, a).Detail, "stored 2 lines before it") {
			t.Errorf("%s line: %d %v %s", name, a.status, a.header, a.body)
		}
	}
	if len(m.records) != 2 {
		t.Errorf("%d records were stored, want the 2 before the bad line", len(m.records))
	}
}

// Many lines are stored in several messages, in constant memory.
func TestManyLines(t *testing.T) {
	s, m := serve(t)
	const lines = 10_000
	var body strings.Builder
	for i := range lines {
		fmt.Fprintf(&body, `{"timestamp":%d,"symbol":"BTCUSDT","exchange":"binance","price":1,"amount":1,"side":"buy","trade_id":%d}`+"\n", 1723118400000+i, i)
	}
	a := call(t, s, http.MethodPost, "/api/v1/storage/hot/trades", "application/x-ndjson", body.String())
	if a.status != 200 || !strings.Contains(a.body, `"stored":10000`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if len(m.records) != lines || m.seq < 2 || m.seq > 10 {
		t.Errorf("%d records in %d messages", len(m.records), m.seq)
	}
}

func TestHealth(t *testing.T) {
	bad := errors.New("shard 0: a hole in the journal")
	for _, tc := range []struct {
		name               string
		failures, warnings []error
		ways               recorders
		status             int
		word               string
	}{
		{name: "well", status: 200, word: "healthy"},
		{name: "late", warnings: []error{bad}, status: 200, word: "degraded"},
		{name: "stuck", failures: []error{bad}, warnings: []error{bad}, status: 503, word: "unhealthy"},
		{name: "refusing", ways: recorders{{State: "refusing", Reason: "journal full"}}, status: 200, word: "degraded"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, m := serveWith(t, tc.ways)
			m.failures, m.warnings = tc.failures, tc.warnings
			a := call(t, s, http.MethodGet, "/health", "", "")
			if a.status != tc.status || !strings.Contains(a.body, `"status":"`+tc.word+`"`) {
				t.Errorf("%d %s", a.status, a.body)
			}
			if tc.word != "healthy" && !strings.Contains(a.body, "journal") {
				t.Errorf("it does not say why: %s", a.body)
			}
		})
	}
}
