package heritage

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

var (
	writesItself = reflect.TypeFor[json.Marshaler]()
	readsItself  = reflect.TypeFor[json.Unmarshaler]()
	writesText   = reflect.TypeFor[encoding.TextMarshaler]()
	moment       = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
)

// filler sets every field of a document to something other than its zero value.
type filler struct {
	values map[reflect.Type]reflect.Value
	number int64
}

func (w *filler) next() int64 {
	w.number++
	return w.number
}

func (w *filler) fill(v reflect.Value, name string) error {
	t := v.Type()
	if given, ok := w.values[t]; ok {
		v.Set(given)
		return nil
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(moment))
		return nil
	case reflect.TypeFor[json.RawMessage]():
		v.SetBytes([]byte(`{"any":["thing",1]}`))
		return nil
	}
	if t.Kind() != reflect.Pointer && (t.Implements(writesItself) || t.Implements(writesText)) {
		return fmt.Errorf("%s: a %s writes itself: it needs a value", name, t)
	}
	switch t.Kind() {
	case reflect.String:
		v.SetString(name)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(w.next())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(w.next())) //nolint:gosec // it counts from 1
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(w.next()) + 0.5)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return fmt.Errorf("%s: nothing is known of a %s", name, t)
		}
		v.Set(reflect.ValueOf(name))
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		return w.fill(v.Elem(), name)
	case reflect.Slice, reflect.Array, reflect.Map:
		return w.fillSeveral(v, name)
	case reflect.Struct:
		return w.fillStruct(v)
	default:
		return fmt.Errorf("%s: nothing is known of a %s", name, t)
	}
	return nil
}

func (w *filler) fillSeveral(v reflect.Value, name string) error {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Map:
		key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		if err := w.fill(key, name+" key"); err != nil {
			return err
		}
		if err := w.fill(value, name); err != nil {
			return err
		}
		v.Set(reflect.MakeMap(t))
		v.SetMapIndex(key, value)
		return nil
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		v.SetBytes([]byte(name))
		return nil
	case t.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(t, 1, 1))
	}
	for i := range v.Len() {
		if err := w.fill(v.Index(i), name); err != nil {
			return err
		}
	}
	return nil
}

func (w *filler) fillStruct(v reflect.Value) error {
	for i := range v.NumField() {
		name, written := nameOf(v.Type().Field(i))
		if !written {
			continue
		}
		if err := w.fill(v.Field(i), name); err != nil {
			return err
		}
	}
	return nil
}

// nameOf is what a field is called in JSON; false where it is not written.
func nameOf(f reflect.StructField) (string, bool) {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" || !f.IsExported() && !f.Anonymous {
		return "", false
	}
	if name == "" {
		name = f.Name
	}
	return name, true
}
