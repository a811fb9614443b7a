package chassis

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

// WriteJSON answers with v as JSON. Nil maps and slices in v leave as {} and
// [], and times in UTC, without touching v. An encoding error is returned
// before anything is written.
func WriteJSON(w http.ResponseWriter, r *http.Request, status int, v any) error {
	buf := buffers.Get().(*bytes.Buffer)
	defer release(buf)
	if err := encode(buf, v); err != nil {
		return err
	}
	return writeBody(w, r, status, buf.Bytes())
}

// WriteCacheable is WriteJSON with status 200 and an ETag over the bytes;
// a client that has them already gets 304.
func WriteCacheable(w http.ResponseWriter, r *http.Request, v any) error {
	buf := buffers.Get().(*bytes.Buffer)
	defer release(buf)
	if err := encode(buf, v); err != nil {
		return err
	}
	if NotModified(w, r, strconv.FormatUint(xxhash.Sum64(buf.Bytes()), 36)) {
		return nil
	}
	return writeBody(w, r, http.StatusOK, buf.Bytes())
}

// NotModified names the version of the answer, and answers 304 if that is what
// the client has; then there is nothing more to write. The tag is weak: it
// names the content, whatever coding it travels in. It holds letters, digits
// and - _ . only.
func NotModified(w http.ResponseWriter, r *http.Request, version string) bool {
	tag := `W/"` + version + `"`
	h := w.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for have := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		have = strings.TrimSpace(have)
		if have == "*" || strings.TrimPrefix(have, "W/") == tag[2:] {
			w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	return false
}

func writeBody(w http.ResponseWriter, r *http.Request, status int, body []byte) error {
	h := w.Header()
	h["Content-Type"] = headerJSON
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// release returns a buffer to the pool, unless one large answer has grown it.
func release(buf *bytes.Buffer) {
	if buf.Cap() <= 1<<20 {
		buf.Reset()
		buffers.Put(buf)
	}
}

// encode appends v and a newline.
func encode(buf *bytes.Buffer, v any) error {
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(complete(v)); err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	return nil
}

// complete returns v with empty maps and slices in place of nil ones and times
// in UTC, copying only what it changes.
func complete(v any) any {
	if v == nil || !worthCompleting(reflect.TypeOf(v)) {
		return v
	}
	if out, changed := completed(reflect.ValueOf(v)); changed {
		return out.Interface()
	}
	return v
}

var (
	typeMarshaler     = reflect.TypeFor[json.Marshaler]()
	typeTextMarshaler = reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()
)

// worth caches, by type, whether a value can hold something to complete.
var worth sync.Map // reflect.Type -> bool

func worthCompleting(t reflect.Type) bool {
	if known, ok := worth.Load(t); ok {
		return known.(bool)
	}
	w := canNeed(t, map[reflect.Type]bool{})
	worth.Store(t, w)
	return w
}

func canNeed(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t == typeTime {
		return true
	}
	if seen[t] || encodesItself(t) {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Map, reflect.Interface:
		return true
	case reflect.Slice:
		return t.Elem().Kind() != reflect.Uint8 // bytes are text to JSON
	case reflect.Array, reflect.Pointer:
		return canNeed(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if canNeed(t.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}

func encodesItself(t reflect.Type) bool {
	return t.Implements(typeMarshaler) || t.Implements(typeTextMarshaler)
}

func completed(v reflect.Value) (reflect.Value, bool) {
	t := v.Type()
	if t == typeTime {
		at := v.Interface().(time.Time)
		if at.Location() == time.UTC {
			return v, false
		}
		return reflect.ValueOf(at.UTC()), true
	}
	if encodesItself(t) {
		return v, false
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		return completedElem(v)
	case reflect.Map:
		return completedMap(v)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return v, false
		}
		if v.IsNil() {
			return reflect.MakeSlice(t, 0, 0), true
		}
		return completedList(v)
	case reflect.Array:
		return completedList(v)
	case reflect.Struct:
		return completedStruct(v)
	}
	return v, false
}

func completedElem(v reflect.Value) (reflect.Value, bool) {
	if v.IsNil() || !worthCompleting(v.Elem().Type()) {
		return v, false
	}
	inner, changed := completed(v.Elem())
	if !changed {
		return v, false
	}
	if v.Kind() == reflect.Interface {
		out := reflect.New(v.Type()).Elem()
		out.Set(inner)
		return out, true
	}
	out := reflect.New(v.Type().Elem())
	out.Elem().Set(inner)
	return out, true
}

func completedMap(v reflect.Value) (reflect.Value, bool) {
	if v.IsNil() {
		return reflect.MakeMap(v.Type()), true
	}
	if !worthCompleting(v.Type().Elem()) {
		return v, false
	}
	var out reflect.Value
	for iter := v.MapRange(); iter.Next(); {
		inner, changed := completed(iter.Value())
		if !changed {
			continue
		}
		if !out.IsValid() {
			out = reflect.MakeMapWithSize(v.Type(), v.Len())
			for all := v.MapRange(); all.Next(); {
				out.SetMapIndex(all.Key(), all.Value())
			}
		}
		out.SetMapIndex(iter.Key(), inner)
	}
	if !out.IsValid() {
		return v, false
	}
	return out, true
}

func completedList(v reflect.Value) (reflect.Value, bool) {
	if !worthCompleting(v.Type().Elem()) {
		return v, false
	}
	var out reflect.Value
	for i := range v.Len() {
		inner, changed := completed(v.Index(i))
		if !changed {
			continue
		}
		if !out.IsValid() {
			if v.Kind() == reflect.Array {
				out = reflect.New(v.Type()).Elem()
			} else {
				out = reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			}
			reflect.Copy(out, v)
		}
		out.Index(i).Set(inner)
	}
	if !out.IsValid() {
		return v, false
	}
	return out, true
}

func completedStruct(v reflect.Value) (reflect.Value, bool) {
	plan := planOf(v.Type())
	var out reflect.Value
	for i := range plan.fields {
		f := &plan.fields[i]
		if !worthCompleting(f.typ) {
			continue
		}
		from := v.FieldByIndex(f.index)
		if f.omitempty && from.IsZero() {
			continue
		}
		inner, changed := completed(from)
		if !changed {
			continue
		}
		if !out.IsValid() {
			out = reflect.New(v.Type()).Elem()
			out.Set(v)
		}
		out.FieldByIndex(f.index).Set(inner)
	}
	if !out.IsValid() {
		return v, false
	}
	return out, true
}
