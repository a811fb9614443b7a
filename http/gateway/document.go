package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	branch "github.com/marketprism/marketprism/actors/gateway"
	"github.com/marketprism/marketprism/http/chassis"
)

// merged is the description of all services, as it was at one version.
type merged struct {
	version  uint64
	document []byte
	page     []byte
}

func (f *service) documentRoutes() []chassis.Route {
	return []chassis.Route{
		{Method: http.MethodGet, Path: "/openapi.json", ID: "openapi", Tag: "service", Summary: "All services, as they are seen through the gateway, as OpenAPI 3.1",
			Handler: func(w http.ResponseWriter, r *http.Request) error {
				m, err := f.describe()
				if err != nil {
					return err
				}
				return chassis.WriteDocument(w, r, m.document)
			}},
		{Method: http.MethodGet, Path: "/docs", ID: "docs", Tag: "service", Summary: "All services, for people",
			Responses: []chassis.Response{{Media: "text/html", Body: ""}},
			Handler: func(w http.ResponseWriter, r *http.Request) error {
				m, err := f.describe()
				if err != nil {
					return err
				}
				return chassis.WriteDocs(w, r, m.page)
			}},
	}
}

// describe returns the description of all services that have been heard of; it is put
// together again when one has changed.
func (f *service) describe() (*merged, error) {
	all, version := f.Branch.Documents()
	if m := f.merged.Load(); m != nil && m.version == version {
		return m, nil
	}
	text, err := f.mergeDocuments(all)
	if err != nil {
		return nil, err
	}
	page, err := f.server.RenderDocs(text)
	if err != nil {
		return nil, fmt.Errorf("rendering the documentation: %w", err)
	}
	m := &merged{version, text, page}
	f.merged.Store(m)
	return m, nil
}

// description is the part of an OpenAPI document that is merged.
type description struct {
	OpenAPI string                    `json:"openapi"`
	Info    map[string]any            `json:"info"`
	Servers []any                     `json:"servers"`
	Tags    []map[string]any          `json:"tags"`
	Paths   map[string]map[string]any `json:"paths"`

	Components struct {
		Schemas   map[string]any `json:"schemas"`
		Responses map[string]any `json:"responses"`
	} `json:"components"`
}

// mergeDocuments puts the descriptions of services beside the gateway's own: paths as
// they are seen here, operations and schemas with the service's name where another has
// the same.
func (f *service) mergeDocuments(all []*branch.Document) ([]byte, error) {
	var out description
	if err := json.Unmarshal(f.server.Document(), &out); err != nil {
		return nil, fmt.Errorf("reading the gateway's own description: %w", err)
	}
	if out.Components.Schemas == nil {
		out.Components.Schemas = map[string]any{}
	}
	for _, wide := range []string{apiBase + "{service}/{rest}", wsBase + "{service}/{rest}"} {
		delete(out.Paths, wide) // the paths themselves follow
	}
	for _, d := range all {
		u := f.Branch.Upstream(d.Service)
		if u == nil {
			continue
		}
		if err := out.add(u, d.Text); err != nil {
			return nil, fmt.Errorf("merging the description of %s: %w", d.Service, err)
		}
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the description: %w", err)
	}
	return text, nil
}

// add merges the description of a service.
func (d *description) add(u *branch.Upstream, text []byte) error {
	var other description
	if err := json.Unmarshal(text, &other); err != nil {
		return err
	}
	prefix := shortName(u)
	renamed := map[string]string{} // two services may mean different things by one name
	for name := range other.Components.Schemas {
		renamed[schemaBase+name] = schemaBase + prefix + "_" + name
	}
	for name, schema := range other.Components.Schemas {
		d.Components.Schemas[prefix+"_"+name] = refer(schema, renamed)
	}
	for path, item := range other.Paths {
		here, ok := pathHere(u, path)
		_, taken := d.Paths[here]
		_, twice := other.Paths[strings.Replace(path, apiBase, apiBase+u.Alias+"/", 1)]
		if !ok || taken || u.Prefixed && twice && strings.HasPrefix(path, apiBase) {
			continue
		}
		for _, operation := range item {
			adapt(operation, prefix)
		}
		moved, _ := refer(item, renamed).(map[string]any)
		d.Paths[here] = moved
	}
	d.Tags = append(d.Tags, map[string]any{"name": prefix})
	slices.SortFunc(d.Tags, func(a, b map[string]any) int { return strings.Compare(fmt.Sprint(a["name"]), fmt.Sprint(b["name"])) })
	return nil
}

// shortName is the word for a service in names.
func shortName(u *branch.Upstream) string {
	if u.Alias != "" {
		return u.Alias
	}
	return u.Service()
}

// schemaBase begins references to schemas.
const schemaBase = "#/components/schemas/"

// pathHere is where a path of a service is at the gateway; false when it is not.
func pathHere(u *branch.Upstream, path string) (string, bool) {
	rest, api := strings.CutPrefix(path, apiBase)
	if socket, ok := strings.CutPrefix(path, wsBase); ok {
		return wsBase + u.Service() + "/" + socket, true
	}
	switch {
	case !api:
		return "", false
	case u.Prefixed && strings.HasPrefix(rest, u.Alias+"/"):
		return path, true
	case u.Prefixed || u.Alias == "":
		return apiBase + u.Service() + "/" + rest, true
	}
	return apiBase + u.Alias + "/" + rest, true
}

// adapt gives an operation the name and the group of its service.
func adapt(operation any, prefix string) {
	o, ok := operation.(map[string]any)
	if !ok {
		return
	}
	if id, ok := o["operationId"].(string); ok {
		o["operationId"] = prefix + "_" + id
	}
	o["tags"] = []any{prefix}
}

// refer changes the references of a value to the names that schemas have got.
func refer(v any, renamed map[string]string) any {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if to, ok := inner.(string); ok && name == "$ref" {
				if at, ok := renamed[to]; ok {
					v[name] = at
				}
				continue
			}
			v[name] = refer(inner, renamed)
		}
	case []any:
		for i := range v {
			v[i] = refer(v[i], renamed)
		}
	}
	return v
}
