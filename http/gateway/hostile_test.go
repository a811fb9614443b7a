package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/http/chassis/chassistest"
)

func TestHostile(t *testing.T) {
	s := newTarget(t, nil)
	w := start(t, defaults(), map[string][]string{storage: {s.URL}})
	chassistest.Run(t, w.server.URL(), []chassistest.Endpoint{
		{Method: "GET", Path: "/api/v1/gateway/status"}, {Method: "GET", Path: "/api/v1/gateway/stats"}, {Method: "GET", Path: "/api/v1/gateway/services"},
		{Method: "POST", Path: "/api/v1/gateway/services", Body: `{"service_name":"mine","host":"127.0.0.1","port":1,"health_endpoint":"/health"}`},
	})
}

// TestClimbing: no spelling of a path leads out of the part of a service that it names.
func TestClimbing(t *testing.T) {
	s := newTarget(t, nil)
	w := start(t, defaults(), map[string][]string{storage: {s.URL}})
	for _, path := range []string{
		"/api/v1/storage/../../metrics", "/api/v1/storage/%2e%2e/%2e%2e/metrics", "/api/v1/storage/..%2f..%2fmetrics", "/api/v1/storage/..%5c..%5cmetrics",
		"/api/v1/storage/%252e%252e/x", "/api/v1/storage/..%252fx", "/api/v1/storage/a%252fb", "/api/v1/storage/%25%32%65/x",
		"/api/v1/storage/..;/x", "/api/v1/storage/..;a=b/x", "/api/v1/storage/.;/x", "/api/v1/storage/%2e%2e;/x", "/api/v1/storage/..%3b/x", "/api/v1/storage/%2e%2e%20;/x",
		"/api/v1/storage/%00", "/api/v1/storage/a%0d%0ab", "/api/v1/storage/%ff", "/api/v1/storage/%c0%ae%c0%ae/x",
		"/ws/storage/../../metrics", "/ws/storage/%2e%2e/x", "/api/v1/..%2fstorage/x", "/api/v1/storage%2f../x",
	} {
		if status := raw(t, w, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)); status < 400 || status > 499 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if n := s.count(); n > 0 {
		t.Errorf("%d requests got through, the last as %s", n, s.last().uri)
	}
}

// raw sends bytes and reads the status of the first answer; 0 when there is none.
func raw(t *testing.T, w *world, text string) int {
	t.Helper()
	c, err := net.Dial("tcp", w.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // it is read
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		return 0 // it was closed on us
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close() // only the status counts
	return resp.StatusCode
}

// TestSmuggling: what two servers could read as different requests reaches the service as
// one, or not at all.
func TestSmuggling(t *testing.T) {
	s := newTarget(t, nil)
	w := start(t, defaults(), map[string][]string{storage: {s.URL}})
	const post = "POST /api/v1/storage/outer HTTP/1.1\r\nHost: x\r\n"
	const inner = "GET /api/v1/storage/inner HTTP/1.1\r\nHost: x\r\n\r\n"
	cases := map[string]string{
		"length and chunks":    post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n" + inner,
		"two lengths":          post + "Content-Length: 5\r\nContent-Length: 60\r\n\r\nhello" + inner,
		"a list of lengths":    post + "Content-Length: 5, 60\r\n\r\nhello" + inner,
		"a signed length":      post + "Content-Length: +5\r\n\r\nhello" + inner,
		"a hex length":         post + "Content-Length: 0x5\r\n\r\nhello" + inner,
		"chunks, misspelled":   post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner,
		"chunks, twice":        post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner,
		"chunks, with a space": post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner,
		"a folded header":      post + "X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"a bare line feed":     post + "X: a\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\nConnection: close\r\n\r\n0\r\n\r\n",
		"a bad chunk":          post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx\r\n0\r\n\r\n" + inner,
		"a null in a header":   post + "X: a\x00b\r\nContent-Length: 0\r\n\r\n",
	}
	for name, text := range cases {
		status := raw(t, w, text)
		for _, got := range s.since(0) {
			if strings.Contains(got.uri, "inner") {
				t.Fatalf("%s: the service got %s %s (%d)", name, got.method, got.uri, status)
			}
		}
	}
	if n := s.count(); n > len(cases) {
		t.Errorf("%d requests became %d", len(cases), n)
	}
}

// since are the requests after the first n.
func (s *target) since(n int) []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.got[n:]...)
}

// TestUntrustedHeaders: a client cannot say who it is, where it comes from, or that it is a
// gateway.
func TestUntrustedHeaders(t *testing.T) {
	s := newTarget(t, nil)
	w := start(t, defaults(), map[string][]string{storage: {s.URL}})
	headers := []string{
		"X-MarketPrism-Identity", "forged", "X-Gateway-Service", "forged", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-Host", "evil", "X-Forwarded-Proto", "forged",
		"X-Forwarded-User", "root", "Forwarded", "for=1.2.3.4", "X-Real-IP", "1.2.3.4", "X-User-Id", "root", "Remote-User", "root", "X-Auth-Request-User", "root",
		"X-HTTP-Method-Override", "DELETE", "X-Original-URL", "/admin", "Proxy", "evil", "Connection", "X-Forwarded-For, X-Gateway-Service, Via, X-Request-Id, traceparent",
		"X-Request-Id", "mine-17", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Cookie", "a=b", "Authorization", "Bearer theirs",
	}
	a := w.do("GET", "/api/v1/storage/x", "", headers...)
	got := s.last().header
	for name, want := range map[string]string{
		"X-Marketprism-Identity": "", "X-Gateway-Service": storage, "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http",
		"X-Forwarded-User": "", "Forwarded": "", "X-Real-Ip": "", "X-User-Id": "", "Remote-User": "", "X-Auth-Request-User": "",
		"X-Http-Method-Override": "", "X-Original-Url": "", "Proxy": "", "X-Request-Id": "mine-17", "Cookie": "a=b", "Authorization": "Bearer theirs",
		"Via": "1.1 marketprism-gateway-test",
	} {
		if strings.Join(got[name], "|") != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if at := got.Get("X-Forwarded-Host"); at != w.server.Addr() {
		t.Errorf("X-Forwarded-Host %q", at)
	}
	if trace := got.Get("Traceparent"); !strings.HasPrefix(trace, "00-0af7651916cd43dd8448eb211c80319c-") || strings.Contains(trace, "b7ad6b7169203331") {
		t.Errorf("traceparent %q", trace)
	}
	if a.header.Get("X-Request-Id") != "mine-17" {
		t.Errorf("X-Request-Id %q", a.header.Get("X-Request-Id"))
	}
	behind := defaults()
	behind.entrance.TrustedProxies = []string{"127.0.0.0/8"}
	behind.branch.Limits.Address.PerSecond, behind.branch.Limits.Address.Burst = 0.001, 1
	w = start(t, behind, map[string][]string{storage: {s.URL}})
	if a := w.do("GET", "/api/v1/storage/x", "", "X-Forwarded-For", "9.9.9.9, 1.2.3.4"); a.status != 200 || s.last().header.Get("X-Forwarded-For") != "9.9.9.9, 1.2.3.4, 127.0.0.1" {
		t.Errorf("behind a proxy: %d, %q", a.status, s.last().header["X-Forwarded-For"])
	}
	// What stands before the proxy's own word was written by anybody.
	w.refused(429, "rate_limited", "GET", "/api/v1/storage/x", "", "X-Forwarded-For", "8.8.8.8, 1.2.3.4")
	if a := w.do("GET", "/api/v1/storage/x", "", "X-Forwarded-For", "1.2.3.5"); a.status != 200 {
		t.Errorf("another client: %d", a.status)
	}
}

func TestHeaderBomb(t *testing.T) {
	s := newTarget(t, nil)
	w := start(t, defaults(), map[string][]string{storage: {s.URL}})
	if status := raw(t, w, "GET /api/v1/storage/x HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("a", 128<<10)+"\r\n\r\n"); status != 431 && status != 0 {
		t.Errorf("a long header: %d", status)
	}
	if status := raw(t, w, "GET /api/v1/storage/x HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("X: a\r\n", 20_000)+"\r\n"); status != 431 && status != 0 {
		t.Errorf("many headers: %d", status)
	}
	if s.count() > 0 {
		t.Error("the service got one")
	}
}

// TestSlowClients: who sends or reads by drops is cut off, wherever they are, and holds
// nobody up.
func TestSlowClients(t *testing.T) {
	ended := make(chan struct{}, 100)
	s := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/storage/endless" {
			return
		}
		defer func() { ended <- struct{}{} }()
		for piece := make([]byte, 64<<10); ; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	short := defaults()
	short.server.ReadHeaderTimeout, short.server.BodyIdleTimeout, short.entrance.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	w := start(t, short, map[string][]string{storage: {s.URL}})
	for name, text := range map[string]string{
		"headers": "GET /api/v1/storage/x HTTP/1.1\r\nHost: x\r\nX-A: ",
		"nothing": "",
		"a body":  "POST /api/v1/storage/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx",
		"chunks":  "POST /api/v1/storage/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
	} {
		for range 10 {
			if status := raw(t, w, text); status != 0 && status != 408 && status != 400 {
				t.Errorf("%s: %d", name, status)
			}
			if a := w.do("GET", "/api/v1/gateway/status", ""); a.status != 200 {
				t.Errorf("others are held up: %d", a.status)
			}
			if name != "headers" && name != "a body" {
				break
			}
		}
	}
	c, err := net.Dial("tcp", w.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // it is not read
	if _, err := io.WriteString(c, "GET /api/v1/storage/endless HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("an answer that nobody reads goes on")
	}
	if n := s.count(); n != 1 {
		t.Errorf("%d requests became whole at the service", n-1)
	}
}

// TestLoop: a gateway that is registered with itself does not ask itself for ever.
func TestLoop(t *testing.T) {
	w := start(t, defaults(), nil)
	w.directory.set(storage, w.server.URL())
	await(t, "the loop", func() bool {
		return w.do("GET", "/api/v1/storage/x", "").code() == "loop"
	})
}

// TestWebPages: another origin's page changes nothing unless it is named.
func TestWebPages(t *testing.T) {
	s := newTarget(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Access-Control-Allow-Origin", "*") })
	open := defaults()
	open.entrance.CORS.Origins = []string{"https://desk.example"}
	w := start(t, open, map[string][]string{storage: {s.URL}})
	a := w.do("OPTIONS", "/api/v1/storage/x", "", "Origin", "https://desk.example", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")
	if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "https://desk.example" || s.count() != 0 {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
	a = w.do("GET", "/api/v1/storage/x", "", "Origin", "https://desk.example")
	if got := a.header.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != "https://desk.example" || s.last().header.Get("Origin") != "" {
		t.Errorf("%v, the service saw %v", got, s.last().header)
	}
	if a := w.do("GET", "/api/v1/storage/x", "", "Origin", "https://evil.example"); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a stranger may read: %v", a.header)
	}
	before := s.count()
	w.refused(403, "cross_origin", "POST", "/api/v1/storage/x", "x", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	if s.count() != before {
		t.Error("the service got it")
	}
}
