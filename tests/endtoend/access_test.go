package endtoend

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

var update = flag.Bool("update", false, "write testdata")

// visitor asks one service as somebody.
type visitor struct {
	t      *testing.T
	base   string
	header http.Header
}

func (v visitor) as(pairs ...string) visitor {
	v.header = http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		v.header.Set(pairs[i], pairs[i+1])
	}
	return v
}

// answerWithin is how long an answer may take to begin, on a busy machine.
const answerWithin = 30 * time.Second

// head reads how an answer begins, which may have no end.
func (v visitor) head(method, path, body string) (status int, code string) {
	v.t.Helper()
	ctx, leave := context.WithTimeout(v.t.Context(), answerWithin)
	defer leave()
	r, err := http.NewRequestWithContext(ctx, method, v.base+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	maps.Copy(r.Header, v.header)
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		v.t.Errorf("%s %s: %v", method, path, err)
		return 0, ""
	}
	defer func() { _ = res.Body.Close() }() // what is read is enough
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem") {
		var p struct{ Code string }
		if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
			v.t.Errorf("%s %s: %v", method, path, err)
		}
		code = p.Code
	}
	return res.StatusCode, code
}

// ask sends JSON that has to be answered with 200, and reads the answer.
func (v visitor) ask(method, path, body string, into any) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.base+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	maps.Copy(r.Header, v.header)
	r.Header.Set("Content-Type", "application/json")
	a, err := harness.Do(v.t.Context(), r)
	if err != nil {
		v.t.Fatal(err)
	}
	if a.Status != http.StatusOK || json.Unmarshal(a.Body, into) != nil {
		v.t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
	}
}

// guardedSettings are those of a node that asks everybody who they are, and hashes
// passwords cheaply.
func guardedSettings() harness.Settings {
	const gateway = harness.Gateway
	s := harness.Settings{
		"http.identity": "required", gateway + ".auth.password.memory_kib": 64, gateway + ".auth.password.passes": 1,
		gateway + ".gateway.limits.routes": []any{},
	}
	for _, who := range []string{"address", "user", "key"} {
		s[gateway+".gateway.limits."+who+".per_second"], s[gateway+".gateway.limits."+who+".burst"] = 100_000, 100_000
	}
	return s
}

// firstLogin logs in with what the first start has made.
func firstLogin(t *testing.T, n *harness.Node) visitor {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(n.Data, "first-login.json"))
	if err != nil {
		t.Fatal(err)
	}
	v := visitor{t: t, base: n.URL(harness.Gateway, "")}
	var in struct {
		Access string `json:"access_token"`
	}
	v.ask("POST", "/api/v1/auth/login", string(text), &in)
	return v.as("Authorization", "Bearer "+in.Access)
}

// roles in order, the highest last.
var roles = []string{"reader", "writer", "operator", "admin"}

// TestAccess: every route of every service asks who comes, at the gateway and at the
// service itself; at the gateway each takes the role that testdata/roles.txt says. A new
// route has to be put down there (go test -run TestAccess -update), and looked at.
func TestAccess(t *testing.T) {
	n := harness.Start(t, t.TempDir(), guardedSettings())
	admin := firstLogin(t, n)
	nobody := admin.as()
	var by []visitor
	for _, role := range roles {
		var made struct{ Key string }
		admin.ask("POST", "/api/v1/auth/apikeys", fmt.Sprintf(`{"name":%q,"role":%q}`, role, role), &made)
		by = append(by, admin.as("X-API-Key", made.Key))
	}
	var doc struct{ Paths map[string]map[string]any }
	harness.Await(t, time.Minute, "the description of every service", func() bool {
		doc.Paths = nil
		admin.ask("GET", "/openapi.json", "", &doc)
		for _, path := range []string{"/api/v1/storage/stats", "/api/v1/scheduler/tasks", "/api/v1/collector/status", "/api/v1/monitoring/overview", "/api/v1/broker/status"} {
			if doc.Paths[path] == nil {
				return false
			}
		}
		return true
	})
	var routes []route
	for path, item := range doc.Paths {
		for method := range item {
			routes = append(routes, route{strings.ToUpper(method), path})
		}
	}
	slices.SortFunc(routes, func(a, b route) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	t.Run("services", func(t *testing.T) { atTheServices(t, n, routes) })
	t.Run("roles", func(t *testing.T) {
		var table bytes.Buffer
		for _, r := range routes {
			fmt.Fprintf(&table, "%-7s %s %s\n", r.method, r.path, r.role(t, nobody, by))
		}
		golden(t, filepath.Join("testdata", "roles.txt"), table.Bytes())
	})
	t.Run("audit", func(t *testing.T) { audited(t, n, admin) })
}

type route struct{ method, path string }

// at is the path with its parameters filled in, as nothing that there is.
func (r route) at() string {
	return strings.NewReplacer("{exchange}", "binance", "{symbol}", "BTC-USDT", "{", "no-", "}", "").Replace(r.path)
}

// role is the lowest that a route does not refuse, by every spelling of its path.
func (r route) role(t *testing.T, nobody visitor, by []visitor) string {
	t.Helper()
	found := ""
	for _, path := range spellings(r.at()) {
		got := "everybody"
		if status, _ := nobody.head(r.method, path, ""); status == http.StatusUnauthorized {
			at := slices.IndexFunc(by, func(v visitor) bool {
				status, _ := v.head(r.method, path, "")
				return status != http.StatusForbidden
			})
			if got = "nobody"; at >= 0 {
				got = roles[at]
			}
		}
		if found != "" && got != found {
			t.Errorf("%s %s takes %s, and as %s %s", r.method, r.path, found, path, got)
		}
		found = got
	}
	return found
}

// aliases are the words for services in paths, and whether the services' own paths have
// them.
var aliases = map[string]struct {
	service string
	own     bool
}{
	"storage": {harness.Storage, true}, "scheduler": {harness.Scheduler, true}, "broker": {harness.Broker, true},
	"collector": {harness.Collector, false}, "monitoring": {harness.Monitoring, false},
}

// spellings are the ways to ask the gateway for one thing.
func spellings(path string) []string {
	rest, ok := strings.CutPrefix(path, "/api/v1/")
	word, rest, found := strings.Cut(rest, "/")
	alias, known := aliases[word]
	switch {
	case ok && (word == "auth" || word == "gateway"):
		return []string{path, "/api/v1/" + harness.Gateway + "/" + word + "/" + rest}
	case !ok || !found || !known:
		return []string{path}
	case word == "broker": // which answers without the word too
		return []string{path, "/api/v1/" + alias.service + "/broker/" + rest, "/api/v1/" + alias.service + "/" + rest}
	case alias.own:
		return []string{path, "/api/v1/" + alias.service + "/" + word + "/" + rest}
	}
	return []string{path, "/api/v1/" + alias.service + "/" + rest, "/api/v1/" + word + "//" + rest}
}

// golden compares with a file, or writes it.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := func(text []byte) map[string]bool {
		all := map[string]bool{}
		for line := range strings.Lines(string(text)) {
			all[strings.TrimSpace(line)] = true
		}
		return all
	}
	have, expected := lines(got), lines(want)
	for line := range have {
		if !expected[line] {
			t.Errorf("%s does not have: %s", path, line)
		}
	}
	for line := range expected {
		if !have[line] {
			t.Errorf("%s has, and is not so: %s", path, line)
		}
	}
}

// atTheServices asks the services behind the gateway directly: they answer nobody but
// the program's own.
func atTheServices(t *testing.T, n *harness.Node, routes []route) {
	forged := map[string]visitor{}
	none := visitor{t: t}
	forged["nothing"] = none.as()
	forged["a made-up identity"] = none.as("X-MarketPrism-Identity", "mp1.0123456789abcdef0123456789abcdef.e30.AAAA")
	forged["words of a proxy"] = none.as("X-Forwarded-For", "127.0.0.1", "X-Gateway-Service", harness.Gateway, "X-User", "admin", "Authorization", "Bearer admin", "X-API-Key", "mp_a_b")
	var all sync.WaitGroup
	for word, alias := range aliases {
		var paths []route
		for _, r := range routes {
			if rest, ok := strings.CutPrefix(r.at(), "/api/v1/"+word+"/"); ok {
				if alias.own {
					rest = word + "/" + rest
				}
				paths = append(paths, route{r.method, "/api/v1/" + rest})
			}
		}
		if len(paths) < 3 {
			t.Errorf("%s has %d routes", alias.service, len(paths))
		}
		for _, path := range []string{"/metrics", "/openapi.json", "/docs", "/api/v1/health", "/api/v1/status", "/api/v1/metrics", "/", "/nothing", "/health/", "/prometheus/api/v1/query?query=up"} {
			paths = append(paths, route{"GET", path}, route{"POST", path})
		}
		all.Go(func() {
			for what, v := range forged {
				v.base = n.URL(alias.service, "")
				for _, r := range paths {
					want := http.StatusUnauthorized
					if alias.service == harness.Monitoring && r == (route{"GET", "/"}) {
						want = http.StatusTemporaryRedirect // to the page at the gateway
					}
					if status, _ := v.head(r.method, r.path, ""); status != want {
						t.Errorf("%s: %s %s with %s: %d", alias.service, r.method, r.path, what, status)
					}
				}
			}
			probes(t, n, alias.service)
		})
	}
	all.Wait()
	probes(t, n, harness.Gateway)
}

// probes are open, and say no more than how a service is.
func probes(t *testing.T, n *harness.Node, service string) {
	for _, path := range []string{"/livez", "/readyz", "/health"} {
		a, err := harness.Get(t.Context(), n.URL(service, path))
		if err != nil || a.Status != http.StatusOK {
			t.Errorf("%s%s: %+v, %v", service, path, a, err)
			continue
		}
		var health map[string]any
		if path == "/health" && (json.Unmarshal(a.Body, &health) != nil || len(health) != 3 || health["service"] != service || health["status"] == nil || health["timestamp"] == nil) {
			t.Errorf("%s tells everybody %s", service, a.Body)
		}
	}
}

// audited: what was done is in the log, and outlives a restart, as credentials do.
func audited(t *testing.T, n *harness.Node, admin visitor) {
	var made struct{ ID, Key string }
	admin.ask("POST", "/api/v1/auth/apikeys", `{"name":"kept","role":"reader"}`, &made)
	var gone struct{ ID, Key string }
	admin.ask("POST", "/api/v1/auth/apikeys", `{"name":"gone","role":"admin"}`, &gone)
	admin.ask("DELETE", "/api/v1/auth/apikeys/"+gone.ID, "", &struct{}{})
	admin.as("Authorization", "Bearer x").head("POST", "/api/v1/auth/login", `{"username":"admin","password":"guessed"}`)
	admin.ask("POST", "/api/v1/storage/lifecycle/cleanup", `{}`, &struct{}{})
	n.Stop()
	again := harness.Start(t, n.Data, guardedSettings())
	for header, want := range map[string]int{made.Key: http.StatusOK, gone.Key: http.StatusUnauthorized} {
		v := visitor{t: t, base: again.URL(harness.Gateway, "")}.as("X-API-Key", header)
		if status, _ := v.head("GET", "/api/v1/auth/me", ""); status != want {
			t.Errorf("a key after a restart: %d, want %d", status, want)
		}
	}
	admin.base = again.URL(harness.Gateway, "")
	if status, _ := admin.head("GET", "/api/v1/auth/me", ""); status != http.StatusOK {
		t.Errorf("a login after a restart: %d", status)
	}
	harness.Await(t, time.Minute, "the audit log", func() bool {
		r, err := http.NewRequestWithContext(t.Context(), "GET", admin.base+"/api/v1/monitoring/audit?limit=1000", nil)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(r.Header, admin.header)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }() // it is read
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{made.Key, gone.Key, strings.TrimPrefix(admin.header.Get("Authorization"), "Bearer "), "guessed"} {
			if bytes.Contains(text, []byte(secret)) {
				t.Error("the audit log holds a secret")
			}
		}
		for _, word := range []string{"auth.login", "apikey.create", "apikey.revoke", `"refused"`, gone.ID, harness.Storage + " POST /api/v1/storage/lifecycle/cleanup"} {
			if !bytes.Contains(text, []byte(word)) {
				return false
			}
		}
		return true
	})
	again.Stop()
}
