package contract

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/tests/harness"
)

// description is a service's own OpenAPI document.
type description struct{ root object }

func describe(text []byte) (*description, error) {
	d := &description{}
	if err := json.Unmarshal(text, &d.root); err != nil {
		return nil, err
	}
	return d, d.valid()
}

var (
	operations = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}
	inPath     = regexp.MustCompile(`\{([^}]+)\}`)
)

// valid checks the document by the rules of OpenAPI 3.1.
func (d *description) valid() error {
	version, _ := d.root["openapi"].(string)
	info := sub(d.root, "info")
	if !strings.HasPrefix(version, "3.1.") || !isA(info["title"], "s") || !isA(info["version"], "s") {
		return fmt.Errorf("openapi %q, info %v", version, info)
	}
	paths := sub(d.root, "paths")
	if len(paths) == 0 {
		return fmt.Errorf("no paths")
	}
	ids := map[string]string{}
	for path := range paths {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("path %q", path)
		}
		for method, op := range sub(paths, path) {
			if !slices.Contains(operations, method) {
				return fmt.Errorf("%s has %q", path, method)
			}
			at := method + " " + path
			o, _ := op.(object)
			id, _ := o["operationId"].(string)
			if ids[id] != "" && id != "" {
				return fmt.Errorf("%s and %s are both %s", at, ids[id], id)
			}
			ids[id] = at
			if err := validOperation(path, o); err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
		}
	}
	return d.refs("#", d.root)
}

func validOperation(path string, o object) error {
	declared := map[string]bool{}
	for _, p := range list(o, "parameters") {
		p, _ := p.(object)
		name, _ := p["name"].(string)
		in, _ := p["in"].(string)
		if name == "" || !slices.Contains([]string{"path", "query", "header", "cookie"}, in) || sub(p, "schema") == nil {
			return fmt.Errorf("parameter %v", p)
		}
		if declared[in+name] {
			return fmt.Errorf("parameter %s twice", name)
		}
		declared[in+name] = true
		if in == "path" && p["required"] != true {
			return fmt.Errorf("path parameter %s is not required", name)
		}
	}
	for _, m := range inPath.FindAllStringSubmatch(path, -1) {
		if !declared["path"+m[1]] {
			return fmt.Errorf("{%s} is not declared", m[1])
		}
	}
	responses := sub(o, "responses")
	if len(responses) == 0 {
		return fmt.Errorf("no responses")
	}
	for status, r := range responses {
		r, _ := r.(object)
		if _, err := strconv.Atoi(status); err != nil && status != "default" {
			return fmt.Errorf("response %q", status)
		}
		if r["$ref"] == nil && !isA(r["description"], "s") {
			return fmt.Errorf("response %s has no description", status)
		}
	}
	return nil
}

// refs checks that every reference leads somewhere.
func (d *description) refs(at string, v any) error {
	switch v := v.(type) {
	case object:
		if ref, ok := v["$ref"].(string); ok {
			if _, err := d.follow(ref); err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
		}
		for name, inner := range v {
			if err := d.refs(at+"/"+name, inner); err != nil {
				return err
			}
		}
	case []any:
		for i, inner := range v {
			if err := d.refs(at+"/"+strconv.Itoa(i), inner); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *description) follow(ref string) (object, error) {
	rest, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil, fmt.Errorf("%s is not in the document", ref)
	}
	o := sub(d.root, strings.Split(rest, "/")...)
	if len(o) == 0 {
		return nil, fmt.Errorf("%s leads nowhere", ref)
	}
	return o, nil
}

func (d *description) resolved(o object) object {
	if ref, ok := o["$ref"].(string); ok {
		o, _ = d.follow(ref) // valid has checked it
	}
	return o
}

// judge holds an answer against what is said of it.
func (d *description) judge(method, path string, a *harness.Answer) error {
	op := d.operation(strings.ToLower(method), path)
	if op == nil {
		return fmt.Errorf("the path is not described")
	}
	responses := sub(op, "responses")
	r, ok := responses[strconv.Itoa(a.Status)].(object)
	if !ok {
		r, ok = responses["default"].(object)
	}
	if !ok {
		return fmt.Errorf("status %d is not described", a.Status)
	}
	media, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	content := sub(d.resolved(r), "content", media)
	if len(content) == 0 {
		return fmt.Errorf("status %d as %s is not described", a.Status, media)
	}
	var v any
	if err := json.Unmarshal(a.Body, &v); err != nil {
		return err
	}
	return d.match("", v, sub(content, "schema"))
}

// operation finds a path; of those that match, the one with the fewest parameters.
func (d *description) operation(method, path string) object {
	var best object
	fewest := 100
	for template := range sub(d.root, "paths") {
		pattern := regexp.MustCompile("^" + inPath.ReplaceAllString(regexp.QuoteMeta(template), "") + "$")
		if n := strings.Count(template, "{"); n > 0 {
			quoted := regexp.QuoteMeta(template)
			quoted = strings.NewReplacer(`\{`, "{", `\}`, "}").Replace(quoted)
			pattern = regexp.MustCompile("^" + inPath.ReplaceAllString(quoted, `[^/]+`) + "$")
		}
		op := sub(d.root, "paths", template, method)
		if n := strings.Count(template, "{"); pattern.MatchString(path) && len(op) > 0 && n < fewest {
			best, fewest = op, n
		}
	}
	return best
}

// match holds a value against a schema: types, members that are required or not
// described, words, items.
func (d *description) match(at string, v any, schema object) error {
	schema = d.resolved(schema)
	if types := allowedTypes(schema); len(types) > 0 && !slices.ContainsFunc(types, func(t string) bool { return typed(v, t) }) {
		return fmt.Errorf("%s is %.60v, want %v", at, v, types)
	}
	if words := list(schema, "enum"); len(words) > 0 && v != nil && !slices.Contains(words, v) {
		return fmt.Errorf("%s is %v, want one of %v", at, v, words)
	}
	switch v := v.(type) {
	case object:
		return d.matchObject(at, v, schema)
	case []any:
		for i, item := range v {
			if err := d.match(at+"/"+strconv.Itoa(i), item, sub(schema, "items")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *description) matchObject(at string, o, schema object) error {
	for _, name := range texts(list(schema, "required")) {
		if _, ok := o[name]; !ok {
			return fmt.Errorf("%s has no %s", at, name)
		}
	}
	properties, described := schema["properties"].(object)
	further, _ := schema["additionalProperties"].(object)
	for name, inner := range o {
		p, known := properties[name].(object)
		switch {
		case !known && further != nil:
			p = further
		case !known && at == "" && o["checks"] != nil: // a section that a service adds to its health
			continue
		case !known && described && schema["additionalProperties"] != true:
			return fmt.Errorf("%s has a member %s that is not described", at, name)
		}
		if err := d.match(at+"/"+name, inner, p); err != nil {
			return err
		}
	}
	return nil
}

func allowedTypes(schema object) []string {
	if t, ok := schema["type"].(string); ok {
		return []string{t}
	}
	return texts(list(schema, "type"))
}

func typed(v any, name string) bool {
	switch v := v.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case float64:
		return name == "number" || name == "integer" && v == float64(int64(v))
	case []any:
		return name == "array"
	}
	return name == "object"
}
