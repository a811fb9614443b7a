package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/http/client"
)

// TestArchiveIsLeft: the command that is ended leaves the archive running, and says so.
func TestArchiveIsLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var polls atomic.Int64
	op := storage.Operation{ID: "abc", Job: storage.JobArchive, State: storage.OperationRunning, Rows: 10, Total: 40, Started: time.Now()}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost && r.URL.Path == "/api/v1/storage/cold/archive" && r.Header.Get("Prefer") == "respond-async":
			w.WriteHeader(http.StatusAccepted)
			_ = json.NewEncoder(w).Encode(map[string]any{"operation_id": op.ID, "data": op}) // the client may leave
		case r.Method == http.MethodGet && r.URL.Path == "/api/v1/storage/operations/abc":
			_ = json.NewEncoder(w).Encode(map[string]any{"data": op})
			if polls.Add(1) == 2 {
				cancel()
			}
		default:
			t.Errorf("%s %s is asked", r.Method, r.URL)
		}
	}))
	defer s.Close()
	var out, errs bytes.Buffer
	code := Run(ctx, []string{"archive", "--url", s.URL, "--before", "0s"}, nil, &out, &errs, nil)
	if code != ExitFailed || !strings.Contains(errs.String(), "the archive goes on without this command") || !strings.Contains(errs.String(), "10 of 40 rows") {
		t.Errorf("it ends with %d and says %q", code, errs.String())
	}
	if strings.ContainsAny(errs.String(), "\r\x1b") {
		t.Errorf("it draws where there is no terminal: %q", errs.String())
	}
}

// TestArchiveIsResumed: a service that is started again goes on with the archive, and
// so does the command.
func TestArchiveIsResumed(t *testing.T) {
	states := []storage.Operation{
		{State: storage.OperationRunning, Rows: 10, Total: 40}, {State: storage.OperationInterrupted, Problem: "stopped"}, {}, // away
		{State: storage.OperationQueued, Resumed: 1}, {State: storage.OperationSucceeded, Resumed: 1, Rows: 30, Total: 30, ByTable: map[string]int64{"trades": 30}},
	}
	var asked atomic.Int64 // a connection that is aborted orders nothing between the two requests
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusAccepted)
			_ = json.NewEncoder(w).Encode(map[string]any{"operation_id": "abc", "data": states[0]}) // the client may leave
			return
		}
		now := states[asked.Add(1)-1]
		if now.State == "" {
			panic(http.ErrAbortHandler)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": now}) // the client may leave
	}))
	defer s.Close()
	var out, errs bytes.Buffer
	code := Run(t.Context(), []string{"archive", "--url", s.URL}, nil, &out, &errs, nil)
	if code != ExitOK || !strings.Contains(out.String(), "archived 30 rows") || int(asked.Load()) != len(states) {
		t.Errorf("it ends with %d after %d answers: %s%s", code, asked.Load(), out.String(), errs.String())
	}
}

func TestArchiveBefore(t *testing.T) {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]float64{
		"24h": 24, "30m": 0.5, "0s": 0, "7d": 168, "1.5d": 36, "2026-03-01": 36, "2026-03-02T11:00:00Z": 1, "2026-03-02 10:30:00": 1.5, "2026-03-02T12:00:00+01:00": 1,
	} {
		if got, err := (&archiveOptions{before: text}).age(now); err != nil || got.Hours() != want {
			t.Errorf("%s: %v, %v; want %v hours", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1h", "2026-03-03", "d", "1dd", "-3d", "1e9d"} {
		if got, err := (&archiveOptions{before: text}).age(now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestProgressText(t *testing.T) {
	now := time.Now()
	op := client.Operation{State: client.OperationRunning, Rows: 250, RowsTotal: 1000, Files: 2, Bytes: 2_500_000, Started: now.Add(-5 * time.Second)}
	if got, want := progressText(op, now), " 25%  250 of 1000 rows, 2 files, 2.5 MB, 50 rows/s, 15s left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := bar(share(op), 8); got != "[##------]" {
		t.Errorf("%q", got)
	}
	op.State = client.OperationSucceeded
	if got := bar(share(op), 4); got != "[####]" {
		t.Errorf("%q", got)
	}
}
