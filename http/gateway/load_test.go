package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestKilledUnderLoad: while one of two instances is killed and started again, only
// requests that were under way there and may not be repeated fail, and say so.
func TestKilledUnderLoad(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	})
	steady := httptest.NewServer(handler)
	defer steady.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	victim := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = victim.Serve(l) }() // until it is killed
	w := start(t, defaults(), map[string][]string{storage: {steady.URL, "http://" + at}})
	ctx, cancel := context.WithCancel(t.Context())
	var sent, failed atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		method := []string{http.MethodGet, http.MethodPut, http.MethodPost}[g%3]
		wg.Go(func() {
			for ctx.Err() == nil {
				a := w.do(method, "/api/v1/storage/x", map[bool]string{true: "body"}[method != http.MethodGet])
				sent.Add(1)
				if a.status == http.StatusOK {
					continue
				}
				failed.Add(1)
				if method != http.MethodPost || a.code() != "upstream_failed" && a.code() != "unreachable" {
					t.Errorf("%s: %d %s", method, a.status, a.body)
				}
			}
		})
	}
	some := func(n int64) { // more requests
		from := sent.Load()
		await(t, "requests", func() bool { return sent.Load() > from+n })
	}
	for range 3 {
		some(100)
		if err := victim.Close(); err != nil {
			t.Error(err)
		}
		some(100)
		if l, err = net.Listen("tcp", at); err != nil {
			t.Fatal(err)
		}
		victim = &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
		go func(s *http.Server, l net.Listener) { _ = s.Serve(l) }(victim, l) // until it is killed
	}
	some(100)
	cancel()
	wg.Wait()
	if err := victim.Close(); err != nil {
		t.Error(err)
	}
	if n := failed.Load(); n > 3*8 {
		t.Errorf("%d of %d requests failed, of which 24 at most can have been under way", n, sent.Load())
	}
	t.Logf("%d requests, %d POSTs failed", sent.Load(), failed.Load())
}

// TestLargeBody: a large body passes in both directions and takes no memory.
func TestLargeBody(t *testing.T) {
	const size = 1 << 30
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		if _, err := io.Copy(w, r.Body); err != nil {
			t.Errorf("echoing: %v", err)
		}
	}))
	defer s.Close()
	w := start(t, defaults(), map[string][]string{storage: {s.URL}})
	done := make(chan struct{})
	var most atomic.Uint64
	var sampler sync.WaitGroup
	sampler.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapInuse))
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	up, err := http.NewRequestWithContext(t.Context(), http.MethodPut, w.url("/api/v1/storage/up"), io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	up.ContentLength = size
	resp, err := client.Do(up)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close() // read to its end
	close(done)
	sampler.Wait()
	if err != nil || n != size {
		t.Errorf("%d of %d bytes came back: %v", n, size, err)
	}
	if got := most.Load(); got > 64<<20 {
		t.Errorf("the heap grew to %d MB", got>>20)
	}
	t.Logf("the heap was at most %d MB", most.Load()>>20)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestLargeNumberOfSockets: a thousand WebSockets at once.
func TestLargeNumberOfSockets(t *testing.T) {
	const sockets = 1000
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	s := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }() // the client has left
		for {
			kind, text, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, text) != nil {
				return
			}
		}
	})
	w := start(t, defaults(), map[string][]string{collector: {s.URL}})
	at := "ws" + strings.TrimPrefix(w.url("/ws/collector/v1/stream"), "http")
	var all []*websocket.Conn
	for range sockets {
		c, _, err := websocket.DefaultDialer.DialContext(t.Context(), at, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if n := w.branch.Streams().Now(); n != sockets {
		t.Errorf("%d streams", n)
	}
	for round := range 3 {
		for i, c := range all {
			if err := c.WriteMessage(websocket.TextMessage, fmt.Append(nil, round, i)); err != nil {
				t.Fatal(err)
			}
		}
		for i, c := range all {
			if _, text, err := c.ReadMessage(); err != nil || string(text) != fmt.Sprint(round, i) {
				t.Fatalf("socket %d: %q, %v", i, text, err)
			}
		}
	}
	for _, c := range all {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	await(t, "the end of all", func() bool { return w.branch.Streams().Now() == 0 })
}

// BenchmarkProxy is one request through the gateway, with limit and breaker, with a token
// or a key beside them, and the same request without the gateway.
func BenchmarkProxy(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"success"}`)
	}))
	defer s.Close()
	fast := defaults()
	fast.branch.Limits.Address.PerSecond, fast.branch.Limits.Address.Burst = 1e6, 1_000_000
	fast.branch.Limits.User, fast.branch.Limits.Key = fast.branch.Limits.Address, fast.branch.Limits.Address
	at := map[string][]string{storage: {s.URL}}
	w, g := start(b, fast, at), guard(b, fast, at)
	admin := bearer(g.login("admin", g.password).Access)
	var made madeKey
	g.create("apikeys", `{"name":"bench","role":"reader"}`, admin, &made)
	for _, way := range []struct {
		name, url string
		header    []string
	}{
		{"direct", s.URL + "/api/v1/storage/x", nil}, {"gateway", w.url("/api/v1/storage/x"), nil},
		{"token", g.url("/api/v1/storage/x"), admin}, {"apikey", g.url("/api/v1/storage/x"), []string{"X-Api-Key", made.Key}},
	} {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, way.url, nil)
		if err != nil {
			b.Fatal(err)
		}
		if way.header != nil {
			r.Header[way.header[0]] = way.header[1:]
		}
		b.Run(way.name, func(b *testing.B) {
			took := make([]time.Duration, 0, 1<<20)
			b.ReportAllocs()
			used := cpu(b)
			for b.Loop() {
				begin := time.Now()
				resp, err := client.Do(r)
				if err != nil || resp.StatusCode != http.StatusOK {
					b.Fatalf("%+v, %v", resp, err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close() // read to its end
				took = append(took, time.Since(begin))
			}
			b.ReportMetric(float64((cpu(b)-used).Microseconds())/float64(len(took)), "cpu-µs/op")
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// cpu is what this process has used of it.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
