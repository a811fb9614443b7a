package contract

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/tests/harness"
)

// collectorPaths are those that clients know.
var collectorPaths = []string{
	"/api/v1/backfills", "/api/v1/backfills/{id}", "/api/v1/exchanges", "/api/v1/exchanges/{exchange}/stats", "/api/v1/exchanges/{exchange}/subscribe", "/api/v1/health",
	"/api/v1/orderbook/exchanges", "/api/v1/orderbook/health", "/api/v1/orderbook/stats", "/api/v1/orderbook/symbols/{exchange}",
	"/api/v1/orderbook/{exchange}/{symbol}", "/api/v1/orderbook/{exchange}/{symbol}/refresh", "/api/v1/quality",
	"/api/v1/quality/{exchange}/{symbol}", "/api/v1/quality/{exchange}/{symbol}/backfill", "/api/v1/status", "/api/v1/stream",
	"/api/v1/subscriptions", "/api/v1/trades/{exchange}/{symbol}", "/health", "/ws/v1/stream",
}

// collector asks for everything of the market-data-collector that changes nothing.
func collector(t *testing.T, base string) {
	c := &client{t: t, base: base}
	a := c.try("GET", "/openapi.json", "", "")
	var err error
	if c.doc, err = describe(a.Body); err != nil {
		t.Fatal(err)
	}
	have := openPaths(t, base)
	for _, p := range collectorPaths {
		if !slices.Contains(have, p) {
			t.Errorf("%s is not described", p)
		}
	}
	for name, check := range map[string]func(*client){
		"status": status, "exchanges": exchanges, "order books": orderBooks, "books as a whole": wholeBooks,
		"trades": recentTrades, "quality": quality, "streams": streams, "import": imported,
	} {
		t.Run(name, func(t *testing.T) {
			own := *c
			own.t = t
			check(&own)
		})
	}
	t.Run("bodies", func(t *testing.T) {
		refusedBodies(t, &client{base: base}, "/api/v1/exchanges/binance/subscribe", `{"action":"subscribe","symbols":["BTC-USDT"],"data_types":["trade"]}`, 1<<20)
	})
}

var exchangeFields = []string{
	"enabled:b", "connected:b", "last_message_time:t?", "messages_count:n", "errors_count:n", "supported_symbols:n", "active_subscriptions:n",
}

var simulated = []string{"binance", "deribit", "okx"}

func status(c *client) {
	o := c.get("/api/v1/status")
	has(c.t, "status", o, "service:s", "running:b", "start_time:t", "uptime_seconds:n>0", "collector_metrics:o", "exchanges:o", "data_stats:o",
		"supported_exchanges:a", "supported_data_types:a")
	has(c.t, "collector_metrics", sub(o, "collector_metrics"), "messages_processed:n>0", "messages_published:n>0", "errors_count:n", "last_message_time:t")
	if o["service"] != "market-data-collector" || o["running"] != true {
		c.t.Errorf("%v, running %v", o["service"], o["running"])
	}
	if got := texts(list(o, "supported_exchanges")); !slices.Equal(got, simulated) {
		c.t.Errorf("supported_exchanges %v: plain names are promised", got)
	}
	if got := texts(list(o, "supported_data_types")); !slices.Contains(got, "trade") || !slices.Contains(got, "book_delta") || slices.Contains(got, "trades") {
		c.t.Errorf("supported_data_types %v: names of kinds are promised", got)
	}
	for _, x := range simulated {
		has(c.t, x, sub(o, "exchanges", x), exchangeFields...)
	}
	h := c.get("/health")
	has(c.t, "health", h, "collector:o", "exchanges:o", "data_stats:o")
	has(c.t, "data_stats.trade", sub(h, "data_stats", "trade"), "records:n>0", "gaps:n", "open_gaps:n", "last_message_time:t?")
}

func exchanges(c *client) {
	o := c.get("/api/v1/exchanges")
	has(c.t, "exchanges", o, "exchanges:o", "total:n", "timestamp:t")
	for _, x := range simulated {
		has(c.t, x, sub(o, "exchanges", x), exchangeFields...)
		s := c.get("/api/v1/exchanges/" + strings.ToUpper(x) + "/stats")
		has(c.t, x+" stats", s, "exchange:s", "status:o", "adapter_stats:o", "timestamp:t")
		has(c.t, x+" status", sub(s, "status"), exchangeFields...)
		now := sub(s, "status")
		if s["exchange"] != x || now["enabled"] != true || now["connected"] != true || now["active_subscriptions"].(float64) <= 0 {
			c.t.Errorf("%s: %v", x, now)
		}
	}
	c.refused(404, "unknown_exchange", "GET", "/api/v1/exchanges/nowhere/stats", "", "")
}

func orderBooks(c *client) {
	for _, path := range instruments {
		join := "?"
		if strings.Contains(path, "?") {
			join = "&"
		}
		at := "/api/v1/orderbook/" + path
		for _, format := range []string{"", "enhanced", "legacy", "simple"} {
			url := at + join + "depth=7"
			if format != "" {
				url += "&format=" + format
			}
			o := c.get(url)
			has(c.t, url, o, "exchange:s", "symbol:s", "market:s", "state:s", "sequence:n", "age:n>0", "timestamp:t", "bids:a", "asks:a")
			if !slices.Contains([]string{"live", "syncing", "stale"}, o["state"].(string)) {
				c.t.Errorf("%s: state %v", url, o["state"])
			}
			for _, side := range []string{"bids", "asks"} {
				levels(c.t, url, format, side, list(o, side))
			}
		}
		if n := len(list(c.get(at), "bids")); n == 0 || n > 20 {
			c.t.Errorf("%s: %d bids, want the 20 best", at, n)
		}
		has(c.t, "refresh", c.ask(200, "POST", strings.Replace(at, "?", "/refresh?", 1)+map[bool]string{false: "/refresh"}[strings.Contains(at, "?")], ""), "success:b", "timestamp:t")
	}
	c.refused(404, "unknown_symbol", "GET", "/api/v1/orderbook/binance/NO-SUCH", "", "")
	c.refused(404, "unknown_exchange", "GET", "/api/v1/orderbook/nowhere/BTC-USDT", "", "")
	c.refused(404, "unknown_symbol", "POST", "/api/v1/orderbook/binance/NO-SUCH/refresh", "", "")
	c.refused(404, "", "GET", "/api/v1/orderbook/deribit/BTC-PERPETUAL?market=spot", "", "")
	for _, wrong := range []string{"depth=0", "depth=x", "depth=1e9", "format=xml", "market=bazaar", "decimals=maybe"} {
		o := c.refused(422, "invalid_field", "GET", "/api/v1/orderbook/binance/BTC-USDT?"+wrong, "", "")
		name, _, _ := strings.Cut(wrong, "=")
		if errs := list(o, "errors"); len(errs) != 1 || errs[0].(object)["pointer"] != "/"+name {
			c.t.Errorf("%s: %v is to blame", wrong, errs)
		}
	}
	book := c.get("/api/v1/orderbook/binance/BTC-USDT?depth=1&decimals=string")
	if bids := list(book, "bids"); len(bids) != 1 || !isA(bids[0].(object)["price"], "s") {
		c.t.Errorf("decimals=string: %v", bids)
	}
}

// levels checks the form of a side, best first.
func levels(t *testing.T, url, format, side string, all []any) {
	t.Helper()
	if len(all) == 0 || len(all) > 7 {
		t.Errorf("%s: %d %s, want 1 to 7", url, len(all), side)
	}
	var last float64
	for i, l := range all {
		var price float64
		ok := false
		switch format {
		case "simple":
			pair, _ := l.([]any)
			if len(pair) == 2 && isA(pair[0], "s") && isA(pair[1], "s") {
				_, err := fmt.Sscan(pair[0].(string), &price)
				ok = err == nil
			}
		case "legacy":
			if pair, _ := l.([]any); len(pair) == 2 && isA(pair[1], "n>0") {
				price, ok = pair[0].(float64)
			}
		default:
			if o, _ := l.(object); isA(o["amount"], "n>0") {
				price, ok = o["price"].(float64)
			}
		}
		if !ok || i > 0 && (side == "bids") != (price < last) {
			t.Errorf("%s: %s[%d] is %v after %v", url, side, i, l, last)
			return
		}
		last = price
	}
}

func wholeBooks(c *client) {
	o := c.get("/api/v1/orderbook/stats")
	has(c.t, "stats", o, "books:n>0", "live:n", "stale:n", "syncing:n", "resyncs:n", "exchanges:o", "timestamp:t")
	has(c.t, "health", c.get("/api/v1/orderbook/health"), "status:s", "books:n>0", "not_live:a", "timestamp:t")
	o = c.get("/api/v1/orderbook/exchanges")
	if got := texts(list(o, "exchanges")); !slices.Equal(got, simulated) || o["total"] != 3.0 {
		c.t.Errorf("exchanges with books: %v", o)
	}
	o = c.get("/api/v1/orderbook/symbols/binance?market=spot")
	has(c.t, "symbols", o, "exchange:s", "symbols:a", "total:n", "timestamp:t")
	if all := list(o, "symbols"); len(all) != 3 {
		c.t.Errorf("%d symbols, want 3", len(all))
	} else {
		has(c.t, "a symbol", all[0].(object), "symbol:s", "native_symbol:s", "market:s", "collected:b", "data_types:a", "origins:a")
	}
	c.refused(404, "unknown_exchange", "GET", "/api/v1/orderbook/symbols/nowhere", "", "")
}

func recentTrades(c *client) {
	for _, path := range instruments {
		o := c.get("/api/v1/trades/" + path)
		has(c.t, path, o, "exchange:s", "symbol:s", "trades:a", "count:n>0", "timestamp:t")
		last := 0.0
		for i, v := range list(o, "trades") {
			trade, _ := v.(object)
			has(c.t, path, trade, "kind:s", "exchange:s", "market:s", "symbol:s", "id:s", "price:n>0", "amount:n>0", "side:s", "exchange_time_ns:n>0")
			at, _ := trade["exchange_time_ns"].(float64)
			if i > 0 && at > last {
				c.t.Errorf("%s: newest first is promised", path)
			}
			last = at
		}
	}
	if n := len(list(c.get("/api/v1/trades/binance/BTC-USDT?limit=1"), "trades")); n != 1 {
		c.t.Errorf("limit=1: %d trades", n)
	}
	c.refused(404, "unknown_symbol", "GET", "/api/v1/trades/binance/NO-SUCH", "", "")
	c.refused(422, "invalid_field", "GET", "/api/v1/trades/binance/BTC-USDT?limit=0", "", "")
}

var qualityFields = []string{"exchange:s", "market:s", "symbol:s", "coverage_percent:n?", "verified_percent:n?", "resyncs:n", "gaps:a", "channels:a", "live:b"}

func quality(c *client) {
	today := time.Now().UTC().Format(time.DateOnly)
	for _, query := range []string{"", "?day=" + today} {
		o := c.get("/api/v1/quality" + query)
		has(c.t, "quality"+query, o, "streams:a", "count:n", "timestamp:t")
		if n := len(list(o, "streams")); n != 15 {
			c.t.Errorf("quality%s: %d streams, want 5 markets of 3", query, n)
		}
		for _, v := range list(o, "streams") {
			s, _ := v.(object)
			has(c.t, "quality"+query, s, qualityFields...)
			if want := map[bool]string{true: "memory", false: "ledger"}[query == ""]; s["source"] != want {
				c.t.Errorf("quality%s: from %v, want %s", query, s["source"], want)
			}
		}
	}
	for _, path := range instruments {
		join := "?"
		if strings.Contains(path, "?") {
			join = "&"
		}
		for _, query := range []string{"bucket=15m", "bucket=1h&day=" + today, "from=" + time.Now().UTC().Add(-time.Hour).Format(time.RFC3339)} {
			var o object
			harness.Await(c.t, patience, "records in the store", func() bool {
				o = c.get("/api/v1/quality/" + path + join + query)
				return isA(o["verified_percent"], "n")
			})
			has(c.t, path, o, append(qualityFields, "coverage_percent:n", "verified_percent:n", "buckets:a", "days:a", "observed_seconds:n>0", "source:s")...)
			for _, v := range append(list(o, "buckets"), list(o, "days")...) {
				has(c.t, path, v.(object), "start:t", "seconds:n>0", "coverage_percent:n?", "verified_percent:n?", "records:n", "gaps:n")
			}
			if o["source"] != "ledger" {
				c.t.Errorf("%s: from %v: %v", path, o["source"], o["source_reason"])
			}
		}
		begun := c.ask(202, "POST", "/api/v1/quality/"+strings.SplitN(path, "?", 2)[0]+"/backfill", "")
		has(c.t, "backfill", begun, "success:b", "operation:o", "timestamp:t")
		id := fmt.Sprint(begun["operation"].(object)["operation_id"])
		has(c.t, "backfill, awaited", c.ask(200, "GET", "/api/v1/backfills/"+id+"?wait=30s", ""),
			"operation_id:s", "state:s", "parts:a", "progress:n", "records:n", "gaps_found:n")
		has(c.t, "backfill, ended", c.ask(200, "DELETE", "/api/v1/backfills/"+id, ""), "operation_id:s", "state:s")
		has(c.t, "backfills", c.ask(200, "GET", "/api/v1/backfills", ""), "operations:a", "count:n", "timestamp:t")
	}
	c.refused(404, "unknown_symbol", "GET", "/api/v1/quality/binance/NO-SUCH", "", "")
	c.refused(404, "unknown_symbol", "POST", "/api/v1/quality/binance/NO-SUCH/backfill", "", "")
	c.refused(404, "unknown_backfill", "GET", "/api/v1/backfills/none", "", "")
	c.refused(422, "invalid_field", "POST", "/api/v1/quality/binance/BTC-USDT/backfill", "application/json", `{"from":"long ago"}`)
	for _, wrong := range []string{"bucket=1s", "day=soon", "day=2024-08-08&from=2024-08-08T00:00:00Z", "from=2024-08-09T00:00:00Z&to=2024-08-08T00:00:00Z"} {
		c.refused(422, "invalid_field", "GET", "/api/v1/quality/binance/BTC-USDT?"+wrong, "", "")
	}
}

// imported sends a record that was recorded elsewhere.
func imported(c *client) {
	const record = `{"kind":"trade","exchange":"binance","market":"spot","symbol":"BTC-USDT","native_symbol":"BTCUSDT","exchange_time_ns":1700000000000000000,` +
		`"receive_time_ns":1700000000000000001,"seq":1,"conn":1,"epoch":1,"id":"1","price":"1.50","amount":"2","side":"buy"}` + "\n"
	a := c.try("POST", "/api/v1/backfills", "application/x-ndjson", record)
	var o object
	if a == nil || a.Status != http.StatusOK || json.Unmarshal(a.Body, &o) != nil {
		c.t.Fatalf("import: %+v", a)
	}
	has(c.t, "import", o, "success:b", "records:n>0", "known:n", "timestamp:t")
}

// streams: both ways to follow exist; what they carry has tests of its own.
func streams(c *client) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	const query = "?kinds=trade&exchanges=binance&symbols=BTC-USDT"
	conn, response, err := websocket.DefaultDialer.DialContext(ctx, strings.Replace(c.base, "http", "ws", 1)+"/ws/v1/stream"+query, nil)
	if err != nil {
		c.t.Fatalf("WebSocket: %v %v", err, response)
	}
	defer conn.Close()
	seen := map[any]bool{}
	for !seen["record"] {
		var m object
		if err := conn.ReadJSON(&m); err != nil {
			c.t.Fatal(err)
		}
		seen[m["type"]] = true
	}
	if !seen["subscribed"] {
		c.t.Errorf("WebSocket: %v", seen)
	}
	asked.note(ctx, c.base, "GET", "/ws/v1/stream", response.StatusCode)
	c.refused(426, "upgrade_required", "GET", "/ws/v1/stream", "", "")

	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/api/v1/stream"+query, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	if media := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || !strings.HasPrefix(media, "text/event-stream") {
		c.t.Fatalf("server-sent events: %d %s", res.StatusCode, media)
	}
	asked.note(ctx, c.base, "GET", "/api/v1/stream", res.StatusCode)
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		var m object
		if ok && json.Unmarshal([]byte(data), &m) == nil && m["type"] == "record" {
			return
		}
	}
	c.t.Errorf("server-sent events ended: %v", lines.Err())
}
