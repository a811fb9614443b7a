package documents

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

// openapi is what is read of a description.
type openapi struct {
	Info struct {
		Description string `json:"description"`
	} `json:"info"`
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`
	Tags []struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	} `json:"tags"`
}

type operation struct {
	Tags        []string `json:"tags"`
	Summary     string   `json:"summary"`
	Description string   `json:"description"`
	Parameters  []struct {
		Name        string `json:"name"`
		In          string `json:"in"`
		Required    bool   `json:"required"`
		Description string `json:"description"`
		Schema      schema `json:"schema"`
	} `json:"parameters"`
	RequestBody *struct {
		Content map[string]media `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Description string           `json:"description"`
		Content     map[string]media `json:"content"`
	} `json:"responses"`
}

type media struct {
	Schema schema `json:"schema"`
}

type schema struct {
	Ref         string            `json:"$ref"`
	Type        any               `json:"type"`
	Format      string            `json:"format"`
	Description string            `json:"description"`
	Enum        []any             `json:"enum"`
	Default     any               `json:"default"`
	Items       *schema           `json:"items"`
	Properties  map[string]schema `json:"properties"`
	Required    []string          `json:"required"`
	Additional  json.RawMessage   `json:"additionalProperties"`
	AllOf       []schema          `json:"allOf"`
	AnyOf       []schema          `json:"anyOf"`
	OneOf       []schema          `json:"oneOf"`
}

// testReference: docs/api has each service's operations, parameters and bodies, as its
// OpenAPI description has them. With -update it is written.
func testReference(t *testing.T, n *harness.Node) {
	for _, service := range harness.Services {
		var d openapi
		harness.GetJSON(t, n.URL(service, "/openapi.json"), &d)
		path := filepath.Join("../../docs/api", service+".md")
		text := d.reference(service)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if found, err := os.ReadFile(path); err != nil || string(found) != text {
			t.Errorf("docs/api/%s.md is not what the service says: go test ./tests/documents -run TestDocuments -update (%v)", service, err)
		}
	}
}

// aliases are prefixes of what is served under a shorter, or longer, name too.
var aliases = []struct{ prefix, of, says string }{
	{"/api/v1/prometheus/api/v1/", "/api/v1/", "Prometheus' own interface (`query`, `query_range`, `series`, `labels` …) is served below `/prometheus/api/v1/` and `/api/v1/prometheus/api/v1/` too: `http://HOST:8084/api/v1/prometheus` is the address of a Grafana data source."},
	{"/prometheus/api/v1/", "/api/v1/", ""},
	{"/api/v1/", "/api/v1/broker/", "Everything below `/api/v1/broker/` is served below `/api/v1/` too."},
}

func (d *openapi) reference(service string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\nMade of the service's own description, `/openapi.json`; `/docs` is the same as a page. Errors are problem documents\n(RFC 9457) with a `code`. Fields that are not marked *optional* are always there.\n", service, d.Info.Description)
	said := map[string]bool{}
	byTag := map[string][]string{}
	for path, operations := range d.Paths {
		if alias := d.alias(path); alias != nil {
			said[*alias] = true
			continue
		}
		for method, o := range operations {
			tag := "other"
			if len(o.Tags) > 0 {
				tag = o.Tags[0]
			}
			byTag[tag] = append(byTag[tag], path+" "+method)
		}
	}
	for _, a := range aliases {
		if a.says != "" && said[a.says] {
			fmt.Fprintf(&b, "\n%s\n", a.says)
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(byTag)) {
		fmt.Fprintf(&b, "\n## %s\n", tag)
		for _, t := range d.Tags {
			if t.Name == tag && t.Description != "" {
				fmt.Fprintf(&b, "\n%s\n", t.Description)
			}
		}
		slices.Sort(byTag[tag])
		for _, at := range byTag[tag] {
			path, method, _ := strings.Cut(at, " ")
			o := d.Paths[path][method]
			o.write(&b, strings.ToUpper(method), path)
		}
	}
	fmt.Fprintf(&b, "\n## Bodies\n")
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		s := d.Components.Schemas[name]
		if len(s.Properties) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n", name)
		if s.Description != "" {
			fmt.Fprintf(&b, "%s\n\n", cell(s.Description))
		}
		fmt.Fprintf(&b, "| field | type | |\n|---|---|---|\n")
		for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
			p := s.Properties[field]
			says := cell(p.Description)
			if !slices.Contains(s.Required, field) {
				says = strings.TrimSuffix("*optional*; "+says, "; ")
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", field, p.text(), says)
		}
	}
	return b.String()
}

// alias says what a path is another name of; nil when it is its own.
func (d *openapi) alias(path string) *string {
	for _, a := range aliases {
		rest, ok := strings.CutPrefix(path, a.prefix)
		if !ok || strings.HasPrefix(path, a.of) && len(a.of) > len(a.prefix) {
			continue
		}
		if _, twin := d.Paths[a.of+rest]; twin && a.of+rest != path {
			return &a.says
		}
	}
	return nil
}

func (o *operation) write(b *strings.Builder, method, path string) {
	fmt.Fprintf(b, "\n### %s %s\n\n%s.", method, path, strings.TrimSuffix(o.Summary, "."))
	if o.Description != "" {
		fmt.Fprintf(b, " %s", strings.ReplaceAll(o.Description, "\n", " "))
	}
	fmt.Fprintln(b)
	if len(o.Parameters) > 0 {
		fmt.Fprintf(b, "\n| parameter | in | type | |\n|---|---|---|---|\n")
		for _, p := range o.Parameters {
			says := cell(p.Description)
			if p.Schema.Default != nil {
				says += fmt.Sprintf(" Default `%v`.", p.Schema.Default)
			}
			if p.Required && p.In != "path" {
				says = "*needed*; " + says
			}
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", p.Name, p.In, p.Schema.text(), strings.TrimSpace(says))
		}
	}
	if o.RequestBody != nil {
		fmt.Fprintf(b, "\nTakes %s.\n", bodies(o.RequestBody.Content))
	}
	for _, code := range slices.Sorted(maps.Keys(o.Responses)) {
		r := o.Responses[code]
		if code == "default" {
			continue
		}
		fmt.Fprintf(b, "\n`%s`", code)
		if r.Description != "" && r.Description != "OK" {
			fmt.Fprintf(b, " %s", cell(r.Description))
		}
		if len(r.Content) > 0 {
			fmt.Fprintf(b, ": %s", bodies(r.Content))
		}
		fmt.Fprintln(b)
	}
}

// bodies names what a body may be.
func bodies(content map[string]media) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(content)) {
		m := content[name]
		text := m.Schema.text()
		switch {
		case name == "application/json" && text != "":
		case text == "" || text == "string":
			text = "`" + name + "`"
		default:
			text += " as `" + name + "`"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", or ")
}

// text names a type, with a link where it is one of the bodies.
func (s *schema) text() string {
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	case len(s.Enum) > 0:
		var words []string
		for _, e := range s.Enum {
			words = append(words, fmt.Sprintf("`%v`", e))
		}
		return strings.Join(words, ", ")
	case s.Items != nil:
		return "list of " + s.Items.text()
	case len(s.AllOf)+len(s.AnyOf)+len(s.OneOf) > 0:
		var each []string
		for _, one := range slices.Concat(s.AllOf, s.AnyOf, s.OneOf) {
			each = append(each, one.text())
		}
		return strings.Join(each, " or ")
	}
	var of schema
	if len(s.Additional) > 0 && json.Unmarshal(s.Additional, &of) == nil {
		return "map of " + of.text()
	}
	var words []string
	switch t := s.Type.(type) {
	case string:
		words = []string{t}
	case []any:
		for _, w := range t {
			words = append(words, fmt.Sprint(w))
		}
	}
	text := strings.Join(words, " or ")
	if s.Format != "" {
		text += " (" + s.Format + ")"
	}
	return text
}

// cell is a text within a table.
func cell(s string) string {
	return strings.NewReplacer("\n", " ", "|", "\\|").Replace(s)
}
