package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/actors/gateway/forward"
	"github.com/marketprism/marketprism/http/gateway"
)

func TestPaths(t *testing.T) {
	s, c := newTarget(t, nil), newTarget(t, nil)
	w := start(t, defaults(), map[string][]string{storage: {s.URL}, collector: {c.URL}})
	for _, tc := range []struct {
		path, at string
		service  *target
	}{
		{"/api/v1/storage/hot/trades?limit=3&x=a%2Fb", "/api/v1/storage/hot/trades?limit=3&x=a%2Fb", s},
		{"/api/v1/data-storage-service/storage/hot/trades", "/api/v1/storage/hot/trades", s},
		{"/api/v1/data-storage-service/health", "/api/v1/health", s},
		{"/api/v1/collector/orderbook/okx/BTC%2FUSDT", "/api/v1/orderbook/okx/BTC%2FUSDT", c},
		{"/api/v1/market-data-collector/status", "/api/v1/status", c},
		{"/api/v1/collector/a%20b/c%3Fd", "/api/v1/a%20b/c%3Fd", c},
		{"/ws/collector/v1/stream", "/ws/v1/stream", c},
	} {
		a := w.do("GET", tc.path, "")
		if got := tc.service.last(); a.status != http.StatusOK || got.uri != tc.at {
			t.Errorf("%s: %d, got %s, want %s", tc.path, a.status, got.uri, tc.at)
		}
		if got := tc.service.last().host; got != strings.TrimPrefix(tc.service.URL, "http://") {
			t.Errorf("the service was asked as %s", got)
		}
	}
	a := w.do("GET", "/api/v1/storage/x", "")
	if got := a.header.Get("X-Gateway-Service"); got != storage {
		t.Errorf("X-Gateway-Service %q", got)
	}
	if _, err := time.Parse(time.RFC3339, a.header.Get("X-Gateway-Timestamp")); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
		if a.header.Get(name) == "" {
			t.Errorf("no %s", name)
		}
	}
	for name, values := range a.header {
		if len(values) > 1 {
			t.Errorf("%s is said %d times: %q", name, len(values), values)
		}
	}
	for _, path := range []string{"/api/v1/admin/x", "/api/v1/auth/nothing", "/api/v1/gateway/nothing", "/api/v1/config/x", "/api/v1/storage", "/api/v1/%73torage/x", "/ws/admin/x"} {
		w.refused(404, "not_found", "GET", path, "")
	}
	w.refused(405, "method_not_allowed", "DELETE", "/api/v1/gateway/status", "")
	w.refused(503, "unknown_service", "GET", "/api/v1/nobody/x", "")
	w.directory.set(storage)
	await(t, "a service that runs nowhere", func() bool { return w.do("GET", "/api/v1/storage/x", "").code() == "not_running" })
}

func TestMethodsAndBodies(t *testing.T) {
	s := newTarget(t, nil)
	w := start(t, defaults(), map[string][]string{storage: {s.URL}})
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		body := ""
		if method != "GET" && method != "OPTIONS" {
			body = `{"a":1}`
		}
		a := w.do(method, "/api/v1/storage/x", body, "Content-Type", "application/json")
		if got := s.last(); a.status != 200 || got.method != method || got.body != body {
			t.Errorf("%s: %d, got %+v", method, a.status, got)
		}
	}
	if a := w.do("HEAD", "/api/v1/storage/x", ""); a.status != 200 || len(a.body) > 0 || s.last().method != "HEAD" {
		t.Errorf("HEAD: %+v", a)
	}
	small := defaults()
	small.entrance.MaxBodyBytes = 1 << 10
	w = start(t, small, map[string][]string{storage: {s.URL}})
	w.refused(413, "too_large", "POST", "/api/v1/storage/x", strings.Repeat("x", 2<<10))
	r, err := http.NewRequestWithContext(t.Context(), "POST", w.url("/api/v1/storage/x"), io.MultiReader(strings.NewReader(strings.Repeat("x", 2<<10))))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // only the status counts
	if resp.StatusCode != 413 {
		t.Errorf("a body of unknown length: %d", resp.StatusCode)
	}
}

// TestStreams: an event stream is passed on piece by piece, both ways stream at once,
// and all of it ends when the gateway stops.
func TestStreams(t *testing.T) {
	next := make(chan string)
	left := make(chan struct{})
	s := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case text := <-next:
				_, _ = fmt.Fprintf(w, "data: %s\n\n", text)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				close(left)
				return
			}
		}
	})
	w := start(t, defaults(), map[string][]string{collector: {s.URL}})
	resp := open(t, w.url("/api/v1/collector/stream"), next)
	lines := bufio.NewReader(resp.Body)
	for i := range 3 {
		if i > 0 {
			next <- fmt.Sprint(i)
		}
		line, err := lines.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("got %q, %v", line, err)
		}
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if n, m := w.branch.Streams().Now(), w.branch.Requests().Now(); n != 1 || m != 0 {
		t.Errorf("%d streams, %d requests under way", n, m)
	}
	begin := time.Now()
	if err := w.server.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if _, err := io.ReadAll(lines); err == nil {
		t.Error("a stream that was cut off ended as though it were whole")
	}
	_ = resp.Body.Close() // it is broken
	<-left
	if n := w.branch.Streams().Now(); n != 0 {
		t.Errorf("%d streams under way", n)
	}
}

// open begins to read what a service sends once it is asked.
func open(t *testing.T, url string, next chan string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { next <- "0" }()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestWebSocket(t *testing.T) {
	up := websocket.Upgrader{CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == "" }}
	s := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }() // the test is over then
		for {
			kind, text, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, text) != nil {
				return
			}
		}
	})
	limited := defaults()
	limited.branch.Limits.Streams = 1
	w := start(t, limited, map[string][]string{collector: {s.URL}})
	at := "ws" + strings.TrimPrefix(w.url("/ws/collector/v1/stream"), "http")
	c, resp, err := websocket.DefaultDialer.DialContext(t.Context(), at, http.Header{"Origin": {w.server.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("X-Gateway-Service") != collector {
		t.Errorf("header %v", resp.Header)
	}
	for _, text := range []string{"a", strings.Repeat("b", 100_000)} {
		if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.ReadMessage(); err != nil || string(got) != text {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	if s.last().uri != "/ws/v1/stream" {
		t.Errorf("asked for %s", s.last().uri)
	}
	if _, resp, err := websocket.DefaultDialer.DialContext(t.Context(), at, nil); err == nil || resp == nil || resp.StatusCode != 503 {
		t.Errorf("one more than there may be: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	await(t, "the end of the stream", func() bool { return w.branch.Streams().Now() == 0 })
	// A stranger's page is refused before the service sees anything.
	before := s.count()
	_, resp, err = websocket.DefaultDialer.DialContext(t.Context(), at, http.Header{"Origin": {"http://evil.example"}})
	if !errors.Is(err, websocket.ErrBadHandshake) || resp.StatusCode != 403 || s.count() != before {
		t.Errorf("another origin: %v, %d requests", err, s.count()-before)
	}
}

func TestBrokenAnswers(t *testing.T) {
	s := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/storage/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/api/v1/storage/drop":
			panic(http.ErrAbortHandler)
		case "/api/v1/storage/slow":
			<-r.Context().Done()
		}
	})
	quick := defaults()
	quick.branch.Forwarding.Routes = []forward.TimeoutConfig{{Path: "/api/v1/storage/slow", Timeout: 100 * time.Millisecond}}
	quick.branch.Upstreams.Breaker.Enabled = false
	w := start(t, quick, map[string][]string{storage: {s.URL}})
	resp, err := client.Get(w.url("/api/v1/storage/cut"))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("a part came as a whole: %q", text)
	}
	_ = resp.Body.Close() // it is broken
	before := s.count()
	w.refused(502, "upstream_failed", "POST", "/api/v1/storage/drop", "x")
	if n := s.count() - before; n != 1 {
		t.Errorf("a POST was sent %d times", n)
	}
	before = s.count()
	w.refused(502, "upstream_failed", "GET", "/api/v1/storage/drop", "")
	if n := s.count() - before; n < 3 {
		t.Errorf("a GET was sent %d times", n)
	}
	before = s.count()
	w.refused(502, "upstream_failed", "POST", "/api/v1/storage/drop", "x", "Idempotency-Key", "1")
	if n := s.count() - before; n != 3 {
		t.Errorf("a POST with a key was sent %d times", n)
	}
	before = s.count()
	w.refused(504, "upstream_timeout", "GET", "/api/v1/storage/slow", "")
	if n := s.count() - before; n != 1 {
		t.Errorf("a request that timed out was sent %d times", n)
	}
	w.directory.set(storage, deadAddress(t))
	await(t, "the new address", func() bool { return w.do("POST", "/api/v1/storage/x", "x").code() != "" })
	if a := w.do("POST", "/api/v1/storage/x", "x"); a.status != 503 || a.code() != "unreachable" && a.code() != "unhealthy" || a.header.Get("Retry-After") == "" {
		t.Errorf("nobody there: %d %s", a.status, a.body)
	}
}

// TestFailover: what never left goes elsewhere, and what may be repeated is.
func TestFailover(t *testing.T) {
	good := newTarget(t, nil)
	sick := newTarget(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	calm := defaults()
	calm.branch.Upstreams.ProbeInterval = time.Hour // requests find out
	w := start(t, calm, map[string][]string{storage: {good.URL, sick.URL}})
	for i := range 30 {
		if a := w.do("PUT", "/api/v1/storage/x", fmt.Sprint(i)); a.status != 200 {
			t.Fatalf("request %d: %d %s", i, a.status, a.body)
		}
	}
	if good.count() != 30 {
		t.Errorf("%d requests were answered", good.count())
	}
	w = start(t, calm, map[string][]string{storage: {good.URL, deadAddress(t)}})
	for i := range 30 {
		if a := w.do("POST", "/api/v1/storage/x", fmt.Sprint(i)); a.status != 200 {
			t.Fatalf("POST %d: %d %s", i, a.status, a.body)
		}
	}
	if good.count() != 60 {
		t.Errorf("%d requests were answered: each POST once", good.count())
	}
}

func TestBreakerOpens(t *testing.T) {
	s := newTarget(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	w := start(t, defaults(), map[string][]string{storage: {s.URL}})
	for range 20 {
		if a := w.do("POST", "/api/v1/storage/x", ""); a.status != 500 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	a := w.refused(503, "breaker_open", "POST", "/api/v1/storage/x", "")
	if a.header.Get("Retry-After") != "5" || s.count() != 20 {
		t.Errorf("Retry-After %q, %d requests got through", a.header.Get("Retry-After"), s.count())
	}
	stats := w.do("GET", "/api/v1/gateway/stats", "")
	if !strings.Contains(string(stats.body), `"circuit_breaker_trips":1`) || !strings.Contains(string(stats.body), `"state":"open"`) {
		t.Errorf("stats: %s", stats.body)
	}
	if a := w.do("GET", "/api/v1/"+gateway.Service+"/gateway/status", ""); a.status != 503 {
		t.Errorf("the gateway runs nowhere here: %d", a.status)
	}
}
