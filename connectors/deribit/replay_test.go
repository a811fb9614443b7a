package deribit_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/connectors/deribit"
	"github.com/marketprism/marketprism/internal/market"
)

func replayer(t *testing.T) connectors.Replayer {
	t.Helper()
	r, err := deribit.New().Replayer(market.Option)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReplayTopic(t *testing.T) {
	const head = `{"jsonrpc":"2.0","method":"subscription","params":{"channel":"`
	for _, tc := range []struct{ frame, want string }{
		{head + `book.BTC-PERPETUAL.raw","data":{}}}`, "book.BTC-PERPETUAL"},
		{head + `book.BTC-PERPETUAL.100ms","data":{}}}`, "book.BTC-PERPETUAL"},
		{head + `book.BTC-PERPETUAL.none.10.100ms","data":{}}}`, ""},
		{head + `trades.XRP_USDC-30JUN23-0d625-C.agg2","data":[]}}`, "trades.XRP_USDC-30JUN23-0d625-C"},
		{head + `quote.BTC_USDC","data":{}}}`, "quote.BTC_USDC"},
		{head + `chart.trades.BTC-PERPETUAL.60","data":{}}}`, "chart.trades.BTC-PERPETUAL.60"},
		{head + `deribit_volatility_index.btc_usd","data":{}}}`, "deribit_volatility_index.btc_usd"},
		{head + `platform_state","data":{}}}`, ""},
		{`{ "params": {"data": {}, "channel": "ticker.BTC-PERPETUAL.raw"}, "method": "subscription" }`, "ticker.BTC-PERPETUAL"},
		{`{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}`, ""},
		{`{"jsonrpc":"2.0","id":1,"result":["book.BTC-PERPETUAL.raw"]}`, ""},
		{`[]`, ""},
		{`{"params":`, ""},
		{head, ""},
		{``, ""},
	} {
		if got := string(replayer(t).AppendTopic(nil, []byte(tc.frame))); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.frame, got, tc.want)
		}
	}
}

func TestReplayConnection(t *testing.T) {
	if _, ok := replayer(t).Connect(&url.URL{Path: "/api/v1"}); ok {
		t.Error("a WebSocket where the exchange has none")
	}
	c, ok := replayer(t).Connect(&url.URL{Path: "/ws/api/v2/"})
	if !ok {
		t.Fatal("no WebSocket")
	}
	const tail = `,"usIn":0,"usOut":0,"usDiff":0,"testnet":false}`
	for _, step := range []struct{ say, want string }{
		{`{"jsonrpc":"2.0","id":0,"method":"public/set_heartbeat","params":{"interval":30}}`, `{"jsonrpc":"2.0","id":0,"result":"ok"` + tail},
		{`{"jsonrpc":"2.0","id":1,"method":"public/subscribe","params":{"channels":["book.A-PERPETUAL.100ms","nonsense","book.A-PERPETUAL.raw"]}}`,
			`{"jsonrpc":"2.0","id":1,"result":["book.A-PERPETUAL.100ms","book.A-PERPETUAL.raw"]` + tail},
		{`{"jsonrpc":"2.0","id":"x","method":"public/subscribe","params":{"channels":["quote.A-PERPETUAL"]}}`, `{"jsonrpc":"2.0","id":"x","result":["quote.A-PERPETUAL"]` + tail},
		{`{"jsonrpc":"2.0","id":2,"method":"public/unsubscribe","params":{"channels":["quote.B-PERPETUAL","quote.A-PERPETUAL"]}}`,
			`{"jsonrpc":"2.0","id":2,"result":["quote.A-PERPETUAL"]` + tail},
		{`{"id":3,"method":"public/subscribe"}`, `{"jsonrpc":"2.0","id":3,"result":[]` + tail},
		{`{"id":4,"method":"public/test"}`, `{"jsonrpc":"2.0","id":4,"result":{"version":"1.2.26"}` + tail},
		{`{"method":"private/buy"}`, `{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"}` + tail},
		{`{`, `{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"}` + tail},
	} {
		if got := c.Hear([]byte(step.say)); len(got) != 1 || string(got[0]) != step.want {
			t.Errorf("%s:\n got %s\nwant %s", step.say, got, step.want)
		}
	}
	if got := c.Topics(); !slices.Equal(got, []string{"book.A-PERPETUAL"}) {
		t.Errorf("topics %v", got)
	}
	var said []string
	frame := `{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.A-PERPETUAL.raw","data":{"bids":[]}}}`
	if err := c.Say("book.A-PERPETUAL", []byte(frame), func(b []byte) error { said = append(said, string(b)); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := []string{strings.Replace(frame, ".raw", ".100ms", 1), frame}; !slices.Equal(said, want) {
		t.Errorf("said %v, want %v", said, want)
	}
}

// TestReplayCompose: what is made up for a client is read by our own decoder.
func TestReplayCompose(t *testing.T) {
	r := replayer(t)
	state := &connectors.ReplayState{Time: 1_700_000_000_000_000_000, Book: &connectors.ReplayBook{
		Seq: 17, Time: 1_700_000_000_000_000_000, Bids: []market.Level{{Price: market.MustDecimal("2"), Amount: market.MustDecimal("1.0")}},
	}}
	for _, m := range market.Markets() {
		v := subject.Venue(t, m)
		state.Instruments = append(state.Instruments, v.Builtin().All()...)
	}
	perpetual := subject.Venue(t, market.Perpetual)
	i, err := perpetual.Builtin().Resolve("ETH-PERPETUAL")
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(30) {
		var tr market.Trade
		tr.Instrument, tr.Seq, tr.ID, tr.ExchangeTime = i, market.Int(100+n), market.TextID("ETH-"+string(rune('A'+n))), state.Time
		tr.Price, tr.Amount, tr.Side = market.MustDecimal("2000.05"), market.MustDecimal("3.0"), market.Sell
		state.Trades = append(state.Trades, tr)
	}
	compose := func(link string) []byte {
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		body, ok := r.Compose(r.Call(u), state)
		if !ok {
			t.Fatalf("%s: nothing", link)
		}
		return body
	}
	for _, m := range market.Markets() {
		v := subject.Venue(t, m)
		req, err := v.REST.Request(connectors.Need{Kind: connectors.NeedInstruments})
		if err != nil {
			t.Fatal(err)
		}
		list, err := v.REST.Instruments(compose(req.URL))
		if err != nil {
			t.Fatal(err)
		}
		got, want := market.NewInstruments(list).All(), v.Builtin().All()
		if len(got) != len(want) {
			t.Fatalf("%s: %d instruments, want %d", m, len(got), len(want))
		}
		for n := range got {
			a, b := *got[n], *want[n]
			if m == market.Spot { // listed under a currency, settled in none
				a.Settle = b.Settle
			}
			if a != b {
				t.Errorf("%s: got %+v\nwant %+v", m, a, b)
			}
		}
	}
	for _, tc := range []struct {
		need        connectors.Need
		first, last int64
	}{
		{connectors.Need{Kind: connectors.NeedTradesFrom, Instrument: i, FromID: 105, ToID: 107}, 105, 107},
		{connectors.Need{Kind: connectors.NeedTradesFrom, Instrument: i, FromID: 120}, 120, 129},
		{connectors.Need{Kind: connectors.NeedRecentTrades, Instrument: i}, 100, 129},
	} {
		req, err := perpetual.REST.Request(tc.need)
		if err != nil {
			t.Fatal(err)
		}
		var batch market.Batch
		if err := perpetual.REST.Decode(req, compose(req.URL), connectors.Receipt{}, &batch); err != nil {
			t.Fatal(err)
		}
		n := batch.Len()
		if int64(n) != tc.last-tc.first+1 || batch.At(0).Head().Seq.V != tc.first || batch.At(n-1).Head().Seq.V != tc.last {
			t.Errorf("%s: %d trades, %+v to %+v", req.URL, n, batch.At(0).Head().Seq, batch.At(n-1).Head().Seq)
		}
	}
	const book = `{"jsonrpc":"2.0","result":{"timestamp":1700000000000,"instrument_name":"ETH-PERPETUAL","change_id":17,"bids":[[2,1.0]],"asks":[]},"usIn":0,"usOut":0,"usDiff":0,"testnet":false}`
	if got := string(compose("/api/v2/public/get_order_book?instrument_name=ETH-PERPETUAL&depth=20")); got != book {
		t.Errorf("book %s", got)
	}
	u := &url.URL{Path: "/api/v2/public/get_nothing"}
	if _, ok := r.Compose(r.Call(u), state); ok {
		t.Error("an answer to a call that nobody knows")
	}
}

// TestCaptureTopics: every recorded notification has a topic, and is said as it
// was recorded to one who asks for it so.
func TestCaptureTopics(t *testing.T) {
	topics := 0
	for _, rec := range connectorstest.Traffic(t, connectorstest.Path(t, "deribit/part1")) {
		if rec.Dir != connectors.CaptureIn || !strings.Contains(string(rec.Body), `"method":"subscription"`) {
			continue
		}
		topic := string(replayer(t).AppendTopic(nil, rec.Body))
		if topic == "" {
			t.Fatalf("line %d has no topic", rec.Line)
		}
		c, _ := replayer(t).Connect(&url.URL{Path: "/ws/api/v2"})
		c.Hear([]byte(`{"id":1,"method":"public/subscribe","params":{"channels":["` + topic + `.raw"]}}`))
		said := 0
		if err := c.Say(topic, rec.Body, func(b []byte) error {
			said++
			if string(b) != string(rec.Body) {
				t.Errorf("line %d: said %s", rec.Line, b)
			}
			return nil
		}); err != nil || said != 1 {
			t.Fatalf("line %d: said %d times, %v", rec.Line, said, err)
		}
		topics++
	}
	if topics == 0 {
		t.Error("nothing was checked")
	}
}
