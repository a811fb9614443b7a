package config

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// validate asks every section that can judge itself, from the root down, and
// places what they say.
func (d *decoder) validate() {
	d.unreadable = len(d.errs)
	d.validateAt("", field{typ: d.root.Type()}, d.root)
}

func (d *decoder) validateAt(path string, f field, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	switch f.shape() {
	case shapeSection:
		d.ask(path, v)
		for _, inner := range fieldsOf(v.Type()) {
			d.validateAt(join(path, inner.name), inner, v.FieldByIndex(inner.index))
		}
	case shapeKeyed:
		d.ask(path, v)
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			item := reflect.New(v.Type().Elem()).Elem()
			item.Set(v.MapIndex(k))
			d.validateAt(join(path, k.String()), f.element(), item)
		}
	case shapeList:
		d.ask(path, v)
		for i := range v.Len() {
			d.validateAt(path+"["+strconv.Itoa(i)+"]", f.element(), v.Index(i))
		}
	default:
		d.ask(path, v)
	}
}

// ask calls a section's Validate, whatever the receiver.
func (d *decoder) ask(path string, v reflect.Value) {
	judge, ok := v.Interface().(interface{ Validate() error })
	if !ok && v.CanAddr() {
		judge, ok = v.Addr().Interface().(interface{ Validate() error })
	}
	if !ok {
		return
	}
	if err := judge.Validate(); err != nil {
		d.collect(path, err)
	}
}

// collect takes an error apart: joined errors are judged one by one, and an
// error that names a setting of the section belongs to it.
func (d *decoder) collect(path string, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			d.collect(path, e)
		}
		return
	}
	text := err.Error()
	key, named := d.names(path, err)
	if !named {
		d.invalid(path, text)
		return
	}
	at := extend(path, key)
	text = strings.TrimPrefix(text, key+": ")
	if inner := errors.Unwrap(err); inner != nil && inner.Error() == text {
		d.collect(at, inner)
		return
	}
	d.invalid(at, text)
}

// names returns the setting of the section at path that an error is about: what
// its Field method says, else the key that its text begins with, when there is
// such a setting.
func (d *decoder) names(path string, err error) (key string, ok bool) {
	if named, ok := err.(interface{ Field() string }); ok {
		return named.Field(), true
	}
	key, _, ok = strings.Cut(err.Error(), ": ")
	if !ok || key == "" {
		return "", false
	}
	_, _, ok = d.lookup(extend(path, key))
	return key, ok
}

func extend(path, rest string) string {
	if rest == "" || strings.HasPrefix(rest, "[") {
		return path + rest
	}
	return join(path, rest)
}

// invalid reports a judgement, unless the setting could not be read anyway, or
// the Validate of a section around it has said the same.
func (d *decoder) invalid(path, problem string) {
	for i, e := range d.errs {
		if e.Path == path && (i < d.unreadable || strings.HasSuffix(e.Problem, problem)) {
			return
		}
	}
	if f, v, ok := d.lookup(path); ok && isLeaf(f) {
		if text := scalarText(f, v); !mentions(problem, text) {
			problem = "found " + text + ": " + problem
		}
	}
	d.fail(path, d.place(path), problem, "", "")
}

// mentions reports whether a message says the value already.
func mentions(problem, value string) bool {
	return slices.ContainsFunc(strings.Fields(problem), func(word string) bool {
		word = strings.Trim(word, `,;:."`)
		return word != "" && word == strings.Trim(value, `"`)
	})
}

// place is where a path was given: its own value, else the nearest section
// around it that a source mentions.
func (d *decoder) place(path string) Origin {
	if o, ok := d.origins[path]; ok {
		return o
	}
	for p := path; p != ""; p = parent(p) {
		if o, ok := d.sections[p]; ok {
			return o
		}
	}
	return Origin{}
}

func parent(path string) string {
	cut := max(strings.LastIndexByte(path, '.'), strings.LastIndexByte(path, '['))
	if cut < 0 {
		return ""
	}
	return path[:cut]
}

// lookup finds the setting at a path.
func (d *decoder) lookup(path string) (field, reflect.Value, bool) {
	f, v := field{typ: d.root.Type()}, d.root
	for _, key := range steps(path) {
		v = reflect.Indirect(v)
		if !v.IsValid() {
			return field{}, reflect.Value{}, false
		}
		var ok bool
		if f, v, ok = descend(f, v, key); !ok {
			return field{}, reflect.Value{}, false
		}
	}
	return f, reflect.Indirect(v), true
}

func descend(f field, v reflect.Value, key string) (field, reflect.Value, bool) {
	switch f.shape() {
	case shapeSection:
		fields := fieldsOf(v.Type())
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == key })
		if i < 0 {
			return field{}, reflect.Value{}, false
		}
		return fields[i], v.FieldByIndex(fields[i].index), true
	case shapeKeyed:
		item := v.MapIndex(reflect.ValueOf(key).Convert(v.Type().Key()))
		return f.element(), item, item.IsValid()
	case shapeList:
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i >= v.Len() {
			return field{}, reflect.Value{}, false
		}
		return f.element(), v.Index(i), true
	default:
		return field{}, reflect.Value{}, false
	}
}

// steps splits a.b[2].c into a, b, 2, c.
func steps(path string) []string {
	return strings.FieldsFunc(strings.NewReplacer("[", ".", "]", "").Replace(path), func(r rune) bool { return r == '.' })
}
