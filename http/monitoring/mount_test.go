package monitoring_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/monitoring"
)

// asked is what a service behind the mount was asked.
type asked struct {
	Service, Method, Path, Query, Body, Origin, Site, RequestID string
}

// behind answers with what it was asked; /api/v1/stream never ends by itself.
func behind(t *testing.T, service string, left chan<- struct{}) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/stream" {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			close(left)
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Security-Policy", "its own")
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(asked{
			service, r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(body), r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site"), r.Header.Get("X-Request-Id"),
		})
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestMount: the paths of the gateway lead to the services from here, too.
func TestMount(t *testing.T) {
	left := make(chan struct{})
	places := map[string]string{}
	for _, service := range []string{"data-storage-service", "scheduler-service", "message-broker-service", "api-gateway-service", "market-data-collector", "monitoring-service"} {
		places[service] = behind(t, service, left)
	}
	places["scheduler-service"] = "http://127.0.0.1:1" // nobody listens
	delete(places, "message-broker-service")
	s, _ := serveWith(t, []string{monitoring.Service}, func(o *monitoring.Options, _ *supervise.System) {
		o.Mount = func(_ context.Context, service string) ([]string, error) {
			if service == "api-gateway-service" {
				return nil, errors.New("the registry is away")
			}
			if at := places[service]; at != "" {
				return []string{at}, nil
			}
			return nil, nil
		}
	})
	for _, tc := range []struct{ method, path, body, service, want string }{
		{"GET", "/api/v1/storage/status?a=1&b=%2F", "", "data-storage-service", "/api/v1/storage/status"},
		{"POST", "/api/v1/storage/hot/trades", `{"a":1}`, "data-storage-service", "/api/v1/storage/hot/trades"},
		{"GET", "/api/v1/collector/orderbook/okx/BTC%2FUSDT", "", "market-data-collector", "/api/v1/orderbook/okx/BTC%2FUSDT"},
		{"DELETE", "/api/v1/monitoring/silences/a", "", "monitoring-service", "/api/v1/silences/a"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tc.method, s.URL()+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", s.URL())
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("X-Request-Id", "mount-17")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var got asked
		err = json.NewDecoder(resp.Body).Decode(&got)
		resp.Body.Close()
		want := asked{tc.service, tc.method, tc.want, r.URL.RawQuery, tc.body, "", "", "mount-17"}
		if err != nil || resp.StatusCode != http.StatusAccepted || got != want {
			t.Errorf("%s %s: %d %+v, want %+v (%v)", tc.method, tc.path, resp.StatusCode, got, want, err)
		}
		for name, values := range resp.Header {
			if len(values) > 1 {
				t.Errorf("%s %s: %s is said %d times: %v", tc.method, tc.path, name, len(values), values)
			}
		}
		if resp.Header.Get("Content-Security-Policy") != "its own" || resp.Header.Get("X-Request-Id") != "mount-17" {
			t.Errorf("headers: %v", resp.Header)
		}
	}
	for path, want := range map[string]string{
		"/api/v1/scheduler/tasks": "502 bad_gateway", "/api/v1/broker/streams": "503 unknown_service", "/api/v1/gateway/stats": "503 unknown_service",
		"/api/v1/storage/../x": "404 not_found", "/api/v1/elsewhere/x": "404 not_found",
	} {
		a := chassistest.Call(t, s, http.MethodGet, path, "", "")
		if got := fmt.Sprintf("%d %s", a.Status, problemCode(a.Body)); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	var doc struct{ Paths map[string]any }
	get(t, s, "/openapi.json", 200, &doc)
	for path := range doc.Paths {
		if strings.HasPrefix(path, "/api/v1/storage") {
			t.Errorf("%s is described here, too", path)
		}
	}

	// A stream passes as it comes, and ends when its server drains.
	resp, err := http.Get(s.URL() + "/api/v1/collector/stream") //nolint:noctx // ends with the server
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || line != "data: 1\n" {
		t.Errorf("the stream begins with %q: %v", line, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("stopping with a stream under way: %v", err)
	}
	select {
	case <-left:
	case <-ctx.Done():
		t.Error("the service behind was not left")
	}
}

func problemCode(body string) string {
	var p struct{ Code string }
	_ = json.Unmarshal([]byte(body), &p)
	return p.Code
}

// TestNoMount: without it there are no such paths.
func TestNoMount(t *testing.T) {
	s, _ := serve(t)
	get(t, s, "/api/v1/storage/status", 404, nil)
	get(t, s, "/api/v1/monitoring/overview", 404, nil)
}
