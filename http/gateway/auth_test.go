package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/actors/bucket/buckettest"
	"github.com/marketprism/marketprism/actors/gateway/access"
	"github.com/marketprism/marketprism/actors/gateway/cache"
	"github.com/marketprism/marketprism/actors/gateway/limit"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/gateway"
	"github.com/marketprism/marketprism/internal/identity"
)

// ledger is the audit log of a test.
type ledger struct {
	mu  sync.Mutex
	all []string
}

func (l *ledger) Record(_ context.Context, e audit.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, strings.Join([]string{e.Principal, e.Action, e.Target, e.Outcome, e.Address}, " "))
}

func (l *ledger) has(want string) bool { return slices.Contains(l.about(want), want) }

// about are the entries that hold a text.
func (l *ledger) about(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// guarded is a gateway that asks who sends a request.
type guarded struct {
	*world
	desk     *access.Desk
	store    *buckettest.Memory
	ledger   *ledger
	verifier *identity.Verifier
	signer   *identity.Signer
	password string // of admin
}

// guard starts one in front of what answers for the services.
func guard(t testing.TB, s settings, at map[string][]string) *guarded {
	t.Helper()
	g := &guarded{store: buckettest.New(), ledger: &ledger{}}
	cheap := access.DefaultConfig()
	cheap.Password.MemoryKiB, cheap.Password.Passes = 8, 1
	var err error
	g.desk, err = access.New(access.Options{
		Config: cheap, Store: g.store, Audit: g.ledger, Services: []string{gateway.Service, storage, collector},
		First: func(_, password string) error { g.password = password; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, g.desk.Spec())
	if g.signer, err = identity.NewSigner(identity.SignerOptions{Node: "test", Clients: true, Services: []string{gateway.Service, "scheduler-service"}}); err != nil {
		t.Fatal(err)
	}
	ring := identity.NewKeyring()
	if err := ring.Add(g.signer.Announcement()); err != nil {
		t.Fatal(err)
	}
	g.verifier = identity.NewVerifier(identity.VerifierOptions{Keys: ring})
	auth, err := gateway.NewAuth(gateway.AuthOptions{
		Desk: g.desk, Enforce: true, Signer: g.signer, Verifier: g.verifier, Services: []string{gateway.Service, storage, collector},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.branch.Limits.Routes = []limit.RouteConfig{} // a test logs in often
	s.auth, s.gate, s.logins, s.audit = auth, auth, g.desk, g.ledger
	g.world = start(t, s, at)
	return g
}

func run(t testing.TB, spec supervise.Spec) {
	t.Helper()
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := sys.Start(ctx, spec); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

type loggedIn struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func (g *guarded) login(name, password string) loggedIn {
	g.t.Helper()
	a := g.do("POST", "/api/v1/auth/login", fmt.Sprintf(`{"username":%q,"password":%q}`, name, password))
	var in loggedIn
	if a.status != 200 || json.Unmarshal(a.body, &in) != nil || in.Access == "" {
		g.t.Fatalf("login of %s: %d %s", name, a.status, a.body)
	}
	return in
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// create asks as admin for something that is made, which is read.
func (g *guarded) create(path, body string, as []string, into any) {
	g.t.Helper()
	a := g.do("POST", "/api/v1/auth/"+path, body, as...)
	if a.status != 200 || json.Unmarshal(a.body, into) != nil {
		g.t.Fatalf("%s %s: %d %s", path, body, a.status, a.body)
	}
}

type madeKey struct{ ID, Key string }

const fairly = "a password, fairly long"

// signing reads a key that signs access tokens out of the store, as a thief would.
func (g *guarded) signing() (kid string, secret []byte) {
	g.t.Helper()
	docs, err := g.store.Load(g.t.Context(), "signing.")
	if err != nil || len(docs) == 0 {
		g.t.Fatalf("%d keys, %v", len(docs), err)
	}
	var k struct {
		ID     string
		Secret []byte
	}
	if err := json.Unmarshal(docs[0].Value, &k); err != nil {
		g.t.Fatal(err)
	}
	return k.ID, k.Secret
}

// wrong are credentials of every kind that let nobody in, by what is wrong with them,
// as headers in pairs.
func (g *guarded) wrong(admin []string, user loggedIn) map[string][]string {
	t := g.t
	t.Helper()
	var revoked, expired madeKey
	g.create("apikeys", `{"name":"revoked","role":"admin"}`, admin, &revoked)
	if a := g.do("DELETE", "/api/v1/auth/apikeys/"+revoked.ID, "", admin...); a.status != 200 {
		t.Fatalf("revoking: %d %s", a.status, a.body)
	}
	g.create("apikeys", `{"name":"expired","role":"admin","expires_in_seconds":1}`, admin, &expired)
	await(t, "the end of a key", func() bool { return g.do("GET", "/api/v1/auth/me", "", "X-API-Key", expired.Key).status == 401 })
	g.create("users", `{"name":"gone","password":"`+fairly+`","role":"admin"}`, admin, &struct{}{})
	gone := g.login("gone", fairly)
	if a := g.do("PATCH", "/api/v1/auth/users/gone", `{"disabled":true}`, admin...); a.status != 200 {
		t.Fatalf("disabling: %d %s", a.status, a.body)
	}
	out := g.login("alice", fairly)
	if a := g.do("POST", "/api/v1/auth/logout", "", bearer(out.Access)...); a.status != 200 {
		t.Fatalf("logging out: %d %s", a.status, a.body)
	}
	kid, secret := g.signing()
	token := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) []string {
		var claims jwt.MapClaims
		if _, _, err := jwt.NewParser().ParseUnverified(user.Access, &claims); err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(claims)
		}
		made := jwt.NewWithClaims(method, claims)
		made.Header["kid"] = kid
		text, err := made.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return bearer(text)
	}
	if a := g.do("GET", "/api/v1/auth/me", "", token(jwt.SigningMethodHS256, secret, nil)...); a.status != 200 {
		t.Fatalf("a token as it should be: %d %s", a.status, a.body)
	}
	stranger, err := identity.NewSigner(identity.SignerOptions{Node: "test", Clients: true, Services: []string{"scheduler-service"}})
	if err != nil {
		t.Fatal(err)
	}
	forged := func(s *identity.Signer, p identity.Principal, audience string) []string {
		text, err := s.Sign(p, audience)
		if err != nil {
			t.Fatal(err)
		}
		return []string{identity.Header, text}
	}
	boss := identity.Principal{Subject: "admin", Kind: identity.User, Role: identity.Admin}
	scheduler := identity.Principal{Subject: "scheduler-service", Kind: identity.Service, Role: identity.Admin}
	return map[string][]string{
		"nothing":                      nil,
		"expired":                      token(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Minute).Unix() }),
		"algorithm none":               token(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"another algorithm":            token(jwt.SigningMethodHS384, secret, nil),
		"another key":                  token(jwt.SigningMethodHS256, []byte("another secret of 32 bytes, or so"), nil),
		"another audience":             token(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["aud"] = "somebody-else" }),
		"another issuer":               token(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["iss"] = "https://id.example.com" }),
		"another user":                 token(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["sub"] = "admin" }),
		"tampered":                     bearer(user.Access[:len(user.Access)-6] + "AAAAAA"),
		"logged out":                   bearer(out.Access),
		"of a disabled user":           bearer(gone.Access),
		"a refresh token":              bearer(user.Refresh),
		"a revoked key":                {"X-API-Key", revoked.Key},
		"an expired key":               {"X-API-Key", expired.Key},
		"a key of nobody":              {"X-API-Key", "mp_0123456789abcdef_" + strings.Repeat("A", 43)},
		"an empty key":                 {"X-API-Key", ""},
		"a word":                       bearer("admin"),
		"a password":                   {"Authorization", "Basic YWRtaW46YWRtaW4="},
		"two, one of them good":        append(bearer(user.Access), "X-API-Key", "mp_0123456789abcdef_x"),
		"a wrong cookie":               {"Cookie", "marketprism_token=admin"},
		"an identity of a stranger":    forged(stranger, boss, gateway.Service),
		"a stranger's service":         forged(stranger, scheduler, gateway.Service),
		"an identity for another":      forged(g.signer, scheduler, storage),
		"a good token and an identity": append(bearer(user.Access), forged(stranger, boss, gateway.Service)...),
		"other headers":                {"X-User", "admin", "X-Forwarded-User", "admin", "X-Forwarded-For", "127.0.0.1", "X-Real-IP", "127.0.0.1", "X-Gateway-Service", gateway.Service},
	}
}

// TestNobodyGetsIn: every route of the gateway, and those behind it, refuse every wrong
// credential, and no service hears of it.
func TestNobodyGetsIn(t *testing.T) {
	upstream := newTarget(t, nil)
	g := guard(t, defaults(), map[string][]string{storage: {upstream.URL}, collector: {upstream.URL}})
	admin := bearer(g.login("admin", g.password).Access)
	g.create("users", `{"name":"alice","password":"`+fairly+`","role":"admin"}`, admin, &struct{}{})
	wrong := g.wrong(admin, g.login("alice", fairly))
	await(t, "both descriptions", func() bool { all, _ := g.branch.Documents(); return len(all) == 2 })
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if a := g.do("GET", "/openapi.json", "", admin...); a.status != 200 || json.Unmarshal(a.body, &doc) != nil {
		t.Fatalf("the description: %d", a.status)
	}
	before, asked := upstream.count(), 0
	open := map[string]bool{"/livez": true, "/readyz": true, "/health": true, "/api/v1/auth/login": true, "/api/v1/auth/refresh": true}
	for path, methods := range doc.Paths {
		for method := range methods {
			if open[path] {
				continue
			}
			asked++
			at := strings.NewReplacer("{", "", "}", "").Replace(path)
			for name, headers := range wrong {
				a := g.do(strings.ToUpper(method), at, "", headers...)
				if a.status != http.StatusUnauthorized || a.header.Get("Www-Authenticate") == "" {
					t.Errorf("%s %s with %s: %d %s", method, path, name, a.status, a.body)
				}
			}
		}
	}
	if asked < 20 {
		t.Errorf("only %d routes are described", asked)
	}
	for name, headers := range wrong {
		for _, path := range []string{"/api/v1/storage/x", "/api/v1/data-storage-service/storage/x", "/ws/collector/v1/stream", "/api/v1/nobody/x", "/metrics", "/nothing"} {
			if a := g.do("POST", path, "", headers...); a.status != http.StatusUnauthorized {
				t.Errorf("POST %s with %s: %d", path, name, a.status)
			}
		}
		if name == "nothing" {
			continue
		}
		if a := g.do("GET", "/health", "", headers...); a.status != 401 && !strings.HasPrefix(name, "other headers") {
			t.Errorf("/health with %s: %d", name, a.status)
		}
	}
	if n := upstream.count() - before; n != 0 {
		t.Errorf("%d requests reached a service", n)
	}
	if a := g.do("GET", "/health", ""); a.status != 200 || strings.Contains(string(a.body), "checks") {
		t.Errorf("everybody is told %s", a.body)
	}
}

// TestRoles: a key may do what its role and its scopes say, and no more.
func TestRoles(t *testing.T) {
	upstream := newTarget(t, nil)
	g := guard(t, defaults(), map[string][]string{storage: {upstream.URL}, collector: {upstream.URL}})
	admin := bearer(g.login("admin", g.password).Access)
	key := func(role string, scopes ...string) []string {
		text, err := json.Marshal(map[string]any{"name": role, "role": role, "scopes": scopes})
		if err != nil {
			t.Fatal(err)
		}
		var k madeKey
		g.create("apikeys", string(text), admin, &k)
		return []string{"X-API-Key", k.Key}
	}
	reader, writer, operator := key("reader"), key("writer"), key("operator")
	scoped := key("operator", collector, storage+":reader")
	narrowAdmin := key("admin", gateway.Service)
	const archive, trades, subscribe = "/api/v1/storage/cold/archive", "/api/v1/storage/hot/trades", "/api/v1/collector/exchanges/x/subscribe"
	for _, tc := range []struct {
		method, path string
		as           []string
		want         int
	}{
		{"GET", trades, reader, 200}, {"POST", trades, reader, 403}, {"POST", trades, writer, 200}, {"POST", archive, writer, 403}, {"POST", archive, operator, 200},
		{"GET", "/api/v1/auth/users", operator, 403}, {"GET", "/api/v1/auth/users", admin, 200}, {"GET", "/api/v1/auth/me", reader, 200},
		{"POST", "/api/v1/gateway/services", operator, 403}, {"GET", "/api/v1/gateway/stats", reader, 200}, {"GET", "/metrics", reader, 200},
		{"POST", subscribe, scoped, 200}, {"GET", trades, scoped, 200}, {"POST", trades, scoped, 403}, {"GET", "/api/v1/gateway/stats", scoped, 403},
		{"GET", "/api/v1/auth/me", scoped, 200}, {"GET", "/api/v1/gateway/stats", narrowAdmin, 200}, {"GET", trades, narrowAdmin, 403},
		{"POST", "/api/v1/auth/apikeys", narrowAdmin, 403}, {"GET", "/api/v1/auth/users", narrowAdmin, 403},
	} {
		if a := g.do(tc.method, tc.path, "", tc.as...); a.status != tc.want {
			t.Errorf("%s %s as %v: %d %s, want %d", tc.method, tc.path, tc.as, a.status, a.body, tc.want)
		}
	}
	// What operators change is in the audit log, what others do is not.
	for _, what := range []string{storage + " POST " + archive, collector + " POST /api/v1/exchanges/x/subscribe"} {
		if got := g.ledger.about("request " + what); len(got) != 1 || !strings.HasPrefix(got[0], "apikey:") || !strings.HasSuffix(got[0], " done 127.0.0.1") {
			t.Errorf("the audit log has %q of %s", got, what)
		}
	}
	if got := g.ledger.about("request " + storage + " POST " + trades); len(got) != 0 {
		t.Errorf("the audit log has %q", got)
	}
	// What the service sees: a proof of who asks, and nothing that could be used again.
	upstream.forget()
	g.do("GET", trades, "", append(reader, "Cookie", "marketprism_token=x; theme=dark", identity.Header, "")...)
	if a := g.do("GET", trades, "", append(reader, "Cookie", "theme=dark")...); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	got := upstream.last().header
	p, err := g.verifier.Verify(t.Context(), got.Get(identity.Header), storage)
	if err != nil || p.Kind != identity.APIKey || p.Role != identity.Reader {
		t.Errorf("the service is shown %+v, %v", p, err)
	}
	if got.Get("X-API-Key") != "" || got.Get("Authorization") != "" || got.Get("Cookie") != "theme=dark" {
		t.Errorf("the service got %v", got)
	}
	// The gateway is a service that is asked by its name, too.
	g.directory.set(gateway.Service, g.server.URL())
	await(t, "the gateway by its name", func() bool {
		return g.do("GET", "/api/v1/api-gateway-service/gateway/stats", "", reader...).status == 200
	})
	for _, tc := range []struct {
		method, path string
		as           []string
		want         int
	}{
		{"GET", "auth/users", operator, 403}, {"GET", "auth/users", admin, 200}, {"GET", "auth/users", narrowAdmin, 403}, {"GET", "gateway/stats", scoped, 403},
		{"GET", "auth/users", nil, 401}, {"GET", "metrics", reader, 200}, {"GET", "auth/me", reader, 200},
	} {
		if a := g.do(tc.method, "/api/v1/api-gateway-service/"+tc.path, "", tc.as...); a.status != tc.want {
			t.Errorf("%s %s by the gateway's name as %v: %d %s, want %d", tc.method, tc.path, tc.as, a.status, a.body, tc.want)
		}
	}
	// A service of the program asks in its own name.
	own := http.Header{}
	if err := g.signer.Prove(own, "scheduler-service", gateway.Service); err != nil {
		t.Fatal(err)
	}
	if a := g.do("POST", archive, "", identity.Header, own.Get(identity.Header)); a.status != 200 {
		t.Errorf("the scheduler: %d %s", a.status, a.body)
	}
	if p, err := g.verifier.Verify(t.Context(), upstream.last().header.Get(identity.Header), storage); err != nil || p.Subject != "scheduler-service" || p.Role > identity.Operator {
		t.Errorf("the service is shown %+v, %v", p, err)
	}
}

// forget forgets what a service got.
func (s *target) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = nil
}

// TestLogins: the routes of logins, users and keys, as clients use them.
func TestLogins(t *testing.T) {
	g := guard(t, defaults(), nil)
	first := g.login("admin", g.password)
	admin := bearer(first.Access)
	for _, tc := range []struct {
		status             int
		code, method, path string
		body               string
	}{
		{422, "invalid_field", "POST", "users", `{"name":"Alice!","password":"` + fairly + `","role":"reader"}`},
		{422, "invalid_field", "POST", "users", `{"name":"alice","password":"short","role":"reader"}`},
		{422, "invalid_field", "POST", "users", `{"name":"alice","password":"` + fairly + `","role":"emperor"}`},
		{404, "not_found", "PATCH", "users/nobody", `{"disabled":true}`},
		{409, "conflict", "PATCH", "users/admin", `{"disabled":true}`},
		{409, "conflict", "DELETE", "users/admin", ""},
		{422, "invalid_field", "PATCH", "users/admin", `{}`},
		{422, "invalid_field", "POST", "apikeys", `{"name":"x","role":"reader","scopes":["kitchen"]}`},
		{404, "not_found", "DELETE", "apikeys/none", ""},
		{401, "invalid_credential", "POST", "login", `{"username":"admin","password":"wrong"}`},
		{401, "invalid_credential", "POST", "login", `{"username":"nobody","password":"wrong"}`},
		{401, "invalid_credential", "POST", "refresh", `{"refresh_token":"mpr_x.y"}`},
	} {
		g.refused(tc.status, tc.code, tc.method, "/api/v1/auth/"+tc.path, tc.body, admin...)
	}
	dead := addressOf(deadAddress(t))
	for range 2 { // the second is a heartbeat
		if a := g.do("POST", "/api/v1/gateway/services", fmt.Sprintf(`{"service_name":"mine","host":%q,"port":%d}`, dead.Host, dead.Port), admin...); a.status != 200 {
			t.Errorf("registering: %d %s", a.status, a.body)
		}
	}
	if got := g.ledger.about("service.register"); len(got) != 1 || got[0] != fmt.Sprintf("user:admin service.register mine at %s done 127.0.0.1", dead) {
		t.Errorf("the audit log has %q", got)
	}
	var alice struct{ Name, Role string }
	g.create("users", `{"name":"alice","password":"`+fairly+`","role":"writer"}`, admin, &alice)
	if alice.Name != "alice" || alice.Role != "writer" {
		t.Errorf("%+v", alice)
	}
	in := g.login("alice", fairly)
	a := g.do("POST", "/api/v1/auth/refresh", `{"refresh_token":"`+in.Refresh+`"}`)
	var next loggedIn
	if a.status != 200 || json.Unmarshal(a.body, &next) != nil || next.Refresh == in.Refresh {
		t.Fatalf("%d %s", a.status, a.body)
	}
	g.refused(401, "invalid_credential", "POST", "/api/v1/auth/refresh", `{"refresh_token":"`+in.Refresh+`"}`)
	for _, token := range []string{in.Access, next.Access} { // a stolen copy ends the login
		g.refused(401, "invalid_credential", "GET", "/api/v1/auth/me", "", bearer(token)...)
	}
	in = g.login("alice", fairly)
	g.refused(401, "invalid_credential", "POST", "/api/v1/auth/password", `{"current_password":"wrong","new_password":"another long password"}`, bearer(in.Access)...)
	if a := g.do("POST", "/api/v1/auth/password", `{"current_password":"`+fairly+`","new_password":"another long password"}`, bearer(in.Access)...); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	g.refused(401, "invalid_credential", "GET", "/api/v1/auth/me", "", bearer(in.Access)...)
	g.login("alice", "another long password")
	for _, line := range []string{
		"user:admin auth.login  done 127.0.0.1", "user:admin auth.login  refused 127.0.0.1", "user:nobody auth.login  refused 127.0.0.1",
		"user:admin user.add alice done 127.0.0.1", "user:admin user.disable admin failed 127.0.0.1", "user:alice user.password alice done 127.0.0.1",
	} {
		if !g.ledger.has(line) {
			t.Errorf("the audit log has no %q in %q", line, g.ledger.all)
		}
	}
}

// TestStreamsEnd: a stream ends soon after its client's credential has, and others go on.
func TestStreamsEnd(t *testing.T) {
	upstream := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	g := guard(t, defaults(), map[string][]string{collector: {upstream.URL}})
	admin := bearer(g.login("admin", g.password).Access)
	var kept, revoked madeKey
	g.create("apikeys", `{"name":"kept","role":"reader"}`, admin, &kept)
	g.create("apikeys", `{"name":"revoked","role":"reader"}`, admin, &revoked)
	g.create("users", `{"name":"alice","password":"`+fairly+`","role":"reader"}`, admin, &struct{}{})
	alice := g.login("alice", fairly)
	follow := func(name, value string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", g.url("/api/v1/collector/stream"), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(name, value)
		resp, err := client.Do(r)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%+v, %v", resp, err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() }) // it has ended, or is left
		return resp
	}
	follow("X-API-Key", kept.Key)
	ends := []*http.Response{follow("X-API-Key", revoked.Key), follow("Authorization", "Bearer "+alice.Access)}
	if a := g.do("DELETE", "/api/v1/auth/apikeys/"+revoked.ID, "", admin...); a.status != 200 {
		t.Fatalf("revoking: %d %s", a.status, a.body)
	}
	if a := g.do("PATCH", "/api/v1/auth/users/alice", `{"disabled":true}`, admin...); a.status != 200 {
		t.Fatalf("disabling: %d %s", a.status, a.body)
	}
	for _, resp := range ends {
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("a stream that was cut off ended as though it were whole")
		}
	}
	await(t, "the end of two streams", func() bool { return g.branch.Streams().Now() == 1 })
}

// TestWho: rates and kept answers belong to whoever asks: a user by any token, a key.
func TestWho(t *testing.T) {
	var n atomic.Int64
	upstream := newTarget(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, n.Add(1)) })
	s := defaults()
	s.branch.Cache.Enabled, s.branch.Cache.TTL = true, time.Hour
	s.branch.Cache.Routes = []cache.RouteConfig{{Service: "mine", Path: "/api/v1/"}}
	g := guard(t, s, map[string][]string{storage: {upstream.URL}})
	admin := bearer(g.login("admin", g.password).Access)
	at := addressOf(upstream.URL)
	if a := g.do("POST", "/api/v1/gateway/services", fmt.Sprintf(`{"service_name":"mine","host":%q,"port":%d}`, at.Host, at.Port), admin...); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	var one, two madeKey
	g.create("apikeys", `{"name":"one","role":"reader"}`, admin, &one)
	g.create("apikeys", `{"name":"two","role":"reader"}`, admin, &two)
	read := func(key string) string { return string(g.do("GET", "/api/v1/mine/x", "", "X-API-Key", key).body) }
	first := read(one.Key)
	if again, other := read(one.Key), read(two.Key); again != first || other == first {
		t.Errorf("one read %s, then %s; two read %s", first, again, other)
	}
	if got := upstream.last().header; got.Get("X-API-Key") != "" || got.Get(identity.Header) != "" {
		t.Errorf("a stranger was shown %v", got)
	}
	more := bearer(g.login("admin", g.password).Access)
	slow := s.branch
	slow.Limits.User, slow.Limits.Key = limit.RateConfig{PerSecond: 0.001, Burst: 2}, limit.RateConfig{PerSecond: 0.001, Burst: 1}
	if err := g.branch.Configure(slow); err != nil {
		t.Fatal(err)
	}
	for i, tc := range []struct {
		as   []string
		want int
	}{{admin, 200}, {more, 200}, {admin, 429}, {more, 429}, {[]string{"X-API-Key", one.Key}, 200}, {[]string{"X-API-Key", one.Key}, 429}, {[]string{"X-API-Key", two.Key}, 200}} {
		if a := g.do("GET", "/api/v1/storage/x", "", tc.as...); a.status != tc.want {
			t.Errorf("request %d: %d %s, want %d", i, a.status, a.body, tc.want)
		}
	}
}
