package scheduler

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/actors/scheduler/ledger/ledgertest"
)

// target answers as a handler says, for a service of that name.
func target(t *testing.T, handler http.HandlerFunc) (*caller, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	o := &Options{
		Config: DefaultConfig(), Store: ledgertest.New(), Services: []string{"svc"},
		Resolve: func(context.Context, string) ([]string, error) { return []string{server.URL}, nil },
	}
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	c := newCaller(o)
	t.Cleanup(c.close)
	return c, server
}

func call(t *testing.T, c *caller, task Task) ledger.Result {
	t.Helper()
	task = task.withDefaults()
	task.ID = "t"
	r, err := c.run(t.Context(), &task, ledger.Fire{Task: "t", Nominal: noon.UnixMilli()}, 0, func() {})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A target learns what it is called for.
func TestRequest(t *testing.T) {
	var got *http.Request
	var body string
	c, _ := target(t, func(w http.ResponseWriter, r *http.Request) {
		text := make([]byte, 64)
		n, _ := r.Body.Read(text)
		got, body = r, string(text[:n])
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("thanks\x00\xff" + strings.Repeat("x", 5000)))
	})
	r := call(t, c, Task{TargetService: "svc", TargetEndpoint: "/do?x=1", Payload: []byte(`{"a":1}`), Method: "put"})
	if r.Outcome != ledger.Succeeded || r.Status != 202 || r.Attempts != 1 || len(r.Answer) > 2<<10 || !strings.HasPrefix(r.Answer, "thanksx") {
		t.Errorf("got %+v", r)
	}
	for name, want := range map[string]string{
		"Idempotency-Key": "t@2026-06-01T12:00:00Z", "X-Scheduled-For": "2026-06-01T12:00:00Z", "X-Attempt": "1", "Content-Type": "application/json",
	} {
		if g := got.Header.Get(name); g != want {
			t.Errorf("%s: got %q, want %q", name, g, want)
		}
	}
	if tp := got.Header.Get("traceparent"); len(tp) != 55 || !strings.HasPrefix(tp, "00-") {
		t.Errorf("traceparent %q", tp)
	}
	if got.Method != http.MethodPut || got.URL.String() != "/do?x=1" || body != `{"a":1}` {
		t.Errorf("got %s %s with %q", got.Method, got.URL, body)
	}
}

func TestAttempts(t *testing.T) {
	for _, tc := range []struct {
		name     string
		statuses []int // of the attempts; the last one repeats
		attempts int   // allowed
		outcome  string
		made     int
	}{
		{"at once", []int{200}, 5, ledger.Succeeded, 1},
		{"after two failures", []int{500, 429, 204}, 5, ledger.Succeeded, 3},
		{"never", []int{503}, 3, ledger.Failed, 3},
		{"not again", []int{405}, 3, ledger.Failed, 1},
		{"no redirect", []int{302}, 3, ledger.Failed, 1},
		{"once", []int{500}, 1, ledger.Failed, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := 0
			var keys []string
			c, _ := target(t, func(w http.ResponseWriter, r *http.Request) {
				keys = append(keys, r.Header.Get("Idempotency-Key")+" "+r.Header.Get("X-Attempt"))
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tc.statuses[min(n, len(tc.statuses)-1)])
				n++
			})
			r := call(t, c, Task{TargetService: "svc", TargetEndpoint: "/", Retry: Retry{MaxAttempts: tc.attempts, BackoffSeconds: 0.001}})
			if r.Outcome != tc.outcome || r.Attempts != tc.made || n != tc.made || (r.Error == "") != (tc.outcome == ledger.Succeeded) {
				t.Errorf("%d calls, got %+v", n, r)
			}
			for i, k := range keys {
				if want := fmt.Sprint("t@2026-06-01T12:00:00Z ", i+1); k != want {
					t.Errorf("call %d: %q, want %q", i, k, want)
				}
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	hang := make(chan struct{})
	c, _ := target(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	defer close(hang)
	r := call(t, c, Task{TargetService: "svc", TargetEndpoint: "/", TimeoutSeconds: 0.05})
	if r.Outcome != ledger.TimedOut || !strings.Contains(r.Error, "no answer within 50ms") {
		t.Errorf("an attempt: %+v", r)
	}
	c.options.config().TotalTimeout = time.Millisecond
	r = call(t, c, Task{TargetService: "svc", TargetEndpoint: "/", TimeoutSeconds: 0.2, TotalTimeoutSeconds: 0.3, Retry: Retry{MaxAttempts: 20, BackoffSeconds: 0.001}})
	if r.Outcome != ledger.TimedOut || r.Attempts != 2 || !strings.Contains(r.Error, "total timeout") {
		t.Errorf("a run: %+v", r)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	task := (&Task{ID: "t", TargetService: "svc", TargetEndpoint: "/"}).withDefaults()
	r, err := c.run(ctx, &task, ledger.Fire{Task: "t"}, 0, func() { cancel(errCancelled) })
	if err != nil || r.Outcome != ledger.Cancelled {
		t.Errorf("cancelled: %+v, %v", r, err)
	}
	ctx, cancel = context.WithCancelCause(t.Context())
	cancel(errStopping)
	if _, err = c.run(ctx, &task, ledger.Fire{Task: "t"}, 0, func() {}); !errors.Is(err, errStopping) {
		t.Errorf("a run that was cut off by a stop has a result: %v", err)
	}
}

// Where no instance is, and where one of two is gone.
func TestResolving(t *testing.T) {
	c, server := target(t, func(http.ResponseWriter, *http.Request) {})
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	c.options.Resolve = func(context.Context, string) ([]string, error) {
		return []string{"http://" + gone.Addr().String(), server.URL}, nil
	}
	if r := call(t, c, Task{TargetService: "svc", TargetEndpoint: "/", Retry: Retry{MaxAttempts: 2, BackoffSeconds: 0.001}}); r.Outcome != ledger.Succeeded || r.Attempts != 2 {
		t.Errorf("the second instance: %+v", r)
	}
	c.options.Resolve = func(context.Context, string) ([]string, error) { return nil, nil }
	if r := call(t, c, Task{TargetService: "svc", TargetEndpoint: "/"}); r.Outcome != ledger.Failed || !strings.Contains(r.Error, "runs nowhere") {
		t.Errorf("no instance: %+v", r)
	}
}

// Addresses lead only where they may, whatever a name resolves to and wherever a
// redirect points.
func TestAddresses(t *testing.T) {
	called := 0
	c, server := target(t, func(w http.ResponseWriter, r *http.Request) {
		called++
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
	})
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	allow := func(u URLConfig) {
		live := *c.options.config()
		live.URLs = u
		c.options.live.Store(&live)
		c.reconfigure()
	}
	one := Task{TargetService: TargetURL, TargetEndpoint: server.URL}
	if r := call(t, c, one); r.Outcome != ledger.Failed || !strings.Contains(r.Error, "not allowed here") {
		t.Errorf("switched off: %+v", r)
	}
	allow(URLConfig{Allow: true})
	for _, address := range []string{
		server.URL, "http://localhost:" + port, "http://[::1]:" + port, "http://0.0.0.0:" + port, "http://[::ffff:127.0.0.1]:" + port,
		"http://169.254.169.254/", "http://10.0.0.1/", "http://[fd00::1]/", "http://[64:ff9b::7f00:1]/", "http://100.64.0.1/", "http://2130706433:" + port + "/",
	} {
		one.TargetEndpoint = address
		one.TimeoutSeconds = 2
		if r := call(t, c, one); r.Outcome == ledger.Succeeded || r.Status != 0 {
			t.Errorf("%s was called: %+v", address, r)
		}
	}
	if called != 0 {
		t.Fatalf("%d calls came through", called)
	}
	allow(URLConfig{Allow: true, Networks: []string{"127.0.0.0/8"}})
	one.TargetEndpoint = server.URL
	if r := call(t, c, one); r.Outcome != ledger.Failed || r.Status != http.StatusFound || called != 1 {
		t.Errorf("a redirect: %+v after %d calls", r, called)
	}
	allow(URLConfig{Allow: true, Hosts: []string{"*.example.com"}, Networks: []string{"127.0.0.0/8"}})
	if r := call(t, c, one); called != 1 || r.Outcome != ledger.Failed {
		t.Errorf("a host that is not listed: %+v", r)
	}
	for address, ok := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "127.0.0.1": false, "::1": false, "::": false, "0.1.2.3": false, "192.168.1.1": false,
		"172.16.0.1": false, "224.0.0.1": false, "255.255.255.255": false, "fe80::1": false, "::ffff:10.0.0.1": false, "2002:7f00:1::": false, "198.18.0.1": false,
	} {
		if got := public(netip.MustParseAddr(address)); got != ok {
			t.Errorf("%s public: %v, want %v", address, got, ok)
		}
	}
	for text, ok := range map[string]bool{
		"https://api.example.com/x": true, "https://example.com/": false, "ftp://api.example.com": false, "https://user:pw@api.example.com/": false,
		"/path": false, "http://": false, "https://api.example.com.evil.org/": false, "https://API.example.com.:443/": true,
	} {
		if err := checkURL(text, URLConfig{Allow: true, Hosts: []string{"*.example.com"}}); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}
