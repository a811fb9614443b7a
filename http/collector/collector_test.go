package collector_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	branch "github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/collector"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

var now = time.Date(2024, 8, 8, 12, 0, 5, 0, time.UTC)

var btc = &market.Instrument{Exchange: "binance", Market: market.Spot, Symbol: "BTC-USDT", Native: "BTCUSDT"}

// fixed is a branch with one exchange and one stream, whose answers are known.
type fixed struct {
	err    error // of every question about a symbol
	asked  branch.Subscription
	add    bool
	depth  int
	bucket time.Duration
	checks map[string]branch.Check

	from, to time.Time
	count    bool
	away     error // the store's
}

func (f *fixed) symbol(exchange, word, symbol string) error {
	switch {
	case f.err != nil:
		return f.err
	case exchange != "binance":
		return &branch.UnknownError{What: "exchange", Name: exchange, Known: []string{"binance"}}
	case word != "" && word != "spot":
		return &branch.UnknownError{What: "market", Name: exchange + " " + word}
	case symbol == "XRPUSDT":
		return &branch.MarketError{Symbol: symbol, Markets: []market.Market{market.Perpetual, market.Future}}
	case symbol == "ABC":
		return &market.SymbolError{Spelling: symbol, Candidates: []string{"A-BC", "AB-C"}}
	case market.FoldSymbol(symbol) != "BTCUSDT":
		return &branch.UnknownError{What: "symbol", Name: symbol}
	}
	return nil
}

var exchangeStatus = branch.ExchangeStatus{Enabled: true, Connected: true, LastMessageTime: &now, MessagesCount: 10, ErrorsCount: 1, SupportedSymbols: 3, ActiveSubscriptions: 2}

func (f *fixed) Status(ctx context.Context) branch.Status {
	h := f.Health(ctx)
	return branch.Status{
		Service: branch.Service, Running: true, StartTime: now, UptimeSeconds: 1.5, CollectorMetrics: h.Collector,
		Exchanges: h.Exchanges, DataStats: h.DataStats, SupportedExchanges: []string{"binance"}, SupportedDataTypes: []string{"trade"},
	}
}

func (f *fixed) Health(ctx context.Context) branch.Health {
	return branch.Health{
		Collector: branch.Totals{MessagesProcessed: 10, MessagesPublished: 9, ErrorsCount: 1, LastMessageTime: &now},
		Exchanges: f.Exchanges(ctx), DataStats: map[string]branch.DataStats{"trade": {Records: 5, Gaps: 1}}, Checks: f.checks,
	}
}

func (f *fixed) Exchanges(context.Context) map[string]branch.ExchangeStatus {
	return map[string]branch.ExchangeStatus{"binance": exchangeStatus}
}

func (f *fixed) ExchangeStats(_ context.Context, exchange string) (branch.ExchangeStats, error) {
	if exchange != "binance" {
		return branch.ExchangeStats{}, f.symbol(exchange, "", "BTCUSDT")
	}
	return branch.ExchangeStats{Exchange: exchange, Status: exchangeStatus, AdapterStats: map[string]branch.MarketStats{}, Timestamp: now}, nil
}

func (f *fixed) OrderBook(_ context.Context, exchange, word, symbol string, depth int) (branch.OrderBook, error) {
	f.depth = depth
	levels := func(pairs ...string) (l []market.Level) {
		for i := 0; i < len(pairs); i += 2 {
			l = append(l, market.Level{Price: market.MustDecimal(pairs[i]), Amount: market.MustDecimal(pairs[i+1])})
		}
		return l
	}
	return branch.OrderBook{
		Instrument: btc, State: "live", Sequence: 77, Time: now.UnixNano() - 2e8, Received: now.UnixNano() - 1e8, Age: 0.1,
		Bids: levels("61837.6200", "1.50", "61837.5", "0.2"), Asks: levels("61837.63", "0.7"), BidLevels: 900, AskLevels: 800, ProvenBids: 880, ProvenAsks: 790,
	}, f.symbol(exchange, word, symbol)
}

func (f *fixed) RefreshBook(_ context.Context, exchange, word, symbol string) error {
	return f.symbol(exchange, word, symbol)
}

func (f *fixed) Trades(_ context.Context, exchange, word, symbol string, limit int) ([]market.Trade, error) {
	trade := market.Trade{Header: market.Header{Instrument: btc, ExchangeTime: now.UnixNano(), ReceiveTime: now.UnixNano() + 1, Seq: market.Int(9)},
		ID: market.NumID(9), Price: market.MustDecimal("61837.6300"), Amount: market.MustDecimal("0.50"), Side: market.Buy}
	return []market.Trade{trade, trade}[:min(2, limit)], f.symbol(exchange, word, symbol)
}

func (f *fixed) Symbols(_ context.Context, exchange, word string, collected bool) ([]branch.Symbol, error) {
	list := []branch.Symbol{{Instrument: btc, Collected: true, DataTypes: []string{"trade"}, Origins: []string{"configured"}}}
	if !collected {
		list = append(list, branch.Symbol{Instrument: &market.Instrument{Exchange: "binance", Symbol: "ETH-USDT", Native: "ETHUSDT"}})
	}
	return list, f.symbol(exchange, word, "BTCUSDT")
}

func (f *fixed) Coverage(_ context.Context, exchange, word, symbol string, from, to time.Time, width time.Duration, count bool) (branch.Coverage, error) {
	f.from, f.to, f.count = from, to, count
	if err := f.symbol(exchange, word, symbol); err != nil || f.away != nil {
		return branch.Coverage{}, errors.Join(err, f.away)
	}
	start := from.Truncate(24 * time.Hour).UnixNano()
	day := branch.CoverageBucket{Start: start, End: start + int64(24*time.Hour), Observed: 200e9, Live: 150e9, Records: 4, Verified: 3, Gaps: 1}
	return branch.Coverage{
		Instrument: btc, From: from.UnixNano(), To: to.UnixNano(), Since: from.UnixNano() + 5e9, Percent: 75, Verified: 75, Records: 4,
		ObservedNS: 200e9, Live: 150e9, Days: []branch.CoverageBucket{day}, Buckets: []branch.CoverageBucket{day}, Gaps: f.quality().Gaps,
	}, nil
}

func (f *fixed) AllCoverage(ctx context.Context, from, to time.Time) ([]branch.Coverage, error) {
	c, err := f.Coverage(ctx, "binance", "", "BTCUSDT", from, to, 0, false)
	return []branch.Coverage{c}, err
}

func (f *fixed) quality() branch.Quality {
	return branch.Quality{
		Instrument: btc, Coverage: 99.9996, Verified: 100, From: now.UnixNano(), Live: true, BookState: "live", Resyncs: 1,
		Channels: []branch.ChannelQuality{{Kind: market.KindTrade, Proof: "sequence", Records: 10, Verified: 10, Gaps: 1, Healed: 1, FirstSeq: market.Int(1), LastSeq: market.Int(10), LastTime: now.UnixNano(), LastUpdate: now.UnixNano()}},
		Gaps: []market.Gap{{Channel: "trade", FromSeq: market.Int(4), ToSeq: market.Int(5), FromTime: now.UnixNano(), ToTime: now.UnixNano() + 1e9,
			Cause: market.CauseSequence, Outcome: market.OutcomeHealed, HealedRecords: market.Int(2)}},
	}
}

func (f *fixed) Quality(_ context.Context, exchange, word, symbol string, bucket time.Duration) (branch.Quality, error) {
	f.bucket = bucket
	q := f.quality()
	q.Buckets = []branch.QualityBucket{{Start: now.UnixNano(), Length: bucket, Coverage: -1, Verified: 99.9, Records: 3, Gaps: 1}}
	return q, f.symbol(exchange, word, symbol)
}

func (f *fixed) AllQuality(context.Context) []branch.Quality {
	eth := branch.Quality{Instrument: &market.Instrument{Exchange: "binance", Symbol: "ETH-USDT"}, Coverage: -1, Verified: -1, BookState: "syncing"}
	return []branch.Quality{f.quality(), eth}
}

func (f *fixed) Subscribe(_ context.Context, s branch.Subscription) (branch.Subscribed, error) {
	f.asked, f.add = s, true
	return f.changed(s)
}

func (f *fixed) Unsubscribe(_ context.Context, s branch.Subscription) (branch.Subscribed, error) {
	f.asked, f.add = s, false
	return f.changed(s)
}

func (f *fixed) Overlays(context.Context) []branch.MarketOverlay {
	return []branch.MarketOverlay{
		{Exchange: "binance", Market: market.Spot, Loaded: true, Changes: []branch.Change{{Add: true, Symbol: "SOL-USDT", DataTypes: []string{"trade"}}, {Symbol: "*-EUR", DataTypes: []string{"book_delta"}}}},
		{Exchange: "binance", Market: market.Perpetual},
	}
}

func (f *fixed) changed(s branch.Subscription) (branch.Subscribed, error) {
	for _, symbol := range s.Symbols {
		if err := f.symbol(s.Exchange, s.Market, symbol); err != nil {
			return branch.Subscribed{}, err
		}
	}
	for _, kind := range s.DataTypes {
		if _, ok := market.ParseKind(kind); !ok {
			return branch.Subscribed{}, &branch.InvalidError{Field: "data_types", Value: kind, Allowed: []string{"trade"}}
		}
	}
	return branch.Subscribed{Symbols: []string{"BTC-USDT"}, DataTypes: []string{"trade"}, Active: 4}, nil
}

func serve(t *testing.T, b collector.Branch) *chassis.Server {
	t.Helper()
	return chassistest.Serve(t, collector.Service, func(s *chassis.Server) error {
		hub, err := live.New(live.Options{Config: live.DefaultConfig(), Directory: directory{}})
		if err != nil {
			return err
		}
		return collector.Register(s, collector.Options{Branch: b, Live: hub, Now: func() time.Time { return now }})
	})
}

func call(t *testing.T, s *chassis.Server, method, path, body string) (int, string, http.Header) {
	t.Helper()
	a := chassistest.Call(t, s, method, path, "", body)
	return a.Status, a.Body, a.Header
}

const (
	at       = `"2024-08-08T12:00:05Z"`
	exchange = `{"enabled":true,"connected":true,"last_message_time":` + at + `,"messages_count":10,"errors_count":1,"supported_symbols":3,"active_subscriptions":2}`
	totals   = `{"messages_processed":10,"messages_published":9,"errors_count":1,"last_message_time":` + at + `}`
	data     = `{"trade":{"records":5,"gaps":1,"open_gaps":0,"last_message_time":null}}`
	trade    = `{"kind":"trade","exchange":"binance","market":"spot","symbol":"BTC-USDT","native_symbol":"BTCUSDT","exchange_time_ns":1723118405000000000,"receive_time_ns":1723118405000000001,"seq":9,"id":"9","price":61837.6300,"amount":0.50,"side":"buy"}`
	bookHead = `{"exchange":"Binance","market":"spot","symbol":"btc_usdt","native_symbol":"BTCUSDT","state":"live","sequence":77,"age":0.1,"timestamp":"2024-08-08T12:00:04.8Z"`
	stream   = `"exchange":"binance","market":"spot","symbol":"BTC-USDT","coverage_percent":99.999,"verified_percent":100,"from":` + at + `,"live":true,"book_state":"live","resyncs":1,` +
		`"channels":[{"kind":"trade","proof":"sequence","records":10,"verified_records":10,"gaps":1,"open_gaps":0,"healed_gaps":1,"duplicates":0,"resyncs":0,"checksums_wrong":0,"first_seq":1,"last_seq":10,"last_time":` + at + `,"last_received":` + at + `}],` +
		`"gaps":[{"channel":"trade","from_seq":4,"to_seq":5,"from_time":` + at + `,"to_time":"2024-08-08T12:00:06Z","cause":"sequence","outcome":"healed","healed_records":2}]`
)

func TestGolden(t *testing.T) {
	s := serve(t, &fixed{away: errors.New("nobody there")})
	for _, tc := range []struct{ name, method, path, body, want string }{
		{name: "status", path: "status", want: `{"service":"market-data-collector","running":true,"start_time":` + at + `,"uptime_seconds":1.5,"collector_metrics":` + totals +
			`,"exchanges":{"binance":` + exchange + `},"data_stats":` + data + `,"supported_exchanges":["binance"],"supported_data_types":["trade"],"live_streams":{"clients":{},"subscriptions":0,"messages":0,"bytes":0,"coalesced":0,"dropped":0,"slow_disconnects":0}}`},
		{name: "exchanges", path: "exchanges", want: `{"exchanges":{"binance":` + exchange + `},"total":1,"timestamp":` + at + `}`},
		{name: "one exchange", path: "exchanges/Binance/stats", want: `{"exchange":"binance","status":` + exchange + `,"adapter_stats":{},"timestamp":` + at + `}`},
		{name: "enhanced", path: "orderbook/Binance/btc_usdt", want: bookHead + `,"received":"2024-08-08T12:00:04.9Z","depth":20,"bid_levels":900,"ask_levels":800,"proven_bids":880,"proven_asks":790,` +
			`"bids":[{"price":61837.6200,"amount":1.50},{"price":61837.5,"amount":0.2}],"asks":[{"price":61837.63,"amount":0.7}]}`},
		{name: "legacy", path: "orderbook/Binance/btc_usdt?format=legacy&depth=5", want: bookHead + `,"bids":[[61837.6200,1.50],[61837.5,0.2]],"asks":[[61837.63,0.7]]}`},
		{name: "legacy as text", path: "orderbook/Binance/btc_usdt?format=legacy&decimals=string", want: bookHead + `,"bids":[["61837.6200","1.50"],["61837.5","0.2"]],"asks":[["61837.63","0.7"]]}`},
		{name: "simple", path: "orderbook/Binance/btc_usdt?format=simple&market=spot", want: bookHead + `,"bids":[["61837.6200","1.50"],["61837.5","0.2"]],"asks":[["61837.63","0.7"]]}`},
		{name: "refresh", method: "POST", path: "orderbook/binance/BTCUSDT/refresh", want: `{"success":true,"message":"a new snapshot of BTCUSDT is being fetched","timestamp":` + at + `}`},
		{name: "book stats", path: "orderbook/stats", want: `{"books":2,"live":1,"stale":0,"syncing":1,"resyncs":1,"exchanges":{"binance":{"books":2,"live":1,"stale":0,"syncing":1,"resyncs":1}},"timestamp":` + at + `}`},
		{name: "book health", path: "orderbook/health", want: `{"status":"degraded","books":2,"not_live":[{"exchange":"binance","market":"spot","symbol":"ETH-USDT","state":"syncing"}],"timestamp":` + at + `}`},
		{name: "book exchanges", path: "orderbook/exchanges", want: `{"exchanges":["binance"],"total":1,"timestamp":` + at + `}`},
		{name: "symbols", path: "orderbook/symbols/binance", want: `{"exchange":"binance","symbols":[{"symbol":"BTC-USDT","native_symbol":"BTCUSDT","market":"spot","collected":true,"data_types":["trade"],"origins":["configured"]}],"total":1,"timestamp":` + at + `}`},
		{name: "all symbols", path: "orderbook/symbols/binance?all=true&market=spot", want: `{"exchange":"binance","symbols":[{"symbol":"BTC-USDT","native_symbol":"BTCUSDT","market":"spot","collected":true,"data_types":["trade"],"origins":["configured"]},` +
			`{"symbol":"ETH-USDT","native_symbol":"ETHUSDT","market":"spot","collected":false,"data_types":[],"origins":[]}],"total":2,"timestamp":` + at + `}`},
		{name: "trades", path: "trades/binance/BTCUSDT?limit=1", want: `{"exchange":"binance","symbol":"BTCUSDT","trades":[` + trade + `],"count":1,"timestamp":` + at + `}`},
		{name: "trades as text", path: "trades/binance/BTCUSDT?decimals=string&limit=1", want: `{"exchange":"binance","symbol":"BTCUSDT","trades":[` +
			strings.NewReplacer("61837.6300", `"61837.6300"`, "0.50", `"0.50"`).Replace(trade) + `],"count":1,"timestamp":` + at + `}`},
		{name: "quality", path: "quality", want: `{"streams":[{` + stream + `,"source":"memory"},{"exchange":"binance","market":"spot","symbol":"ETH-USDT","coverage_percent":null,"verified_percent":null,"from":null,"live":false,"book_state":"syncing","resyncs":0,"channels":[],"gaps":[],"source":"memory"}],"count":2,"timestamp":` + at + `}`},
		{name: "quality summed up", path: "quality?channels=false", want: `{"streams":[{"exchange":"binance","market":"spot","symbol":"BTC-USDT","coverage_percent":99.999,"verified_percent":100,"from":` + at + `,"live":true,"book_state":"live","resyncs":1,"channels":[],` +
			`"sum":{"records":10,"gaps":1,"open_gaps":0,"last_received":` + at + `},"gaps":[],"source":"memory"},{"exchange":"binance","market":"spot","symbol":"ETH-USDT","coverage_percent":null,"verified_percent":null,"from":null,"live":false,"book_state":"syncing","resyncs":0,"channels":[],` +
			`"sum":{"records":0,"gaps":0,"open_gaps":0,"last_received":null},"gaps":[],"source":"memory"}],"count":2,"timestamp":` + at + `}`},
		{name: "quality of one", path: "quality/binance/BTCUSDT?bucket=1h", want: `{` + stream + `,"buckets":[{"start":` + at + `,"seconds":3600,"coverage_percent":null,"verified_percent":99.9,"records":3,"gaps":1}],"source":"memory","source_reason":"nobody there"}`},
		{name: "subscriptions", path: "subscriptions", want: `{"service":"market-data-collector","markets":[{"exchange":"binance","market":"spot","loaded":true,"changes":[` +
			`{"action":"subscribe","symbol":"SOL-USDT","data_types":["trade"]},{"action":"unsubscribe","symbol":"*-EUR","data_types":["book_delta"]}]},` +
			`{"exchange":"binance","market":"perpetual","loaded":false,"changes":[]}],"timestamp":` + at + `}`},
		{name: "subscribe", method: "POST", path: "exchanges/binance/subscribe", body: `{"action":"subscribe","symbols":["BTC-USDT"],"data_types":["trades"],"unheard":1}`,
			want: `{"success":true,"action":"subscribe","exchange":"binance","symbols":["BTC-USDT"],"data_types":["trade"],"active_subscriptions":4,"message":"subscribed BTC-USDT","timestamp":` + at + `}`},
		{name: "unsubscribe", method: "POST", path: "exchanges/binance/subscribe", body: `{"action":"unsubscribe","symbols":["BTC-USDT"]}`,
			want: `{"success":true,"action":"unsubscribe","exchange":"binance","symbols":["BTC-USDT"],"data_types":["trade"],"active_subscriptions":4,"message":"unsubscribed BTC-USDT","timestamp":` + at + `}`},
	} {
		if tc.method == "" {
			tc.method = "GET"
		}
		if code, got, _ := call(t, s, tc.method, "/api/v1/"+tc.path, tc.body); code != 200 || got != tc.want {
			t.Errorf("%s: %s\n got %d %s\nwant %s", tc.name, tc.path, code, got, tc.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		name, method, path, body string
		err                      error
		status                   int
		code, says               string
		pointers                 []string // of errors[]
	}{
		{name: "unknown exchange", path: "orderbook/nowhere/BTCUSDT", status: 404, code: "unknown_exchange", says: "binance"},
		{name: "unknown symbol", path: "orderbook/binance/NOPE", status: 404, code: "unknown_symbol", says: "NOPE"},
		{name: "several markets", path: "trades/binance/XRPUSDT", status: 400, code: "market_required", says: "perpetual, future"},
		{name: "ambiguous", path: "quality/binance/ABC", status: 400, code: "ambiguous_symbol", says: "A-BC, AB-C"},
		{name: "no book", path: "orderbook/binance/BTCUSDT", err: branch.ErrNoBook, status: 404, code: "no_book"},
		{name: "starting", path: "orderbook/binance/BTCUSDT", err: branch.ErrNotStarted, status: 503, code: "starting"},
		{name: "busy", path: "orderbook/binance/BTCUSDT", err: supervise.ErrMailboxFull, status: 503, code: "busy"},
		{name: "late", path: "orderbook/binance/BTCUSDT", err: supervise.ErrTimeout, status: 503, code: "deadline_exceeded"},
		{name: "what nobody knows", path: "orderbook/binance/BTCUSDT", err: errors.New("secret"), status: 500, code: "internal"},
		{name: "depth", path: "orderbook/binance/BTCUSDT?depth=0", status: 422, code: "invalid_field"},
		{name: "format", path: "orderbook/binance/BTCUSDT?format=xml", status: 422, code: "invalid_field"},
		{name: "market", path: "orderbook/binance/BTCUSDT?market=bazaar", status: 422, code: "invalid_field"},
		{name: "bucket", path: "quality/binance/BTCUSDT?bucket=1s", status: 422, code: "invalid_field"},
		{name: "subscribe to an unknown exchange", method: "POST", path: "exchanges/nowhere/subscribe", body: `{"action":"subscribe","symbols":["BTCUSDT"]}`, status: 404, code: "unknown_exchange"},
		{name: "subscribe to nothing", method: "POST", path: "exchanges/binance/subscribe", body: `{"action":"subscribe","symbols":[]}`, status: 400, code: "invalid_field", says: "symbols"},
		{name: "subscribe without an action", method: "POST", path: "exchanges/binance/subscribe", body: `{"symbols":["BTCUSDT"]}`, status: 400, code: "invalid_field", says: "action"},
		{name: "do something else", method: "POST", path: "exchanges/binance/subscribe", body: `{"action":"dance","symbols":["BTCUSDT"]}`, status: 400, code: "invalid_field", says: "unsubscribe"},
		{name: "subscribe to an unknown symbol", method: "POST", path: "exchanges/binance/subscribe", body: `{"action":"subscribe","symbols":["NOPE"]}`, status: 400, code: "unknown_symbol", says: "NOPE", pointers: []string{"/symbols/0"}},
		{name: "subscribe to an unknown type", method: "POST", path: "exchanges/binance/subscribe", body: `{"action":"subscribe","symbols":["BTCUSDT"],"data_types":["dreams"]}`, status: 400, code: "invalid_field", says: "dreams", pointers: []string{"/data_types"}},
		{name: "subscribe with half a body", method: "POST", path: "exchanges/binance/subscribe", body: `{"action":`, status: 400, code: "malformed_json"},
		{name: "follow without a handshake", path: "../../ws/v1/stream", status: 426, code: "upgrade_required", says: "ws://"},
		{name: "follow nothing", path: "stream", status: 422, code: "required", says: "kinds"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, &fixed{err: tc.err})
			if tc.method == "" {
				tc.method = "GET"
			}
			path := "/api/v1/" + tc.path
			if rest, ok := strings.CutPrefix(tc.path, "../.."); ok {
				path = rest
			}
			code, body, header := call(t, s, tc.method, path, tc.body)
			var p chassis.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%d %s", code, body)
			}
			if code != tc.status || p.Code != tc.code || !strings.Contains(p.Detail, tc.says) || strings.Contains(body, "secret") {
				t.Errorf("got %d %s, want %d %s saying %q", code, body, tc.status, tc.code, tc.says)
			}
			for i, want := range tc.pointers {
				if len(p.Errors) != len(tc.pointers) || p.Errors[i].Pointer != want || p.Errors[i].In != "body" {
					t.Errorf("blamed: %+v, want %v", p.Errors, tc.pointers)
				}
			}
			if code == 503 && header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
}

// What the façade asks is what the client asked.
func TestQuestions(t *testing.T) {
	f := &fixed{}
	s := serve(t, f)
	call(t, s, "GET", "/api/v1/orderbook/binance/BTCUSDT?depth=7", "")
	call(t, s, "GET", "/api/v1/quality/binance/BTCUSDT?bucket=30m", "")
	call(t, s, "POST", "/api/v1/exchanges/BINANCE/subscribe", `{"action":"unsubscribe","symbols":["BTCUSDT"],"data_types":["kline"],"market":"spot"}`)
	got, want := f.asked, branch.Subscription{Exchange: "binance", Market: "spot", Symbols: []string{"BTCUSDT"}, DataTypes: []string{"kline"}}
	if f.depth != 7 || f.bucket != 30*time.Minute || f.add || got.Exchange != want.Exchange || got.Market != want.Market ||
		strings.Join(got.Symbols, ",") != "BTCUSDT" || strings.Join(got.DataTypes, ",") != "kline" {
		t.Errorf("depth %d, bucket %v, add %v, %+v", f.depth, f.bucket, f.add, got)
	}
}

// TestListedByName: a list of streams may be asked for by words of their names, and not all of it.
func TestListedByName(t *testing.T) {
	s := serve(t, &fixed{})
	for query, want := range map[string]string{"": "BTC-USDT ETH-USDT", "?q=binance": "BTC-USDT ETH-USDT", "?q=Eth+SPOT": "ETH-USDT", "?q=okx": "", "?limit=1": "BTC-USDT", "?q=usdt&limit=1&channels=false": "BTC-USDT"} {
		status, body, _ := call(t, s, "GET", "/api/v1/quality"+query, "")
		var list struct {
			Streams []struct{ Symbol string }
			Count   int
		}
		if err := json.Unmarshal([]byte(body), &list); status != 200 || err != nil {
			t.Fatalf("%s: %d %v %s", query, status, err, body)
		}
		var names []string
		for _, one := range list.Streams {
			names = append(names, one.Symbol)
		}
		if got := strings.Join(names, " "); got != want || list.Count != len(names) {
			t.Errorf("%s: %q, %d, want %q", query, got, list.Count, want)
		}
	}
	// Of a day, the gaps of its ledger come with the sums.
	if _, body, _ := call(t, s, "GET", "/api/v1/quality?channels=false&day=2024-08-08", ""); !strings.Contains(body, `"outcome":"healed"`) || !strings.Contains(body, `"channels":[]`) {
		t.Error(body)
	}
	if status, _, _ := call(t, s, "GET", "/api/v1/quality?limit=-1", ""); status != 400 && status != 422 {
		t.Errorf("a limit of -1: %d", status)
	}
}

func TestHealth(t *testing.T) {
	for _, tc := range []struct {
		checks map[string]branch.Check
		status int
		word   string
	}{
		{map[string]branch.Check{"binance-spot": {Status: "pass"}}, 200, "healthy"},
		{map[string]branch.Check{"binance-spot": {Status: "pass"}, "binance-perpetual": {Status: "warn", Detail: "not connected"}}, 200, "degraded"},
		{map[string]branch.Check{"a": {Status: "warn", Detail: "late"}, "b": {Status: "fail", Detail: "no instruments"}, "c": {Status: "warn"}}, 503, "unhealthy"},
	} {
		s := serve(t, &fixed{checks: tc.checks})
		code, body, _ := call(t, s, "GET", "/health", "")
		var got map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &got); err != nil || code != tc.status || string(got["status"]) != `"`+tc.word+`"` {
			t.Errorf("got %d %s, want %d %s", code, body, tc.status, tc.word)
		}
		if string(got["collector"]) != totals || string(got["exchanges"]) != `{"binance":`+exchange+`}` || string(got["data_stats"]) != data {
			t.Errorf("its sections: %s", body)
		}
	}
}

func TestHostile(t *testing.T) {
	s := serve(t, &fixed{checks: map[string]branch.Check{"binance-spot": {Status: "pass"}}})
	endpoints := chassistest.Described(t, s.URL())
	for i, e := range endpoints {
		endpoints[i].Params = map[string]string{"exchange": "binance", "symbol": "BTCUSDT"}
		if strings.HasSuffix(e.Path, "/subscribe") {
			endpoints[i].Body = `{"action":"subscribe","symbols":["BTC-USDT"],"data_types":["trade"]}`
		}
	}
	chassistest.Run(t, s.URL(), endpoints)
}

// refusing is a recorder that records nothing.
type refusing struct{}

func (refusing) Record(*persistence.Entry) error { return persistence.ErrStopped }
func (refusing) Accepting() bool                 { return false }

// The real branch, without an exchange: everything answers.
func TestRealCollector(t *testing.T) {
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := branch.New(branch.Options{System: sys, Config: branch.DefaultConfig(), Recorder: func(market.StreamID) persistence.Recorder { return refusing{} }})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, c)
	for path, want := range map[string]int{
		"status": 200, "exchanges": 200, "quality": 200, "orderbook/stats": 200, "orderbook/health": 200, "orderbook/exchanges": 200,
		"exchanges/binance/stats": 404, "orderbook/binance/BTCUSDT": 404, "trades/binance/BTCUSDT": 404, "orderbook/symbols/binance": 404,
	} {
		if code, body, _ := call(t, s, "GET", "/api/v1/"+path, ""); code != want || strings.Contains(body, "null") && want == 200 && !strings.Contains(body, `"last_message_time":null`) {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
	}
	if code, body, _ := call(t, s, "GET", "/health", ""); code != 200 || !strings.Contains(body, "no exchange is enabled") {
		t.Errorf("health: %d %s", code, body)
	}
}
