// Package promtest lets tests ask a real Prometheus, and its promtool: the judges of
// what package promql, the rules and the HTTP interface do. Debian's package
// prometheus (2.42) has both.
package promtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// startWithin bounds the start of a server.
const startWithin = time.Minute

// Tool is the path of promtool, or of prometheus. Where it is not installed the test is
// skipped with the reason, or fails when MARKETPRISM_REQUIRE_SERVERS is 1.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("MARKETPRISM_REQUIRE_SERVERS") == "1" {
		t.Fatalf("no %s: %v", name, err)
	}
	t.Skipf("NOT TESTED AGAINST PROMETHEUS: %v", err)
	return ""
}

// Run runs promtool and returns what it prints, and whether its verdict is good.
func Run(t testing.TB, args ...string) (out string, ok bool) {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), Tool(t, "promtool"), args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("promtool %q: %v", args, err)
	}
	return string(text), err == nil
}

// Server is a Prometheus that ends with its test.
type Server struct{ URL string }

// Start starts a Prometheus with samples, as OpenMetrics with times, or none, and a
// configuration.
func Start(t testing.TB, openMetrics, config string) *Server {
	t.Helper()
	path := Tool(t, "prometheus")
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if openMetrics != "" {
		samples := filepath.Join(dir, "samples.om")
		if err := os.WriteFile(samples, []byte(openMetrics), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, ok := Run(t, "tsdb", "create-blocks-from", "openmetrics", samples, data); !ok {
			t.Fatalf("promtool cannot read the samples: %s", out)
		}
	}
	address := free(t)
	var said bytes.Buffer
	c := exec.Command(path, "--config.file="+file, "--storage.tsdb.path="+data, "--storage.tsdb.retention.time=100y", "--web.listen-address="+address)
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill() // it has nothing to keep
		_ = c.Wait()
		if t.Failed() {
			t.Logf("prometheus said:\n%s", said.String())
		}
	})
	s := &Server{URL: "http://" + address}
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	if err := s.ready(ctx); err != nil {
		t.Fatalf("prometheus does not start: %v", err)
	}
	return s
}

func free(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // only its address is wanted
	return l.Addr().String()
}

func (s *Server) ready(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/-/ready", nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Answer is an answer of Prometheus' HTTP interface, ours or the real one's.
type Answer struct {
	Code      int             `json:"-"`
	Status    string          `json:"status"`
	Data      json.RawMessage `json:"data"`
	ErrorType string          `json:"errorType"`
	Error     string          `json:"error"`
	Warnings  []string        `json:"warnings"`
}

// Ask asks for a path below the interface at base, such as query.
func Ask(ctx context.Context, base, path string, params url.Values) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/"+path+"?"+params.Encode(), nil)
	if err != nil {
		return Answer{}, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Code: res.StatusCode}
	if err := json.Unmarshal(body, &a); err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", path, body, err)
	}
	return a, nil
}
