package storage_test

import (
	"net/http"
	"strings"
	"testing"
)

// exchange is one request and the whole answer to it.
type exchange struct {
	name       string
	method     string // GET when there is no body, else POST
	path, body string
	media      string
	status     int
	want       string
}

const (
	trade1 = `{"timestamp":"2024-08-08T12:00:00.123456789Z","symbol":"BTCUSDT","exchange":"binance","price":61837.630,"amount":"0.01250000","side":"buy","trade_id":"3456789012"}`
	trade2 = `{"timestamp":1723118401,"symbol":"btc_usdt","exchange":"Binance","price":"61838.1","amount":2,"side":"SELL","trade_id":3456789013}`
	trade3 = `{"timestamp":"2024-08-08 12:00:02.5","symbol":"BTC-USDT","exchange":"binance","market":"spot","price":1e3,"amount":0.5,"side":"unknown","trade_id":"abc-\"1\"","ignored":{"a":[1]}}`

	row1 = `{"timestamp":"2024-08-08T12:00:00.123456789Z","symbol":"%","exchange":"binance","price":61837.630,"amount":0.01250000,"side":"buy","trade_id":"3456789012","market":"spot","native_symbol":"BTCUSDT","exchange_time_ns":1723118400123456789,"receive_time_ns":1723118405000000000,"origin":"external"}`
	row2 = `{"timestamp":"2024-08-08T12:00:01Z","symbol":"%","exchange":"binance","price":61838.1,"amount":2,"side":"sell","trade_id":"3456789013","market":"spot","native_symbol":"BTCUSDT","exchange_time_ns":1723118401000000000,"receive_time_ns":1723118405000000000,"origin":"external"}`
	row3 = `{"timestamp":"2024-08-08T12:00:02.5Z","symbol":"%","exchange":"binance","price":1000,"amount":0.5,"side":"unknown","trade_id":"abc-\"1\"","market":"spot","native_symbol":"BTCUSDT","exchange_time_ns":1723118402500000000,"receive_time_ns":1723118405000000000,"origin":"external"}`
	done = `"timestamp":"2024-08-08T12:00:05Z"`
)

func asked(row, symbol string) string { return strings.ReplaceAll(row, "%", symbol) }

func play(t *testing.T, exchanges []exchange) {
	t.Helper()
	s, _ := serve(t)
	for _, e := range exchanges {
		if e.method == "" {
			e.method = http.MethodGet
			if e.body != "" {
				e.method = http.MethodPost
			}
		}
		if e.media == "" && e.body != "" {
			e.media = "application/json"
		}
		got := call(t, s, e.method, "/api/v1/storage/"+e.path, e.media, e.body)
		if got.status != e.status || got.body != e.want {
			t.Errorf("%s: %s %s\n got %d %s\nwant %d %s", e.name, e.method, e.path, got.status, got.body, e.status, e.want)
		}
	}
}

func written(n, noun string) string {
	return `{"status":"success","message":"stored ` + n + ` ` + noun + `",` + done + `,"stored":` + n + `,"visible":true}`
}

func TestGoldenTrades(t *testing.T) {
	play(t, []exchange{
		{name: "nothing yet", path: "hot/trades/binance/BTCUSDT", status: 200, want: `{"status":"success","data":[],"count":0,` + done + `}`},
		{name: "one", path: "hot/trades", body: trade1, status: 200, want: written("1", "trade")},
		{name: "an array", path: "hot/trades", body: "[" + trade1 + "," + trade2 + "]", status: 200, want: written("2", "trades")},
		{name: "lines", path: "hot/trades", media: "application/x-ndjson", body: trade2 + "\n\n" + trade3 + "\n", status: 200, want: written("2", "trades")},
		{name: "lines by another name", path: "hot/trades", body: trade2 + "\n" + trade3, status: 200, want: written("2", "trades")},
		{name: "an empty array", path: "hot/trades", body: "[]", status: 200, want: written("0", "trades")},
		{name: "newest first", path: "hot/trades/binance/BTCUSDT", status: 200,
			want: `{"status":"success","data":[` + asked(row3, "BTCUSDT") + "," + asked(row2, "BTCUSDT") + "," + asked(row1, "BTCUSDT") + `],"count":3,` + done + `}`},
		{name: "symbol as asked", path: "hot/trades/binance/btc_usdt?limit=1&to=2024-08-08T12:00:01Z", status: 200,
			want: `{"status":"success","data":[` + asked(row1, "btc_usdt") + `],"count":1,` + done + `}`},
		{name: "exact digits as text", path: "hot/trades/binance/BTC%2FUSDT?to=1723118401000&decimals=string", status: 200,
			want: `{"status":"success","data":[` + strings.NewReplacer(`61837.630`, `"61837.630"`, `0.01250000`, `"0.01250000"`).Replace(asked(row1, "BTC/USDT")) + `],"count":1,` + done + `}`},
		{name: "collected only", path: "hot/trades/binance/BTCUSDT?origin=collected", status: 200, want: `{"status":"success","data":[],"count":0,` + done + `}`},
		{name: "another market", path: "hot/trades/binance/BTCUSDT?market=perpetual", status: 200, want: `{"status":"success","data":[],"count":0,` + done + `}`},
	})
}

func TestGoldenTickers(t *testing.T) {
	play(t, []exchange{
		{name: "nothing yet", path: "hot/tickers/binance/BTCUSDT", status: 404,
			want: `{"status":"not_found","message":"no ticker of BTCUSDT on binance (spot) is stored"}`},
		{name: "all of it", path: "hot/tickers", status: 200, want: written("1", "ticker"),
			body: `{"timestamp":"2024-08-08T12:00:00Z","symbol":"BTCUSDT","exchange":"binance","last_price":"61837.63000","volume_24h":18231.50,"price_change_24h":-120.5,"high_24h":62500,"low_24h":60100.10}`},
		{name: "read back", path: "hot/tickers/binance/BTC-USDT", status: 200,
			want: `{"status":"success","data":{"timestamp":"2024-08-08T12:00:00Z","symbol":"BTC-USDT","exchange":"binance","last_price":61837.63000,"volume_24h":18231.50,"price_change_24h":-120.5,"high_24h":62500,"low_24h":60100.10,"market":"spot","native_symbol":"BTCUSDT","exchange_time_ns":1723118400000000000,"receive_time_ns":1723118405000000000,"origin":"external"},` + done + `}`},
		{name: "a venue of nobody's, the price alone, ahead of time", path: "hot/tickers", status: 200, want: written("1", "ticker"),
			body: `{"timestamp":"2024-08-08T20:00:00","symbol":"Foo/Bar","exchange":"My Venue","last_price":0.00000000000000000000000123456789}`},
		{name: "read it back in another spelling", path: "hot/tickers/my%20venue/foo-bar?decimals=string", status: 200,
			want: `{"status":"success","data":{"timestamp":"2024-08-08T20:00:00Z","symbol":"foo-bar","exchange":"my venue","last_price":"0.00000000000000000000000123456789","volume_24h":null,"price_change_24h":null,"high_24h":null,"low_24h":null,"market":"spot","native_symbol":"Foo/Bar","exchange_time_ns":1723147200000000000,"receive_time_ns":1723118405000000000,"origin":"external","flags":["future"]},` + done + `}`},
	})
}

func TestGoldenOrderbooks(t *testing.T) {
	play(t, []exchange{
		{name: "nothing yet", path: "hot/orderbooks/binance/ETHUSDT", status: 404,
			want: `{"status":"not_found","message":"no order book of ETHUSDT on binance (spot) is stored"}`},
		{name: "in any order", path: "hot/orderbooks", status: 200, want: written("1", "orderbook"),
			body: `{"timestamp":1723118400123,"symbol":"ETHUSDT","exchange":"binance","bids":[[2500.1,"3.0"],["2500.20",1]],"asks":[["2501",0.1],["2500.9","7"]]}`},
		{name: "best first", path: "hot/orderbooks/binance/ETHUSDT", status: 200,
			want: `{"status":"success","data":{"timestamp":"2024-08-08T12:00:00.123Z","symbol":"ETHUSDT","exchange":"binance","bids":[[2500.20,1],[2500.1,3.0]],"asks":[[2500.9,7],[2501,0.1]],"market":"spot","native_symbol":"ETHUSDT","exchange_time_ns":1723118400123000000,"receive_time_ns":1723118405000000000,"origin":"external"},` + done + `}`},
		{name: "an empty side", path: "hot/orderbooks", status: 200, want: written("1", "orderbook"),
			body: `{"timestamp":1723118401,"symbol":"ETHUSDT","exchange":"binance","bids":[],"asks":[["2501","0.1"]]}`},
		{name: "exact digits as text", path: "hot/orderbooks/binance/ETHUSDT?decimals=string", status: 200,
			want: `{"status":"success","data":{"timestamp":"2024-08-08T12:00:01Z","symbol":"ETHUSDT","exchange":"binance","bids":[],"asks":[["2501","0.1"]],"market":"spot","native_symbol":"ETHUSDT","exchange_time_ns":1723118401000000000,"receive_time_ns":1723118405000000000,"origin":"external"},` + done + `}`},
	})
}

func TestGoldenQuery(t *testing.T) {
	const (
		json1 = `{"kind":"trade","exchange":"binance","market":"spot","symbol":"BTC-USDT","native_symbol":"BTCUSDT","exchange_time_ns":1723118400123456789,"receive_time_ns":1723118405000000000,"origin":"external","id":"3456789012","price":"61837.630","amount":"0.01250000","side":"buy"}`
		json3 = `{"kind":"trade","exchange":"binance","market":"spot","symbol":"BTC-USDT","native_symbol":"BTCUSDT","exchange_time_ns":1723118402500000000,"receive_time_ns":1723118405000000000,"origin":"external","id":"abc-\"1\"","price":"1000","amount":"0.5","side":"unknown"}`
		head  = `{"status":"success","kind":"trade","table":"trades","exchange":"binance","market":"spot","symbol":"BTC-USDT","data":[`
		csv   = "kind,exchange,market,symbol,native_symbol,exchange_time_ns,receive_time_ns,seq,prev_seq,conn,epoch,origin,flags,id,price,amount,side,quote_amount\n" +
			"trade,binance,spot,BTC-USDT,BTCUSDT,1723118400123456789,1723118405000000000,,,,,external,,3456789012,61837.630,0.01250000,buy,\n" +
			`trade,binance,spot,BTC-USDT,BTCUSDT,1723118402500000000,1723118405000000000,,,,,external,,"abc-""1""",1000,0.5,unknown,`
		candle = `{"timestamp":"2024-08-08T12:00:00Z","symbol":"BTCUSDT","exchange":"binance","interval":"1m","open":61837.630,"high":61837.630,"low":61837.630,"close":1000,"volume":0.01250000,"trades":2,"closed":true,"open_time_ns":1723118400000000000,"close_time_ns":1723118459999999999,"market":"spot","native_symbol":"BTCUSDT","exchange_time_ns":1723118400123456789,"receive_time_ns":1723118405000000000,"origin":"external"}`
	)
	play(t, []exchange{
		{name: "two trades", path: "hot/trades", body: "[" + trade1 + "," + trade3 + "]", status: 200, want: written("2", "trades")},
		{name: "json", path: "query/trades/binance/BTCUSDT", status: 200, want: head + json1 + "," + json3 + `],"count":2,` + done + `}`},
		{name: "newest first, numbers", path: "query/TRADE/binance/btc-usdt?order=desc&decimals=number&from=2024-08-08T12:00:01", status: 200,
			want: head + strings.NewReplacer(`"1000"`, `1000`, `"0.5"`, `0.5`).Replace(json3) + `],"count":1,` + done + `}`},
		{name: "ndjson", path: "query/trade/binance/BTCUSDT?format=ndjson", status: 200, want: json1 + "\n" + json3},
		{name: "csv", path: "query/trade/binance/BTCUSDT?format=csv", status: 200, want: csv},
		{name: "some fields, in whatever order", path: "query/trade/binance/BTCUSDT?fields=price,exchange_time_ns&format=ndjson", status: 200,
			want: `{"exchange_time_ns":1723118400123456789,"price":"61837.630"}` + "\n" + `{"exchange_time_ns":1723118402500000000,"price":"1000"}`},
		{name: "some fields as one object", path: "query/trade/binance/BTCUSDT?fields=side&limit=1&order=desc&to=2024-08-08T12:00:01", status: 200,
			want: head + `{"side":"buy"}],"count":1,` + done + `}`},
		{name: "some columns", path: "query/trade/binance/BTCUSDT?fields=symbol,trade_id,amount&format=csv", status: 200,
			want: "symbol,id,amount\nBTC-USDT,3456789012,0.01250000\n" + `BTC-USDT,"abc-""1""",0.5`},
		{name: "nothing in range", path: "query/trade/binance/BTCUSDT?to=2020-01-01", status: 200, want: head + `],"count":0,` + done + `}`},
		{name: "a listed instrument without rows", path: "query/trade/binance/ETHUSDT?format=ndjson", status: 200, want: ``},
		{name: "candles", path: "candles/binance/BTCUSDT?order=asc", status: 200,
			want: `{"status":"success","interval":"1m","source":"trades","data":[` + candle + `],"count":1,` + done + `}`},
		{name: "stored candles, of which there are none", path: "candles/binance/BTCUSDT?source=exchange&interval=1h", status: 200,
			want: `{"status":"success","interval":"1h","source":"exchange","data":[],"count":0,` + done + `}`},
		{name: "streams", path: "streams", status: 200,
			want: `{"status":"success","data":[{"exchange":"binance","market":"spot","symbol":"BTC-USDT","kinds":["trade"]}],"count":1,` + done + `}`},
		{name: "streams of another exchange", path: "streams?exchange=OKX&kind=trades", status: 200, want: `{"status":"success","data":[],"count":0,` + done + `}`},
		{name: "parts", path: "parts?kind=trades", status: 200,
			want: `{"status":"success","data":[{"table":"trades","tier":"hot","path":"/data/trades/1.parquet","bytes":10,"rows":2,"min_time_ns":1,"max_time_ns":2,"shard":0,"first_seq":1,"last_seq":3,"created":"2024-08-08T12:00:05Z","checksum":"00112233445566aa"},` +
				`{"table":"trades","tier":"cold","path":"s3://host/bucket/2.parquet","bytes":9,"rows":1,"min_time_ns":0,"max_time_ns":0,"shard":0,"first_seq":0,"last_seq":0,"created":"2024-08-08T12:00:05Z","checksum":""}],"count":2,` + done + `}`},
		{name: "status", path: "status", status: 200,
			want: `{"status":"success","data":{"shards":[{"shard":0,"state":"reading","applied":7,"position":5,"registered":5,"last":{"seq":0,"stored":"0001-01-01T00:00:00Z","pending":0},"published_to":0,"behind_seconds":0,"writers":[],"published":"2024-08-08T12:00:05Z","waiting":false,"journal":{"first":1,"last":9,"lag":2,"bytes":100,"max_bytes":1000,"readers":[]}}],` +
				`"failures":[],"warnings":[],"leases":0,"max_leases":256,"maintained":"2024-08-08T12:00:05Z","quarantined":[],` +
				`"archiving":{"cold":{"place":"/cold","open":true,"corrupt":false,"tables":[{"table":"trades","rows":5,"bytes":3000000,"parts":2,"memory_rows":0}],"exact":false,"record":0,"archived":[],"damaged":[]},` +
				`"automatic":false,"interval_seconds":0,"after_seconds":0,"lag_seconds":0,"waiting_rows":0,"hot_ttl_seconds":0,"hot_limit_bytes":0,"cold_ttl_seconds":0,"operations":[]},"writable":true,` +
				`"recorders":[{"shard":0,"state":"accepting","incarnation":"","batches":0,"entries":0,"bytes":0,"limit_bytes":64,"seq":0,"acknowledged":"2024-08-08T12:00:05Z","no_credit_total":0}]},` + done + `}`},
		{name: "stats", path: "stats", status: 200,
			want: `{"status":"success","data":{"hot_storage":{"trades_count":2,"tickers_count":0,"orderbooks_count":0,"size_mb":0.5},"cold_storage":{"trades_count":5,"tickers_count":0,"orderbooks_count":0,"size_gb":0.003,"available":true},` +
				`"operations":{"total_reads":13,"total_writes":1,"total_archives":0,"total_cleanups":0},"tables":[{"table":"trades","rows":2,"bytes":500000,"parts":1,"memory_rows":0}],"cold_tables":[{"table":"trades","rows":5,"bytes":3000000,"parts":2,"memory_rows":0}],"superseded_rows":0,"quarantined":[]},` + done + `}`},
	})
}

// Everything that a client can get wrong has its own answer.
func TestRefusals(t *testing.T) {
	with := func(old, new string) string { return strings.Replace(trade1, old, new, 1) }
	book := `{"timestamp":1723118401,"symbol":"ETHUSDT","exchange":"binance","bids":%,"asks":[]}`
	for _, tc := range []struct {
		name, path, body string
		status           int
		pointer, says    string // of the first field error; the detail
	}{
		{name: "before all markets", path: "hot/trades", body: with("2024-08-08", "2008-12-31"), status: 422, pointer: "/timestamp"},
		{name: "after all of them", path: "hot/trades", body: with(`"2024-08-08T12:00:00.123456789Z"`, "99999999999999999999"), status: 422, pointer: "/timestamp"},
		{name: "no price", path: "hot/trades", body: with(`"price":61837.630,`, ""), status: 422, pointer: "/price", says: "required"},
		{name: "a price of words", path: "hot/trades", body: with(`61837.630`, `"cheap"`), status: 422, pointer: "/price"},
		{name: "NaN", path: "hot/trades", body: with(`61837.630`, `"NaN"`), status: 422, pointer: "/price"},
		{name: "bare NaN", path: "hot/trades", body: with(`61837.630`, `NaN`), status: 400},
		{name: "a number too long", path: "hot/trades", body: with(`61837.630`, strings.Repeat("9", 300)), status: 422, pointer: "/price"},
		{name: "an exponent too large", path: "hot/trades", body: with(`61837.630`, `1e999`), status: 422, pointer: "/price"},
		{name: "a negative amount", path: "hot/trades", body: with(`"0.01250000"`, `-1`), status: 422, pointer: "/amount", says: "negative"},
		{name: "a side of a coin", path: "hot/trades", body: with(`"buy"`, `"heads"`), status: 422, pointer: "/side", says: "buy, sell or unknown"},
		{name: "an id that is a fraction", path: "hot/trades", body: with(`"3456789012"`, `1.5`), status: 422, pointer: "/trade_id"},
		{name: "an unknown market", path: "hot/trades", body: with(`"side"`, `"market":"bazaar","side"`), status: 422, pointer: "/market"},
		{name: "a symbol that climbs", path: "hot/trades", body: with(`BTCUSDT`, `a/../b`), status: 422, pointer: "/symbol"},
		{name: "an exchange that climbs", path: "hot/trades", body: with(`"binance"`, `"..\\x"`), status: 422, pointer: "/exchange"},
		{name: "a symbol without a letter", path: "hot/trades", body: with(`BTCUSDT`, `../..`), status: 422, pointer: "/symbol"},
		{name: "an ambiguous symbol", path: "hot/trades", body: with(`BTCUSDT`, `abc`), status: 422, pointer: "/symbol", says: "A-BC, AB-C"},
		{name: "the second of an array", path: "hot/trades", body: "[" + trade1 + "," + with(`"buy"`, `1`) + "]", status: 422, pointer: "/1/side"},
		{name: "a field of the second of an array", path: "hot/trades", body: "[" + trade1 + "," + with(`"0.01250000"`, `-1`) + "]", status: 422, pointer: "/1/amount"},
		{name: "no record", path: "hot/trades", body: `"x"`, status: 422, pointer: "", says: "object"},
		{name: "half a level", path: "hot/orderbooks", body: strings.Replace(book, "%", `[[1]]`, 1), status: 422, pointer: "/bids/0"},
		{name: "an absent amount", path: "hot/orderbooks", body: strings.Replace(book, "%", `[[1,2],[1,null]]`, 1), status: 422, pointer: "/bids/1/1"},
		{name: "a negative level", path: "hot/orderbooks", body: strings.Replace(book, "%", `[[1,-2]]`, 1), status: 422, pointer: "/bids/0/1"},

		{name: "limit", path: "hot/trades/binance/BTCUSDT?limit=0", status: 422, pointer: "/limit"},
		{name: "range", path: "hot/trades/binance/BTCUSDT?from=2024-02-01&to=2024-01-01", status: 422, pointer: "/to"},
		{name: "cursor", path: "hot/trades/binance/BTCUSDT?cursor=abc", status: 422, pointer: "/cursor"},
		{name: "market", path: "hot/tickers/binance/BTCUSDT?market=bazaar", status: 422, pointer: "/market"},
		{name: "several markets", path: "hot/tickers/binance/XRPUSDT", status: 400, says: "perpetual, future"},
		{name: "ambiguous", path: "hot/tickers/binance/abc", status: 400, says: "A-BC, AB-C"},
		{name: "kind", path: "query/book_top/binance/BTCUSDT", status: 404, says: "book_delta"},
		{name: "format", path: "query/trade/binance/BTCUSDT?format=xml", status: 422, pointer: "/format"},
		{name: "a name of nothing", path: "query/trade/binance/--", status: 404},
		{name: "a symbol that nobody knows", path: "query/trade/binance/NOPE", status: 404, says: "NOPE"},
		{name: "an exchange that nobody knows", path: "candles/nowhere/BTCUSDT", status: 404},
		{name: "interval", path: "candles/binance/BTCUSDT?interval=7x", status: 422, pointer: "/interval", says: "15m"},
		{name: "an interval of nothing", path: "candles/binance/BTCUSDT?interval=0m", status: 422, pointer: "/interval"},
		{name: "an interval that goes back", path: "candles/binance/BTCUSDT?interval=-1m", status: 422, pointer: "/interval"},
		{name: "an interval and a half", path: "candles/binance/BTCUSDT?interval=1.5h", status: 422, pointer: "/interval"},
		{name: "an interval of ages", path: "candles/binance/BTCUSDT?interval=1201M", status: 422, pointer: "/interval"},
		{name: "candles that run backwards", path: "candles/binance/BTCUSDT?from=2024-02-01&to=2024-01-01", status: 422, pointer: "/to"},
		{name: "candles of no source", path: "candles/binance/BTCUSDT?source=dreams", status: 422, pointer: "/source"},
		{name: "candles by the million", path: "candles/binance/BTCUSDT?limit=1000000", status: 422, pointer: "/limit"},
		{name: "a cursor among candles", path: "candles/binance/BTCUSDT?cursor=AAAAAAAA", status: 422, pointer: "/cursor"},
		{name: "a cursor among stored candles", path: "candles/binance/BTCUSDT?source=exchange&cursor=AAAAAAAA", status: 422, pointer: "/cursor"},
		{name: "a query that runs backwards", path: "query/trade/binance/BTCUSDT?from=1723118401&to=1723118400", status: 422, pointer: "/to"},
		{name: "a query of no time", path: "query/trade/binance/BTCUSDT?from=tomorrow", status: 422, pointer: "/from"},
		{name: "a query before all markets", path: "query/trade/binance/BTCUSDT?from=1970-01-02", status: 422, pointer: "/from"},
		{name: "a limit of everything", path: "query/trade/binance/BTCUSDT?limit=100000001", status: 422, pointer: "/limit"},
		{name: "a limit beyond numbers", path: "query/trade/binance/BTCUSDT?limit=99999999999999999999", status: 422, pointer: "/limit"},
		{name: "a limit below", path: "query/trade/binance/BTCUSDT?limit=-1", status: 422, pointer: "/limit"},
		{name: "two limits", path: "query/trade/binance/BTCUSDT?limit=1&limit=2", status: 422, pointer: "/limit"},
		{name: "a field that there is not", path: "query/trade/binance/BTCUSDT?fields=price,depth", status: 422, pointer: "/fields", says: "quote_amount"},
		{name: "a field by injection", path: "query/trade/binance/BTCUSDT?fields=price%3Bdrop", status: 422, pointer: "/fields"},
		{name: "no field", path: "query/trade/binance/BTCUSDT?fields=,,", status: 422, pointer: "/fields"},
		{name: "fields of another kind", path: "query/candle/binance/BTCUSDT?fields=trade_id", status: 422, pointer: "/fields", says: "interval"},
		{name: "order", path: "query/trade/binance/BTCUSDT?order=random", status: 422, pointer: "/order"},
		{name: "a cursor that is none", path: "query/trade/binance/BTCUSDT?cursor=%3C%3E", status: 422, pointer: "/cursor"},
		{name: "an endless cursor", path: "query/trade/binance/BTCUSDT?cursor=" + strings.Repeat("A", 1100), status: 422, pointer: "/cursor"},
		{name: "origin", path: "query/trade/binance/BTCUSDT?origin=heaven", status: 422, pointer: "/origin"},
		{name: "a climbing symbol", path: "query/trade/binance/..%2F..%2Fetc", status: 404},
		{name: "an endless symbol", path: "query/trade/binance/" + strings.Repeat("A", 100), status: 404},
		{name: "a symbol of control characters", path: "query/trade/binance/BTC%00USDT", status: 400},
		{name: "a symbol that is not UTF-8", path: "query/trade/binance/BTC%FF", status: 400},
		{name: "a query that is badly escaped", path: "query/trade/binance/BTCUSDT?from=%zz", status: 400},
		{name: "a tally of no range", path: "tally/trade/binance/BTCUSDT", status: 422, pointer: "/from"},
		{name: "a tally of moments", path: "tally/trade/binance/BTCUSDT?from=2024-08-08&to=2024-08-09&bucket=1ns", status: 422, pointer: "/bucket"},
		{name: "a tally of ages", path: "tally/trade/binance/BTCUSDT?from=2010-01-01&to=2024-08-09&bucket=1s", status: 422, pointer: "/bucket"},
		{name: "kind of streams", path: "streams?kind=spoon", status: 422, pointer: "/kind"},
		{name: "kind of parts", path: "parts?kind=book_top", status: 422, pointer: "/kind"},
		{name: "operations of no number", path: "operations?limit=0", status: 422, pointer: "/limit"},
		{name: "archive of what", path: "cold/archive", body: `{"data_type":"spoons"}`, status: 422, pointer: "/data_type", says: "spoons"},
		{name: "archive of several and nothing", path: "cold/archive", body: `{"data_type":"trades,,tickers"}`, status: 422, pointer: "/data_type"},
		{name: "archive of what will be", path: "cold/archive", body: `{"cutoff_hours":-1}`, status: 422, pointer: "/cutoff_hours"},
		{name: "archive for ever", path: "cold/archive", body: `{"cutoff_hours":1e300}`, status: 422, pointer: "/cutoff_hours"},
		{name: "archive by text", path: "cold/archive", body: `{"cutoff_hours":"24"}`, status: 422, pointer: "/cutoff_hours"},
		{name: "archive of a list", path: "cold/archive", body: `[]`, status: 422},
		{name: "archive of no JSON", path: "cold/archive", body: `{`, status: 400},
		{name: "cleanup of what will be", path: "lifecycle/cleanup", body: `{"retention_hours":-0.5}`, status: 422, pointer: "/retention_hours"},
		{name: "cleanup by a list", path: "lifecycle/cleanup", body: `{"retention_hours":[1]}`, status: 422, pointer: "/retention_hours"},
		{name: "an operation that nobody began", path: "operations/x%2F..%2Fy", status: 404},
		{name: "history of no limit", path: "cold/trades/binance/BTCUSDT?limit=0", status: 422, pointer: "/limit"},
		{name: "history that runs backwards", path: "cold/trades/binance/BTCUSDT?start_date=2024-02-01&end_date=2024-01-01", status: 422, pointer: "/end_date"},
		{name: "history of no date", path: "cold/trades/binance/BTCUSDT?start_date=yesterday", status: 422, pointer: "/start_date"},
		{name: "history of no tier", path: "cold/trades/binance/BTCUSDT?tier=tepid", status: 422, pointer: "/tier"},
		{name: "parts of no tier", path: "parts?tier=tepid", status: 422, pointer: "/tier"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, m := serve(t)
			method := http.MethodGet
			if tc.body != "" {
				method = http.MethodPost
			}
			a := call(t, s, method, "/api/v1/storage/"+tc.path, "", tc.body)
			p := problem(t, a)
			if a.status != tc.status || !strings.Contains(p.Detail, tc.says) {
				t.Fatalf("got %d %s, want %d saying %q", a.status, a.body, tc.status, tc.says)
			}
			if tc.status == 422 && (len(p.Errors) == 0 || p.Errors[0].Pointer != tc.pointer) {
				t.Errorf("the errors are %v, want %q", p.Errors, tc.pointer)
			}
			if len(m.records) > 0 {
				t.Errorf("%d records were stored", len(m.records))
			}
		})
	}
}
