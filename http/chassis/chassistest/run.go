package chassistest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// patience is how long one answer may take before it counts as hanging.
const patience = 20 * time.Second

// HugeBody is the size of the body that every route with a body must refuse.
const HugeBody = 100 << 20

// Run attacks every endpoint of the server at baseURL, and reports each answer
// that it should not have given.
func Run(t testing.TB, baseURL string, endpoints []Endpoint) {
	t.Helper()
	a := &assault{t: t, base: baseURL, client: &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 4, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	defer a.client.CloseIdleConnections()
	before := a.health()
	for _, e := range endpoints {
		a.paths(e)
		a.queries(e)
		a.headers(e)
		if e.Body != "" {
			a.bodies(e)
		}
	}
	a.protocol()
	if after := a.health(); after != before {
		t.Errorf("the server was %q before and is %q now", before, after)
	}
	if a.asked == 0 {
		t.Error("nothing was attacked")
	}
}

type assault struct {
	t      testing.TB
	base   string
	client *http.Client
	asked  int
}

// health is the status word of /health; the server must answer.
func (a *assault) health() string {
	a.t.Helper()
	resp, err := a.client.Get(a.base + "/health")
	if err != nil {
		a.t.Fatalf("the server does not answer: %v", err)
	}
	defer resp.Body.Close()
	var report struct{ Status string }
	if err := json.NewDecoder(resp.Body).Decode(&report); err != nil {
		a.t.Fatalf("/health: %v", err)
	}
	return report.Status
}

func (a *assault) paths(e Endpoint) {
	for _, param := range e.params() {
		for _, hostile := range pathAttacks() {
			a.send(e, "path "+param+", "+hostile.name, e.url(param, hostile.text), e.Body, hostile.mustFail, nil)
		}
	}
	a.send(e, "path climbs", e.url("", "")+"/../../../../etc/passwd", e.Body, true, nil)
	a.send(e, "path is long", e.url("", "")+"/"+strings.Repeat("a/", 4000), e.Body, true, nil)
}

func (a *assault) queries(e Endpoint) {
	path := e.url("", "")
	for _, name := range append([]string{"unheard_of"}, e.Query...) {
		for _, hostile := range wrongTexts() {
			a.send(e, "query "+name+", "+hostile.name, path+"?"+name+"="+url.QueryEscape(hostile.text), e.Body, false, nil)
		}
		a.send(e, "query "+name+", twice", path+"?"+name+"=1&"+name+"=2", e.Body, false, nil)
		a.send(e, "query "+name+", badly escaped", path+"?"+name+"=%zz", e.Body, false, nil)
		a.send(e, "query "+name+", invalid UTF-8", path+"?"+name+"=%ff", e.Body, false, nil)
		a.send(e, "query "+name+", semicolons", path+"?"+name+"=1;x=2", e.Body, false, nil)
	}
	a.send(e, "query is long", path+"?x="+strings.Repeat("a", 20_000), e.Body, true, nil)
	a.send(e, "query has many parts", path+"?"+strings.Repeat("a&", 3000), e.Body, false, nil)
}

func (a *assault) headers(e Endpoint) {
	path := e.url("", "")
	for name, header := range map[string][2]string{
		"request id":      {"X-Request-Id", strings.Repeat("é", 500)},
		"traceparent":     {"traceparent", "00-zz-zz-zz"},
		"accept":          {"Accept", strings.Repeat("a/b;q=0.1,", 1000)},
		"accept encoding": {"Accept-Encoding", "gzip;q=NaN, zstd;q=-1, *;q=9"},
		"range":           {"Range", "bytes=" + strings.Repeat("0-,", 1000)},
		"condition":       {"If-None-Match", strings.Repeat(`"`, 1000)},
		"authorization":   {"Authorization", "Bearer ' OR 1=1 --"},
		"length":          {"Prefer", strings.Repeat("respond-async,", 1000)},
	} {
		a.send(e, "header "+name, path, e.Body, false, header[:])
	}
	a.send(e, "header is giant", path, e.Body, true, []string{"X-Giant", strings.Repeat("x", 2<<20)})
}

func (a *assault) bodies(e Endpoint) {
	path := e.url("", "")
	for _, list := range [][]attack{malformedBodies(), wrongBodies(), mutations(e.Body)} {
		for _, hostile := range list {
			a.send(e, "body "+hostile.name, path, hostile.text, hostile.mustFail, nil)
		}
	}
	for name, header := range map[string][2]string{
		"of type text":    {"Content-Type", "text/plain"},
		"of no type":      {"Content-Type", "/;=,"},
		"in UTF-16":       {"Content-Type", "application/json; charset=utf-16"},
		"said to be gzip": {"Content-Encoding", "gzip"},
	} {
		a.send(e, "body "+name, path, e.Body, true, header[:])
	}
	// JSON that is called a form is what curl sends; anything else of that type is one.
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	a.send(e, "body of type form", path, e.Body, false, form)
	a.send(e, "body that is a form", path, "symbol=BTC&price=1", true, form)
	for _, declared := range []bool{true, false} {
		a.huge(e, path, declared)
	}
}

// send asks once. header is nil, or a name and a value.
func (a *assault) send(e Endpoint, name, path, body string, mustFail bool, header []string) {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := a.request(e.Method, path, reader)
	if err != nil {
		a.t.Fatalf("%s %s: %s: %v", e.Method, e.Path, name, err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if header != nil {
		req.Header.Set(header[0], header[1])
	}
	a.judge(e, name, req, mustFail)
}

// request keeps the path as it is written, climbing segments included.
func (a *assault) request(method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.base, body)
	if err != nil {
		return nil, err
	}
	path, query, _ := strings.Cut(path, "?")
	req.URL.RawQuery = query
	req.URL.RawPath = path
	if req.URL.Path, err = url.PathUnescape(path); err != nil {
		return nil, err
	}
	req.URL.Opaque = "//" + req.URL.Host + path
	return req, nil
}

func (a *assault) judge(e Endpoint, name string, req *http.Request, mustFail bool) {
	a.asked++
	where := fmt.Sprintf("%s %s: %s", e.Method, e.Path, name)
	resp, err := a.client.Do(req)
	if err != nil {
		a.t.Errorf("%s: no answer: %v", where, err)
		return
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotImplemented:
	case resp.StatusCode >= 500:
		a.t.Errorf("%s: answered %d", where, resp.StatusCode)
		return
	case resp.StatusCode < 400:
		if mustFail {
			a.t.Errorf("%s: accepted with %d", where, resp.StatusCode)
		}
		return
	case resp.StatusCode == http.StatusRequestHeaderFieldsTooLarge && resp.Header.Get("X-Request-Id") == "":
		return // refused by net/http, in front of everything, in plain text
	}
	if err := isProblem(resp); err != nil {
		a.t.Errorf("%s: %d: %v", where, resp.StatusCode, err)
	}
}

// isProblem checks the shape of an error answer. The one documented error that
// is no problem is {"status":"not_found"}.
func isProblem(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("reading it: %w", err)
	}
	if resp.Request != nil && resp.Request.Method == http.MethodHead {
		return nil
	}
	var p struct {
		Type, Title, Code, Detail, Error string
		Status                           any
		RequestID                        string `json:"request_id"`
		Errors                           []struct{ Pointer, Message string }
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("not JSON: %w: %.100s", err, text)
	}
	if resp.StatusCode == http.StatusNotFound && p.Status == "not_found" {
		return nil
	}
	if media := resp.Header.Get("Content-Type"); media != "application/problem+json" {
		return fmt.Errorf("its content type is %q", media)
	}
	if p.Type == "" || p.Title == "" || p.Code == "" || p.Detail == "" || p.Error != p.Detail || p.RequestID == "" ||
		p.Errors == nil || p.Status != float64(resp.StatusCode) {
		return fmt.Errorf("the problem is incomplete: %.300s", text)
	}
	return nil
}

// huge streams a body that no limit allows.
func (a *assault) huge(e Endpoint, path string, declared bool) {
	req, err := a.request(e.Method, path, struct{ io.Reader }{io.LimitReader(spaces{}, HugeBody)})
	if err != nil {
		a.t.Fatalf("%s %s: %v", e.Method, e.Path, err)
	}
	if declared {
		req.ContentLength = HugeBody
	}
	req.Header.Set("Content-Type", "application/json")
	a.judge(e, fmt.Sprintf("body of %d MiB, length declared: %v", HugeBody>>20, declared), req, true)
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// protocol sends what no HTTP client sends. Any 4xx is right, and so is a
// closed connection.
func (a *assault) protocol() {
	for name, text := range map[string]string{
		"no HTTP":             "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n",
		"no host":             "GET /health HTTP/1.1\r\n\r\n",
		"two hosts":           "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"null in a header":    "GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: a\x00b\r\n\r\n",
		"null in the path":    "GET /hea\x00lth HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"unknown method":      "BREW /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		"CONNECT":             "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\nConnection: close\r\n\r\n",
		"TRACE":               "TRACE /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		"another origin":      "GET http://127.0.0.1:1/nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		"bad length":          "POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
		"two lengths":         "POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"bad chunk":           "POST /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n",
		"unknown coding":      "POST /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: rot13\r\n\r\n",
		"header without end":  "GET /health HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X-A: b\r\n", 500_000) + "\r\n",
		"version that is not": "GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n",
	} {
		a.asked++
		if status, err := a.raw(text); err != nil {
			a.t.Errorf("protocol: %s: %v", name, err)
		} else if status != 0 && (status < 400 || status >= 500) && status != http.StatusHTTPVersionNotSupported && status != http.StatusNotImplemented {
			a.t.Errorf("protocol: %s: answered %d", name, status)
		}
	}
}

// raw sends text on a connection of its own and returns the status of the
// answer, or 0 if the connection was closed without one.
func (a *assault) raw(text string) (int, error) {
	u, err := url.Parse(a.base)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }() // the answer is what counts
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(conn, text); isTimeout(err) {
		return 0, fmt.Errorf("the server does not read: %w", err)
	} // any other error: it has closed already, and the answer may still be there
	line, err := bufio.NewReader(conn).ReadString('\n')
	if isTimeout(err) {
		return 0, fmt.Errorf("no answer: %w", err)
	}
	var version string
	var status int
	if _, err := fmt.Sscan(line, &version, &status); err != nil {
		return 0, nil // closed without an answer
	}
	return status, nil
}

func isTimeout(err error) bool {
	t, ok := err.(net.Error) //nolint:errorlint // as the connection returns it
	return ok && t.Timeout()
}
