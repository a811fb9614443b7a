// Package contract asks a running program for everything that its HTTP contract
// promises: paths, status codes, field names, and that they outlive a restart. What a
// service answers is also held against its own description.
package contract

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(judged(m)) }

// patience is for a machine that is busy with other tests.
const patience = 60 * time.Second

// object is a JSON object.
type object = map[string]any

// TestContract: one program on simulated exchanges is asked for everything.
func TestContract(t *testing.T) {
	data, offset := t.TempDir(), harness.DevOffset(t)
	n := harness.Dev(t, data, offset, "--symbols", "3")
	c := &client{t: t, base: n.URL(harness.Collector, "")}
	harness.Await(t, patience, "books and trades of every market", func() bool { return settled(c) })

	t.Run("every service", func(t *testing.T) {
		for _, service := range harness.Services {
			t.Run(service, func(t *testing.T) { everyService(t, service, n.URL(service, "")) })
		}
	})
	t.Run("bodies of storage", func(t *testing.T) {
		refusedBodies(t, &client{base: n.URL(harness.Storage, "")}, "/api/v1/storage/hot/trades",
			`{"timestamp":"2024-08-08T12:00:00Z","symbol":"BTC-USDT","exchange":"contract","price":1,"amount":"2","side":"buy","trade_id":"1"}`, 32<<20)
	})
	t.Run("broker", func(t *testing.T) { broker(t, n.URL(harness.Broker, "")) })
	t.Run("collector", func(t *testing.T) { collector(t, n.URL(harness.Collector, "")) })
	t.Run("scheduler", func(t *testing.T) { scheduled(t, n.URL(harness.Scheduler, "")) })
	t.Run("gateway", func(t *testing.T) { gateway(t, n) })
	t.Run("monitoring", func(t *testing.T) { monitored(t, n.URL(harness.Monitoring, "")) })
	t.Run("subscriptions", func(t *testing.T) { subscriptions(t, data, offset, n) })
}

// settled reports whether every market has books that are live, and trades.
func settled(c *client) bool {
	a := c.try("GET", "/api/v1/orderbook/stats", "", "")
	var books struct{ Books, Live int }
	if a == nil || json.Unmarshal(a.Body, &books) != nil || books.Books == 0 || books.Books != books.Live {
		return false
	}
	for _, path := range instruments {
		var trades struct{ Count int }
		a := c.try("GET", "/api/v1/trades/"+path, "", "")
		if a == nil || json.Unmarshal(a.Body, &trades) != nil || trades.Count == 0 {
			return false
		}
	}
	return true
}

// instruments are one of each market, spelled in different ways.
var instruments = []string{
	"binance/btc_usdt", "binance/BTCUSDT?market=perpetual", "okx/BTC-USDT", "okx/BTC-USDT-SWAP", "deribit/BTC-PERPETUAL",
}

// client asks one service.
type client struct {
	t    *testing.T
	base string
	doc  *description // nil: answers are not held against it
}

// try sends a request; nil when nobody answers.
func (c *client) try(method, path, media, body string, header ...string) *harness.Answer {
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := harness.Do(c.t.Context(), r)
	if err != nil {
		return nil
	}
	asked.note(c.t.Context(), c.base, method, path, a.Status)
	return a
}

// ask sends a request that has to be answered with a status, and reads the JSON.
func (c *client) ask(status int, method, path, body string) object {
	c.t.Helper()
	media := ""
	if body != "" {
		media = "application/json"
	}
	a := c.try(method, path, media, body)
	if a == nil {
		c.t.Fatalf("%s %s: no answer", method, path)
	}
	if a.Status != status {
		c.t.Errorf("%s %s: %d, want %d: %.300s", method, path, a.Status, status, a.Body)
		return object{}
	}
	var o object
	if err := json.Unmarshal(a.Body, &o); err != nil {
		c.t.Errorf("%s %s: %v in %.200s", method, path, err, a.Body)
		return object{}
	}
	if c.doc != nil {
		if err := c.doc.judge(method, strings.SplitN(path, "?", 2)[0], a); err != nil {
			c.t.Errorf("%s %s is not as described: %v", method, path, err)
		}
	}
	return o
}

func (c *client) get(path string) object {
	c.t.Helper()
	return c.ask(200, "GET", path, "")
}

// refused sends a request that has to be answered with a problem, which is returned.
func (c *client) refused(status int, code, method, path, media, body string) object {
	c.t.Helper()
	a := c.try(method, path, media, body)
	if a == nil {
		c.t.Fatalf("%s %s: no answer", method, path)
	}
	if a.Status != status {
		c.t.Errorf("%s %s %.60s: %d, want %d: %.300s", method, path, body, a.Status, status, a.Body)
		return object{}
	}
	if err := problem(a, code); err != nil {
		c.t.Errorf("%s %s %.60s: %v", method, path, body, err)
	}
	var o object
	_ = json.Unmarshal(a.Body, &o) // problem has looked at it
	return o
}

// problem checks an error answer, field by field.
func problem(a *harness.Answer, code string) error {
	if media := a.Header.Get("Content-Type"); media != "application/problem+json" {
		return fmt.Errorf("answered as %q", media)
	}
	var p struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status"`
		Code      string `json:"code"`
		Detail    string `json:"detail"`
		Error     string `json:"error"`
		RequestID string `json:"request_id"`
		Errors    *[]struct {
			Pointer *string `json:"pointer"`
			Message string  `json:"message"`
		} `json:"errors"`
	}
	if err := json.Unmarshal(a.Body, &p); err != nil {
		return err
	}
	switch {
	case p.Type != "urn:marketprism:problem:"+p.Code || code != "" && p.Code != code:
		return fmt.Errorf("type %q, code %q, want %q", p.Type, p.Code, code)
	case p.Title != http.StatusText(a.Status) || p.Status != a.Status || p.Detail == "" || p.Error != p.Detail:
		return fmt.Errorf("incomplete: %s", a.Body)
	case p.RequestID == "" || p.RequestID != a.Header.Get("X-Request-Id"):
		return fmt.Errorf("request_id %q, X-Request-Id %q", p.RequestID, a.Header.Get("X-Request-Id"))
	case p.Errors == nil:
		return fmt.Errorf("no errors[]: %s", a.Body)
	}
	for _, e := range *p.Errors {
		if e.Pointer == nil || e.Message == "" {
			return fmt.Errorf("an entry of errors[] without pointer or message: %s", a.Body)
		}
	}
	return nil
}

// has checks that an object has members of a kind: "s" text, "n" number, "n>0", "b"
// boolean, "o" object, "a" list, "t" time in RFC 3339 UTC, "t?" that or null, "n?".
func has(t *testing.T, what string, o object, members ...string) {
	t.Helper()
	for _, m := range members {
		name, kind, _ := strings.Cut(m, ":")
		v, there := o[name]
		if !there {
			t.Errorf("%s has no %s: %.300v", what, name, o)
			continue
		}
		if !isA(v, kind) {
			t.Errorf("%s: %s is %.100v, want %s", what, name, v, kind)
		}
	}
}

func isA(v any, kind string) (ok bool) {
	if optional, found := strings.CutSuffix(kind, "?"); found {
		return v == nil || isA(v, optional)
	}
	switch kind {
	case "s":
		text, is := v.(string)
		return is && text != ""
	case "n":
		_, ok = v.(float64)
	case "n>0":
		n, is := v.(float64)
		return is && n > 0
	case "b":
		_, ok = v.(bool)
	case "o":
		_, ok = v.(object)
	case "a":
		_, ok = v.([]any)
	case "t":
		text, is := v.(string)
		_, err := time.Parse(time.RFC3339Nano, text)
		return is && err == nil && strings.HasSuffix(text, "Z")
	default:
		panic("no kind " + kind)
	}
	return ok
}

// sub is a member that is an object.
func sub(o object, names ...string) object {
	for _, n := range names {
		next, ok := o[n].(object)
		if !ok {
			return object{}
		}
		o = next
	}
	return o
}

func list(o object, name string) []any {
	l, _ := o[name].([]any)
	return l
}

func texts(all []any) (out []string) {
	for _, v := range all {
		s, _ := v.(string)
		out = append(out, s)
	}
	return out
}
