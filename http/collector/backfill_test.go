package collector_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	branch "github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// operation is the one that the fixed branch knows.
func operation(r branch.BackfillRequest) branch.BackfillStatus {
	return branch.BackfillStatus{
		ID: "binance-spot-7-1", Instrument: btc, Gaps: r.Gaps, From: r.From, To: r.To, Parts: append([]string{"trade"}, r.Kinds...), Doing: "trade",
		State: branch.BackfillRunning, Created: now, Started: now.Add(time.Second), Progress: .25, BackfillCounts: branch.BackfillCounts{Records: 10, Stored: 20, Missing: 1, Calls: 3},
	}
}

func (f *fixed) BeginBackfill(_ context.Context, r branch.BackfillRequest) (branch.BackfillStatus, error) {
	if f.away != nil {
		return branch.BackfillStatus{}, f.away
	}
	if r.To.After(now) {
		return branch.BackfillStatus{}, &branch.InvalidError{Field: "to", Value: "it"}
	}
	return operation(r), f.symbol(r.Exchange, r.Market, r.Symbol)
}

func (f *fixed) Backfills(context.Context) []branch.BackfillStatus {
	return []branch.BackfillStatus{operation(branch.BackfillRequest{Gaps: true})}
}

func (f *fixed) BackfillStatus(_ context.Context, id string) (branch.BackfillStatus, error) {
	s := operation(branch.BackfillRequest{})
	if id != s.ID {
		return s, &branch.UnknownError{What: "backfill", Name: id}
	}
	return s, nil
}

func (f *fixed) AwaitBackfill(ctx context.Context, id string) (branch.BackfillStatus, error) {
	s, err := f.BackfillStatus(ctx, id)
	if until, ok := ctx.Deadline(); ok && time.Until(until) <= 5*time.Second {
		s.State, s.Progress, s.Finished = branch.BackfillSucceeded, 1, now.Add(2*time.Second)
	}
	return s, err
}

func (f *fixed) CancelBackfill(ctx context.Context, id string) (branch.BackfillStatus, error) {
	s, err := f.BackfillStatus(ctx, id)
	s.State = branch.BackfillCancelled
	return s, err
}

func (f *fixed) Import(_ context.Context, lines []byte) (branch.Imported, error) {
	switch text := string(lines); {
	case f.away != nil:
		return branch.Imported{}, f.away
	case strings.Contains(text, "nonsense"):
		return branch.Imported{}, fmt.Errorf("line 1: %w", market.ErrJSONRecord)
	case strings.Contains(text, "nowhere"):
		return branch.Imported{}, &branch.UnknownError{What: "exchange", Name: "nowhere"}
	}
	return branch.Imported{Records: strings.Count(string(lines), "\n"), Known: 1}, nil
}

func TestImport(t *testing.T) {
	for _, tc := range []struct {
		body string
		away error
		code int
		says string
	}{
		{"{}\n{}\n", nil, 200, `{"success":true,"records":2,"known":1,"timestamp":"2024-08-08T12:00:05Z"}`},
		{"nonsense", nil, 400, `"code":"invalid_record"`},
		{"nowhere", nil, 404, `"code":"unknown_exchange"`},
		{"{}", persistence.ErrJournalFull, 503, `"code":"journal_unavailable"`},
		{"{}", persistence.ErrTooLarge, 413, `"code":"too_large"`},
		{"{}", branch.ErrNoStore, 503, `"code":"store_away"`},
	} {
		s := serve(t, &fixed{away: tc.away})
		if code, got, _ := call(t, s, "POST", "/api/v1/backfills", tc.body); code != tc.code || !strings.Contains(got, tc.says) {
			t.Errorf("%s: %d %s", tc.body, code, got)
		}
	}
}

func TestBackfills(t *testing.T) {
	s := serve(t, &fixed{})
	const (
		at   = `"2024-08-08T12:00:05Z"`
		head = `{"operation_id":"binance-spot-7-1","exchange":"binance","market":"spot","symbol":"BTC-USDT","state":`
		tail = `"records":10,"stored":20,"missing":1,"calls":3,"gaps_found":0,"gaps_healed":0,"gaps_left":0,"resumed":0,"unobtainable":[]}`
		went = `"created":` + at + `,"started":"2024-08-08T12:00:06Z","progress":0.25,` + tail
		runs = head + `"running","parts":["trade"],"doing":"trade","gaps":`
	)
	for _, tc := range []struct {
		name, method, path, body string
		code                     int
		want                     string
	}{
		{"gaps", "POST", "quality/binance/BTCUSDT/backfill", "", 202, `{"success":true,"operation":` + runs + `true,` + went + `,"timestamp":` + at + `}`},
		{"a range", "POST", "quality/binance/BTCUSDT/backfill", `{"kinds":["candle"],"from":"2024-08-07T00:00:00Z","to":"2024-08-08T00:00:00Z"}`, 202,
			`{"success":true,"operation":` + head + `"running","parts":["trade","candle"],"doing":"trade","gaps":false,"from":"2024-08-07T00:00:00Z","to":"2024-08-08T00:00:00Z",` + went + `,"timestamp":` + at + `}`},
		{"all", "GET", "backfills", "", 200, `{"operations":[` + runs + `true,` + went + `],"count":1,"timestamp":` + at + `}`},
		{"one", "GET", "backfills/binance-spot-7-1", "", 200, runs + `false,` + went},
		{"one, awaited", "GET", "backfills/binance-spot-7-1?wait=5s", "", 200, head + `"succeeded","parts":["trade"],"doing":"trade","gaps":false,` +
			`"created":` + at + `,"started":"2024-08-08T12:00:06Z","finished":"2024-08-08T12:00:07Z","progress":1,` + tail},
		{"cancelled", "DELETE", "backfills/binance-spot-7-1", "", 200, head + `"cancelled","parts":["trade"],"doing":"trade","gaps":false,` + went},
	} {
		code, got, header := call(t, s, tc.method, "/api/v1/"+tc.path, tc.body)
		if code != tc.code || got != tc.want {
			t.Errorf("%s:\n got %d %s\nwant %d %s", tc.name, code, got, tc.code, tc.want)
		}
		if tc.code == 202 && header.Get("Location") != "/api/v1/backfills/binance-spot-7-1" {
			t.Errorf("%s: Location %q", tc.name, header.Get("Location"))
		}
	}
	away := serve(t, &fixed{away: branch.ErrNoStore})
	full := serve(t, &fixed{away: branch.ErrBackfillsFull})
	for _, tc := range []struct {
		on                       string
		method, path, body, says string
		code                     int
	}{
		{"here", "GET", "backfills/none", "", "unknown_backfill", 404},
		{"here", "DELETE", "backfills/none", "", "unknown_backfill", 404},
		{"here", "GET", "backfills/binance-spot-7-1?wait=1h", "", "invalid_field", 422},
		{"here", "POST", "quality/binance/BTCUSDT/backfill", `{"from":"2024-08-07T00:00:00Z","to":"2030-08-08T00:00:00Z"}`, "invalid_field", 400},
		{"here", "POST", "quality/binance/BTCUSDT/backfill", `{"fro":1}`, "fro", 422},
		{"away", "POST", "quality/binance/BTCUSDT/backfill", "", "store_away", 503},
		{"full", "POST", "quality/binance/BTCUSDT/backfill", "", "too_many_backfills", 503},
	} {
		on := s
		switch tc.on {
		case "away":
			on = away
		case "full":
			on = full
		}
		if code, got, _ := call(t, on, tc.method, "/api/v1/"+tc.path, tc.body); code != tc.code || !strings.Contains(got, tc.says) {
			t.Errorf("%s %s %s: %d %s", tc.method, tc.path, tc.body, code, got)
		}
	}
}
