package contract

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

// everyService asks for what all services have.
func everyService(t *testing.T, service, base string) {
	c := &client{t: t, base: base}
	a := c.try("GET", "/openapi.json", "", "")
	if a == nil || a.Status != http.StatusOK || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("openapi.json: %+v", a)
	}
	doc, err := describe(a.Body)
	if err != nil {
		t.Fatalf("openapi.json: %v", err)
	}
	c.doc = doc
	cacheable(c, a)
	health(c, service)
	for _, path := range []string{"/livez", "/readyz"} {
		has(t, path, c.get(path), "service:s", "status:s")
	}
	if got := c.get("/api/v1/status")["service"]; got != service {
		t.Errorf("status of %v", got)
	}
	if a := c.try("GET", "/docs", "", ""); a == nil || a.Status != http.StatusOK || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || !bytes.Contains(a.Body, []byte(service)) {
		t.Errorf("docs: %+v", a)
	}
	if a := c.try("GET", "/docs/docs.css", "", ""); a == nil || a.Status != http.StatusOK || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/css") {
		t.Errorf("docs.css: %+v", a)
	}
	if a := c.try("GET", "/api/v1/metrics", "", ""); a == nil || a.Status != http.StatusOK || !bytes.Contains(a.Body, []byte("\nmp_")) {
		t.Errorf("metrics, as the gateway reaches them: %+v", a)
	}
	metrics(c)
	promtool(t, c)
	identity(c)
	missing := "/api/v1/no/such/path"
	if service == harness.Gateway { // it takes the first word for a service
		missing = "/api/v1/admin/such/path"
	}
	c.refused(404, "not_found", "GET", missing, "", "")
	c.refused(405, "method_not_allowed", "PATCH", "/health", "", "")
	if a := c.try("GET", "/health", "", "", "Host", "x"); a == nil || a.Status != http.StatusOK {
		t.Errorf("without credentials: %+v", a)
	}
}

func health(c *client, service string) {
	for _, path := range []string{"/health", "/api/v1/health"} {
		var o object
		harness.Await(c.t, patience, service+" to be well", func() bool { // a busy machine may have it warn for a moment
			a := c.try("GET", path, "", "")
			return a != nil && json.Unmarshal(a.Body, &o) == nil && o["status"] == "healthy"
		})
		o = c.get(path)
		has(c.t, path, o, "service:s", "status:s", "version:s", "timestamp:t", "uptime_seconds:n>0", "checks:o")
		if o["service"] != service || o["status"] != "healthy" {
			c.t.Errorf("%s of a fresh, well system: %v is %v", path, o["service"], o["status"])
		}
		if len(sub(o, "checks")) == 0 {
			c.t.Errorf("%s has no checks", path)
		}
		for name := range sub(o, "checks") {
			check := sub(o, "checks", name)
			if check["status"] != "pass" || check["result"] == nil && check["error"] == nil {
				c.t.Errorf("%s: check %s: %v", path, name, check)
			}
		}
	}
}

// metrics come as Prometheus text, and as OpenMetrics when asked for.
func metrics(c *client) {
	for accept, want := range map[string]string{
		"":                             "text/plain; version=0.0.4",
		"text/plain":                   "text/plain; version=0.0.4",
		"application/openmetrics-text": "application/openmetrics-text; version=",
	} {
		a := c.try("GET", "/metrics", "", "", "Accept", accept)
		if a == nil || a.Status != http.StatusOK || !strings.HasPrefix(a.Header.Get("Content-Type"), want) || !bytes.Contains(a.Body, []byte("\nmp_")) {
			c.t.Errorf("metrics as %q: %d %s", accept, a.Status, a.Header.Get("Content-Type"))
			continue
		}
		if eof := bytes.HasSuffix(a.Body, []byte("# EOF\n")); eof != (accept == "application/openmetrics-text") {
			c.t.Errorf("metrics as %q: # EOF %v", accept, eof)
		}
	}
}

// identity: a request has an id, its own or a new one, in every answer.
func identity(c *client) {
	for _, path := range []string{"/health", "/nowhere"} {
		a, b := c.try("GET", path, "", "", "X-Request-Id", "contract-17"), c.try("GET", path, "", "")
		if a == nil || b == nil || a.Header.Get("X-Request-Id") != "contract-17" || len(b.Header.Get("X-Request-Id")) < 16 {
			c.t.Errorf("%s: request ids %q and %q", path, a.Header.Get("X-Request-Id"), b.Header.Get("X-Request-Id"))
		}
	}
	if a := c.try("GET", "/health", "", "", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"); a == nil || a.Status != http.StatusOK {
		c.t.Error("a traced request")
	}
}

// cacheable: an entity tag that answers 304, and compression above 1 KB.
func cacheable(c *client, plain *harness.Answer) {
	tag := plain.Header.Get("ETag")
	if tag == "" {
		c.t.Error("openapi.json has no ETag")
	}
	if a := c.try("GET", "/openapi.json", "", "", "If-None-Match", tag); a == nil || a.Status != http.StatusNotModified || len(a.Body) > 0 {
		c.t.Errorf("If-None-Match: %d with %d bytes", a.Status, len(a.Body))
	}
	for _, coding := range []string{"gzip", "zstd"} {
		a := c.try("GET", "/openapi.json", "", "", "Accept-Encoding", coding)
		if a == nil || a.Header.Get("Content-Encoding") != coding || len(a.Body) >= len(plain.Body) {
			c.t.Errorf("%s: %q, %d bytes", coding, a.Header.Get("Content-Encoding"), len(a.Body))
			continue
		}
		if coding == "gzip" {
			z, err := gzip.NewReader(bytes.NewReader(a.Body))
			if err != nil {
				c.t.Error(err)
				continue
			}
			if text, err := io.ReadAll(z); err != nil || !bytes.Equal(text, plain.Body) {
				c.t.Errorf("gzip: %v, another text", err)
			}
		}
		if small := c.try("GET", "/livez", "", "", "Accept-Encoding", coding); small == nil || small.Header.Get("Content-Encoding") != "" {
			c.t.Errorf("a short answer as %s", coding)
		}
	}
}

// refusedBodies: what a body may be is the same for every service; storage and
// collector have routes that take one, of limit bytes.
func refusedBodies(t *testing.T, c *client, path, good string, limit int) {
	c.t = t
	c.refused(415, "unsupported_media_type", "POST", path, "text/xml", "<a/>")
	c.refused(400, "empty_body", "POST", path, "application/octet-stream", "")
	c.refused(400, "empty_body", "POST", path, "", "")
	c.refused(400, "malformed_json", "POST", path, "application/json", `{"a":`)
	c.refused(400, "malformed_json", "POST", path, "application/json", good+" and more")
	c.refused(413, "too_large", "POST", path, "application/json", `{"a":"`+strings.Repeat("x", limit)+`"}`)
	for _, name := range []string{"", "application/json; charset=utf-8"} { // naming no type is fine
		if a := c.try("POST", path, name, good); a == nil || a.Status != http.StatusOK {
			t.Errorf("as %q: %+v", name, a)
		}
	}
}

// openPaths are what the description names.
func openPaths(t *testing.T, base string) []string {
	var doc struct {
		Paths map[string]json.RawMessage `json:"paths"`
	}
	harness.GetJSON(t, base+"/openapi.json", &doc)
	var all []string
	for p := range doc.Paths {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}
