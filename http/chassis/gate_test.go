package chassis_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/identity"
)

// beyond is a server that demands an identity, as one that listens beyond loopback.
func beyond(t *testing.T) (*harness, *identity.Signer) {
	t.Helper()
	signer, err := identity.NewSigner(identity.SignerOptions{Clients: true, Services: []string{"api-gateway-service", "scheduler-service"}})
	if err != nil {
		t.Fatal(err)
	}
	ring := identity.NewKeyring()
	if err := ring.Add(signer.Announcement()); err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	gate, err := chassis.NewMembers(chassis.MembersOptions{Service: "test-service", Verifier: identity.NewVerifier(identity.VerifierOptions{Keys: ring}), Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	who := func(w http.ResponseWriter, r *http.Request) error {
		p, _ := identity.From(r.Context())
		return chassis.WriteJSON(w, r, http.StatusOK, map[string]string{"who": p.String(), "role": p.Role.String()})
	}
	h := start(t, func(o *chassis.Options) { o.Gate, o.Registerer, o.Gatherer = gate, reg, reg },
		chassis.Route{Method: http.MethodGet, Path: "/api/v1/who", Handler: who},
		chassis.Route{Method: http.MethodPost, Path: "/api/v1/who", Handler: who, Request: map[string]any{}, Optional: true})
	h.registry = reg
	return h, signer
}

func send(t *testing.T, h *harness, method, path string, header map[string][]string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
	})
	return res
}

func read(t *testing.T, res *http.Response) string {
	t.Helper()
	var b strings.Builder
	if _, err := io.Copy(&b, res.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBeyondLoopback(t *testing.T) {
	h, signer := beyond(t)
	for _, path := range []string{"/api/v1/who", "/metrics", "/openapi.json", "/docs", "/docs/docs.css", "/api/v1/status", "/api/v1/health", "/nothing", "/health/", "//health", "/LIVEZ"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			res := send(t, h, method, path, nil)
			if res.StatusCode != http.StatusUnauthorized || res.Header.Get("Www-Authenticate") == "" {
				t.Errorf("%s %s: %d", method, path, res.StatusCode)
			}
		}
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/health": 200} {
		res := send(t, h, http.MethodGet, path, nil)
		if res.StatusCode != want {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
		if text := read(t, res); path == "/health" && (!strings.Contains(text, "healthy") || strings.Contains(text, "1.2.3") || strings.Contains(text, "checks")) {
			t.Errorf("everybody is told %s", text)
		}
	}
	if res := send(t, h, http.MethodPost, "/health", nil); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("POST /health: %d", res.StatusCode)
	}
	alice := identity.Principal{Subject: "alice", Kind: identity.User, Role: identity.Reader}
	sign := func(p identity.Principal, audience string) string {
		token, err := signer.Sign(p, audience)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good, elsewhere := sign(alice, "test-service"), sign(alice, "other-service")
	for name, header := range map[string]map[string][]string{
		"for another service": {identity.Header: {elsewhere}},
		"nonsense":            {identity.Header: {"let me in"}},
		"empty":               {identity.Header: {""}},
		"twice":               {identity.Header: {good, good}},
		"tampered":            {identity.Header: {good[:len(good)-4] + "AAAA"}},
		"other headers":       {"X-User": {"admin"}, "X-Forwarded-For": {"127.0.0.1"}, "Authorization": {"Bearer " + good}, "X-Real-Ip": {"127.0.0.1"}},
	} {
		if res := send(t, h, http.MethodGet, "/api/v1/who", header); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
	if res := send(t, h, http.MethodGet, "/health", map[string][]string{identity.Header: {"wrong"}}); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong identity at an open route: %d", res.StatusCode)
	}
	if text := read(t, send(t, h, http.MethodGet, "/api/v1/who", map[string][]string{identity.Header: {good}})); !strings.Contains(text, "user:alice") {
		t.Errorf("got %s", text)
	}
	service := sign(identity.Principal{Subject: "scheduler-service", Kind: identity.Service, Role: identity.Operator}, "test-service")
	header := map[string][]string{identity.Header: {service}}
	if text := read(t, send(t, h, http.MethodPost, "/api/v1/who", header)); !strings.Contains(text, "service:scheduler-service") {
		t.Errorf("got %s", text)
	}
	if text := read(t, send(t, h, http.MethodGet, "/health", header)); !strings.Contains(text, "checks") || !strings.Contains(text, "1.2.3") {
		t.Errorf("a service is told %s", text)
	}
	if res := send(t, h, http.MethodGet, "/metrics", header); res.StatusCode != http.StatusOK {
		t.Errorf("a scrape: %d", res.StatusCode)
	}
	if n := testutil.CollectAndCount(h.registry, "mp_http_identity_checks_total"); n < 4 {
		t.Errorf("%d outcomes are counted", n)
	}
}

// TestLoopbackIsOpen: without a gate nobody is asked.
func TestLoopbackIsOpen(t *testing.T) {
	h := start(t, nil)
	res := send(t, h, http.MethodGet, "/health", map[string][]string{identity.Header: {"whatever"}})
	if text := read(t, res); res.StatusCode != http.StatusOK || !strings.Contains(text, "checks") {
		t.Errorf("%d %s", res.StatusCode, text)
	}
}
