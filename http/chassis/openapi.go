package chassis

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// describe renders the OpenAPI 3.1 document of all routes.
func (s *Server) describe() ([]byte, error) {
	g := newSchemas()
	problem := g.of(reflect.TypeFor[Problem]())
	paths := map[string]map[string]any{}
	ids := map[string]string{}
	tags := map[string]bool{}
	for _, rt := range s.routes {
		if rt.Hidden {
			continue
		}
		path := documentPath(rt.Path)
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		for _, method := range rt.documentMethods() {
			if paths[path][method] != nil {
				continue // Any beside a route for one method
			}
			op, err := rt.operation(g, method, ids)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", rt.Method, rt.Path, err)
			}
			paths[path][method] = op
		}
		if rt.Tag != "" {
			tags[rt.Tag] = true
		}
	}
	tagList := []map[string]any{}
	for tag := range tags {
		tagList = append(tagList, map[string]any{"name": tag})
	}
	slices.SortFunc(tagList, func(a, b map[string]any) int {
		return strings.Compare(a["name"].(string), b["name"].(string))
	})
	version := s.version
	if version == "" {
		version = "0"
	}
	info := map[string]any{"title": s.title, "version": version}
	if s.about != "" {
		info["description"] = s.about
	}
	return json.MarshalIndent(map[string]any{
		"openapi": "3.1.0",
		"info":    info,
		"servers": []any{map[string]any{"url": "/"}},
		"tags":    tagList,
		"paths":   paths,
		"components": map[string]any{
			"schemas": g.components,
			"responses": map[string]any{"Problem": map[string]any{
				"description": "The request failed; `code` says why",
				"content":     map[string]any{"application/problem+json": map[string]any{"schema": problem}},
			}},
		},
	}, "", "  ")
}

// documentPath writes the rest of a pattern as a parameter.
func documentPath(pattern string) string {
	if rest, ok := strings.CutSuffix(pattern, "*"); ok {
		return rest + "{rest}"
	}
	return pattern
}

// documentMethods are the keys of the route's path item.
func (rt *route) documentMethods() []string {
	if rt.Method != Any {
		return []string{strings.ToLower(rt.Method)}
	}
	all := make([]string, len(methods))
	for i, m := range methods {
		all[i] = strings.ToLower(m)
	}
	return all
}

func (rt *route) operation(g *schemas, method string, ids map[string]string) (map[string]any, error) {
	id := rt.ID
	if id == "" || rt.Method == Any {
		id = operationID(method, rt.Path)
	}
	if other, taken := ids[id]; taken {
		return nil, fmt.Errorf("operation id %q is that of %s too", id, other)
	}
	ids[id] = method + " " + rt.Path
	params, err := rt.documentParams(g)
	if err != nil {
		return nil, err
	}
	op := map[string]any{"operationId": id, "parameters": params, "responses": rt.documentResponses(g)}
	if rt.Summary != "" {
		op["summary"] = rt.Summary
	}
	if rt.Description != "" {
		op["description"] = rt.Description
	}
	if rt.Tag != "" {
		op["tags"] = []string{rt.Tag}
	}
	if rt.Deprecated {
		op["deprecated"] = true
	}
	if rt.accepts != nil && method != "get" {
		content := map[string]any{}
		for _, media := range rt.accepts {
			schema := map[string]any{}
			if rt.Request != nil {
				schema = g.of(reflect.TypeOf(rt.Request))
			}
			content[media] = map[string]any{"schema": schema}
		}
		op["requestBody"] = map[string]any{"required": !rt.Optional, "content": content}
	}
	return op, nil
}

// operationID makes getApiV1ThingsId of get /api/v1/things/{id}.
func operationID(method, path string) string {
	var b strings.Builder
	b.WriteString(method)
	for _, word := range strings.FieldsFunc(documentPath(path), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

func (rt *route) documentParams(g *schemas) ([]any, error) {
	out := []any{}
	names, err := pathParams(rt.Path)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(rt.Path, "*") {
		names = append(names, "rest")
	}
	for _, name := range names {
		p := Param{Name: name, In: "path"}
		if i := slices.IndexFunc(rt.Params, func(p Param) bool { return p.In == "path" && p.Name == name }); i >= 0 {
			p = rt.Params[i]
		}
		described, err := g.param(p)
		if err != nil {
			return nil, err
		}
		out = append(out, described)
	}
	for _, p := range rt.Params {
		if p.In == "path" {
			if !slices.Contains(names, p.Name) {
				return nil, fmt.Errorf("parameter %s is not in the path", p.Name)
			}
			continue
		}
		described, err := g.param(p)
		if err != nil {
			return nil, err
		}
		out = append(out, described)
	}
	return out, nil
}

func (rt *route) documentResponses(g *schemas) map[string]any {
	out := map[string]any{"default": map[string]any{"$ref": "#/components/responses/Problem"}}
	responses := rt.Responses
	if len(responses) == 0 {
		responses = []Response{{Body: map[string]any{}}}
	}
	for _, r := range responses {
		status := r.Status
		if status == 0 {
			status = http.StatusOK
		}
		described := map[string]any{"description": r.Doc}
		if r.Doc == "" {
			described["description"] = http.StatusText(status)
		}
		if r.Body != nil {
			media := r.Media
			if media == "" {
				media = mediaJSON
			}
			described["content"] = map[string]any{media: map[string]any{"schema": g.of(reflect.TypeOf(r.Body))}}
		}
		if len(r.Headers) > 0 {
			headers := map[string]any{}
			for name, doc := range r.Headers {
				headers[name] = map[string]any{"description": doc, "schema": map[string]any{"type": "string"}}
			}
			described["headers"] = headers
		}
		key := strconv.Itoa(status)
		if have, ok := out[key].(map[string]any); ok { // one more media type of the same status
			mergeContent(have, described)
			continue
		}
		out[key] = described
	}
	return out
}

func mergeContent(into, from map[string]any) {
	have, _ := into["content"].(map[string]any)
	further, _ := from["content"].(map[string]any)
	if have == nil {
		into["content"] = further
		return
	}
	for media, schema := range further {
		have[media] = schema
	}
}
