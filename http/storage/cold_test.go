package storage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	branch "github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

func TestGoldenLifecycle(t *testing.T) {
	play(t, []exchange{
		{name: "two trades", path: "hot/trades", body: "[" + trade1 + "," + trade3 + "]", status: 200, want: written("2", "trades")},
		{name: "archive", path: "cold/archive", body: `{"data_type":"trades","cutoff_hours":12}`, status: 200,
			want: `{"status":"success","message":"archived 2 rows in 0 files","data_type":"trades","cutoff_time":"2024-08-08T00:00:05Z","archived_count":2,` + done + `,"operation_id":"op1","joined":false,"by_table":{},"files":0}`},
		{name: "archive without a body, as some clients send it", method: http.MethodPost, media: "application/octet-stream", path: "cold/archive", status: 200,
			want: `{"status":"success","message":"archived 2 rows in 0 files","data_type":"all","cutoff_time":"2024-08-07T12:00:05Z","archived_count":2,` + done + `,"operation_id":"op2","joined":false,"by_table":{},"files":0}`},
		{name: "cleanup", path: "lifecycle/cleanup", body: `{"retention_hours":1}`, status: 200,
			want: `{"status":"success","message":"removed 2 rows from the hot store","cutoff_time":"2024-08-08T11:00:05Z","cleaned_count":2,` + done + `,"operation_id":"op3","joined":false,"kept_count":0}`},
		{name: "cleanup without a body", method: http.MethodPost, media: "application/octet-stream", path: "lifecycle/cleanup", status: 200,
			want: `{"status":"success","message":"removed 2 rows from the hot store","cutoff_time":"2024-08-05T12:00:05Z","cleaned_count":2,` + done + `,"operation_id":"op4","joined":false,"kept_count":0}`},
		{name: "what it did", path: "operations/op4", status: 200,
			want: `{"status":"success","data":{"operation_id":"op4","job":"cleanup","state":"succeeded","scheduled":false,"tables":[],"cutoff_time":"2024-08-05T12:00:05Z","created":"2024-08-08T12:00:05Z","started":"2024-08-08T12:00:05Z","finished":"2024-08-08T12:00:05Z","rows":2,"rows_total":2,"files":0,"bytes":0,"by_table":{},"rows_kept":0},` + done + `}`},
		{name: "history", path: "cold/trades/binance/BTCUSDT?start_date=2024-08-08T12:00:00Z&end_date=2024-08-08&limit=5&tier=cold", status: 200,
			want: `{"status":"success","data":[` + asked(row3, "BTCUSDT") + "," + asked(row1, "BTCUSDT") + `],"count":2,"query_params":{"exchange":"binance","symbol":"BTCUSDT","start_date":"2024-08-08T12:00:00Z","end_date":"2024-08-08T23:59:59.999999999Z","limit":5,"tier":"cold"},` + done + `}`},
		{name: "history of nothing", path: "cold/trades/binance/BTCUSDT?end_date=2024-08-07", status: 200,
			want: `{"status":"success","data":[],"count":0,"query_params":{"exchange":"binance","symbol":"BTCUSDT","start_date":null,"end_date":"2024-08-07T23:59:59.999999999Z","limit":1000,"tier":"all"},` + done + `}`},
		{name: "requests are counted", path: "stats", status: 200,
			want: `{"status":"success","data":{"hot_storage":{"trades_count":2,"tickers_count":0,"orderbooks_count":0,"size_mb":0.5},"cold_storage":{"trades_count":5,"tickers_count":0,"orderbooks_count":0,"size_gb":0.003,"available":true},` +
				`"operations":{"total_reads":2,"total_writes":1,"total_archives":2,"total_cleanups":2},"tables":[{"table":"trades","rows":2,"bytes":500000,"parts":1,"memory_rows":0}],"cold_tables":[{"table":"trades","rows":5,"bytes":3000000,"parts":2,"memory_rows":0}],"superseded_rows":0,"quarantined":[]},` + done + `}`},
	})
}

// TestDataTypes: the documented words and every table are understood.
func TestDataTypes(t *testing.T) {
	s, m := serve(t)
	for word, want := range map[string][]market.Kind{
		"": nil, "all": nil, "ALL": nil, "trades": {market.KindTrade}, "tickers": {market.KindTicker},
		"orderbooks": {market.KindBookDelta, market.KindBookSnapshot}, "candle, trade,trades": {market.KindTrade, market.KindCandle},
	} {
		m.asked = nil
		body, err := json.Marshal(map[string]any{"data_type": word, "cutoff_hours": 0.5, "further": true})
		if err != nil {
			t.Fatal(err)
		}
		if a := post(t, s, "cold/archive", string(body)); a.status != 200 {
			t.Errorf("%q: %d %s", word, a.status, a.body)
			continue
		}
		if got := m.asked[0]; !reflect.DeepEqual(got.kinds, want) || got.age != 30*time.Minute {
			t.Errorf("%q: %v of %v, want %v", word, got.kinds, got.age, want)
		}
	}
}

// prefer asks for an archive with a Prefer header.
func prefer(t *testing.T, s *chassis.Server, how string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/api/v1/storage/cold/archive", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Prefer", how)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{status: res.StatusCode, header: res.Header, body: string(body)}
}

// TestRespondAsync: a client that does not want to wait is told where to look.
func TestRespondAsync(t *testing.T) {
	s, m := serve(t)
	m.hold = make(chan struct{})
	a := prefer(t, s, "respond-async")
	var begun struct {
		Status    string
		Operation string `json:"operation_id"`
	}
	if err := json.Unmarshal([]byte(a.body), &begun); err != nil || a.status != http.StatusAccepted || begun.Status != "accepted" {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	if at := a.header.Get("Location"); at != "/api/v1/storage/operations/"+begun.Operation || a.header.Get("Preference-Applied") != "respond-async" {
		t.Errorf("Location %q, Preference-Applied %q", at, a.header.Get("Preference-Applied"))
	}
	state := func() string {
		var o struct{ Data branch.Operation }
		if err := json.Unmarshal([]byte(get(t, s, "operations/"+begun.Operation).body), &o); err != nil {
			t.Fatal(err)
		}
		return o.Data.State
	}
	if got := state(); got != branch.OperationRunning {
		t.Errorf("it is %s", got)
	}
	close(m.hold)
	a = prefer(t, s, "wait=5, respond-async")
	if a.status != http.StatusOK {
		t.Errorf("an operation that is over within the wait: %d %s", a.status, a.body)
	}
}

// TestOutcomes: what stopped an operation is told.
func TestOutcomes(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
		code   string
	}{
		{fmt.Errorf("putting: %w", persistence.ErrAway), 503, "cold_unavailable"},
		{fmt.Errorf("counting: %w", persistence.ErrUnavailable), 503, "store_unavailable"},
		{errors.New("whatever"), 500, "internal"},
	} {
		s, m := serve(t)
		m.outcome = tc.err
		a := post(t, s, "cold/archive", "{}")
		if p := problem(t, a); a.status != tc.status || p.Code != tc.code {
			t.Errorf("%v: %d %s, want %d %s", tc.err, a.status, a.body, tc.status, tc.code)
		}
	}
	for _, err := range []error{branch.ErrNoTiers, branch.ErrBusy} {
		s, m := serve(t)
		m.failing = err
		if a := post(t, s, "lifecycle/cleanup", "{}"); a.status != 409 && a.status != 503 {
			t.Errorf("%v: %d %s", err, a.status, a.body)
		}
	}
}

// TestColdAway: without the cold store no answer has fewer rows; the hot rows can be
// asked for.
func TestColdAway(t *testing.T) {
	s, m := serve(t)
	fill(m, 3)
	m.away = fmt.Errorf("%w: refused", persistence.ErrAway)
	for _, path := range []string{
		"hot/trades/binance/BTCUSDT", "cold/trades/binance/BTCUSDT", "query/trade/binance/BTCUSDT", "query/trade/binance/BTCUSDT?tier=cold",
		"hot/tickers/binance/BTCUSDT", "parts", "parts?tier=cold",
	} {
		a := get(t, s, path)
		if p := problem(t, a); a.status != 503 || p.Code != "cold_unavailable" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for _, path := range []string{"hot/trades/binance/BTCUSDT?tier=hot", "query/trade/binance/BTCUSDT?tier=hot", "cold/trades/binance/BTCUSDT?tier=hot"} {
		if l := list(t, get(t, s, path)); l.Count != 3 {
			t.Errorf("%s: %d rows, want 3", path, l.Count)
		}
	}
	for _, path := range []string{"parts?tier=hot", "status"} {
		if a := get(t, s, path); a.status != 200 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := get(t, s, "stats"); a.status != 200 || !strings.Contains(a.body, `"available":false`) {
		t.Errorf("stats: %d %s", a.status, a.body)
	}
}
