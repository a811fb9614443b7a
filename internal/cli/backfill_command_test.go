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

	"github.com/marketprism/marketprism/http/client"
)

// TestBackfillUsage: what is wrong is said before anything is asked or started.
func TestBackfillUsage(t *testing.T) {
	for _, tc := range []struct {
		args string
		says string
	}{
		{"", "--gaps, or --from"},
		{"--from 1h", "--exchange and --symbols"},
		{"--gaps --symbols BTC-USDT", "need --exchange"},
		{"--gaps --exchange nowhere", `"nowhere": there are binance, `},
		{"--gaps --exchange okx --market moon", "perpetual"},
		{"--exchange okx --symbols BTC-USDT --kinds weather --from 1h", "no such kind is stored"},
		{"--exchange okx --symbols BTC-USDT --from 2199-01-01", "in the future"},
		{"--exchange okx --symbols BTC-USDT --from 2h --to 2199-01-01", "in the future"},
		{"--exchange okx --symbols BTC-USDT --from 1h --to 2h", "not before --to"},
		{"--exchange okx --symbols BTC-USDT --from yesterday", "want an age"},
		{"--gaps -o xml", "want table or json"},
		{"--capture x --gaps", "--capture goes with"},
	} {
		var out, errs bytes.Buffer
		code := Run(t.Context(), append([]string{"backfill", "--url", "http://127.0.0.1:1"}, strings.Fields(tc.args)...), nil, &out, &errs, nil)
		if code != ExitUsage || !strings.Contains(errs.String(), tc.says) {
			t.Errorf("backfill %s: ends with %d and says %q", tc.args, code, errs.String())
		}
	}
}

// serveBackfills is a collector whose operations answer polls with what tell says.
func serveBackfills(t *testing.T, tell func(id string, poll int64) map[string]any) (url string, cancelled *atomic.Int64) {
	var polls atomic.Int64
	cancelled = new(atomic.Int64)
	op := func(id string) map[string]any {
		return map[string]any{"operation_id": id, "exchange": "okx", "market": "spot", "symbol": id, "state": "queued"}
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var answer any
		id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		switch {
		case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/no-such/backfill"):
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			answer = map[string]any{"detail": `no symbol "no-such"`}
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusAccepted)
			answer = map[string]any{"success": true, "operation": op(strings.Split(r.URL.Path, "/")[5])}
		case r.Method == http.MethodDelete:
			cancelled.Add(1)
			answer = op(id)
		case r.URL.Path == "/api/v1/quality":
			answer = map[string]any{"streams": []map[string]any{{"exchange": "okx", "market": "spot", "symbol": "A"}, {"exchange": "binance", "market": "spot", "symbol": "B"}}}
		default:
			answer = tell(id, polls.Add(1))
		}
		_ = json.NewEncoder(w).Encode(answer) // the client may leave
	}))
	t.Cleanup(s.Close)
	return s.URL, cancelled
}

func TestBackfillFollows(t *testing.T) {
	url, cancelled := serveBackfills(t, func(id string, poll int64) map[string]any {
		o := map[string]any{"operation_id": id, "exchange": "okx", "market": "spot", "symbol": id, "state": "running", "progress": .5, "doing": "trade", "records": 40, "calls": 2}
		if poll > 1 {
			o["state"], o["records"], o["gaps_found"], o["gaps_healed"] = "succeeded", 80, 2, 2
		}
		return o
	})
	var out, errs bytes.Buffer
	if code := Run(t.Context(), []string{"backfill", "--url", url, "--gaps", "--exchange", "okx"}, nil, &out, &errs, nil); code != ExitOK {
		t.Fatalf("%d %s", code, errs.String())
	}
	if !strings.Contains(out.String(), "okx spot A  succeeded  80 ") || !strings.Contains(out.String(), "2 of 2") || strings.Contains(out.String(), " B ") {
		t.Errorf("%s", out.String())
	}
	if !strings.Contains(errs.String(), " 50%  okx A trade, 40 records in 2 calls") || cancelled.Load() != 0 {
		t.Errorf("%q, %d cancelled", errs.String(), cancelled.Load())
	}
	out.Reset()
	if code := Run(t.Context(), []string{"backfill", "--url", url, "--gaps", "-o", "json"}, nil, &out, &errs, nil); code != ExitOK || strings.Count(out.String(), `"operation_id"`) != 2 || !json.Valid(out.Bytes()) {
		t.Errorf("%d %s", code, out.String())
	}
	out.Reset()
	if code := Run(t.Context(), []string{"backfill", "--url", url, "--gaps", "--detach"}, nil, &out, &errs, nil); code != ExitOK || out.String() != "A\nB\n" {
		t.Errorf("%d %q", code, out.String())
	}
	errs.Reset()
	code := Run(t.Context(), []string{"backfill", "--url", url, "--exchange", "okx", "--symbols", "A,no-such", "--from", "1h"}, nil, &out, &errs, nil)
	if code != ExitUsage || !strings.Contains(errs.String(), `okx no-such: no symbol "no-such"`) || cancelled.Load() != 1 {
		t.Errorf("%d %q, %d cancelled", code, errs.String(), cancelled.Load())
	}
}

// TestBackfillEnded: Ctrl-C ends the operations that the command began, and says how to
// go on.
func TestBackfillEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	url, cancelled := serveBackfills(t, func(id string, poll int64) map[string]any {
		if poll == 2 {
			cancel()
		}
		return map[string]any{"operation_id": id, "state": "running", "progress": .1}
	})
	var out, errs bytes.Buffer
	code := Run(ctx, []string{"backfill", "--url", url, "--gaps"}, nil, &out, &errs, nil)
	if code != ExitFailed || cancelled.Load() != 2 || !strings.Contains(errs.String(), "goes on from there") {
		t.Errorf("%d, %d cancelled: %q", code, cancelled.Load(), errs.String())
	}
}

func TestBackfillText(t *testing.T) {
	ops := []*client.Backfill{{State: "succeeded", Records: 100, Calls: 1}, {Exchange: "okx", Symbol: "BTC-USDT", Doing: "candle 1m", State: "running", Progress: .5, Records: 20, Calls: 2}}
	if got, want := backfillText(ops, 1, 30*time.Second), " 75%  okx BTC-USDT candle 1m, 120 records in 3 calls, 10s left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
