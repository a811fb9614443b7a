package contract

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

const subscribe = "/api/v1/exchanges/binance/subscribe"

// subscriptions: what is collected changes while the program runs, in place and for
// good. It ends the node.
func subscriptions(t *testing.T, data string, offset int, n *harness.Node) {
	c := &client{t: t, base: n.URL(harness.Collector, "")}
	var err error
	if c.doc, err = describe(c.try("GET", "/openapi.json", "", "").Body); err != nil {
		t.Fatal(err)
	}
	refusedSubscriptions(c)

	symbols := collected(c)
	gone, less := symbols[1], symbols[2]
	all := `["` + strings.Join(types(c, gone), `","`) + `"]`
	connections := connects(c)
	o := c.ask(200, "POST", subscribe, fmt.Sprintf(`{"action":"unsubscribe","symbols":[%q],"data_types":%s,"market":"spot"}`, native(gone), all))
	has(t, "unsubscribe", o, "success:b", "message:s", "symbols:a", "data_types:a", "active_subscriptions:n")
	c.refused(404, "", "GET", "/api/v1/orderbook/binance/"+gone+"?market=spot", "", "")
	c.ask(200, "POST", subscribe, fmt.Sprintf(`{"action":"unsubscribe","symbols":[%q],"data_types":["tickers"],"market":"spot"}`, strings.ToLower(less)))
	changed := func(c *client) {
		t.Helper()
		if have := collected(c); slices.Contains(have, gone) || len(have) != 2 {
			t.Errorf("collected: %v, want all but %s", have, gone)
		}
		if have := types(c, less); slices.Contains(have, "ticker") || !slices.Contains(have, "trade") {
			t.Errorf("of %s: %v, want all but ticker", less, have)
		}
	}
	changed(c)
	if now := connects(c); now != connections {
		t.Errorf("%v connections, there were %v: nothing had to connect again", now, connections)
	}
	c.get("/api/v1/subscriptions")

	for round := range 2 { // a second time, on what the first has left
		n.Kill()
		n = harness.Dev(t, data, offset, "--symbols", "3")
		c.base = n.URL(harness.Collector, "")
		harness.Await(t, patience, "streams after a power cut", func() bool { return len(collected(c)) > 0 && settled(c) })
		changed(c)
		shown(t, data, n, gone, less)
		if round == 0 {
			continue
		}
		c.ask(200, "POST", subscribe, fmt.Sprintf(`{"action":"subscribe","symbols":[%q],"data_types":["trades","orderbooks"],"market":"spot"}`, gone))
		harness.Await(t, patience, "its book", func() bool {
			a := c.try("GET", "/api/v1/orderbook/binance/"+gone+"?market=spot", "", "")
			return a != nil && a.Status == 200 && strings.Contains(string(a.Body), `"state":"live"`)
		})
	}
	n.Stop()
	out := harness.Must(t, patience, "config", "show", "--origin", "--set", "node.data_dir="+data, "--set", harness.Collector+".port="+fmt.Sprint(8082+offset))
	if !strings.Contains(out.Errors, "files, variables and flags only") || strings.Contains(out.Out, "runtime") {
		t.Errorf("without a running service: %s", out.Errors)
	}
}

// shown: the command shows what was changed, and where that comes from.
func shown(t *testing.T, data string, n *harness.Node, gone, less string) {
	t.Helper()
	out := harness.Must(t, patience, "config", "show", "--origin", "--set", "node.data_dir="+data,
		"--set", "exchanges.binance.markets.spot.symbols=BTCUSDT,"+native(gone)+","+less)
	want := "# runtime (" + harness.Collector + " at " + n.URL(harness.Collector, "") + ")"
	found := false
	for line := range strings.Lines(out.Out) {
		if strings.Contains(line, "symbols: [BTCUSDT, "+less+"]") && strings.Contains(line, want) {
			found = true
		}
	}
	if !found || !strings.Contains(out.Out, "# runtime: unsubscribe "+less+" [ticker]") || !strings.Contains(out.Out, "# runtime: unsubscribe "+gone+" [") {
		t.Errorf("config show --origin does not have %q:\n%s\n%s", want, out.Errors, grep(out.Out, "runtime"))
	}
}

func grep(text, word string) (out string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			out += line
		}
	}
	return out
}

func native(symbol string) string { return strings.ReplaceAll(symbol, "-", "") }

// refusedSubscriptions: each says what is wrong, and where.
func refusedSubscriptions(c *client) {
	for _, tc := range []struct{ body, code, pointer string }{
		{`{"action":"dance","symbols":["BTC-USDT"]}`, "invalid_field", "/action"},
		{`{"symbols":["BTC-USDT"]}`, "invalid_field", "/action"},
		{`{"action":"subscribe"}`, "invalid_field", "/symbols"},
		{`{"action":"subscribe","symbols":[]}`, "invalid_field", "/symbols"},
		{`{"action":"subscribe","symbols":"BTC-USDT"}`, "invalid_field", "/symbols"},
		{`{"action":"subscribe","symbols":["BTC-USDT",5]}`, "invalid_field", "/symbols/1"},
		{`{"action":"subscribe","symbols":["BTC-USDT","NO-SUCH"]}`, "unknown_symbol", "/symbols/1"},
		{`{"action":"subscribe","symbols":["BTC-USDT"],"data_types":["dreams"]}`, "invalid_field", "/data_types"},
		{`{"action":"subscribe","symbols":["BTC-USDT"],"data_types":["funding"],"market":"spot"}`, "invalid_field", "/data_types"},
		{`{"action":"subscribe","symbols":["BTC-USDT"],"market":"bazaar"}`, "invalid_field", "/market"},
		{`[]`, "invalid_field", ""},
		{`null`, "", ""},
	} {
		o := c.refused(400, tc.code, "POST", subscribe, "application/json", tc.body)
		if errs := list(o, "errors"); tc.pointer != "" && (len(errs) != 1 || errs[0].(object)["pointer"] != tc.pointer) {
			c.t.Errorf("%s: %v is to blame, want %s", tc.body, errs, tc.pointer)
		}
	}
}

// collected lists the spot symbols that are collected, and types what of one.
func collected(c *client) (out []string) {
	for _, s := range spot(c) {
		out = append(out, s["symbol"].(string))
	}
	return out
}

func types(c *client, symbol string) []string {
	for _, s := range spot(c) {
		if s["symbol"] == symbol {
			return texts(list(s, "data_types"))
		}
	}
	return nil
}

func spot(c *client) (out []object) {
	for _, v := range list(c.get("/api/v1/orderbook/symbols/binance?market=spot"), "symbols") {
		out = append(out, v.(object))
	}
	return out
}

// connects counts the connections to binance so far.
func connects(c *client) (n float64) {
	for _, v := range list(sub(c.get("/api/v1/exchanges/binance/stats"), "adapter_stats", "spot"), "sessions") {
		k, _ := v.(object)["connects"].(float64)
		n += k
	}
	return n
}

// TestDisabled: an exchange that is known and not collected answers too; services of
// another process are found where the configuration says.
func TestDisabled(t *testing.T) {
	n := harness.Start(t, t.TempDir(), nil, harness.Broker, harness.Storage, harness.Collector)
	c := &client{t: t, base: n.URL(harness.Collector, "")}
	for _, x := range simulated {
		o := c.get("/api/v1/exchanges/" + x + "/stats")
		has(t, x, o, "exchange:s", "status:o", "adapter_stats:o", "timestamp:t")
		has(t, x, sub(o, "status"), exchangeFields...)
		if now := sub(o, "status"); now["enabled"] != false || now["connected"] != false {
			t.Errorf("%s: %v", x, now)
		}
	}
	if got := texts(list(c.get("/api/v1/status"), "supported_exchanges")); !slices.Equal(got, simulated) {
		t.Errorf("supported_exchanges %v", got)
	}

	// Another data directory: nothing but the configured addresses leads there.
	file := filepath.Join(t.TempDir(), "services.yaml")
	harness.WriteConfig(t, file, t.TempDir(), harness.Settings{
		"cluster.services." + harness.Storage:   []string{strings.TrimPrefix(n.URL(harness.Storage, ""), "http://")},
		"cluster.services." + harness.Collector: []string{strings.TrimPrefix(n.URL(harness.Collector, ""), "http://"), "127.0.0.1:1"},
	})
	out := harness.Run(t, 30*time.Second, "status", "-c", file)
	for _, want := range []string{harness.Storage, harness.Collector} {
		if line := grep(grep(out.Out, want), n.URL(want, "")); !strings.Contains(line, "healthy") && !strings.Contains(line, "degraded") {
			t.Errorf("status does not find %s:\n%s", want, out.Out)
		}
	}
	if !strings.Contains(grep(out.Out, "127.0.0.1:1 "), "unreachable") || out.Code != 1 {
		t.Errorf("status, exit code %d, shows one of two collectors:\n%s", out.Code, out.Out)
	}
	if out := harness.Must(t, patience, "config", "show", "-c", file); strings.Contains(out.Errors, "only") {
		t.Errorf("config show does not find the collector: %s", out.Errors)
	}
}
