package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"github.com/marketprism/marketprism/connectors"
)

//go:generate go test -run ^TestSchemaPublished$ . -update

// Schema returns the JSON Schema (draft 7, which editors' YAML plugins read) of
// services.yaml. It is generated from the settings themselves and published in
// schema/services.schema.json.
func Schema() ([]byte, error) {
	d := Default()
	root := schemaOf(field{typ: reflect.TypeFor[Config]()}, reflect.ValueOf(d))
	services := map[string]any{}
	for _, name := range serviceNames {
		services[name] = root["properties"].(map[string]any)[name]
	}
	root["properties"].(map[string]any)["services"] = map[string]any{
		"description": "The services may be grouped under this key, or stand at the top level.",
		"type":        "object", "properties": services, "additionalProperties": false,
	}
	return publish(root, "MarketPrism services.yaml")
}

// ExchangeSchema returns the JSON Schema of exchanges/<exchange>.yaml.
func ExchangeSchema() ([]byte, error) {
	return publish(schemaOf(field{typ: reflect.TypeFor[connectors.Config]()}, fresh(reflect.TypeFor[connectors.Config]()).Elem()), "MarketPrism exchange")
}

func publish(root map[string]any, title string) ([]byte, error) {
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = title
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema of %s: %w", title, err)
	}
	return append(out, '\n'), nil
}

// schemaOf describes one setting; v holds its default, or is invalid.
func schemaOf(f field, v reflect.Value) map[string]any {
	v = reflect.Indirect(v)
	s := map[string]any{}
	if f.doc != "" {
		s["description"] = f.doc
	}
	switch f.shape() {
	case shapeSection:
		properties := map[string]any{}
		for _, inner := range fieldsOf(indirect(f.typ)) {
			var d reflect.Value
			if v.IsValid() {
				d = v.FieldByIndex(inner.index)
			}
			properties[inner.name] = schemaOf(inner, d)
			if inner.secret {
				properties[inner.name+"_file"] = map[string]any{"type": "string", "description": "A file that holds " + inner.name + "."}
			}
		}
		s["type"], s["properties"], s["additionalProperties"] = []string{"object", "null"}, properties, false
		return s
	case shapeKeyed:
		s["type"], s["additionalProperties"] = []string{"object", "null"}, schemaOf(f.element(), fresh(indirect(f.element().typ)))
		return s
	case shapeList:
		s["type"], s["items"] = "array", schemaOf(f.element(), reflect.Value{})
	default:
		leafSchema(f, s)
	}
	if v.IsValid() && isFlat(f) && !f.secret {
		s["default"] = defaultOf(f, v)
	}
	return s
}

func leafSchema(f field, s map[string]any) {
	switch f.shape() {
	case shapeBool:
		s["type"] = "boolean"
	case shapeInteger:
		s["type"] = "integer"
	case shapeFloat:
		s["type"] = "number"
	case shapeDuration:
		s["anyOf"] = []any{
			map[string]any{"type": "string", "pattern": `^-?([0-9]+d|([0-9.]+(ns|us|µs|ms|s|m|h))+|0)$`},
			map[string]any{"const": 0},
		}
	case shapeBytes:
		s["anyOf"] = []any{
			map[string]any{"type": "string", "pattern": `^[0-9]+ ?(B|kB|KB|KiB|MB|MiB|GB|GiB|TB|TiB)?$`},
			map[string]any{"type": "integer", "minimum": 0},
		}
	default:
		s["type"] = "string"
	}
	if len(f.enum) > 0 {
		s["enum"] = f.enum
	}
	if shape := f.shape(); shape == shapeInteger || shape == shapeFloat {
		for key, bound := range map[string]string{"minimum": f.min, "maximum": f.max} {
			if n, err := strconv.ParseFloat(bound, 64); err == nil {
				s[key] = n
			}
		}
	}
}

func defaultOf(f field, v reflect.Value) any {
	if f.shape() == shapeList {
		items := make([]any, v.Len())
		for i := range items {
			items[i] = defaultOf(f.element(), v.Index(i))
		}
		return items
	}
	switch f.shape() {
	case shapeBool, shapeInteger, shapeFloat, shapeString:
		return v.Interface()
	default:
		return scalarText(f, v)
	}
}
