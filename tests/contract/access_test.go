package contract

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

// TestAccess: a program that asks its clients who they are, from the first login on.
func TestAccess(t *testing.T) {
	t.Setenv("MARKETPRISM_API_GATEWAY_SERVICE__AUTH__ENABLED", "on")
	data := t.TempDir()
	n := harness.Dev(t, data, harness.DevOffset(t), "--symbols", "1", "--rate", "1")
	c := &client{t: t, base: n.URL(harness.Gateway, "")}
	c.refused(401, "", "GET", "/api/v1/gateway/stats", "", "")
	text, err := os.ReadFile(filepath.Join(data, "first-login.json"))
	if err != nil {
		t.Fatal(err)
	}
	c.refused(401, "", "POST", "/api/v1/auth/login", "application/json", `{"username":"admin","password":"no"}`)
	as := func(token, method, path, body string, status int) object {
		t.Helper()
		a := c.try(method, path, map[bool]string{true: "application/json"}[body != ""], body, "Authorization", "Bearer "+token)
		if a == nil || a.Status != status {
			t.Fatalf("%s %s: %+v, want %d", method, path, a, status)
		}
		var o object
		if err := json.Unmarshal(a.Body, &o); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, a.Body)
		}
		return o
	}
	tokens := []string{"access_token:s", "token_type:s", "expires_in:n>0", "refresh_token:s", "refresh_expires_in:n>0", "user:o"}
	login := c.ask(200, "POST", "/api/v1/auth/login", string(text))
	has(t, "login", login, tokens...)
	renewed := c.ask(200, "POST", "/api/v1/auth/refresh", `{"refresh_token":"`+login["refresh_token"].(string)+`"}`)
	has(t, "refresh", renewed, tokens...)
	admin := renewed["access_token"].(string)
	has(t, "me", as(admin, "GET", "/api/v1/auth/me", "", 200), "subject:s", "kind:s", "role:s", "scopes:a")
	has(t, "stats", as(admin, "GET", "/api/v1/gateway/stats", "", 200), "request_stats:o", "circuit_breaker_stats:o", "cache_stats:o", "rate_limiter_stats:o")

	has(t, "a new user", as(admin, "POST", "/api/v1/auth/users", `{"name":"contract","password":"a long enough one","role":"reader"}`, 200), "name:s", "role:s")
	all := as(admin, "GET", "/api/v1/auth/users", "", 200)
	has(t, "users", all, "users:a", "total:n>0")
	has(t, "a user", list(all, "users")[0].(object), "name:s", "role:s", "disabled:b", "created_at:t", "password_changed_at:t")
	reader := c.ask(200, "POST", "/api/v1/auth/login", `{"username":"contract","password":"a long enough one"}`)["access_token"].(string)
	as(reader, "GET", "/api/v1/storage/stats", "", 200)
	as(reader, "POST", "/api/v1/storage/lifecycle/cleanup", `{}`, http.StatusForbidden)
	as(reader, "POST", "/api/v1/auth/password", `{"current_password":"a long enough one","new_password":"another long one"}`, 200)
	as(admin, "PATCH", "/api/v1/auth/users/contract", `{"disabled":true}`, 200)
	as(admin, "DELETE", "/api/v1/auth/users/contract", "", 200)

	key := as(admin, "POST", "/api/v1/auth/apikeys", `{"name":"contract","role":"reader","scopes":["data-storage-service"]}`, 200)
	has(t, "a new key", key, "id:s", "name:s", "role:s", "scopes:a", "owner:s", "created_at:t", "key:s")
	if a := c.try("GET", "/api/v1/storage/stats", "", "", "X-API-Key", key["key"].(string)); a == nil || a.Status != 200 {
		t.Errorf("with a key: %+v", a)
	}
	has(t, "keys", as(admin, "GET", "/api/v1/auth/apikeys", "", 200), "apikeys:a", "total:n>0")
	as(admin, "DELETE", "/api/v1/auth/apikeys/"+key["id"].(string), "", 200)
	as(admin, "POST", "/api/v1/auth/logout", `{}`, 200)
	as(admin, "GET", "/api/v1/auth/me", "", http.StatusUnauthorized)
}
