package chassis_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
)

type amount struct{}

func (amount) JSONSchema() map[string]any {
	return map[string]any{"type": []string{"number", "string"}}
}

type order struct {
	ID     string    `json:"id" required:"true" doc:"as given" example:"o1"`
	Price  amount    `json:"price"`
	Hours  int       `json:"hours" minimum:"1" default:"24"`
	Legs   []order   `json:"legs" maxLength:"3"`
	Tags   []string  `json:"tags" enum:"a,b"`
	Parent *order    `json:"parent"`
	Note   *string   `json:"note"`
	At     time.Time `json:"at"`
}

func sampleRoutes() []chassis.Route {
	ok := func(w http.ResponseWriter, r *http.Request) error { return chassis.WriteJSON(w, r, 200, "ok") }
	return []chassis.Route{
		{Method: "GET", Path: "/api/v1/orders", Tag: "orders", Summary: "List <b>orders</b>", Handler: ok,
			Params:    []chassis.Param{{Name: "limit", Type: 0, Default: 100, Min: 1, Max: 1000, Doc: "page size"}, {Name: "X-Key", In: "header"}},
			Responses: []chassis.Response{{Body: []order{}}, {Media: "text/csv", Body: ""}}},
		{Method: "POST", Path: "/api/v1/orders", Tag: "orders", Request: order{}, Handler: ok},
		{Method: "GET", Path: "/api/v1/orders/{id}", Tag: "orders", Handler: ok,
			Params: []chassis.Param{{Name: "id", In: "path", Doc: "order id"}}},
		{Method: chassis.Any, Path: "/api/v1/{service}/*", Accepts: []string{"*/*"}, Handler: ok},
		{Method: "GET", Path: "/", Handler: ok},
	}
}

// Every registered route is described, and nothing else.
func TestDocumentMatchesTheRouter(t *testing.T) {
	h := start(t, nil, sampleRoutes()...)
	doc := document(t, h)
	described := map[string]bool{}
	for path, item := range doc["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			described[strings.ToUpper(method)+" "+path] = true
		}
	}
	served := map[string]bool{}
	for _, r := range h.Registered() {
		served[r] = true
	}
	for r := range served {
		if !described[r] {
			t.Errorf("%s is served and not described", r)
		}
	}
	for r := range described {
		if !served[r] {
			t.Errorf("%s is described and not served", r)
		}
	}
	for _, want := range []string{"GET /health", "GET /livez", "GET /readyz", "GET /api/v1/health", "GET /api/v1/status", "GET /metrics",
		"GET /openapi.json", "GET /docs", "GET /docs/docs.css", "POST /api/v1/orders", "DELETE /api/v1/{service}/{rest}"} {
		if !described[want] {
			t.Errorf("%s is missing", want)
		}
	}
}

func document(t *testing.T, h *harness) map[string]any {
	t.Helper()
	a := h.ask(t, "GET", "/openapi.json", "")
	var doc map[string]any
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil || a.status != 200 {
		t.Fatalf("%d %v", a.status, err)
	}
	return doc
}

// The document has the structure that OpenAPI 3.1 asks for.
func TestDocumentStructure(t *testing.T) {
	doc := document(t, start(t, nil, sampleRoutes()...))
	if v := doc["openapi"]; v != "3.1.0" {
		t.Errorf("openapi %v", v)
	}
	info := doc["info"].(map[string]any)
	if info["title"] == "" || info["version"] == "" {
		t.Errorf("info %v", info)
	}
	ids := map[string]bool{}
	template := regexp.MustCompile(`\{([^}]+)\}`)
	for path, item := range doc["paths"].(map[string]any) {
		if !strings.HasPrefix(path, "/") || strings.Contains(path, "*") {
			t.Errorf("path %s", path)
		}
		for method, v := range item.(map[string]any) {
			where := method + " " + path
			op := v.(map[string]any)
			id, _ := op["operationId"].(string)
			if id == "" || ids[id] {
				t.Errorf("%s: operationId %q", where, id)
			}
			ids[id] = true
			declared := map[string]bool{}
			for _, p := range op["parameters"].([]any) {
				p := p.(map[string]any)
				if p["in"] == "path" {
					declared[p["name"].(string)] = p["required"] == true
				}
				checkSchema(t, doc, where, p["schema"])
			}
			for _, m := range template.FindAllStringSubmatch(path, -1) {
				if !declared[m[1]] {
					t.Errorf("%s: {%s} is not a required path parameter", where, m[1])
				}
			}
			if len(declared) != len(template.FindAllString(path, -1)) {
				t.Errorf("%s: declares %v", where, declared)
			}
			if body, ok := op["requestBody"].(map[string]any); ok {
				checkContent(t, doc, where, body["content"])
			}
			responses := op["responses"].(map[string]any)
			if len(responses) < 2 || responses["default"] == nil {
				t.Errorf("%s: responses %v", where, responses)
			}
			for status, r := range responses {
				if !regexp.MustCompile(`^([1-5]\d\d|default)$`).MatchString(status) {
					t.Errorf("%s: status %s", where, status)
				}
				r := resolve(t, doc, r)
				if r["description"] == "" {
					t.Errorf("%s: %s has no description", where, status)
				}
				if r["content"] != nil {
					checkContent(t, doc, where, r["content"])
				}
			}
		}
	}
	for name, s := range doc["components"].(map[string]any)["schemas"].(map[string]any) {
		if !regexp.MustCompile(`^[a-zA-Z0-9._-]+$`).MatchString(name) {
			t.Errorf("component %q", name)
		}
		checkSchema(t, doc, name, s)
	}
	order := resolve(t, doc, map[string]any{"$ref": "#/components/schemas/Order"})
	if got := fmt.Sprint(order["required"], order["properties"].(map[string]any)["hours"], order["properties"].(map[string]any)["note"]); got !=
		"[id] map[default:24 minimum:1 type:integer] map[type:[string null]]" {
		t.Errorf("order: %s", got)
	}
}

func checkContent(t *testing.T, doc map[string]any, where string, content any) {
	t.Helper()
	for media, v := range content.(map[string]any) {
		if !strings.Contains(media, "/") {
			t.Errorf("%s: media type %q", where, media)
		}
		checkSchema(t, doc, where, v.(map[string]any)["schema"])
	}
}

func checkSchema(t *testing.T, doc map[string]any, where string, v any) {
	t.Helper()
	s, ok := v.(map[string]any)
	if !ok {
		t.Errorf("%s: schema %v", where, v)
		return
	}
	if _, ok := s["$ref"]; ok {
		resolve(t, doc, s)
		return
	}
	types, _ := s["type"].([]any)
	if one, ok := s["type"].(string); ok {
		types = []any{one}
	}
	for _, kind := range types {
		if !strings.Contains(" string number integer boolean array object null ", " "+kind.(string)+" ") {
			t.Errorf("%s: type %v", where, kind)
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if inner, ok := s[key]; ok {
			checkSchema(t, doc, where, inner)
		}
	}
	if properties, ok := s["properties"].(map[string]any); ok {
		for _, p := range properties {
			checkSchema(t, doc, where, p)
		}
	}
}

func resolve(t *testing.T, doc map[string]any, v any) map[string]any {
	t.Helper()
	m := v.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return m
	}
	var at any = doc
	for _, seg := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(map[string]any)[seg]
	}
	if at == nil {
		t.Fatalf("%s leads nowhere", ref)
	}
	return at.(map[string]any)
}

func TestDocsPage(t *testing.T) {
	h := start(t, nil, sampleRoutes()...)
	a := h.ask(t, "GET", "/docs", "")
	if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Security-Policy"), "default-src 'self';") {
		t.Errorf("%d %v", a.status, a.header)
	}
	if strings.Contains(a.body, "<b>orders") || !strings.Contains(a.body, "/api/v1/orders/{id}") {
		t.Error("unescaped, or incomplete")
	}
	for _, off := range []string{"http://", "https://", "//", "<script", "style=", "<style"} {
		if strings.Contains(a.body, `"`+off) || strings.HasPrefix(off, "<") && strings.Contains(a.body, off) {
			t.Errorf("the page holds %s", off)
		}
	}
	if a := h.ask(t, "GET", "/docs/docs.css", ""); a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/css") {
		t.Errorf("style: %d", a.status)
	}
}

// A façade's own route stands in place of a built-in one.
func TestBuiltInsGiveWay(t *testing.T) {
	h := start(t, nil, get("/api/v1/status", func(w http.ResponseWriter, r *http.Request) error {
		return chassis.WriteJSON(w, r, 200, "mine")
	}))
	if a := h.ask(t, "GET", "/api/v1/status", ""); a.body != "\"mine\"\n" {
		t.Error(a.body)
	}
	if a := start(t, nil).ask(t, "GET", "/api/v1/status", ""); !strings.Contains(a.body, `"status":"ready"`) {
		t.Error(a.body)
	}
}

// The words of a list are those of its items.
func TestWordsOfAList(t *testing.T) {
	doc := document(t, start(t, nil, sampleRoutes()...))
	order := doc["components"].(map[string]any)["schemas"].(map[string]any)["Order"].(map[string]any)
	tags := order["properties"].(map[string]any)["tags"].(map[string]any)
	if got := fmt.Sprint(tags["items"].(map[string]any)["enum"]); got != "[a b]" || tags["enum"] != nil {
		t.Errorf("tags: %v", tags)
	}
}
