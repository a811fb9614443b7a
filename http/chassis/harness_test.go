package chassis_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/marketprism/marketprism/http/chassis"
)

// harness is a real server on a free port.
type harness struct {
	*chassis.Server
	logs     *observer.ObservedLogs
	registry *prometheus.Registry
}

// start runs a server with the given routes until the test ends.
func start(t testing.TB, adjust func(*chassis.Options), routes ...chassis.Route) *harness {
	t.Helper()
	h := prepare(t, adjust, routes...)
	h.run(t)
	return h
}

func prepare(t testing.TB, adjust func(*chassis.Options), routes ...chassis.Route) *harness {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	registry := prometheus.NewRegistry()
	o := chassis.Options{
		Service: "test-service", Version: "1.2.3", Listen: "127.0.0.1:0", Config: chassis.DefaultConfig(),
		Logger: zap.New(core), Registerer: registry, Gatherer: registry,
	}
	if adjust != nil {
		adjust(&o)
	}
	s, err := chassis.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Handle(routes...); err != nil {
		t.Fatal(err)
	}
	return &harness{s, logs, registry}
}

func (h *harness) run(t testing.TB) {
	t.Helper()
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Ready()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Stop(ctx); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
}

type answer struct {
	status int
	header http.Header
	body   string
}

// problem decodes the body as a problem and checks its fixed members.
func (a answer) problem(t testing.TB) chassis.Problem {
	t.Helper()
	var p chassis.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("status %d: not a problem: %v: %.200s", a.status, err, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	if p.Status != a.status || p.Code == "" || p.Detail == "" || p.Error != p.Detail || p.Errors == nil ||
		p.Type != "urn:marketprism:problem:"+p.Code || p.RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("status %d: incomplete problem %+v", a.status, p)
	}
	return p
}

// ask sends one request; headers come in pairs.
func (h *harness) ask(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, h.URL()+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: reading: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

func get(path string, h chassis.Handler) chassis.Route {
	return chassis.Route{Method: http.MethodGet, Path: path, Handler: h}
}

func post(path string, request any, h chassis.Handler) chassis.Route {
	return chassis.Route{Method: http.MethodPost, Path: path, Request: request, Handler: h}
}
