package okx_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/okx"
	"github.com/marketprism/marketprism/internal/market"
)

func replayer(t *testing.T) connectors.Replayer {
	t.Helper()
	r, err := okx.New().Replayer(market.Spot)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReplayTopic(t *testing.T) {
	for _, tc := range []struct{ frame, want string }{
		{`{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[]}`, "books:BTC-USDT"},
		{`{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[]}`, "trades:BTC-USDT"},
		{`{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[]}`, "trades:BTC-USDT"},
		{`{ "data":[{"arg":1}], "arg":{"instId":"BTC-USDT","channel":"candle1m"} }`, "candle1m:BTC-USDT"},
		{`{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[]}`, "liquidation-orders:SWAP"},
		{`{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}`, ""},
		{`{"arg":{"channel":"books","instId":"BTC-USDT"},"event":"subscribe"}`, ""},
		{`{"event":"error","code":"60012","msg":""}`, ""},
		{`pong`, ""}, {`[]`, ""}, {`{"arg":`, ""}, {``, ""},
	} {
		if got := string(replayer(t).AppendTopic(nil, []byte(tc.frame))); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.frame, got, tc.want)
		}
	}
}

func TestReplayConversation(t *testing.T) {
	u, err := url.Parse("ws://127.0.0.1:1/ws/v5/public")
	if err != nil {
		t.Fatal(err)
	}
	c, ok := replayer(t).Connect(u)
	if !ok {
		t.Fatal("no connection")
	}
	hear := func(frame string, want ...string) {
		t.Helper()
		var got []string
		for _, reply := range c.Hear([]byte(frame)) {
			got = append(got, string(reply))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", frame, got, want)
		}
	}
	hear("ping", "pong")
	hear(`{"id":"7","op":"subscribe","args":[{"channel":"trades-all","instId":"BTC-USDT"},{"channel":"books","instId":"BTC-USDT"},{"channel":"books"}]}`,
		`{"id":"7","event":"subscribe","arg":{"channel":"trades-all","instId":"BTC-USDT"},"connId":"a4d3ae55"}`,
		`{"id":"7","event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a4d3ae55"}`,
		`{"id":"7","event":"error","code":"60012","msg":"Invalid request: {\"id\":\"7\",\"op\":\"subscribe\",\"args\":[{\"channel\":\"trades-all\",\"instId\":\"BTC-USDT\"},{\"channel\":\"books\",\"instId\":\"BTC-USDT\"},{\"channel\":\"books\"}]}","connId":"a4d3ae55"}`)
	hear(`{"op":"unsubscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}`,
		`{"event":"unsubscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a4d3ae55"}`)
	hear(`{"op":"login"}`, `{"event":"error","code":"60012","msg":"Invalid request: {\"op\":\"login\"}","connId":"a4d3ae55"}`)
	if got := c.Topics(); !slices.Equal(got, []string{"trades:BTC-USDT"}) {
		t.Errorf("topics %v", got)
	}
	said := ""
	if err := c.Say("trades:BTC-USDT", []byte(`{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[]}`), func(b []byte) error {
		said += string(b)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := `{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[]}`; said != want {
		t.Errorf("said %s, want %s", said, want)
	}
	if u.Path = "/ws/v5/private"; true {
		if _, ok := replayer(t).Connect(u); ok {
			t.Error("a private connection")
		}
	}
}

func TestReplayCall(t *testing.T) {
	for _, tc := range []struct {
		url  string
		want connectors.ReplayCall
	}{
		{"/api/v5/market/books?instId=BTC-USDT&sz=400", connectors.ReplayCall{
			Key: "/api/v5/market/books?instId=BTC-USDT", Kind: connectors.NeedSnapshot, Symbol: "BTC-USDT", Topic: "books:BTC-USDT", Limit: 400}},
		{"/api/v5/public/instruments?instType=OPTION&uly=BTC-USD", connectors.ReplayCall{
			Key: "/api/v5/public/instruments?instFamily=BTC-USD&instType=OPTION", Kind: connectors.NeedInstruments}},
		{"/api/v5/market/history-trades?instId=BTC-USDT&limit=50&after=1000", connectors.ReplayCall{
			Key: "/api/v5/market/history-trades?after=1000&instId=BTC-USDT", Kind: connectors.NeedTradesFrom, Symbol: "BTC-USDT", Limit: 50, FromID: 950}},
		{"/api/v5/market/trades?instId=BTC-USDT", connectors.ReplayCall{
			Key: "/api/v5/market/trades?instId=BTC-USDT", Kind: connectors.NeedRecentTrades, Symbol: "BTC-USDT"}},
	} {
		u, err := url.Parse(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := replayer(t).Call(u); got != tc.want {
			t.Errorf("%s:\n got %+v\nwant %+v", tc.url, got, tc.want)
		}
	}
}

// TestReplayComposes: what is composed is read back as what it was composed from.
func TestReplayComposes(t *testing.T) {
	for _, m := range []market.Market{market.Spot, market.Perpetual, market.Future, market.Option} {
		v := subject.Venue(t, m)
		known := v.Builtin().All()
		key := map[market.Market]string{market.Spot: "SPOT", market.Perpetual: "SWAP", market.Future: "FUTURES", market.Option: "OPTION"}[m]
		body, ok := replayer(t).Compose(connectors.ReplayCall{Key: "/?instType=" + key, Kind: connectors.NeedInstruments}, &connectors.ReplayState{Instruments: known})
		if !ok {
			t.Fatalf("%s: not composed", m)
		}
		list, err := v.REST.Instruments(body)
		if err != nil || len(list) != len(known) {
			t.Fatalf("%s: %d of %d instruments, %v", m, len(list), len(known), err)
		}
		back := market.NewInstruments(list)
		for _, i := range known {
			if got, ok := back.Native([]byte(i.Native)); !ok || *got != *i {
				t.Errorf("%s:\n got %+v\nwant %+v", i.Native, got, i)
			}
		}
		trade := market.Trade{Header: market.Header{Instrument: known[0], ExchangeTime: 17e6, Seq: market.Int(9)}, ID: market.NumID(9),
			Price: market.MustDecimal("3.50"), Amount: market.MustDecimal("700.00"), Side: market.Sell}
		call := connectors.ReplayCall{Kind: connectors.NeedTradesFrom, FromID: 5, Symbol: known[0].Native}
		body, _ = replayer(t).Compose(call, &connectors.ReplayState{Trades: []market.Trade{trade}})
		var batch market.Batch
		req := connectors.Request{Need: connectors.Need{Kind: connectors.NeedTradesFrom, Instrument: known[0], FromID: 5}}
		if err := v.REST.Decode(req, body, connectors.Receipt{}, &batch); err != nil || batch.Len() != 1 {
			t.Fatalf("%s: %d trades of %s, %v", m, batch.Len(), body, err)
		}
		for got := range market.Rows[market.Trade](&batch) {
			if got.Seq != trade.Seq || got.Price != trade.Price || got.Amount.Cmp(trade.Amount) != 0 || got.Side != trade.Side || got.ExchangeTime != trade.ExchangeTime {
				t.Errorf("%s: %+v", m, got)
			}
		}
		book := &connectors.ReplayBook{Seq: 4, Time: 17e6, Bids: []market.Level{level("3.4", "100")}, Asks: []market.Level{level("3.6", "200")}}
		body, ok = replayer(t).Compose(connectors.ReplayCall{Kind: connectors.NeedSnapshot, Limit: 5}, &connectors.ReplayState{Book: book, Instruments: known[:1]})
		if !ok || !strings.Contains(string(body), `"seqId":4`) {
			t.Errorf("%s: %s", m, body)
		}
	}
}
