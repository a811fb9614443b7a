package chassistest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Endpoint is one route under attack.
type Endpoint struct {
	Method string
	Path   string            // with {parameters}
	Params map[string]string // valid path parameters; "x" where none is given
	Query  []string          // query parameters that the route reads
	Body   string            // a valid JSON body; "" if it takes none
}

// url renders the path with one parameter replaced by raw, escaped text.
func (e Endpoint) url(param, raw string) string {
	path := e.Path
	for _, name := range e.params() {
		value, ok := e.Params[name]
		if !ok {
			value = "x"
		}
		value = url.PathEscape(value)
		if name == param {
			value = raw
		}
		path = strings.Replace(path, "{"+name+"}", value, 1)
	}
	return path
}

// params are the names of the path's parameters.
func (e Endpoint) params() []string {
	var names []string
	for _, part := range strings.Split(e.Path, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		names = append(names, name)
	}
	return names
}

// Described returns the endpoints that a server's /openapi.json lists, in a
// fixed order. Bodies, of those that take JSON, are empty objects: to be
// attacked, not to be accepted.
func Described(t testing.TB, baseURL string) []Endpoint {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, baseURL+"/openapi.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters  []struct{ Name, In string }
			RequestBody struct{ Content map[string]any } `json:"requestBody"`
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatalf("reading /openapi.json: %v", err)
	}
	var out []Endpoint
	for path, item := range doc.Paths {
		for method, op := range item {
			e := Endpoint{Method: strings.ToUpper(method), Path: path}
			for _, p := range op.Parameters {
				if p.In == "query" {
					e.Query = append(e.Query, p.Name)
				}
			}
			if _, ok := op.RequestBody.Content["application/json"]; ok {
				e.Body = "{}"
			}
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		t.Fatal("/openapi.json describes no path")
	}
	slices.SortFunc(out, func(a, b Endpoint) int {
		return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
	})
	return out
}
