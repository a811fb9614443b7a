package chassis_test

import (
	"net/http"
	"testing"

	"go.uber.org/zap/zapcore"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/identity"
)

func page(w http.ResponseWriter, _ *http.Request) error {
	_, err := w.Write([]byte("page"))
	return err
}

// TestOpenRoutes: a page and its files are there for who shows no credential, or a wrong
// one; nothing else is, however it is spelled.
func TestOpenRoutes(t *testing.T) {
	refuse := gateFunc(func(*http.Request) (identity.Principal, bool, error) {
		return identity.Principal{}, false, chassis.Unauthorized("nobody is known")
	})
	h := start(t, func(o *chassis.Options) { o.Gate = refuse },
		chassis.Route{Method: http.MethodGet, Path: "/", Open: true, Handler: page},
		chassis.Route{Method: http.MethodGet, Path: "/files/{file}", Open: true, Handler: page},
		chassis.Route{Method: http.MethodGet, Path: "/data/{file}", Handler: page},
		chassis.Route{Method: http.MethodPost, Path: "/files/{file}", Handler: page})
	for path, want := range map[string]int{
		"/": 200, "/files/a.js": 200, "/files/": 401, "/files": 401, "/files/a/b": 401, "/data/a": 401, "/data": 401, "/nothing": 401,
		"/files/..%2fdata": 404, "/files%2fa.js": 401, "//": 401, "/%66iles/a.js": 401, "/data/%2e%2e/files/a.js": 404, "/metrics": 401,
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if res := send(t, h, method, path, nil); res.StatusCode != want {
				t.Errorf("%s %s: %d, want %d", method, path, res.StatusCode, want)
			}
		}
		if res := send(t, h, http.MethodPost, path, nil); res.StatusCode != 401 && res.StatusCode != 404 {
			t.Errorf("POST %s: %d", path, res.StatusCode)
		}
	}
}

type gateFunc func(*http.Request) (identity.Principal, bool, error)

func (f gateFunc) Identify(r *http.Request) (identity.Principal, bool, error) { return f(r) }

// TestQuiet: what a page asks by itself, and what another server tells of, is logged at
// debug level; not when it fails, nor when it changes something.
func TestQuiet(t *testing.T) {
	fail := func(http.ResponseWriter, *http.Request) error { return chassis.Unavailable(0, "not now") }
	poll := map[string][]string{chassis.HeaderPoll: {"1"}}
	cases := []struct {
		method, path string
		quiet        bool
		handler      chassis.Handler
		header       map[string][]string
		want         zapcore.Level
	}{
		{"GET", "/asked", false, page, nil, zapcore.InfoLevel},
		{"GET", "/polled", false, page, poll, zapcore.DebugLevel},
		{"POST", "/changed", false, page, poll, zapcore.InfoLevel},
		{"GET", "/told", true, page, nil, zapcore.DebugLevel},
		{"GET", "/fails", true, fail, poll, zapcore.WarnLevel},
	}
	var routes []chassis.Route
	for _, c := range cases {
		routes = append(routes, chassis.Route{Method: c.method, Path: c.path, Quiet: c.quiet, Handler: c.handler})
	}
	h := start(t, nil, routes...)
	for _, c := range cases {
		send(t, h, c.method, c.path, c.header)
	}
	if err := h.Stop(t.Context()); err != nil { // every line is written behind its answer
		t.Fatal(err)
	}
	for _, c := range cases {
		lines := h.logs.FilterMessage("http request").FilterField(zapString("route", c.path)).All()
		if len(lines) != 1 || lines[0].Level != c.want {
			t.Errorf("%s %s: %+v, want one line at %s", c.method, c.path, lines, c.want)
		}
	}
}
