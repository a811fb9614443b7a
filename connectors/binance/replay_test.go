package binance_test

import (
	"net/url"
	"slices"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/binance"
	"github.com/marketprism/marketprism/internal/market"
)

func replayer(t *testing.T, m market.Market) connectors.Replayer {
	t.Helper()
	r, err := binance.New().Replayer(m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReplayTopic(t *testing.T) {
	r := replayer(t, market.Perpetual)
	for _, tc := range []struct{ frame, want string }{
		{`{"stream":"btcusdt@depth@0ms","data":{}}`, "btcusdt@depth"},
		{`{"stream":"btcusdt@depth","data":{}}`, "btcusdt@depth"},
		{`{"stream":"btcusdt@depth20@100ms","data":{}}`, "btcusdt@depth20"},
		{`{"stream":"btcusdt@markPrice@1s","data":{}}`, "btcusdt@markPrice"},
		{`{"stream":"btcusdt@kline_1m","data":{}}`, "btcusdt@kline_1m"},
		{`{"stream":"!forceOrder@arr","data":{}}`, "!forceOrder@arr"},
		{`{ "data":{"e":"trade"}, "stream":"btcusdt@trade" }`, "btcusdt@trade"},
		{`{"e":"depthUpdate","s":"BTCUSDT"}`, "btcusdt@depth"},
		{`{"e":"24hrTicker","s":"ETHBTC"}`, "ethbtc@ticker"},
		{`{"e":"kline","s":"BTCUSDT","k":{"t":1,"i":"5m","s":"BTCUSDT"}}`, "btcusdt@kline_5m"},
		{`{"e":"forceOrder","E":1,"o":{"s":"BTCUSDT","o":"LIMIT"}}`, "btcusdt@forceOrder"},
		{`{"u":1,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4"}`, "btcusdt@bookTicker"},
		{`{"result":null,"id":1}`, ""},
		{`{"e":"unheardOf","s":"BTCUSDT"}`, ""},
		{`[{"e":"trade"}]`, ""},
		{`{"stream":`, ""},
		{``, ""},
	} {
		if got := string(r.AppendTopic(nil, []byte(tc.frame))); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.frame, got, tc.want)
		}
	}
}

func TestReplayTopicsOfAPath(t *testing.T) {
	for path, want := range map[string][]string{
		"/ws/btcusdt@trade":                   {"btcusdt@trade"},
		"/public/ws/btcusdt@depth@100ms":      {"btcusdt@depth"},
		"/stream?streams=a@trade/!ticker@arr": {"a@trade", "!ticker@arr"},
		"/ws/0":                               {}, // a client's number for its connection, no stream
		"/ws":                                 {},
	} {
		u, err := url.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		c, ok := replayer(t, market.Spot).Connect(u)
		if !ok || !slices.Equal(c.Topics(), want) {
			t.Errorf("%s: served %v with %q, want %q", path, ok, c.Topics(), want)
		}
	}
}

func TestReplayCall(t *testing.T) {
	for _, tc := range []struct {
		market market.Market
		url    string
		want   connectors.ReplayCall
	}{
		{market.Spot, "https://data-api.binance.vision/api/v3/depth?symbol=BTCUSDT&limit=5000",
			connectors.ReplayCall{Key: "/api/v3/depth?symbol=BTCUSDT", Kind: connectors.NeedSnapshot, Symbol: "BTCUSDT", Topic: "btcusdt@depth", Limit: 5000}},
		{market.Perpetual, "http://127.0.0.1:1/fapi/v1/exchangeInfo?symbol=BTCUSDT",
			connectors.ReplayCall{Key: "/fapi/v1/exchangeInfo", Kind: connectors.NeedInstruments, Symbol: "BTCUSDT"}},
		{market.Spot, "/api/v3/historicalTrades?symbol=BTCUSDT&limit=10&fromId=7",
			connectors.ReplayCall{Key: "/api/v3/historicalTrades?fromId=7&symbol=BTCUSDT", Kind: connectors.NeedTradesFrom, Symbol: "BTCUSDT", Limit: 10, FromID: 7}},
		{market.Perpetual, "/fapi/v1/openInterest?symbol=BTCUSDT", connectors.ReplayCall{Key: "/fapi/v1/openInterest?symbol=BTCUSDT", Symbol: "BTCUSDT"}},
	} {
		u, err := url.Parse(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := replayer(t, tc.market).Call(u); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", tc.url, got, tc.want)
		}
	}
}

func TestReplayNoOptions(t *testing.T) {
	if _, err := binance.New().Replayer(market.Option); err == nil {
		t.Error("binance has no options, and a replayer of them")
	}
}
