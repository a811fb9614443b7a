package storage_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// suspended says why a table is, until it is resumed.
type suspended map[market.Kind]string

// Resume implements the façade's question.
func (m *memory) Resume(_ context.Context, kind market.Kind) (string, error) {
	if m.failing != nil {
		return "", m.failing
	}
	if m.suspended == nil {
		return "", persistence.ErrNoServer
	}
	reason := m.suspended[kind]
	delete(m.suspended, kind)
	return reason, nil
}

func TestResumeATable(t *testing.T) {
	s, m := serve(t)
	if a := post(t, s, "tables/trades/resume", ""); a.status != http.StatusConflict || problem(t, a).Code != "no_server" {
		t.Errorf("of files: %d %s", a.status, a.body)
	}
	m.suspended = suspended{market.KindTrade: "disk full"}
	const done = `"timestamp":"2024-08-08T12:00:05Z"}`
	for _, tc := range []struct {
		table  string
		status int
		want   string
	}{
		{"trades", 200, `{"status":"success","message":"the server goes on with the table","table":"trades","was_suspended":true,"reason":"disk full",` + done},
		{"trade", 200, `{"status":"success","message":"the table was not suspended","table":"trades","was_suspended":false,` + done},
		{"nothing", 404, "unknown_table"},
		{"book_top", 404, "unknown_table"},
	} {
		a := post(t, s, "tables/"+tc.table+"/resume", "")
		got := a.body
		if a.status != http.StatusOK {
			got = problem(t, a).Code
		}
		if a.status != tc.status || got != tc.want {
			t.Errorf("%s: %d %s, want %d %s", tc.table, a.status, got, tc.status, tc.want)
		}
	}
	m.failing = fmt.Errorf("asking: %w", persistence.ErrUnavailable)
	if a := post(t, s, "tables/trades/resume", ""); a.status != http.StatusServiceUnavailable || problem(t, a).Code != "store_unavailable" || a.header.Get("Retry-After") == "" {
		t.Errorf("a server that is away: %d %s", a.status, a.body)
	}
}
