package config

import (
	"bytes"
	"encoding"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

func isLeaf(f field) bool {
	s := f.shape()
	return s != shapeSection && s != shapeKeyed && s != shapeList
}

// isFlat reports whether a setting is printed on one line: a leaf, or a list of
// leaves.
func isFlat(f field) bool {
	return isLeaf(f) || f.shape() == shapeList && isLeaf(f.element())
}

// scalarText writes a leaf the way a file would, and a secret not at all.
func scalarText(f field, v reflect.Value) string {
	if f.secret {
		if v.Len() == 0 {
			return `""`
		}
		return redacted
	}
	switch f.shape() {
	case shapeDuration:
		return formatDuration(v.Interface().(time.Duration))
	case shapeBytes:
		if v.CanUint() {
			return formatBytes(int64(v.Uint()))
		}
		return formatBytes(v.Int())
	case shapeString:
		return quote(v.String())
	case shapeText:
		if m, ok := v.Interface().(encoding.TextMarshaler); ok {
			if text, err := m.MarshalText(); err == nil {
				return quote(string(text))
			}
		}
		return quote(fmt.Sprint(v.Interface()))
	case shapeFloat:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	default:
		return fmt.Sprint(v.Interface())
	}
}

// quote writes a string as YAML would, with quotes only where they are needed.
func quote(s string) string {
	text, err := yaml.Marshal(s)
	if err != nil || bytes.ContainsRune(bytes.TrimSpace(text), '\n') || strings.ContainsAny(s, ",[]{}#") {
		return strconv.Quote(s)
	}
	return string(bytes.TrimSpace(text))
}

func flatText(f field, v reflect.Value) string {
	if isLeaf(f) {
		return scalarText(f, v)
	}
	items := make([]string, v.Len())
	for i := range items {
		items[i] = scalarText(f.element(), reflect.Indirect(v.Index(i)))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// line is one line of the printed configuration.
type line struct {
	text   string // with its indentation
	path   string // of a setting; "" for a section
	value  string // of a setting
	origin Origin
}

// lines prints a section: its settings in the order of the struct.
func (d *decoder) lines(path string, f field, v reflect.Value, indent string) []line {
	var out []line
	add := func(key string, inner field, item reflect.Value) {
		at := join(path, key)
		item = reflect.Indirect(item)
		switch {
		case !item.IsValid(): // an optional setting that is not given
		case isFlat(inner):
			text := flatText(inner, item)
			out = append(out, line{text: indent + quote(key) + ": " + text, path: at, value: text, origin: d.origins[at]})
		case item.Kind() != reflect.Struct && item.Len() == 0:
			empty := map[bool]string{true: "[]", false: "{}"}[inner.shape() == shapeList]
			out = append(out, line{text: indent + quote(key) + ": " + empty, path: at, value: empty, origin: d.origins[at]})
		default:
			out = append(out, line{text: indent + quote(key) + ":"})
			out = append(out, d.lines(at, inner, item, indent+"  ")...)
		}
	}
	switch f.shape() {
	case shapeSection:
		for _, inner := range fieldsOf(v.Type()) {
			add(inner.name, inner, v.FieldByIndex(inner.index))
		}
	case shapeKeyed:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			add(k.String(), f.element(), v.MapIndex(k))
		}
	case shapeList:
		for i := range v.Len() {
			item := d.lines(path+"["+strconv.Itoa(i)+"]", f.element(), reflect.Indirect(v.Index(i)), indent+"  ")
			if len(item) > 0 {
				item[0].text = indent + "- " + strings.TrimPrefix(item[0].text, indent+"  ")
			}
			out = append(out, item...)
		}
	}
	return out
}

// write prints the lines, each setting followed by its origin when asked.
func write(w io.Writer, lines []line, origins bool) error {
	width := 0
	for _, l := range lines {
		if l.path != "" && len(l.text) <= 60 {
			width = max(width, len(l.text))
		}
	}
	var b bytes.Buffer
	for _, l := range lines {
		if origins && l.path != "" {
			fmt.Fprintf(&b, "%-*s  # %s\n", width, l.text, l.origin)
		} else {
			fmt.Fprintln(&b, l.text)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
