package chassis_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/marketprism/marketprism/http/chassis"
)

func TestStartNamesATakenPort(t *testing.T) {
	first := start(t, nil)
	second := prepare(t, func(o *chassis.Options) { o.Listen = first.Addr() })
	err := second.Start(t.Context())
	if err == nil {
		t.Fatal("two servers on one port")
	}
	for _, want := range []string{first.Addr(), "test-service", "another port"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if err := second.Stop(t.Context()); err != nil {
		t.Errorf("stopping a server that never started: %v", err)
	}
}

func TestReadiness(t *testing.T) {
	h := prepare(t, nil)
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := h.ask(t, "GET", "/readyz", ""); a.status != 503 || a.problem(t).Code != "not_ready" || a.header.Get("Retry-After") == "" {
		t.Errorf("starting: %d %s", a.status, a.body)
	}
	if a := h.ask(t, "GET", "/livez", ""); a.status != 200 {
		t.Errorf("livez while starting: %d", a.status)
	}
	h.Ready()
	if a := h.ask(t, "GET", "/readyz", ""); a.status != 200 {
		t.Errorf("ready: %d", a.status)
	}
	if err := h.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.State() != chassis.Stopped {
		t.Errorf("state %v", h.State())
	}
	if err := h.Start(t.Context()); err == nil {
		t.Error("a stopped server started again")
	}
}

// A request under way is finished, readyz turns first, and every caller of Stop
// gets the same result.
func TestStopDrains(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := prepare(t, func(o *chassis.Options) { o.Config.DrainDelay = time.Second },
		get("/slow", func(w http.ResponseWriter, r *http.Request) error {
			close(entered)
			<-release
			return chassis.WriteJSON(w, r, 200, "done")
		}))
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Ready()
	slow := make(chan answer, 1)
	go func() { slow <- h.ask(t, "GET", "/slow", "") }()
	<-entered
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := h.Stop(context.Background()); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
	}
	for tick := time.NewTicker(time.Millisecond); h.State() != chassis.Draining; {
		<-tick.C
	}
	if a := h.ask(t, "GET", "/readyz", ""); a.status != 503 {
		t.Errorf("readyz while draining: %d", a.status)
	}
	close(release)
	wg.Wait()
	if a := <-slow; a.status != 200 || !strings.Contains(a.body, "done") {
		t.Errorf("the request under way got %d %q", a.status, a.body)
	}
	if conn, err := net.Dial("tcp", h.Addr()); err == nil {
		conn.Close()
		t.Error("the port still answers")
	}
}

// Stopping at any moment under load neither hangs, nor leaves a request half
// answered, nor a port open.
func TestStopUnderLoad(t *testing.T) {
	const rounds, clients = 30, 4
	for round := range rounds {
		h := prepare(t, nil, get("/work", func(w http.ResponseWriter, r *http.Request) error {
			return chassis.WriteJSON(w, r, 200, strings.Repeat("x", 5000))
		}))
		if err := h.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Ready()
		var wg sync.WaitGroup
		served := make(chan struct{}, clients)
		for range clients {
			wg.Go(func() {
				for n := 0; ; n++ {
					resp, err := http.Get(h.URL() + "/work")
					if err != nil {
						return // refused: the server has stopped
					}
					body, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err != nil || resp.StatusCode != 200 || len(body) != 5003 {
						t.Errorf("round %d: status %d, %d bytes, %v", round, resp.StatusCode, len(body), err)
						return
					}
					if n == round {
						served <- struct{}{}
					}
				}
			})
		}
		<-served
		for range 2 {
			wg.Go(func() {
				if err := h.Stop(context.Background()); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		wg.Wait()
	}
}

func TestStopCutsOffAtTheDeadline(t *testing.T) {
	entered, cause := make(chan struct{}), make(chan error, 1)
	h := prepare(t, func(o *chassis.Options) { o.Config.DrainTimeout = 50 * time.Millisecond },
		get("/stuck", func(_ http.ResponseWriter, r *http.Request) error {
			close(entered)
			<-r.Context().Done()
			cause <- r.Context().Err()
			return r.Context().Err()
		}))
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Ready()
	go http.Get(h.URL() + "/stuck")
	<-entered
	err := h.Stop(t.Context())
	if err == nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := <-cause; !errors.Is(err, context.Canceled) {
		t.Errorf("the handler saw %v", err)
	}
}

func TestLiveRoutesEndWithDraining(t *testing.T) {
	cause := make(chan error, 1)
	h := start(t, nil, chassis.Route{Method: "GET", Path: "/events", Live: true,
		Handler: func(w http.ResponseWriter, r *http.Request) error {
			e, err := chassis.NewEvents(w, r)
			if err != nil {
				return err
			}
			if err := e.Send("7", "tick", map[string]int{"n": 1}); err != nil {
				return err
			}
			<-r.Context().Done()
			cause <- context.Cause(r.Context())
			return nil
		}})
	resp, err := http.Get(h.URL() + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for _, want := range []string{"id: 7", "event: tick", `data: {"n":1}`} {
		if lines.Scan(); lines.Text() != want {
			t.Errorf("got %q want %q", lines.Text(), want)
		}
	}
	if err := h.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-cause; !errors.Is(err, chassis.ErrDraining) {
		t.Errorf("ended by %v", err)
	}
}

func TestHandleRefusesBadRoutes(t *testing.T) {
	ok := func(http.ResponseWriter, *http.Request) error { return nil }
	for name, r := range map[string]chassis.Route{
		"no slash":      {Method: "GET", Path: "x", Handler: ok},
		"no handler":    {Method: "GET", Path: "/x"},
		"bad method":    {Method: "FETCH", Path: "/x", Handler: ok},
		"expression":    {Method: "GET", Path: "/x/{id:[0-9]+}", Handler: ok},
		"half a brace":  {Method: "GET", Path: "/x/{id", Handler: ok},
		"twice in path": {Method: "GET", Path: "/{a}/{a}", Handler: ok},
		"star inside":   {Method: "GET", Path: "/a/*/b", Handler: ok},
		"twice":         {Method: "GET", Path: "/known", Handler: ok},
	} {
		h := prepare(t, nil, chassis.Route{Method: "GET", Path: "/known", Handler: ok})
		if err := h.Handle(r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPanicIs500WithALoggedStack(t *testing.T) {
	h := start(t, nil, get("/panic", func(http.ResponseWriter, *http.Request) error { panic("secret words") }))
	a := h.ask(t, "GET", "/panic", "")
	if a.status != 500 || strings.Contains(a.body, "secret") {
		t.Errorf("%d %s", a.status, a.body)
	}
	a.problem(t)
	entries := h.logs.FilterMessage("http request").FilterField(zapString("route", "/panic")).All()
	if len(entries) != 1 {
		t.Fatalf("%d log lines", len(entries))
	}
	m := entries[0].ContextMap()
	if !strings.Contains(fmt.Sprint(m["error"]), "secret words") || !strings.Contains(fmt.Sprint(m["stack"]), "server_test.go") {
		t.Errorf("logged %v", m)
	}
}

// An error after the answer has begun must not look like a complete answer.
func TestAnErrorMidAnswerAborts(t *testing.T) {
	h := start(t, nil,
		get("/half", func(w http.ResponseWriter, _ *http.Request) error {
			fmt.Fprint(w, "half of it")
			return errors.New("the store went away")
		}),
		get("/half/panic", func(w http.ResponseWriter, _ *http.Request) error {
			fmt.Fprint(w, "half of it")
			panic("oops")
		}))
	for _, path := range []string{"/half", "/half/panic"} {
		for _, coding := range []string{"identity", "gzip", "zstd"} {
			req, err := http.NewRequestWithContext(t.Context(), "GET", h.URL()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept-Encoding", coding)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				continue
			}
			var b [64]byte
			var readErr error
			for readErr == nil {
				_, readErr = resp.Body.Read(b[:])
			}
			resp.Body.Close()
			if readErr.Error() == "EOF" {
				t.Errorf("%s in %s: looks complete", path, coding)
			}
		}
	}
}

func TestDeadlineIs503(t *testing.T) {
	r := get("/wait", func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return fmt.Errorf("reading: %w", r.Context().Err())
	})
	r.Timeout = 20 * time.Millisecond
	h := start(t, nil, r)
	a := h.ask(t, "GET", "/wait", "")
	if a.status != 503 || a.problem(t).Code != "deadline_exceeded" || a.header.Get("Retry-After") != "1" {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
}

func TestAClientThatLeavesIs499(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	h := start(t, nil, get("/wait", func(_ http.ResponseWriter, r *http.Request) error {
		close(entered)
		<-r.Context().Done()
		defer close(left)
		return r.Context().Err()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		req, err := http.NewRequestWithContext(ctx, "GET", h.URL()+"/wait", nil)
		if err != nil {
			t.Error(err)
			return
		}
		http.DefaultClient.Do(req)
	}()
	<-entered
	cancel()
	<-left
	<-done
	if err := h.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries := h.logs.FilterMessage("http request").FilterField(zapString("route", "/wait")).All()
	if len(entries) != 1 || entries[0].ContextMap()["code"] != int64(499) {
		t.Errorf("logged %v", entries)
	}
}

// TestLeftStream: who leaves a stream that a proxy passes on has not been cut off.
func TestLeftStream(t *testing.T) {
	ended := make(chan struct{})
	h := start(t, nil, chassis.Route{Method: "GET", Path: "/stream", Timeout: chassis.NoTimeout, Handler: func(w http.ResponseWriter, r *http.Request) error {
		defer close(ended)
		if _, err := w.Write([]byte("begun")); err != nil {
			return err
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // as the proxy of the standard library does
	}})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	req, err := http.NewRequestWithContext(ctx, "GET", h.URL()+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	leave()
	<-ended
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
	if err := h.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := h.logs.FilterMessage("http request").FilterField(zapString("route", "/stream")).All()
	if len(lines) != 1 || lines[0].Level != zapcore.InfoLevel || lines[0].ContextMap()["aborted"] != nil || lines[0].ContextMap()["code"] != int64(200) {
		t.Errorf("logged %+v", lines)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	h := start(t, nil,
		get("/thing/{id}", func(w http.ResponseWriter, r *http.Request) error { return chassis.WriteJSON(w, r, 200, 1) }),
		chassis.Route{Method: "DELETE", Path: "/thing/{id}", Handler: func(http.ResponseWriter, *http.Request) error { return nil }})
	if a := h.ask(t, "GET", "/nothing", ""); a.status != 404 || a.problem(t).Code != "not_found" {
		t.Errorf("%d %s", a.status, a.body)
	}
	a := h.ask(t, "PUT", "/thing/1", "")
	if a.status != 405 || a.problem(t).Code != "method_not_allowed" || a.header.Get("Allow") != "GET, HEAD, DELETE, OPTIONS" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if a := h.ask(t, "OPTIONS", "/thing/1", ""); a.status != 204 || a.header.Get("Allow") == "" {
		t.Errorf("OPTIONS: %d %v", a.status, a.header)
	}
	if a := h.ask(t, "BREW", "/thing/1", ""); a.status != 405 {
		t.Errorf("BREW: %d", a.status)
	}
	if a := h.ask(t, "BREW", "/nothing", ""); a.status != 404 {
		t.Errorf("BREW /nothing: %d", a.status)
	}
	if a := h.ask(t, "HEAD", "/thing/1", ""); a.status != 200 || a.body != "" || a.header.Get("Content-Length") != "2" {
		t.Errorf("HEAD: %d %q %v", a.status, a.body, a.header)
	}
}

func TestIdentity(t *testing.T) {
	var seen chassis.Trace
	var id string
	h := start(t, nil, get("/id", func(w http.ResponseWriter, r *http.Request) error {
		seen, id = chassis.TraceFrom(r.Context()), chassis.RequestID(r.Context())
		out := http.Header{}
		chassis.Inject(r.Context(), out.Set)
		return chassis.WriteJSON(w, r, 200, map[string]string{
			"traceparent": out.Get("traceparent"), "id": out.Get("X-Request-Id"), "state": out.Get("tracestate")})
	}))
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	a := h.ask(t, "GET", "/id", "", "X-Request-Id", "abc-1", "traceparent", parent, "tracestate", "v=1")
	if a.header.Get("X-Request-Id") != "abc-1" || id != "abc-1" {
		t.Errorf("request id %q, inside %q", a.header.Get("X-Request-Id"), id)
	}
	if seen.TraceHex() != "0af7651916cd43dd8448eb211c80319c" || seen.SpanHex() == "b7ad6b7169203331" {
		t.Errorf("trace %s span %s", seen.TraceHex(), seen.SpanHex())
	}
	var out map[string]string
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatal(err)
	}
	if out["traceparent"] != seen.Traceparent() || out["id"] != "abc-1" || out["state"] != "v=1" {
		t.Errorf("passed on %v", out)
	}
	for _, bad := range []string{"", "has space", strings.Repeat("x", 129), "new\tline", "é"} {
		a := h.ask(t, "GET", "/id", "", "X-Request-Id", bad)
		if got := a.header.Get("X-Request-Id"); got == bad || len(got) != 32 {
			t.Errorf("for %q: %q", bad, got)
		}
	}
	m := h.logs.FilterMessage("http request").All()[0].ContextMap()
	for _, key := range []string{"service", "request_id", "trace_id", "span_id", "route", "code", "dur_ms", "bytes"} {
		if _, ok := m[key]; !ok {
			t.Errorf("the access log has no %s: %v", key, m)
		}
	}
}

func TestParseTraceparent(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	tests := map[string]bool{
		good:                       true,
		"cc" + good[2:] + "-extra": true,
		"cc" + good[2:]:            true,
		"":                         false,
		good + "-extra":            false,
		"cc" + good[2:] + "extra":  false,
		"ff" + good[2:]:            false,
		strings.ToUpper(good):      false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01": false,
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01": false,
		"00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01": false,
	}
	for in, want := range tests {
		got, ok := chassis.ParseTraceparent(in)
		if ok != want {
			t.Errorf("%q: got %v want %v", in, ok, want)
		}
		if in == good && got.Traceparent() != good {
			t.Errorf("round trip: %s", got.Traceparent())
		}
	}
}

func TestHostAndOrigin(t *testing.T) {
	h := start(t, func(o *chassis.Options) {
		o.Config.Hosts = []string{"prism.example.org"}
		o.Config.TrustedOrigins = []string{"https://desk.example.org"}
	}, post("/do", nil, func(w http.ResponseWriter, r *http.Request) error { return chassis.WriteJSON(w, r, 200, "done") }))
	for host, want := range map[string]int{
		"": 200, "localhost": 200, "localhost:8080": 200, "storage:8080": 200, "[::1]:8080": 200, "127.0.0.1": 200,
		"prism.example.org": 200, "evil.example.com": 421, "evil.example.com:8080": 421, "evil.example.com.": 421,
	} {
		if a := h.ask(t, "GET", "/livez", "", "Host", host); a.status != want {
			t.Errorf("host %q: %d want %d", host, a.status, want)
		}
	}
	for origin, want := range map[string]int{
		"https://evil.example.com": 403, "https://desk.example.org": 200, "null": 403, h.URL(): 200,
	} {
		if a := h.ask(t, "POST", "/do", "", "Origin", origin); a.status != want {
			t.Errorf("origin %q: %d want %d", origin, a.status, want)
		}
	}
	if a := h.ask(t, "POST", "/do", "", "Sec-Fetch-Site", "cross-site"); a.status != 403 || a.problem(t).Code != "cross_origin" {
		t.Errorf("cross-site: %d", a.status)
	}
}
