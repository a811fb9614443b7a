package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/internal/identity"
)

// TestCookie: a browser that logged in follows events and WebSockets by a cookie, and
// another origin's page cannot use it.
func TestCookie(t *testing.T) {
	up := websocket.Upgrader{}
	upstream := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		if c, err := up.Upgrade(w, r, nil); err == nil {
			_ = c.Close() // that it is open is enough
		}
	})
	behind := defaults()
	behind.entrance.TrustedProxies = []string{"127.0.0.0/8"}
	g := guard(t, behind, map[string][]string{collector: {upstream.URL}})
	body := fmt.Sprintf(`{"username":"admin","password":%q,"cookie":true}`, g.password)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, proto := range []string{"http", "https"} {
		a := g.do("POST", "/api/v1/auth/login", body, "X-Forwarded-Proto", proto)
		cookies := (&http.Response{Header: a.header}).Cookies()
		if a.status != 200 || len(cookies) != 1 {
			t.Fatalf("%d %v", a.status, a.header)
		}
		if c := cookies[0]; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure != (proto == "https") || c.MaxAge < 0 {
			t.Errorf("over %s: %+v", proto, c)
		}
		if proto == "http" {
			at, err := url.Parse(g.server.URL())
			if err != nil {
				t.Fatal(err)
			}
			jar.SetCookies(at, cookies)
		}
	}
	dialer := websocket.Dialer{Jar: jar}
	at := "ws" + strings.TrimPrefix(g.url("/ws/collector/v1/stream"), "http")
	c, resp, err := dialer.DialContext(t.Context(), at, http.Header{"Origin": {g.server.URL()}})
	if err != nil {
		t.Fatalf("%v: %+v", err, resp)
	}
	_ = c.Close() // that it is open is enough
	if got := upstream.last().header; got.Get("Cookie") != "" || got.Get(identity.Header) == "" {
		t.Errorf("the service got %v", got)
	}
	if _, resp, err := dialer.DialContext(t.Context(), at, http.Header{"Origin": {"https://evil.example"}}); err == nil || resp == nil || resp.StatusCode != 403 {
		t.Errorf("another origin: %v", err)
	}
	if _, resp, err := websocket.DefaultDialer.DialContext(t.Context(), at, nil); err == nil || resp == nil || resp.StatusCode != 401 {
		t.Errorf("without a cookie: %v", err)
	}
}
