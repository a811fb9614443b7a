package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/embedded"
)

// ran is what a command came to.
type ran struct {
	code      int
	out, errs string
}

func runCLI(t *testing.T, args ...string) ran {
	t.Helper()
	var out, errs bytes.Buffer
	code := Run(t.Context(), args, nil, &out, &errs, nil)
	return ran{code, out.String(), errs.String()}
}

// TestQueryAsks: every flag reaches the service as its parameter, names are escaped,
// and what continues the answer is told.
func TestQueryAsks(t *testing.T) {
	var got *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("X-Stale", `age=42.0, reason="cut off"`)
		fmt.Fprintln(w, `{"id":"1"}`) // the client may leave
		_ = http.NewResponseController(w).Flush()
		w.Header().Set(http.TrailerPrefix+"X-Next-Cursor", "abc")
	}))
	defer s.Close()
	r := runCLI(t, "query", "trades", "My Venue", "BTC/USDT", "--url", s.URL, "--from", "2026-01-31", "--to", "1769990400", "--limit", "5", "--newest",
		"--fields", "price,id", "--market", "spot", "--origin", "external", "--tier", "hot", "--exact", "--cursor", "c+d")
	if r.code != ExitOK || r.out != "{\"id\":\"1\"}\n" || !strings.Contains(r.errs, "--cursor abc") || !strings.Contains(r.errs, `may be missing: age=42.0, reason="cut off"`) {
		t.Errorf("%+v", r)
	}
	if p := got.URL.EscapedPath(); p != "/api/v1/storage/query/trade/My%20Venue/BTC%2FUSDT" {
		t.Errorf("path %s", p)
	}
	want := "cursor=c%2Bd&exact=true&fields=price%2Cid&format=ndjson&from=2026-01-31T00%3A00%3A00Z&limit=5&market=spot&order=desc&origin=external&tier=hot&to=2026-02-02T00%3A00%3A00Z"
	if q := got.URL.RawQuery; q != want {
		t.Errorf("query %s\nwant  %s", q, want)
	}
}

// TestQueryFails: what is not complete is never taken for it: the exit code says so,
// and a file is not there.
func TestQueryFails(t *testing.T) {
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		code    int
		says    string
	}{
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, `{"id":"1"}`)
			_ = http.NewResponseController(w).Flush() // as a connection does
			panic(http.ErrAbortHandler)
		}, ExitFailed, "cut off"},
		{"away", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "10")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"detail":"the cold store is out of reach"}`)
		}, ExitFailed, "the cold store is out of reach; try again in 10 s"},
		{"unknown", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"detail":"nothing of it is stored"}`)
		}, ExitUsage, "nothing of it is stored"},
		{"no problem document", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, ExitFailed, "Bad Gateway"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := httptest.NewServer(tc.handler)
			defer s.Close()
			file := filepath.Join(t.TempDir(), "x.csv")
			r := runCLI(t, "query", "trade", "binance", "BTC-USDT", "--url", s.URL, "--out", file)
			if r.code != tc.code || !strings.Contains(r.errs, tc.says) {
				t.Errorf("%+v", r)
			}
			if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	if r := runCLI(t, "query", "trade", "binance", "BTC-USDT", "--url", "http://127.0.0.1:1"); r.code != ExitFailed || !strings.Contains(r.errs, "--data") {
		t.Errorf("nobody there: %+v", r)
	}
}

// TestQueryUsage: everything that is wrong with the command line is told before
// anybody is asked.
func TestQueryUsage(t *testing.T) {
	for _, args := range [][]string{
		{"spoon", "binance", "BTC-USDT"},
		{"book_top", "binance", "BTC-USDT"},
		{"trade", "binance"},
		{"trade", "binance", "BTC-USDT", "--format", "xml"},
		{"trade", "binance", "BTC-USDT", "--fields", "price,depth"},
		{"trade", "binance", "BTC-USDT", "--market", "bazaar"},
		{"trade", "binance", "BTC-USDT", "--origin", "heaven"},
		{"trade", "binance", "BTC-USDT", "--tier", "tepid"},
		{"trade", "binance", "BTC-USDT", "--limit", "-1"},
		{"trade", "binance", "BTC-USDT", "--limit", "many"},
		{"trade", "binance", "BTC-USDT", "--from", "yesterday"},
		{"trade", "binance", "BTC-USDT", "--from", "2026-02-01", "--to", "2026-01-01"},
		{"trade", "binance", "BTC-USDT", "--data", "x", "--url", "http://127.0.0.1:1"},
	} {
		if r := runCLI(t, append([]string{"query"}, args...)...); r.code != ExitUsage || r.out != "" || r.errs == "" {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"1h": "2026-03-02T11:00:00Z", "7d": "2026-02-23T12:00:00Z", "0s": "2026-03-02T12:00:00Z", "2026-01-31": "2026-01-31T00:00:00Z",
		"2026-01-31T12:00:00+01:00": "2026-01-31T11:00:00Z", "1769860800000": "2026-01-31T12:00:00Z", "": "",
	} {
		got := text
		if _, err := moment("from", &got, now); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "-1h", "1dd", "1e9d", "NaNd", "0"} {
		if _, err := moment("from", &text, now); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// stoppedNode is the data directory of a node that has stored n trades.
func stoppedNode(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	e, err := embedded.Open(filepath.Join(dir, "hot"), embedded.DefaultConfig(), embedded.Surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	var b market.Batch
	i := &market.Instrument{Exchange: "lab", Market: market.Perpetual, Symbol: "BTCUSDT", Native: "BTC/USDT"}
	for k := range n {
		r := market.Add[market.Trade](&b)
		r.Instrument, r.ExchangeTime, r.ID, r.Epoch = i, 1_769_860_800_000_000_000+int64(k)*1e9, market.NumID(int64(k)), 1
		r.Price, r.Amount = market.NewDecimal(int64(100+k), 2), market.MustDecimal("0.5")
		market.Stamp(r)
	}
	if err := e.Apply(0, 1, &b); err != nil {
		t.Fatal(err)
	}
	if err := e.Seal(persistence.Position{JournalID: "j", Seq: 1}); err != nil {
		t.Fatal(err)
	}
	if err := e.Publish(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestQueryStopped: the directory of a stopped node is read in every format, by the
// only market that has the symbol; a cursor goes on.
func TestQueryStopped(t *testing.T) {
	dir := stoppedNode(t, 3000)
	query := func(more ...string) ran {
		return runCLI(t, append([]string{"query", "trade", "Lab", "btc-usdt", "--data", dir}, more...)...)
	}
	r := query()
	if r.code != ExitOK || strings.Count(r.out, "\n") != 3000 || !strings.Contains(r.out, `"market":"perpetual"`) || r.errs != "" {
		t.Fatalf("%d, %d lines, %s", r.code, strings.Count(r.out, "\n"), r.errs)
	}
	if r := query("--fields", "id,price", "--newest", "--limit", "2", "--format", "csv"); r.out != "id,price\n2999,30.99\n2998,30.98\n" {
		t.Errorf("%+v", r)
	}
	if r := query("--from", "2026-01-31T12:00:10Z", "--to", "2026-01-31T12:00:12Z", "--fields", "id"); r.out != "{\"id\":\"10\"}\n{\"id\":\"11\"}\n" {
		t.Errorf("%+v", r)
	}
	first := query("--limit", "1000", "--fields", "id")
	cursor := first.errs[strings.Index(first.errs, "--cursor ")+len("--cursor "):]
	cursor, _, _ = strings.Cut(cursor, " ")
	rest := query("--fields", "id", "--cursor", cursor)
	if lines := strings.Count(first.out+rest.out, "\n"); lines != 3000 || !strings.HasPrefix(rest.out, `{"id":"1000"}`) {
		t.Errorf("%d lines in two pages, the second begins with %.20s", lines, rest.out)
	}
	var object struct {
		Data  []struct{ ID string }
		Count int
	}
	if r := query("--format", "json"); json.Unmarshal([]byte(r.out), &object) != nil || object.Count != 3000 || len(object.Data) != 3000 {
		t.Errorf("json: %d of %d, %.200s", len(object.Data), object.Count, r.out)
	}
	file := filepath.Join(t.TempDir(), "t.parquet")
	if r := query("--out", file); r.code != ExitOK {
		t.Fatalf("%+v", r)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := parquet.OpenFile(bytes.NewReader(text), int64(len(text))); err != nil || f.NumRows() != 3000 {
		t.Errorf("%v", err)
	}
	for _, bad := range [][]string{{"--cursor", "AAAA"}, {"--market", "spot"}} {
		if r := query(bad...); r.code != ExitUsage {
			t.Errorf("%v: %+v", bad, r)
		}
	}
	if r := query("--tier", "cold"); r.code != ExitFailed {
		t.Errorf("cold: %+v", r)
	}
	if _, err := os.Stat(filepath.Join(dir, "cold")); err == nil {
		t.Error("it made a cold store")
	}
}

// TestQueryNotStopped: a directory that a process has open is not read, and one that
// is none of ours is no input.
func TestQueryNotStopped(t *testing.T) {
	dir := stoppedNode(t, 1)
	e, err := embedded.Open(filepath.Join(dir, "hot"), embedded.DefaultConfig(), embedded.Surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	if r := runCLI(t, "query", "trade", "lab", "BTCUSDT", "--data", dir); r.code != ExitFailed || !strings.Contains(r.errs, "open") || r.out != "" {
		t.Errorf("%+v", r)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	pid := filepath.Join(dir, "run", "data-storage-service.pid") // of a process that was killed
	if err := os.MkdirAll(filepath.Dir(pid), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pid, []byte(`{"pid":2147483646,"started":"1","url":"http://127.0.0.1:1"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := runCLI(t, "query", "trade", "lab", "BTCUSDT", "--data", dir); r.code != ExitOK || !strings.Contains(r.errs, "start it once") {
		t.Errorf("after a kill: %+v", r)
	}
	if r := runCLI(t, "query", "trade", "lab", "BTCUSDT", "--data", t.TempDir()); r.code != ExitInput {
		t.Errorf("an empty directory: %+v", r)
	}
	if r := runCLI(t, "query", "trade", "lab", "BTCUSDT", "--data", dir, "--set", "data-storage-service.engine=questdb"); r.code != ExitUsage || !strings.Contains(r.errs, "QuestDB") {
		t.Errorf("of a node with QuestDB: %+v", r)
	}
}

func TestQueryCompletes(t *testing.T) {
	for want, args := range map[string][]string{
		"liquidation": {"query", ""}, "deribit": {"query", "trade", ""}, "quote_amount": {"query", "trade", "okx", "x", "--fields", ""},
		"price,side": {"query", "trade", "okx", "x", "--fields", "price,"}, "parquet": {"query", "--format", ""}, "trade,book": {"tail", "trade,"}, "binance": {"tail", "trade", "--exchange", ""},
	} {
		if r := runCLI(t, append([]string{"__complete"}, args...)...); !strings.Contains("\n"+r.out, "\n"+want+"\n") {
			t.Errorf("%v: %s", args, r.out)
		}
	}
}

// events is a collector's live stream that ends after each connection's messages.
func events(t *testing.T, connections ...string) *httptest.Server {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(asked.Add(1)) - 1
		if r.URL.Path != "/api/v1/stream" || n >= len(connections) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprintf(w, `{"detail":"asked %s"}`, r.URL)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, connections[n])
	}))
	t.Cleanup(s.Close)
	return s
}

// TestTail: records are printed one a line, nothing else is; a lost connection is made
// again and told; what the service refuses is an error.
func TestTail(t *testing.T) {
	const head = "retry: 2000\n\nevent: subscribed\ndata: {\"type\":\"subscribed\",\"streams\":1}\n\n"
	record := func(n int) string {
		return fmt.Sprintf("id: s-%d\ndata: {\"type\":\"record\",\"n\":%d,\"data\":{\"id\":\"%d\",\"x\":\"a: b\"}}\n\n", n, n, n)
	}
	s := events(t, head+": beat\n\n"+record(1)+"event: state\ndata: {\"type\":\"state\",\"data\":{}}\n\n"+record(2), head+record(3)+record(4))
	r := runCLI(t, "tail", "trade,book", "BTC-USDT", "--url", s.URL, "--count", "3")
	want := "{\"id\":\"1\",\"x\":\"a: b\"}\n{\"id\":\"2\",\"x\":\"a: b\"}\n{\"id\":\"3\",\"x\":\"a: b\"}\n"
	if r.code != ExitOK || r.out != want || !strings.Contains(r.errs, "connecting again") {
		t.Errorf("%+v", r)
	}
	if r := runCLI(t, "tail", "trade,book", "BTC-USDT", "ETH*", "--exchange", "okx", "--market", "spot", "--url", events(t).URL); r.code != ExitUsage ||
		!strings.Contains(r.errs, "exchanges=okx&kinds=trade%2Cbook_delta&markets=spot&symbols=BTC-USDT%2CETH%2A") {
		t.Errorf("%+v", r)
	}
	for _, args := range [][]string{{"tail"}, {"tail", "spoon"}, {"tail", "trade", "--count", "-1"}} {
		if r := runCLI(t, args...); r.code != ExitUsage {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := runCLI(t, "tail", "trade", "--url", "http://127.0.0.1:1"); r.code != ExitFailed {
		t.Errorf("nobody there: %+v", r)
	}
}

// TestTailIsEnded: Ctrl-C is how it ends, and no failure.
func TestTailIsEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "data: {\"type\":\"record\",\"n\":1,\"data\":{\"id\":\"1\"}}\n\n")
		_ = http.NewResponseController(w).Flush() // as a connection does
		<-r.Context().Done()
	}))
	defer s.Close()
	var errs bytes.Buffer
	code := Run(ctx, []string{"tail", "trade", "--url", s.URL}, nil, ending{cancel}, &errs, nil)
	if code != ExitOK || errs.Len() > 0 {
		t.Errorf("%d: %s", code, errs.String())
	}
}

// ending ends a command with the first thing that it prints.
type ending struct{ cancel func() }

func (e ending) Write(p []byte) (int, error) {
	e.cancel()
	return len(p), nil
}
