package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/http/client"
	"github.com/marketprism/marketprism/internal/app"
)

// guardedProgram runs the whole program, which asks clients and services who they are,
// until the test ends.
func guardedProgram(t *testing.T) (file, data string) {
	t.Helper()
	home := t.TempDir()
	file, data = filepath.Join(home, "services.yaml"), filepath.Join(home, "data")
	text, err := json.Marshal(map[string]any{
		"node": map[string]any{"data_dir": data}, "http": map[string]any{"identity": "required"},
		"message-broker-service": map[string]any{"port": 0, "nats": map[string]any{"port": 0}},
		"monitoring-service":     map[string]any{"port": 0}, "data-storage-service": map[string]any{"port": 0}, "scheduler-service": map[string]any{"port": 0},
		"market-data-collector": map[string]any{"port": 0, "exchanges": []string{}},
		"api-gateway-service": map[string]any{
			"port": 0, "auth": map[string]any{"password": map[string]any{"memory_kib": 64, "passes": 1}},
			"gateway": map[string]any{"limits": map[string]any{"routes": []any{}}}, // the test logs in often
		},
	})
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	var log bytes.Buffer // read once the program has ended
	go func() { ended <- Run(ctx, []string{"start", "-c", file}, strings.NewReader(""), &log, &log, nil) }()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != ExitOK {
			t.Errorf("the program ended with %d:\n%.20000s", code, log.String())
		}
	})
	tick, deadline := time.NewTicker(20*time.Millisecond), time.After(90*time.Second)
	defer tick.Stop()
	for {
		if _, url, ok := app.Running(data, "api-gateway-service"); ok {
			if res, err := http.Get(url + "/readyz"); err == nil {
				_ = res.Body.Close() // only the status counts
				if res.StatusCode == http.StatusOK {
					return file, data
				}
			}
		}
		select {
		case <-tick.C:
		case code := <-ended:
			ended <- code
			t.Fatalf("the program ended with %d instead of starting", code)
		case <-deadline:
			t.Fatal("the program does not start")
		}
	}
}

// commands runs commands against the program, one after the other.
type commands struct {
	t       *testing.T
	file    string
	environ []string
}

func (c *commands) run(input string, args ...string) (code int, out, errs string) {
	c.t.Helper()
	var o, e bytes.Buffer
	code = Run(c.t.Context(), append(args, "-c", c.file), strings.NewReader(input), &o, &e, c.environ)
	return code, o.String(), e.String()
}

// ok runs a command that has to work, and returns what it prints.
func (c *commands) ok(input string, args ...string) string {
	c.t.Helper()
	code, out, errs := c.run(input, args...)
	if code != ExitOK {
		c.t.Fatalf("%q: exit code %d: %s%s", args, code, out, errs)
	}
	return out
}

// fails runs a command that has to fail and to say why.
func (c *commands) fails(code int, why, input string, args ...string) {
	c.t.Helper()
	got, out, errs := c.run(input, args...)
	if got != code || !strings.Contains(errs, why) || out != "" {
		c.t.Errorf("%q: exit code %d, want %d and %q: %s%s", args, got, code, why, out, errs)
	}
}

// TestUsersAndKeys manages users and API keys of a running program that asks who its
// clients are, as its operator does.
func TestUsersAndKeys(t *testing.T) {
	file, data := guardedProgram(t)
	c := &commands{t: t, file: file}

	if info, err := os.Stat(app.FirstLogin(data)); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the first login: %v, %v", info, err)
	}
	if out := c.ok("", "user", "list"); !strings.Contains(out, "USER") || !strings.Contains(out, "admin  admin  enabled") {
		t.Errorf("users at the start:\n%s", out)
	}
	c.fails(ExitUsage, "no password on standard input", "", "user", "add", "alice")
	c.fails(ExitUsage, "must have at least 12 characters", "short\n", "user", "add", "alice")
	c.fails(ExitUsage, "role", "a password of alice\n", "user", "add", "alice", "--role", "emperor")
	if out := c.ok("a password of alice\n", "user", "add", "alice", "--role", "writer"); !strings.Contains(out, "alice  writer  enabled") {
		t.Errorf("adding:\n%s", out)
	}
	c.fails(ExitUsage, "alice", "a password of alice\n", "user", "add", "alice")
	logsIn := func(password string) bool {
		t.Helper()
		_, url, _ := app.Running(data, "api-gateway-service")
		res, err := http.Post(url+"/api/v1/auth/login", "application/json", strings.NewReader(`{"username":"alice","password":"`+password+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close() // only the status counts
		return res.StatusCode == http.StatusOK
	}
	if !logsIn("a password of alice") {
		t.Error("alice cannot log in")
	}
	c.ok("another of alice\r\n", "user", "passwd", "alice")
	if logsIn("a password of alice") || !logsIn("another of alice") {
		t.Error("the password is not the one that was set")
	}
	c.ok("", "user", "disable", "alice")
	if logsIn("another of alice") {
		t.Error("a disabled user logs in")
	}
	c.ok("", "user", "enable", "alice")
	c.ok("", "user", "role", "alice", "operator")
	var users []client.User
	if err := json.Unmarshal([]byte(c.ok("", "user", "list", "-o", "json")), &users); err != nil || len(users) != 2 || users[1].Name != "alice" || users[1].Role != "operator" || users[1].Disabled {
		t.Errorf("users: %+v, %v", users, err)
	}
	c.fails(ExitUsage, "admin", "", "user", "disable", "admin") // nobody could undo it
	c.fails(ExitUsage, "nobody", "", "user", "remove", "nobody")
	if out := c.ok("", "user", "remove", "alice"); !strings.Contains(out, "alice is removed") {
		t.Errorf("removing: %s", out)
	}
	c.keys(data)
}

func (c *commands) keys(data string) {
	t := c.t
	key := strings.TrimSpace(c.ok("", "apikey", "create", "notebook", "--role", "operator", "--scope", "data-storage-service:reader", "--scope", "monitoring-service", "--expires", "720h"))
	if !strings.HasPrefix(key, "mp_") || strings.ContainsAny(key, " \n") {
		t.Fatalf("the key is printed as %q", key)
	}
	c.fails(ExitUsage, "kitchen", "", "apikey", "create", "x", "--scope", "kitchen")
	c.fails(ExitUsage, "--expires", "", "apikey", "create", "x", "--expires", "-1h")
	id, _, _ := strings.Cut(strings.TrimPrefix(key, "mp_"), "_")
	if out := c.ok("", "apikey", "list"); !strings.Contains(out, id) || !strings.Contains(out, "data-storage-service:reader,monitoring-service:operator") || strings.Contains(out, key) {
		t.Errorf("keys:\n%s", out)
	}
	var keys []client.APIKey
	if err := json.Unmarshal([]byte(c.ok("", "apikey", "list", "-o", "json")), &keys); err != nil || len(keys) != 1 || keys[0].Owner != "user:admin" || keys[0].ExpiresAt == nil {
		t.Errorf("keys: %+v, %v", keys, err)
	}
	admin := strings.TrimSpace(c.ok("", "apikey", "create", "boss", "--role", "admin"))

	// The other commands show the key too, and go through the gateway.
	with := &commands{t: t, file: c.file, environ: []string{keyVariable + "=" + key}}
	if out := with.ok("", "actors", "tree"); !strings.Contains(out, "gateway") {
		t.Errorf("the actors:\n%s", out)
	}
	if out := with.ok("", "actors", "inspect", "root/gateway"); !strings.Contains(out, "root/gateway") {
		t.Errorf("an actor:\n%s", out)
	}
	with.ok("", "query", "trade", "binance", "BTC-USDT", "--from", "1h")
	with.fails(ExitFailed, "answered 403", "", "archive", "--before", "1h")
	with.fails(ExitUsage, "administrator", "", "user", "list")
	c.ok("", "archive", "--before", "1h")

	// Without the first login a key is needed, a good one.
	if err := os.Remove(app.FirstLogin(data)); err != nil {
		t.Fatal(err)
	}
	c.fails(ExitUsage, keyVariable, "", "user", "list")
	c.fails(ExitUsage, keyVariable, "", "actors", "tree")
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(admin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	boss := &commands{t: t, file: c.file, environ: []string{keyFileVariable + "=" + file}}
	if out := boss.ok("", "apikey", "revoke", id); !strings.Contains(out, id+" is revoked") {
		t.Errorf("revoking: %s", out)
	}
	boss.fails(ExitUsage, "none such", "", "apikey", "revoke", id)
	with.fails(ExitUsage, "401", "", "actors", "tree")
	boss.environ = []string{keyFileVariable + "=" + file + ".none"}
	boss.fails(ExitUsage, keyFileVariable, "", "user", "list")
}

// TestNoGateway: where nobody answers, the commands say so.
func TestNoGateway(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	at := s.URL
	s.Close()
	c := &commands{t: t, file: filepath.Join(t.TempDir(), "services.yaml")}
	if err := os.WriteFile(c.file, []byte("node: {data_dir: "+t.TempDir()+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.fails(ExitFailed, "does it run", "", "user", "list", "--at", at)
	c.fails(ExitFailed, "does it run", "", "apikey", "revoke", "x", "--at", at)
	c.fails(ExitUsage, "table or json", "", "user", "list", "-o", "xml", "--at", at)
	c.fails(ExitUsage, "accepts 1 arg", "", "user", "disable")
	c.fails(ExitUsage, "accepts 2 arg", "", "user", "role", "alice")
}
