package endtoend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

// The documents that clients POST, and how each of their members can be wrong.
var writable = map[string][]string{
	"trades":     {"timestamp", "symbol", "exchange", "price", "amount", "side", "trade_id"},
	"tickers":    {"timestamp", "symbol", "exchange", "last_price"},
	"orderbooks": {"timestamp", "symbol", "exchange", "bids", "asks"},
}

var good = map[string]string{
	"timestamp": `"2024-08-08T12:00:00Z"`, "symbol": `"BTC-USDT"`, "exchange": `"lab"`, "price": `61837.63`, "amount": `"0.0125"`,
	"side": `"buy"`, "trade_id": `"1"`, "last_price": `61837.63`, "bids": `[["61837.6","1"]]`, "asks": `[["61837.7","1"]]`,
}

// impossible is what no member of any of the documents may be.
var impossible = map[string]string{
	"NaN": `NaN`, "infinity": `-Infinity`, "hexadecimal": `0x10`, "an object": `{"a":{"b":[]}}`, "a list of lists of texts": `[[["a"],null],1]`,
	"a boolean": `true`, "1e999 as number": `1e999`, "an enormous exponent": `1e2147483648`, "a lone surrogate": `"\ud800"`,
	"deep nesting": strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000), "cut off": `"x`, "invalid UTF-8": "\"\xff\xfe\"",
	"overlong UTF-8": "\"\xc0\xae\xc0\xae/\"", "a null byte": "\"a\x00b\"", "an escaped null byte": `"a\u0000b"`,
	"very many digits as text": `"` + strings.Repeat("9", 100_000) + `"`, "empty": `""`,
}

// wrong is what a certain member may not be.
var wrong = map[string][]string{
	"timestamp":  {`"yesterday"`, `"2024-02-30T25:61:61Z"`, `"10000-01-01T00:00:00Z"`, `"1999-01-01T00:00:00Z"`, `-1`, `null`},
	"symbol":     {`"../../../../etc/passwd/../../../../etc/passwd/../../../../etc/passwd/x"`, `"/"`, `17`, `null`, `"` + strings.Repeat("A", 5000) + `"`},
	"exchange":   {`"../.."`, `";--"`, `17`, `null`, `"` + strings.Repeat("A", 5000) + `"`},
	"price":      {`"'; DROP TABLE trades; --"`, `"NaN"`, `"0x7f"`, `-1`, `"1e999"`, `null`},
	"amount":     {`"1' OR '1'='1"`, `"Infinity"`, `-0.1`, `null`},
	"side":       {`"BUY; DROP TABLE trades"`, `"long"`, `1`},
	"trade_id":   {`1.5`, `-1`, `null`, `"` + strings.Repeat("A", 5000) + `"`},
	"last_price": {`"x"`, `-1`, `null`},
	"bids":       {`"x"`, `[["1"]]`, `[["1","x"]]`, `[[1,2,3]]`, `[{"price":1}]`, `[["NaN","1"]]`, `17`},
	"asks":       {`"x"`, `[[]]`, `[["-1","1"]]`, `[["1",null]]`},
}

func document(kind, member, value string) []byte {
	var members []string
	for _, name := range writable[kind] {
		v := good[name]
		if name == member {
			v = value
		}
		members = append(members, fmt.Sprintf("%q:%s", name, v))
	}
	return []byte("{" + strings.Join(members, ",") + "}")
}

// refused checks that an answer is a problem of the client.
func refused(t *testing.T, what string, a *harness.Answer, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if a.Status < 400 || a.Status > 499 {
		t.Errorf("%s: answered %d %.300s", what, a.Status, a.Body)
		return
	}
	if _, err := a.Problem(); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// TestHostile: whatever a body, a path or a parameter holds, the answer is a 4xx
// problem document, the program lives, and nothing of it is stored.
func TestHostile(t *testing.T) {
	n := harness.Start(t, t.TempDir(), nil)
	base := n.URL(harness.Storage, "/api/v1/storage/")
	for kind := range writable { // the form itself is fine
		a, err := harness.Post(t.Context(), base+"hot/"+kind, "application/json", document(kind, "exchange", `"proof"`))
		if err != nil || a.Status != http.StatusOK {
			t.Fatalf("a good document of %s: %v %+v", kind, err, a)
		}
	}
	t.Run("members", func(t *testing.T) {
		for kind, members := range writable {
			for _, member := range members {
				values := map[string]string{}
				for name, v := range impossible {
					values[name] = v
				}
				for _, v := range wrong[member] {
					values[v] = v
				}
				for name, v := range values {
					a, err := harness.Post(t.Context(), base+"hot/"+kind, "application/json", document(kind, member, v))
					refused(t, fmt.Sprintf("%s with %s = %.60s", kind, member, name), a, err)
				}
				without := document(kind, member, `1,"\u0000":1`)
				a, err := harness.Post(t.Context(), base+"hot/"+kind, "application/json", bytes.Replace(without, []byte(fmt.Sprintf("%q:", member)), []byte(`"else":`), 1))
				refused(t, kind+" without "+member, a, err)
			}
		}
	})
	t.Run("bodies", func(t *testing.T) {
		for name, body := range map[string]string{
			"nothing": "", "null": "null", "a number": "17", "a text": `"x"`, "XML": `<a/>`, "a form": "symbol=BTC&price=1",
			"null bytes": strings.Repeat("\x00", 64), "UTF-16": "\xff\xfe{\x00}\x00", "a comment": `{"a":1 /* b */}`,
			"a list of nulls": "[null,null]", "a mixed list": `[{},1,"a"]`, "open lists": strings.Repeat("[", 100_000),
			"nested objects": strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000), "trailing text": string(document("trades", "", "")) + " and more",
			"one bad row among good ones": "[" + string(document("trades", "", "")) + "," + string(document("trades", "price", `"x"`)) + "]",
		} {
			a, err := harness.Post(t.Context(), base+"hot/trades", "application/json", []byte(body))
			refused(t, name, a, err)
		}
		a, err := harness.Post(t.Context(), base+"hot/trades", "text/html", document("trades", "", ""))
		refused(t, "another media type", a, err)
	})
	t.Run("100 MB", func(t *testing.T) {
		a, err := harness.Do(t.Context(), endless(t, base+"hot/trades", 100<<20))
		if err != nil { // the server may close while the client still sends
			if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
			return
		}
		if refused(t, "100 MB", a, nil); a.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("100 MB: answered %d, want 413", a.Status)
		}
	})
	t.Run("paths", func(t *testing.T) {
		for _, segment := range []string{
			"%2e%2e", "..%2f..%2f..%2fetc%2fpasswd", "..%5c..%5cwindows", "a%2f..%2fb", "BTC%00USDT", "BTC%0d%0aX-Injected:1", "%ff%fe",
			"%c0%ae%c0%ae", strings.Repeat("A", 5000), url.PathEscape(`'; DROP TABLE trades; --`), url.PathEscape(`x' UNION SELECT * FROM tables() --`),
			url.PathEscape("md.v1.>"), url.PathEscape("{{7*7}}"), url.PathEscape("<script>alert(1)</script>"),
		} {
			for _, path := range []string{"hot/trades/lab/" + segment, "hot/tickers/" + segment + "/BTC-USDT", "query/" + segment + "/lab/BTC-USDT", "query/trade/lab/" + segment, "candles/" + segment + "/x"} {
				a, err := harness.Get(t.Context(), base+path)
				unharmed(t, path, a, err)
			}
			for _, path := range []string{"orderbook/binance/" + segment, "quality/" + segment + "/BTC-USDT", "exchanges/" + segment + "/stats"} {
				a, err := harness.Get(t.Context(), n.URL(harness.Collector, "/api/v1/"+path))
				refused(t, path, a, err)
			}
		}
	})
	t.Run("parameters", func(t *testing.T) {
		for _, q := range []string{
			"limit=-1", "limit=1e999", "limit=99999999999999999999", "limit=NaN", "limit=%27%3B--", "from=yesterday", "to=1e999", "from=%ff%fe",
			"cursor=AAAA", "cursor=%00", "cursor=" + strings.Repeat("A", 10_000), "format=exe", "order=up", "origin=theirs", "market=casino",
			"decimals=roman", "from=2024-01-02T00:00:00Z&to=2024-01-01T00:00:00Z",
		} {
			a, err := harness.Get(t.Context(), base+"query/trade/lab/BTC-USDT?"+q)
			refused(t, q, a, err)
		}
	})
	t.Run("methods", func(t *testing.T) {
		for _, method := range []string{http.MethodDelete, http.MethodPut, http.MethodPatch, "PROPFIND"} {
			r, err := http.NewRequestWithContext(t.Context(), method, base+"hot/trades", nil)
			if err != nil {
				t.Fatal(err)
			}
			a, err := harness.Do(t.Context(), r)
			refused(t, method, a, err)
		}
	})
	for _, service := range harness.Services {
		if h := n.Health(service); h.Code != http.StatusOK {
			t.Errorf("afterwards %s is %s: %s", service, h.Status, h.Complaint())
		}
	}
	if why := n.Crashed(); why != "" {
		t.Error(why)
	}
	for _, kind := range []string{"trade", "ticker", "book_snapshot"} {
		if records := n.MustQuery(kind, "lab", "BTC-USDT"); len(records) > 0 {
			t.Errorf("%d records of refused documents are stored, such as %s", len(records), records[0].Line)
		}
	}
	n.Stop()
}

// unharmed checks an answer to what may be an instrument nobody has heard of.
func unharmed(t *testing.T, what string, a *harness.Answer, err error) {
	t.Helper()
	switch {
	case err != nil:
		t.Errorf("%s: %v", what, err)
	case a.Status == http.StatusNotFound && strings.HasPrefix(string(a.Body), `{"status":"not_found"`): // the documented one
	case a.Status == http.StatusOK && bytes.Contains(a.Body, []byte(`"count":0`)): // a list of nothing
	default:
		refused(t, what, a, nil)
	}
}

// endless is a POST of one text that is too long.
func endless(t *testing.T, url string, size int64) *http.Request {
	t.Helper()
	body := io.MultiReader(strings.NewReader(`{"symbol":"`), io.LimitReader(letters{}, size), strings.NewReader(`"}`))
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'A'
	}
	return len(p), nil
}
