package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	branch "github.com/marketprism/marketprism/actors/gateway"
	"github.com/marketprism/marketprism/actors/gateway/access"
	"github.com/marketprism/marketprism/actors/gateway/upstream"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/gateway"
)

const (
	storage   = "data-storage-service"
	collector = "market-data-collector"
)

var services = []branch.Service{
	{Name: gateway.Service}, {Name: storage, Alias: "storage", Prefixed: true}, {Name: collector, Alias: "collector"},
}

// directory is a registry that a test changes.
type directory struct {
	mu      sync.Mutex
	version uint64
	list    map[string][]upstream.Address
	changed chan struct{}
}

func newDirectory() *directory {
	return &directory{version: 1, list: map[string][]upstream.Address{}, changed: make(chan struct{})}
}

// set says where a service answers.
func (d *directory) set(service string, urls ...string) {
	var list []upstream.Address
	for _, text := range urls {
		list = append(list, addressOf(text))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.version++
	d.list[service] = list
	close(d.changed)
	d.changed = make(chan struct{})
}

func addressOf(text string) upstream.Address {
	u, err := url.Parse(text)
	if err != nil {
		panic(err) // of a test server
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		panic(err)
	}
	return upstream.Address{Host: u.Hostname(), Port: port}
}

func (d *directory) Watch(ctx context.Context, service string, version uint64) ([]upstream.Address, uint64, error) {
	for {
		d.mu.Lock()
		now, list, changed := d.version, d.list[service], d.changed
		d.mu.Unlock()
		if now != version {
			return list, now, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// world is a gateway over real servers.
type world struct {
	t         testing.TB
	directory *directory
	branch    *branch.Handle
	server    *chassis.Server
}

// settings are those of a test.
type settings struct {
	branch   branch.Config
	entrance gateway.Config
	auth     gateway.Authenticator
	logins   *access.Desk
	audit    access.Recorder
	gate     chassis.Gate
	server   chassis.Config
}

func defaults() settings {
	s := settings{branch: branch.DefaultConfig(), entrance: gateway.DefaultConfig(), server: chassis.DefaultConfig()}
	s.branch.Upstreams.ProbeInterval = 20 * time.Millisecond
	return s
}

// start runs a gateway in front of what answers for a service.
func start(t testing.TB, s settings, at map[string][]string) *world {
	t.Helper()
	w := &world{t: t, directory: newDirectory()}
	for service, urls := range at {
		w.directory.set(service, urls...)
	}
	var err error
	if w.branch, err = branch.New(branch.Options{Config: s.branch, Registry: w.directory, Services: services, Self: gateway.Service}); err != nil {
		t.Fatal(err)
	}
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := sys.Start(ctx, w.branch.Spec()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		w.branch.Close()
	})
	w.server = chassistest.Serve(t, gateway.Service, func(server *chassis.Server) error {
		return gateway.Register(server, gateway.Options{Branch: w.branch, Config: s.entrance, Auth: s.auth, Logins: s.logins, Audit: s.audit, Node: "test", Version: "1"})
	}, func(o *chassis.Options) { o.Gate, o.Config = s.gate, s.server })
	w.branch.Settled(ctx)
	return w
}

// url is an address at the gateway.
func (w *world) url(path string) string { return w.server.URL() + path }

// do sends a request and reads the answer; headers come in pairs.
func (w *world) do(method, path, body string, headers ...string) *answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url(path), strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }() // it is read to its end
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return &answer{resp.StatusCode, resp.Header, text}
}

var client = &http.Client{
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// code is that of a problem.
func (a *answer) code() string {
	var p struct{ Code string }
	if json.Unmarshal(a.body, &p) != nil {
		return ""
	}
	return p.Code
}

// refused checks that a request is answered with a problem.
func (w *world) refused(status int, code, method, path, body string, headers ...string) *answer {
	w.t.Helper()
	a := w.do(method, path, body, headers...)
	if a.status != status || a.code() != code {
		w.t.Errorf("%s %s: %d %s, want %d %s", method, path, a.status, a.body, status, code)
	}
	return a
}

// seen is a request as a service has got it.
type seen struct {
	method, uri, host string
	header            http.Header
	body              string
}

// target is a service that remembers what it got.
type target struct {
	*httptest.Server
	mu   sync.Mutex
	got  []seen
	down bool // its /readyz says so
}

// newTarget answers {"path":…} to everything, or as handler says.
func newTarget(t *testing.T, handler http.HandlerFunc) *target {
	t.Helper()
	s := &target{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/readyz", "/health":
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.down {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return
		case "/openapi.json":
			_, _ = io.WriteString(w, description)
			return
		}
		var body bytes.Buffer
		if r.Header.Get("X-Test-Stream") == "" {
			if _, err := body.ReadFrom(r.Body); err != nil {
				return // it never became whole
			}
		}
		s.mu.Lock()
		s.got = append(s.got, seen{r.Method, r.RequestURI, r.Host, r.Header.Clone(), body.String()})
		s.mu.Unlock()
		if handler != nil {
			handler(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"path": r.URL.Path})
	}))
	t.Cleanup(s.Close)
	return s
}

const description = `{"openapi":"3.1.0","info":{"title":"x","version":"1"},"paths":{
	"/health":{"get":{"operationId":"health","responses":{"200":{"description":"ok"}}}},
	"/api/v1/storage/stats":{"get":{"operationId":"stats","responses":{"200":{"description":"ok","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Volume"}}}}}}},
	"/api/v1/status":{"get":{"operationId":"status","responses":{"200":{"description":"ok"}}}},
	"/ws/v1/stream":{"get":{"operationId":"socket","responses":{"101":{"description":"ok"}}}}},
	"components":{"schemas":{"Volume":{"type":"object","properties":{"more":{"$ref":"#/components/schemas/Volume"}}}}}}`

// last is the last request.
func (s *target) last() seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.got) == 0 {
		return seen{}
	}
	return s.got[len(s.got)-1]
}

func (s *target) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

// await polls for what a goroutine of the gateway brings about.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick, end := time.NewTicker(5*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// deadAddress is where nobody answers.
func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return "http://" + l.Addr().String()
}
