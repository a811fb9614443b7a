package ui_test

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/ui"
	"github.com/marketprism/marketprism/internal/catalogue"
	"github.com/marketprism/marketprism/internal/identity"
)

func start(t *testing.T) string {
	t.Helper()
	return serve(t, ui.Register)
}

// nobody knows no client.
type nobody struct{}

func (nobody) Identify(*http.Request) (identity.Principal, bool, error) {
	return identity.Principal{}, false, chassis.Unauthorized("nobody is known")
}

// serve serves the dashboard where everybody else has to say who they are.
func serve(t *testing.T, register func(*chassis.Server) error) string {
	t.Helper()
	registry := prometheus.NewRegistry()
	s, err := chassis.New(chassis.Options{
		Service: "monitoring-service", Version: "1.2.3", Listen: "127.0.0.1:0", Config: chassis.DefaultConfig(), Registerer: registry, Gatherer: registry, Gate: nobody{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := register(s); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Ready()
	t.Cleanup(func() {
		if err := s.Stop(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return s.URL()
}

func get(t *testing.T, url string, header ...string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// Every page is the one document, which names files that are there and loads nothing of
// another origin.
func TestPages(t *testing.T) {
	url := start(t)
	for _, page := range []string{"/", "/actors", "/streams", "/market", "/storage", "/broker", "/scheduler", "/cluster", "/alerts", "/explore", "/logs", "/config"} {
		resp, body := get(t, url+page)
		if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			t.Fatalf("%s: %d %s", page, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
			t.Errorf("%s: policy %q", page, policy)
		}
		if again, _ := get(t, url+page, "If-None-Match", resp.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s, asked again: %d, want 304", page, again.StatusCode)
		}
		named := regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(string(body), -1)
		if len(named) < 2 {
			t.Fatalf("%s names %v, want a script and a style", page, named)
		}
		for _, m := range named {
			file, text := get(t, url+m[1])
			if file.StatusCode != http.StatusOK || len(text) == 0 || !strings.Contains(file.Header.Get("Cache-Control"), "immutable") {
				t.Errorf("%s: %d, %d bytes, kept %q", m[1], file.StatusCode, len(text), file.Header.Get("Cache-Control"))
			}
		}
	}
	for path, want := range map[string]int{
		"/assets/none.js": 404, "/assets/index.html": 404, "/assets/sources.sum": 404, "/nothing": 401, "/assets/": 401, "/api/v1/status": 401,
	} {
		if resp, _ := get(t, url+path); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}

// Where clients have logins the pages are at the gateway, whatever a browser calls this
// machine.
func TestRedirect(t *testing.T) {
	url := serve(t, func(s *chassis.Server) error {
		return ui.RegisterRedirect(s, func(_ context.Context, host string) (string, error) {
			if host == "localhost" {
				return "", errors.New("no gateway")
			}
			return "https://" + host + ":8083", nil
		})
	})
	resp, _ := get(t, url+"/logs?level=error&q=%2F")
	if at := resp.Header.Get("Location"); resp.StatusCode != http.StatusTemporaryRedirect || at != "https://127.0.0.1:8083/logs?level=error&q=%2F" {
		t.Errorf("%d to %q", resp.StatusCode, at)
	}
	if resp, _ := get(t, strings.Replace(url, "127.0.0.1", "localhost", 1)+"/"); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("without a gateway: %d", resp.StatusCode)
	}
}

// What is committed is made of the sources that are committed.
func TestBundleIsOfTheseSources(t *testing.T) {
	var names []string
	err := filepath.WalkDir("web", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "node_modules":
			return filepath.SkipDir
		case !d.IsDir():
			names = append(names, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(h, "%s %d\n%s", filepath.ToSlash(name), len(text), text)
	}
	made, err := os.ReadFile("dist/sources.sum")
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != strings.TrimSpace(string(made)) {
		t.Error("dist was made of other sources: run `go generate ./http/ui` where npm is, and commit the result")
	}
}

// Script and style, compressed, stay within 120 KB before the charts; so a page is there
// at once.
func TestBudget(t *testing.T) {
	entries, err := os.ReadDir("dist")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, e := range entries {
		if charts := regexp.MustCompile(`^(charts|plot)-`); charts.MatchString(e.Name()) || !strings.HasSuffix(e.Name(), ".js") && !strings.HasSuffix(e.Name(), ".css") {
			continue
		}
		text, err := os.ReadFile(filepath.Join("dist", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		var count counter
		z := gzip.NewWriter(&count)
		if _, err := z.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		total += int(count)
	}
	if total == 0 || total > 120_000 {
		t.Errorf("script and style take %d bytes, want at most 120000", total)
	}
	t.Logf("%d bytes", total)
}

type counter int

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

// The sources ask nothing that the pages' own origin does not answer.
func TestSourcesNameNoOtherOrigin(t *testing.T) {
	absolute := regexp.MustCompile(`(?:fetch\(|src=|url\()\s*["'` + "`" + `]https?:`)
	err := filepath.WalkDir("web/src", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && absolute.Match(text) {
			t.Errorf("%s asks another origin", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every expression that pages ask by themselves is of metrics that the catalogue has.
func TestQueriesAreOfTheCatalogue(t *testing.T) {
	text, err := os.ReadFile("web/src/state/queries.json")
	if err != nil {
		t.Fatal(err)
	}
	queries := map[string]string{}
	if err := json.Unmarshal(text, &queries); err != nil {
		t.Fatal(err)
	}
	known := metrics()
	name := regexp.MustCompile(`\b(?:mp|system|service)_[a-z0-9_]+`)
	for id, q := range queries {
		found := name.FindAllString(q, -1)
		if len(found) == 0 {
			t.Errorf("%s names no metric: %s", id, q)
		}
		for _, m := range found {
			base := m
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				base = strings.TrimSuffix(base, suffix)
			}
			if !known[m] && !known[base] {
				t.Errorf("%s asks for %s, which the catalogue has not", id, m)
			}
		}
	}
}

func metrics() map[string]bool {
	known := map[string]bool{}
	for _, m := range catalogue.All() {
		known[string(m.Name)] = true
	}
	return known
}
