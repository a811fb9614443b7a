package event

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// AsyncAPI is the description of all kinds: an AsyncAPI 3.0 document in YAML
// (https://www.asyncapi.com/docs/reference/specification/v3.0.0).
func AsyncAPI() ([]byte, error) {
	channels, operations, messages, schemas := yaml.MapSlice{}, yaml.MapSlice{}, yaml.MapSlice{}, yaml.MapSlice{}
	seen := map[string]bool{}
	for _, k := range Kinds() {
		name, schema := k.name(), reflect.TypeOf(k.Data).Name()
		channels = append(channels, item(name, yaml.MapSlice{
			{Key: "address", Value: "system.{service}." + strings.TrimPrefix(k.Type, typePrefix)},
			{Key: "parameters", Value: yaml.MapSlice{item("service", yaml.MapSlice{{Key: "$ref", Value: "#/components/parameters/service"}})}},
			{Key: "messages", Value: yaml.MapSlice{item(name, yaml.MapSlice{{Key: "$ref", Value: "#/components/messages/" + name}})}},
		}))
		operations = append(operations, item("publish"+name, yaml.MapSlice{
			{Key: "action", Value: "send"},
			{Key: "channel", Value: yaml.MapSlice{{Key: "$ref", Value: "#/channels/" + name}}},
			{Key: "summary", Value: k.Summary},
		}))
		messages = append(messages, item(name, yaml.MapSlice{
			{Key: "title", Value: k.Type},
			{Key: "summary", Value: k.Summary},
			{Key: "contentType", Value: MediaType},
			{Key: "payload", Value: yaml.MapSlice{{Key: "allOf", Value: []any{
				yaml.MapSlice{{Key: "$ref", Value: "#/components/schemas/CloudEvent"}},
				yaml.MapSlice{
					{Key: "type", Value: "object"},
					{Key: "properties", Value: yaml.MapSlice{
						item("type", yaml.MapSlice{{Key: "const", Value: k.Type}}),
						item("data", yaml.MapSlice{{Key: "$ref", Value: "#/components/schemas/" + schema}}),
					}},
				},
			}}}},
		}))
		if !seen[schema] {
			seen[schema] = true
			schemas = append(schemas, item(schema, schemaOf(reflect.TypeOf(k.Data))))
		}
	}
	document := yaml.MapSlice{
		{Key: "asyncapi", Value: "3.0.0"},
		{Key: "info", Value: yaml.MapSlice{
			{Key: "title", Value: "MarketPrism events"},
			{Key: "version", Value: "1.0.0"},
			{Key: "description", Value: "What every service says of its own life: CloudEvents 1.0 in structured mode, kept by the JetStream stream SYSTEM_EVENTS. Delivery is at least once; source and id name an event."},
		}},
		{Key: "defaultContentType", Value: MediaType},
		{Key: "servers", Value: yaml.MapSlice{
			item("broker", yaml.MapSlice{{Key: "host", Value: "127.0.0.1:4222"}, {Key: "protocol", Value: "nats"}, {Key: "description", Value: "NATS of the message-broker-service"}}),
			item("events", yaml.MapSlice{{Key: "host", Value: "127.0.0.1:8085"}, {Key: "protocol", Value: "sse"}, {Key: "pathname", Value: "/api/v1/broker/subscribe"}, {Key: "description", Value: "The same over HTTP: ?subject=system.>"}}),
		}},
		{Key: "channels", Value: channels},
		{Key: "operations", Value: operations},
		{Key: "components", Value: yaml.MapSlice{
			{Key: "parameters", Value: yaml.MapSlice{item("service", yaml.MapSlice{{Key: "description", Value: "name of the service, such as data-storage-service"}})}},
			{Key: "messages", Value: messages},
			{Key: "schemas", Value: append(yaml.MapSlice{item("CloudEvent", schemaOf(reflect.TypeFor[Event]()))}, schemas...)},
		}},
	}
	text, err := yaml.MarshalWithOptions(document, yaml.Indent(2))
	if err != nil {
		return nil, fmt.Errorf("writing the description of events: %w", err)
	}
	return append([]byte("# Written from internal/event by `go generate ./internal/event`; do not edit.\n"), text...), nil
}

func item(key string, value yaml.MapSlice) yaml.MapItem { return yaml.MapItem{Key: key, Value: value} }

// name is the kind's name in the description: ServiceStarted.
func (k Kind) name() string {
	var b strings.Builder
	for part := range strings.SplitSeq(strings.TrimPrefix(k.Type, typePrefix), ".") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// schemaOf describes a type by its tags.
func schemaOf(t reflect.Type) yaml.MapSlice {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return yaml.MapSlice{{Key: "type", Value: "string"}, {Key: "format", Value: "date-time"}}
	case t.Kind() == reflect.Pointer:
		return schemaOf(t.Elem())
	}
	switch t.Kind() {
	case reflect.String:
		return yaml.MapSlice{{Key: "type", Value: "string"}}
	case reflect.Bool:
		return yaml.MapSlice{{Key: "type", Value: "boolean"}}
	case reflect.Int, reflect.Int64:
		return yaml.MapSlice{{Key: "type", Value: "integer"}}
	case reflect.Float64:
		return yaml.MapSlice{{Key: "type", Value: "number"}}
	case reflect.Slice:
		return yaml.MapSlice{{Key: "type", Value: "array"}, {Key: "items", Value: schemaOf(t.Elem())}}
	case reflect.Map:
		return yaml.MapSlice{{Key: "type", Value: "object"}, {Key: "additionalProperties", Value: schemaOf(t.Elem())}}
	case reflect.Struct:
		return structSchema(t)
	}
	return yaml.MapSlice{} // any
}

func structSchema(t reflect.Type) yaml.MapSlice {
	properties, required := yaml.MapSlice{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		schema := schemaOf(f.Type)
		if doc := f.Tag.Get("doc"); doc != "" {
			schema = append(schema, yaml.MapItem{Key: "description", Value: doc})
		}
		properties = append(properties, item(name, schema))
		if options == "" {
			required = append(required, name)
		}
	}
	return yaml.MapSlice{{Key: "type", Value: "object"}, {Key: "properties", Value: properties}, {Key: "required", Value: required}}
}
