package chassis

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// Schematic is what a type implements to describe its own JSON: a JSON Schema
// (2020-12) object. Types whose packages know nothing of HTTP implement it
// without importing this one.
type Schematic interface{ JSONSchema() map[string]any }

var (
	typeSchematic       = reflect.TypeFor[Schematic]()
	typeUnmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	typeTextUnmarshaler = reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()
)

// schemas collects the schemas of named struct types as components.
type schemas struct {
	components map[string]any
	names      map[reflect.Type]string
}

func newSchemas() *schemas {
	return &schemas{components: map[string]any{}, names: map[reflect.Type]string{}}
}

// of returns the schema of a type.
func (g *schemas) of(t reflect.Type) map[string]any {
	if t == nil {
		return map[string]any{}
	}
	switch t {
	case typeTime:
		return map[string]any{"type": "string", "format": "date-time"}
	case typeNumber:
		return map[string]any{"type": "number"}
	}
	if own, ok := schematic(t); ok {
		return own
	}
	if t.Kind() == reflect.Pointer {
		return g.of(t.Elem())
	}
	if t.Implements(typeMarshaler) || reflect.PointerTo(t).Implements(typeUnmarshaler) {
		return map[string]any{}
	}
	if t.Implements(typeTextMarshaler) || reflect.PointerTo(t).Implements(typeTextUnmarshaler) {
		return map[string]any{"type": "string"}
	}
	return g.ofKind(t)
}

func schematic(t reflect.Type) (map[string]any, bool) {
	switch {
	case t.Kind() == reflect.Pointer && t.Implements(typeSchematic):
		return reflect.New(t.Elem()).Interface().(Schematic).JSONSchema(), true
	case t.Implements(typeSchematic):
		return reflect.Zero(t).Interface().(Schematic).JSONSchema(), true
	case t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(typeSchematic):
		return reflect.New(t).Interface().(Schematic).JSONSchema(), true
	}
	return nil, false
}

func (g *schemas) ofKind(t reflect.Type) map[string]any {
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32:
		return map[string]any{"type": "integer"}
	case reflect.Int64:
		return map[string]any{"type": "integer", "format": "int64"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return map[string]any{"type": "string", "contentEncoding": "base64"}
		}
		return map[string]any{"type": "array", "items": g.of(t.Elem())}
	case reflect.Array:
		return map[string]any{"type": "array", "items": g.of(t.Elem()), "minItems": t.Len(), "maxItems": t.Len()}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": g.of(t.Elem())}
	case reflect.Struct:
		return g.ofStruct(t)
	}
	return map[string]any{}
}

func (g *schemas) ofStruct(t reflect.Type) map[string]any {
	if t.Name() == "" {
		return g.structure(t)
	}
	name, ok := g.names[t]
	if !ok {
		name = g.fresh(t)
		g.names[t] = name
		g.components[name] = map[string]any{} // holds the name while the type refers to itself
		g.components[name] = g.structure(t)
	}
	return map[string]any{"$ref": "#/components/schemas/" + name}
}

var (
	notComponent = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
	packagePath  = regexp.MustCompile(`[A-Za-z0-9._~-]+/|[A-Za-z0-9_]+\.`)
)

// fresh names a component after its type, with a number if the name is taken by
// a type of another package.
func (g *schemas) fresh(t reflect.Type) string {
	base := packagePath.ReplaceAllString(t.Name(), "")
	base = strings.Trim(notComponent.ReplaceAllString(base, "_"), "_")
	base = strings.ToUpper(base[:1]) + base[1:]
	name := base
	for n := 2; g.components[name] != nil; n++ {
		name = base + strconv.Itoa(n)
	}
	return name
}

func (g *schemas) structure(t reflect.Type) map[string]any {
	plan := planOf(t)
	properties := make(map[string]any, len(plan.fields))
	required := []string{}
	for i := range plan.fields {
		f := &plan.fields[i]
		properties[f.name] = g.property(f)
		if f.required {
			required = append(required, f.name)
		}
	}
	out := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func (g *schemas) property(f *field) map[string]any {
	p := maps.Clone(g.of(f.typ))
	if kind, ok := p["type"].(string); ok && f.typ.Kind() == reflect.Pointer && !f.omitempty {
		p["type"] = []string{kind, "null"}
	}
	if f.doc != "" {
		p["description"] = f.doc
	}
	f.limits.describe(p, f.typ)
	if f.def != "" {
		p["default"] = literal(f.def, f.typ)
	}
	if f.example != "" {
		p["examples"] = []any{literal(f.example, f.typ)}
	}
	return p
}

func (l *limits) describe(p map[string]any, t reflect.Type) {
	if items, ok := p["items"].(map[string]any); ok && l.enum != nil { // the words of a list are those of its items
		items = maps.Clone(items)
		items["enum"] = l.enum
		p["items"] = items
	} else if l.enum != nil {
		p["enum"] = l.enum
	}
	if l.minimum != nil {
		p["minimum"] = *l.minimum
	}
	if l.maximum != nil {
		p["maximum"] = *l.maximum
	}
	low, high := "minLength", "maxLength"
	switch t.Kind() {
	case reflect.Slice:
		low, high = "minItems", "maxItems"
	case reflect.Map:
		low, high = "minProperties", "maxProperties"
	}
	if l.minLength != nil {
		p[low] = *l.minLength
	}
	if l.maxLength != nil {
		p[high] = *l.maxLength
	}
}

// literal reads a tag's text as a value of t: as JSON where t is no string.
func literal(text string, t reflect.Type) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.String && json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return text
}

// param renders a parameter's schema.
func (g *schemas) param(p Param) (map[string]any, error) {
	schema := map[string]any{"type": "string"}
	if p.Type != nil {
		schema = maps.Clone(g.of(reflect.TypeOf(p.Type)))
	}
	if p.Enum != nil {
		schema["enum"] = p.Enum
	}
	for key, v := range map[string]any{"minimum": p.Min, "maximum": p.Max, "default": p.Default} {
		if v != nil {
			schema[key] = v
		}
	}
	in := p.In
	if in == "" {
		in = "query"
	}
	if in != "query" && in != "path" && in != "header" {
		return nil, fmt.Errorf("parameter %s: is in %q, must be in query, path or header", p.Name, p.In)
	}
	out := map[string]any{"name": p.Name, "in": in, "required": p.Required || in == "path", "schema": schema}
	if p.Doc != "" {
		out["description"] = p.Doc
	}
	if p.Example != nil {
		out["example"] = p.Example
	}
	return out, nil
}
