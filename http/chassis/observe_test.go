package chassis_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/http/chassis"
)

func zapString(key, value string) zap.Field { return zap.String(key, value) }

func TestHealth(t *testing.T) {
	fine := func(context.Context) chassis.CheckResult { return chassis.Passed(nil) }
	tests := []struct {
		name   string
		check  chassis.Check
		status string
		code   int
		member string // of the check
	}{
		{"passes", fine, "healthy", 200, "result"},
		{"warns", func(context.Context) chassis.CheckResult { return chassis.Warned(errors.New("lag")) }, "degraded", 200, "error"},
		{"fails", func(context.Context) chassis.CheckResult { return chassis.Failed(errors.New("gone")) }, "unhealthy", 503, "error"},
		{"panics", func(context.Context) chassis.CheckResult { panic("bug") }, "unhealthy", 503, "error"},
		{"is slow", func(ctx context.Context) chassis.CheckResult { <-ctx.Done(); return chassis.Passed(nil) }, "unhealthy", 503, "error"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := prepare(t, func(o *chassis.Options) { o.Config.HealthTimeout = 50 * time.Millisecond })
			h.Health().Add("good", fine)
			h.Health().Add("it", test.check)
			h.Health().AddSection("exchanges", func(context.Context) any { return map[string]int(nil) })
			h.run(t)
			for _, path := range []string{"/health", "/api/v1/health"} {
				a := h.ask(t, "GET", path, "")
				var got struct {
					Service, Status, Version string
					Timestamp                time.Time
					UptimeSeconds            float64 `json:"uptime_seconds"`
					Checks                   map[string]map[string]any
					Exchanges                *map[string]int
				}
				if err := json.Unmarshal([]byte(a.body), &got); err != nil {
					t.Fatalf("%v: %s", err, a.body)
				}
				if a.status != test.code || got.Status != test.status {
					t.Errorf("%s: %d %s", path, a.status, a.body)
				}
				if got.Service != "test-service" || got.Version != "1.2.3" || got.UptimeSeconds <= 0 || got.Timestamp.IsZero() || got.Exchanges == nil {
					t.Errorf("incomplete: %s", a.body)
				}
				if got.Checks["good"]["status"] != "pass" || got.Checks["good"]["result"] != "ok" || got.Checks["it"][test.member] == nil {
					t.Errorf("checks: %s", a.body)
				}
			}
		})
	}
}

// A check that hangs is called once, reported, and waited for by Stop.
func TestHealthCheckThatHangs(t *testing.T) {
	var calls atomic.Int32
	release := make(chan struct{})
	h := prepare(t, func(o *chassis.Options) {
		o.Config.HealthTimeout, o.Config.HealthCache = 20*time.Millisecond, 0
	})
	h.Health().Add("stuck", func(context.Context) chassis.CheckResult {
		calls.Add(1)
		<-release
		return chassis.Passed(nil)
	})
	h.run(t)
	for range 3 {
		if a := h.ask(t, "GET", "/health", ""); a.status != 503 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("called %d times", n)
	}
	close(release)
	if err := h.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestHealthIsCached(t *testing.T) {
	var calls atomic.Int32
	h := prepare(t, func(o *chassis.Options) { o.Config.HealthCache = time.Hour })
	h.Health().Add("counted", func(context.Context) chassis.CheckResult {
		calls.Add(1)
		return chassis.Passed(nil)
	})
	h.run(t)
	for range 5 {
		h.ask(t, "GET", "/health", "")
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("evaluated %d times", n)
	}
}

func TestMetrics(t *testing.T) {
	h := start(t, nil, get("/thing/{id}", func(w http.ResponseWriter, r *http.Request) error {
		return chassis.WriteJSON(w, r, 200, 1)
	}))
	h.ask(t, "GET", "/thing/1", "")
	h.ask(t, "GET", "/thing/2", "")
	h.ask(t, "GET", "/nothing", "")
	var text string
	want := []string{
		`mp_http_requests_total{code="200",route="/thing/{id}",service="test-service"} 2`,
		`mp_http_requests_total{code="404",route="unmatched",service="test-service"} 1`,
		`mp_http_request_seconds_count{route="/thing/{id}",service="test-service"} 2`,
		`mp_http_requests_in_flight{service="test-service"} 1`,
	}
	// A request is counted after its answer has left.
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		text = h.ask(t, "GET", "/metrics", "").body
		if strings.Contains(text, want[0]) && strings.Contains(text, want[1]) && strings.Contains(text, want[3]) {
			break
		}
	}
	for _, line := range want {
		if !strings.Contains(text, line) {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
	a := h.ask(t, "GET", "/metrics", "", "Accept", "application/openmetrics-text;version=1.0.0")
	if !strings.HasSuffix(a.body, "# EOF\n") || !strings.HasPrefix(a.header.Get("Content-Type"), "application/openmetrics-text") {
		t.Errorf("not OpenMetrics: %v", a.header)
	}
	if problems, err := testutil.GatherAndLint(h.registry); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
}

// Six services of one process share a registry.
func TestServersShareARegistry(t *testing.T) {
	a := start(t, nil)
	b := start(t, func(o *chassis.Options) {
		o.Service, o.Registerer, o.Gatherer = "other-service", a.registry, a.registry
	})
	b.ask(t, "GET", "/livez", "")
	if text := a.ask(t, "GET", "/metrics", "").body; !strings.Contains(text, `mp_http_requests_in_flight{service="other-service"}`) {
		t.Errorf("no series of the other service in\n%s", text)
	}
}

func TestCompression(t *testing.T) {
	long := strings.Repeat("tick ", 1000)
	h := start(t, nil,
		get("/long", func(w http.ResponseWriter, r *http.Request) error { return chassis.WriteJSON(w, r, 200, long) }),
		get("/short", func(w http.ResponseWriter, r *http.Request) error { return chassis.WriteJSON(w, r, 200, "tick") }),
		get("/rows", func(w http.ResponseWriter, r *http.Request) error {
			s := chassis.NewLines(w, r)
			defer s.Release()
			for range 10 {
				if err := s.Write(long); err != nil {
					return err
				}
				if err := s.Flush(); err != nil {
					return err
				}
			}
			return s.Close(nil)
		}))
	for _, coding := range []string{"gzip", "zstd"} {
		for path, plain := range map[string]string{"/long": `"` + long + "\"\n", "/rows": strings.Repeat(`"`+long+"\"\n", 10)} {
			a := h.ask(t, "GET", path, "", "Accept-Encoding", coding)
			if a.header.Get("Content-Encoding") != coding || a.header.Get("Vary") != "Accept-Encoding" || len(a.body) > len(plain)/2 {
				t.Errorf("%s %s: %v, %d bytes", coding, path, a.header, len(a.body))
			}
			var r io.Reader
			var err error
			if coding == "gzip" {
				r, err = gzip.NewReader(strings.NewReader(a.body))
			} else {
				r, err = zstd.NewReader(strings.NewReader(a.body))
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || string(got) != plain {
				t.Errorf("%s %s: %v, %d bytes", coding, path, err, len(got))
			}
		}
		if a := h.ask(t, "GET", "/short", "", "Accept-Encoding", coding); a.header.Get("Content-Encoding") != "" {
			t.Errorf("a short answer came in %s", coding)
		}
	}
	if a := h.ask(t, "GET", "/long", ""); a.header.Get("Content-Encoding") != "" || a.body != `"`+long+"\"\n" {
		t.Errorf("identity: %v", a.header)
	}
}

// leaving is a client that has left: nothing can be written to it.
type leaving struct{ http.ResponseWriter }

func (leaving) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestMetricsLeft: a client that leaves while it is told metrics is one error, not one
// for each of them.
func TestMetricsLeft(t *testing.T) {
	writes := 0
	h := chassis.ServeMetrics(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 5 {
			if _, err := io.WriteString(w, "x"); err != nil {
				writes++
			}
		}
	}))
	err := h(leaving{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if !errors.Is(err, io.ErrClosedPipe) || writes != 0 {
		t.Errorf("%v, and %d errors of metrics", err, writes)
	}
}
