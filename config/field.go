package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// shape is what a setting can hold.
type shape int

const (
	shapeSection  shape = iota // a struct
	shapeKeyed                 // a map with free keys
	shapeList                  // a slice
	shapeText                  // a type that reads itself (encoding.TextUnmarshaler)
	shapeString                //
	shapeBool                  //
	shapeInteger               // signed or unsigned
	shapeFloat                 //
	shapeDuration              // time.Duration
	shapeBytes                 // an integer with the tag unit:"bytes" or a key that ends in _bytes
)

// field is one setting of a section, as its struct tags describe it.
type field struct {
	name   string // key in YAML
	index  []int  // for reflect.Value.FieldByIndex
	typ    reflect.Type
	doc    string
	min    string // bounds, in the setting's own notation; "" is none
	max    string
	enum   []string
	bytes  bool
	secret bool
}

var (
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	revealer        = reflect.TypeFor[interface{ Reveal() string }]()
	durationType    = reflect.TypeFor[time.Duration]()
)

// fieldsOf lists the settings of a section. A field without a yaml tag, or with
// "-", is no setting; an inline field gives its own settings.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name, options, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if !sf.IsExported() || name == "-" {
			continue
		}
		if options == "inline" {
			for _, inner := range fieldsOf(sf.Type) {
				inner.index = append([]int{i}, inner.index...)
				out = append(out, inner)
			}
			continue
		}
		if name == "" {
			continue
		}
		f := field{
			name: name, index: []int{i}, typ: sf.Type,
			doc: sf.Tag.Get("doc"), min: sf.Tag.Get("min"), max: sf.Tag.Get("max"),
			bytes: sf.Tag.Get("unit") == "bytes" || strings.HasSuffix(name, "_bytes"), secret: sf.Tag.Get("secret") == "true" || isSecret(sf.Type),
		}
		if e := sf.Tag.Get("enum"); e != "" {
			f.enum = strings.Split(e, ",")
		}
		out = append(out, f)
	}
	return out
}

func isSecret(t reflect.Type) bool { return t.Kind() == reflect.String && t.Implements(revealer) }

// element is the field that describes the items of a list or the values of a
// map: it has the bounds and the words of the list, no name and no
// documentation of its own.
func (f field) element() field {
	f.typ = indirect(f.typ).Elem()
	f.name, f.index, f.doc = "", nil, ""
	f.secret = f.secret || isSecret(f.typ)
	return f
}

func (f field) shape() shape {
	t := indirect(f.typ)
	switch {
	case t == durationType:
		return shapeDuration
	case reflect.PointerTo(t).Implements(textUnmarshaler):
		return shapeText
	}
	switch t.Kind() {
	case reflect.Struct:
		return shapeSection
	case reflect.Map:
		return shapeKeyed
	case reflect.Slice:
		return shapeList
	case reflect.String:
		return shapeString
	case reflect.Bool:
		return shapeBool
	case reflect.Float32, reflect.Float64:
		return shapeFloat
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if f.bytes {
			return shapeBytes
		}
		return shapeInteger
	default:
		panic(fmt.Sprintf("config: a setting cannot be a %s", f.typ))
	}
}

// allowed says what the setting takes, for an error message.
func (f field) allowed() string {
	if len(f.enum) > 0 && f.shape() != shapeList {
		return "one of " + strings.Join(f.enum, ", ")
	}
	switch f.shape() {
	case shapeSection:
		return "a map with the keys " + strings.Join(names(fieldsOf(indirect(f.typ))), ", ")
	case shapeKeyed:
		return "a map"
	case shapeList:
		return "a list, each item " + f.element().allowed()
	case shapeBool:
		return "true or false"
	case shapeInteger:
		return "an integer" + f.bounds()
	case shapeFloat:
		return "a number" + f.bounds()
	case shapeDuration:
		return "a duration such as 30s, 5m or 24h" + f.bounds()
	case shapeBytes:
		return "a size such as 512MiB or 1GiB" + f.bounds()
	default:
		return "a string"
	}
}

func (f field) bounds() string {
	switch {
	case f.min != "" && f.max != "":
		return " from " + f.min + " to " + f.max
	case f.min != "":
		return " of at least " + f.min
	case f.max != "":
		return " of at most " + f.max
	default:
		return ""
	}
}

func indirect(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

func names(fields []field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.name
	}
	return out
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
