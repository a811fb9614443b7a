package chassis_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/certs"
	"github.com/marketprism/marketprism/internal/certs/certstest"
	"github.com/marketprism/marketprism/internal/identity"
)

// fortress is a server with a certificate, a gate, and a route of each group.
type fortress struct {
	*harness
	ca     *certstest.Authority
	files  certs.Config
	pair   *certs.Pair
	signer *identity.Signer
}

func newFortress(t *testing.T, auth certs.ClientAuth, further ...*certstest.Authority) *fortress {
	t.Helper()
	f := &fortress{ca: certstest.New(t, "ours")}
	trusted := [][]byte{f.ca.PEM()}
	for _, a := range further {
		trusted = append(trusted, a.PEM())
	}
	f.files = certstest.Files(t, t.TempDir(), f.ca.Node("server"), trusted...)
	f.files.ClientAuth = auth
	var err error
	if f.pair, err = certs.Open(certs.Options{Config: f.files}); err != nil {
		t.Fatal(err)
	}
	if f.signer, err = identity.NewSigner(identity.SignerOptions{Clients: true}); err != nil {
		t.Fatal(err)
	}
	ring := identity.NewKeyring()
	if err := ring.Add(f.signer.Announcement()); err != nil {
		t.Fatal(err)
	}
	gate, err := chassis.NewMembers(chassis.MembersOptions{
		Service: "test-service", Verifier: identity.NewVerifier(identity.VerifierOptions{Keys: ring}),
		Certificates: f.pair, Certified: auth == certs.ClientRequired, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	who := func(w http.ResponseWriter, r *http.Request) error {
		p, _ := identity.From(r.Context())
		return chassis.WriteJSON(w, r, http.StatusOK, map[string]string{"who": p.String(), "proto": r.Proto})
	}
	f.harness = start(t, func(o *chassis.Options) { o.Gate, o.TLS = gate, f.pair.Server() },
		chassis.Route{Method: http.MethodGet, Path: "/api/v1/who", Handler: who},
		chassis.Route{Method: http.MethodPost, Path: "/api/v1/who", Handler: who, Request: map[string]any{}, Optional: true},
		chassis.Route{Method: http.MethodGet, Path: "/api/v1/events", Live: true, Handler: func(w http.ResponseWriter, r *http.Request) error {
			e, err := chassis.NewEvents(w, r)
			for n := 0; err == nil && n < 3; n++ {
				err = e.Send(fmt.Sprint(n), "", map[string]int{"n": n})
			}
			return err
		}},
		chassis.Route{Method: http.MethodGet, Path: "/ws/echo", Live: true, Handler: func(w http.ResponseWriter, r *http.Request) error {
			if err := chassis.Handshake(w, r); err != nil {
				return err
			}
			s, err := chassis.Upgrade(w, r, chassis.SocketConfig{MaxMessage: 1 << 10, DeadAfter: time.Minute, WriteTimeout: time.Minute})
			if err != nil {
				return err
			}
			defer s.Release()
			text, err := s.Read()
			if err != nil {
				return nil
			}
			return s.Write(chassis.AppendFrame(nil, text))
		}},
	)
	return f
}

// client shows a certificate, whatever it is, and speaks HTTP/1.1 or, as two, HTTP/2.
func (f *fortress) client(t *testing.T, i certs.Issued, two bool) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: certstest.Client(t, i, f.ca.PEM()), ForceAttemptHTTP2: two}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// groups are a route of each group: what those who are no node are answered there.
var groups = []struct {
	method, path string
	open         bool
}{
	{"GET", "/livez", true}, {"GET", "/readyz", true}, {"GET", "/health", true},
	{"GET", "/metrics", false}, {"GET", "/openapi.json", false}, {"GET", "/docs", false}, {"GET", "/api/v1/status", false}, {"GET", "/api/v1/health", false},
	{"GET", "/api/v1/who", false}, {"POST", "/api/v1/who", false}, {"DELETE", "/api/v1/who", false}, {"GET", "/nothing", false},
	{"GET", "/api/v1/events", false}, {"GET", "/ws/echo", false}, {"POST", "/livez", false},
}

// code asks a route; 0 is a connection that was refused.
func code(t *testing.T, c *http.Client, method, url string, header http.Header) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	res, err := c.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p struct{ Code string }
	_ = json.Unmarshal(text, &p) // not every answer is a problem
	return res.StatusCode, p.Code
}

// TestWrongCertificates shows every wrong certificate at every group of routes.
func TestWrongCertificates(t *testing.T) {
	for _, auth := range []certs.ClientAuth{certs.ClientOptional, certs.ClientRequired} {
		t.Run(string(auth), func(t *testing.T) {
			gone, other := certstest.New(t, "gone"), certstest.New(t, "another")
			f := newFortress(t, auth, gone)
			now := time.Now()
			with := func(change func(*certs.Request)) certs.Issued {
				r := certs.NodeRequest("client", []string{"127.0.0.1"}, time.Hour, now)
				change(&r)
				return f.ca.Issue(r)
			}
			self, err := other.Authority.PEM()
			if err != nil {
				t.Fatal(err)
			}
			token, err := f.signer.Sign(identity.Principal{Subject: "alice", Kind: identity.User, Role: identity.Reader}, "test-service")
			if err != nil {
				t.Fatal(err)
			}
			identified := http.Header{identity.Header: {token}}
			withIdentity := map[certs.ClientAuth]int{certs.ClientOptional: 200, certs.ClientRequired: 401}[auth]
			nobody := map[certs.ClientAuth]string{certs.ClientOptional: "no_identity", certs.ClientRequired: "no_certificate"}[auth]
			revoked := f.client(t, gone.Node("client"), false)
			if got, _ := code(t, revoked, "GET", f.URL()+"/api/v1/who", nil); got != 200 {
				t.Fatalf("before its authority is removed: %d", got)
			}
			certstest.Replace(t, f.files.CAFile, f.ca.PEM())
			if err := f.pair.Reload(); err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				name       string
				client     *http.Client
				want       int // at routes that are not open; 0: the handshake fails
				code       string
				identified int // at /api/v1/who with an identity beside it
			}{
				{"none", f.client(t, certs.Issued{}, false), 401, nobody, withIdentity},
				{"another authority", f.client(t, other.Node("client"), false), 0, "", 0},
				{"self-signed", f.client(t, self, false), 0, "", 0},
				{"expired", f.client(t, with(func(r *certs.Request) { r.Until = now.Add(-time.Minute) }), false), 0, "", 0},
				{"not yet valid", f.client(t, with(func(r *certs.Request) { r.From = now.Add(time.Hour); r.Until = now.Add(2 * time.Hour) }), false), 0, "", 0},
				{"wrong usage", f.client(t, with(func(r *certs.Request) { r.Uses = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), false), 0, "", 0},
				{"no member", f.client(t, with(func(r *certs.Request) { r.URI = "spiffe://marketprism/desk/client" }), false), 403, "foreign_certificate", 403},
				{"revoked, connected", revoked, 401, "invalid_certificate", 401},
				{"revoked, connecting", f.client(t, gone.Node("client"), false), 0, "", 0},
			} {
				for _, g := range groups {
					want := c.want
					if g.open && want != 0 {
						want = 200
					}
					got, problem := code(t, c.client, g.method, f.URL()+g.path, nil)
					if got != want || got != 0 && got != 200 && problem != c.code {
						t.Errorf("%s, %s %s: %d %s, want %d %s", c.name, g.method, g.path, got, problem, want, c.code)
					}
				}
				if got, problem := code(t, c.client, "GET", f.URL()+"/api/v1/who", identified); got != c.identified {
					t.Errorf("%s, with an identity: %d %s, want %d", c.name, got, problem, c.identified)
				}
			}
			node := f.client(t, f.ca.Node("client"), false)
			for _, g := range groups {
				if got, problem := code(t, node, g.method, f.URL()+g.path, nil); got == 0 || got == 401 || got == 403 {
					t.Errorf("a node, %s %s: %d %s", g.method, g.path, got, problem)
				}
			}
			if got, _ := code(t, node, "GET", f.URL()+"/api/v1/who", http.Header{identity.Header: {"nonsense"}}); got != 401 {
				t.Errorf("a node with a wrong identity: %d", got)
			}
			if got, _ := code(t, &http.Client{}, "GET", "http://"+f.Addr()+"/livez", nil); got != 400 {
				t.Errorf("plain HTTP: %d", got)
			}
			old := certstest.Client(t, f.ca.Node("client"), f.ca.PEM())
			old.MaxVersion = tls.VersionTLS12
			if c, err := tls.Dial("tcp", f.Addr(), old); err == nil {
				c.Close()
				t.Error("TLS 1.2 was spoken")
			}
		})
	}
}

// TestProtocolsOverTLS: both versions of HTTP, event streams and WebSockets.
func TestProtocolsOverTLS(t *testing.T) {
	f := newFortress(t, certs.ClientRequired)
	node := f.ca.Node("client")
	for two, want := range map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"} {
		c := f.client(t, node, two)
		res, err := c.Get(f.URL() + "/api/v1/who")
		if err != nil {
			t.Fatal(err)
		}
		if text := read(t, res); !strings.Contains(text, want) || !strings.Contains(text, certs.NodeURI("client")) {
			t.Errorf("%s: %s", want, text)
		}
		res.Body.Close()
		if res, err = c.Post(f.URL()+"/api/v1/who", "application/json", strings.NewReader(`{"a": 1}`)); err != nil {
			t.Fatal(err)
		}
		if read(t, res); res.StatusCode != 200 {
			t.Errorf("%s: a POST: %d", want, res.StatusCode)
		}
		res.Body.Close()
		if res, err = c.Get(f.URL() + "/api/v1/events"); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(read(t, res), "data: "); n != 3 || res.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%s: %d events, %s", want, n, res.Header)
		}
		res.Body.Close()
		if got, problem := code(t, c, "GET", f.URL()+"/ws/echo", nil); got != 426 || problem != "upgrade_required" {
			t.Errorf("%s: a WebSocket without a handshake: %d %s", want, got, problem)
		}
	}
	dialer := websocket.Dialer{TLSClientConfig: certstest.Client(t, node, f.ca.PEM())}
	ws, res, err := dialer.DialContext(t.Context(), "wss://"+f.Addr()+"/ws/echo", http.Header{"Origin": {f.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	res.Body.Close()
	if err := ws.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, text, err := ws.ReadMessage(); err != nil || string(text) != "hello" {
		t.Errorf("%q, %v", text, err)
	}
	dialer.TLSClientConfig = certstest.Client(t, certs.Issued{}, f.ca.PEM())
	if _, res, err = dialer.DialContext(t.Context(), "wss://"+f.Addr()+"/ws/echo", nil); err == nil || res == nil || res.StatusCode != 401 {
		t.Errorf("without a certificate: %v", err)
	} else {
		res.Body.Close()
	}
}

// TestReloadUnderLoad replaces certificates, keys and authorities on both ends, again and
// again, while requests run on new connections and on old ones: none fails.
func TestReloadUnderLoad(t *testing.T) {
	f := newFortress(t, certs.ClientRequired)
	files := certstest.Files(t, t.TempDir(), f.ca.Node("client"), f.ca.PEM())
	near, err := certs.Open(certs.Options{Config: files})
	if err != nil {
		t.Fatal(err)
	}
	var served [4]atomic.Int64
	failures := make(chan error, 64)
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for n := range served {
		transport := near.Transport(&http.Transport{DisableKeepAlives: n%2 == 0})
		t.Cleanup(transport.CloseIdleConnections)
		clients.Go(func() {
			for ctx.Err() == nil {
				if err := once(f.URL()+"/api/v1/who", transport); err != nil {
					select {
					case failures <- err:
					default:
					}
				}
				served[n].Add(1)
			}
		})
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	more := func() { // requests of every client
		t.Helper()
		for n := range served {
			for until := served[n].Load() + 5; served[n].Load() < until; {
				<-tick.C
			}
		}
	}
	put := func(c certs.Config, p *certs.Pair, i certs.Issued, authorities ...[]byte) {
		t.Helper()
		if i.Key != nil {
			certstest.Replace(t, c.KeyFile, i.Key)
			_ = p.Reload() // half replaced: what was there stays
			certstest.Replace(t, c.CertFile, i.Certificate)
		}
		var all []byte
		for _, a := range authorities {
			all = append(all, a...)
		}
		certstest.Replace(t, c.CAFile, all)
		if err := p.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	before := f.ca
	for range 2 {
		next := certstest.New(t, "next")
		// As an operator does: trust both, change the certificates, trust the new one only.
		put(f.files, f.pair, certs.Issued{}, before.PEM(), next.PEM())
		put(files, near, certs.Issued{}, before.PEM(), next.PEM())
		more()
		put(f.files, f.pair, next.Node("server"), before.PEM(), next.PEM())
		more()
		put(files, near, next.Node("client"), before.PEM(), next.PEM())
		more()
		put(files, near, certs.Issued{}, next.PEM())
		put(f.files, f.pair, certs.Issued{}, next.PEM())
		more()
		before = next
	}
	cancel()
	clients.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
}

func once(url string, transport http.RoundTripper) error {
	res, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%d %s", res.StatusCode, text)
	}
	return nil
}

// TestTLSServerStops: a connection of HTTP/2 that nothing is asked on keeps nobody waiting.
func TestTLSServerStops(t *testing.T) {
	f := newFortress(t, certs.ClientOptional)
	node := f.client(t, f.ca.Node("client"), true)
	if got, _ := code(t, node, "GET", f.URL()+"/api/v1/who", nil); got != 200 {
		t.Fatalf("%d", got)
	}
	if err := f.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if got, _ := code(t, node, "GET", f.URL()+"/livez", nil); got != 0 {
		t.Errorf("a stopped server answers %d", got)
	}
}
