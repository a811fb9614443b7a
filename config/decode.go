package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// decoder lays the values of one source after another over a struct of
// settings. It never stops at an error: a wrong value leaves the setting as it
// was, and the rest is read.
type decoder struct {
	origins  map[string]Origin // of each setting that a source gave
	sections map[string]Origin // of each section and key that a source mentions
	legacy   map[string]string // path -> what a key means here that meant something else before
	instead  map[string]string // path -> what to use in place of a key that there is not
	errs     Errors
	notices  []Notice

	unreadable int // how many of errs come from reading, not from Validate
	root       reflect.Value
}

func newDecoder(root any, legacy map[string]string) *decoder {
	return &decoder{
		origins: map[string]Origin{}, sections: map[string]Origin{},
		legacy: legacy, root: reflect.ValueOf(root).Elem(),
	}
}

// apply lays one source over the settings.
func (d *decoder) apply(v value) {
	if v.form == formNull {
		return
	}
	d.set("", field{typ: d.root.Type()}, v, d.root)
}

func (d *decoder) fail(path string, at Origin, problem, allowed, suggest string) {
	d.errs = append(d.errs, Error{Path: path, At: at, Problem: problem, Allowed: allowed, Suggest: suggest})
}

func (d *decoder) notice(path string, at Origin, text string) {
	n := Notice{Path: path, At: at, Text: text}
	if !slices.Contains(d.notices, n) {
		d.notices = append(d.notices, n)
	}
}

// set reads v into dst. A key without a value (null) leaves the default.
func (d *decoder) set(path string, f field, v value, dst reflect.Value) {
	if v.form == formNull {
		return
	}
	if dst.Kind() == reflect.Pointer {
		if dst.IsNil() {
			dst.Set(fresh(dst.Type().Elem()))
		}
		dst = dst.Elem()
	}
	v, ok := d.unfold(path, f, v)
	if !ok {
		return
	}
	switch f.shape() {
	case shapeSection:
		if d.want(path, f, v, formMap) {
			d.setSection(path, v, dst)
		}
	case shapeKeyed:
		if d.want(path, f, v, formMap) {
			d.setKeyed(path, f, v, dst)
		}
	case shapeList:
		if d.want(path, f, v, formList) {
			d.setList(path, f, v, dst)
		}
	default:
		d.setLeaf(path, f, v, dst)
	}
}

// unfold gives the text of a variable or a flag the form that its target has: a
// list is comma-separated or JSON, a section is JSON.
func (d *decoder) unfold(path string, f field, v value) (value, bool) {
	if v.form != formPlain {
		return v, true
	}
	text := strings.TrimSpace(v.text)
	s := f.shape()
	if s == shapeList && strings.HasPrefix(text, "[") || (s == shapeSection || s == shapeKeyed) && strings.HasPrefix(text, "{") {
		inner, errs := parseYAML([]byte(text), Origin{})
		if len(errs) > 0 {
			d.fail(path, v.at, "found "+v.describe()+", which is not valid JSON", f.allowed(), "")
			return v, false
		}
		return relocate(inner, v.at), true
	}
	if s != shapeList {
		return v, true
	}
	list := value{form: formList, at: v.at}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list.items = append(list.items, value{form: formPlain, text: item, at: v.at})
		}
	}
	return list, true
}

// relocate gives a whole tree the place of the variable that held it.
func relocate(v value, at Origin) value {
	v.at = at
	for i := range v.items {
		v.items[i] = relocate(v.items[i], at)
	}
	for i := range v.entries {
		v.entries[i].at = at
		v.entries[i].value = relocate(v.entries[i].value, at)
	}
	return v
}

func (d *decoder) want(path string, f field, v value, form form) bool {
	if v.form == form {
		return true
	}
	d.fail(path, v.at, "found "+v.describe(), f.allowed(), "")
	return false
}

func (d *decoder) setSection(path string, v value, dst reflect.Value) {
	fields := fieldsOf(dst.Type())
	for _, e := range v.entries {
		at := join(path, e.key)
		means, old := d.legacy[at]
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == e.key })
		switch {
		case i >= 0:
			d.sections[at] = e.at
			to := dst.FieldByIndex(fields[i].index)
			before := to.Interface()
			d.set(at, fields[i], e.value, to)
			if old && !reflect.DeepEqual(before, to.Interface()) { // the default says nothing
				d.notice(at, e.at, means)
			}
		case d.setFromFile(path, e, fields, dst):
		case old:
			d.notice(at, e.at, means)
		default:
			if use, known := d.instead[at]; known {
				d.fail(at, e.at, "unknown key: "+use, "", "")
				continue
			}
			d.fail(at, e.at, "unknown key", "", d.suggest(path, e, fields))
		}
	}
}

// setFromFile reads the secret NAME from the file that the key NAME_file names.
func (d *decoder) setFromFile(path string, e entry, fields []field, dst reflect.Value) bool {
	name, twin := strings.CutSuffix(e.key, "_file")
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == name && f.secret && f.shape() == shapeString })
	if !twin || i < 0 {
		return false
	}
	target := join(path, name)
	if e.value.form != formString && e.value.form != formPlain {
		d.fail(join(path, e.key), e.value.at, "found "+e.value.describe(), "the path of a file", "")
		return true
	}
	text, err := os.ReadFile(e.value.text)
	if err != nil {
		d.fail(join(path, e.key), e.value.at, "cannot be read: "+err.Error(), "", "")
		return true
	}
	secret := value{form: formString, text: strings.TrimRight(string(text), "\r\n"), at: e.value.at}
	d.sections[target] = e.at
	d.set(target, fields[i], secret, dst.FieldByIndex(fields[i].index))
	return true
}

func (d *decoder) suggest(path string, e entry, fields []field) string {
	spell := func(p string) string {
		if e.at.isVariable() {
			return variable(p)
		}
		return p
	}
	if near := nearest(e.key, names(fields)); near != "" {
		return spell(join(path, near))
	}
	var elsewhere []string
	for _, p := range paths("", d.root.Type()) {
		if p == e.key || strings.HasSuffix(p, "."+e.key) {
			elsewhere = append(elsewhere, p)
		}
	}
	if len(elsewhere) == 1 {
		return spell(elsewhere[0])
	}
	return ""
}

func (d *decoder) setKeyed(path string, f field, v value, dst reflect.Value) {
	if dst.IsNil() {
		dst.Set(reflect.MakeMap(dst.Type()))
	}
	element := f.element()
	for _, e := range v.entries {
		at := join(path, e.key)
		item := fresh(element.typ).Elem()
		key := reflect.ValueOf(e.key).Convert(dst.Type().Key())
		if old := dst.MapIndex(key); old.IsValid() {
			item.Set(old)
		}
		d.sections[at] = e.at
		d.set(at, element, e.value, item)
		dst.SetMapIndex(key, item)
	}
}

// setList replaces the whole list: adding to a default would leave no way to
// remove from it.
func (d *decoder) setList(path string, f field, v value, dst reflect.Value) {
	element := f.element()
	list := reflect.MakeSlice(dst.Type(), 0, len(v.items))
	failed := len(d.errs)
	d.forget(path)
	for i, item := range v.items {
		at := path + "[" + strconv.Itoa(i) + "]"
		target := fresh(element.typ).Elem()
		if item.form == formNull {
			d.fail(at, item.at, "found nothing", element.allowed(), "")
			continue
		}
		d.sections[at] = item.at
		d.set(at, element, item, target)
		list = reflect.Append(list, target)
	}
	if len(d.errs) == failed {
		dst.Set(list)
	}
	d.origins[path] = v.at
}

// forget drops the places of a list's former items.
func (d *decoder) forget(path string) {
	for _, places := range []map[string]Origin{d.origins, d.sections} {
		for p := range places {
			if strings.HasPrefix(p, path+"[") {
				delete(places, p)
			}
		}
	}
}

func (d *decoder) setLeaf(path string, f field, v value, dst reflect.Value) {
	d.origins[path] = v.at
	err := setScalar(f, v, dst)
	if err == nil {
		return
	}
	found := "found " + v.describe()
	if f.secret {
		found = "found a secret that cannot be read"
	}
	switch {
	case errors.Is(err, errForm), errors.Is(err, errRange):
		d.fail(path, v.at, found, allowedFor(f, v), nearest(v.text, f.enum))
	default:
		d.fail(path, v.at, fmt.Sprintf("%s: %v", found, err), "", "")
	}
}

// allowedFor adds the way out of the commonest mistakes.
func allowedFor(f field, v value) string {
	allowed := f.allowed()
	switch s := f.shape(); {
	case f.secret:
		return allowed // repeating the value would reveal it
	case s == shapeString && len(f.enum) == 0 && (v.form == formInteger || v.form == formFloat || v.form == formBool):
		return fmt.Sprintf("%s; put it in quotes: %q", allowed, v.text)
	case s == shapeInteger && v.form == formString:
		if _, err := strconv.ParseInt(v.text, 10, 64); err == nil {
			return allowed + ", without quotes"
		}
	}
	return allowed
}

// fresh makes a pointer to a new t that has its type's defaults.
func fresh(t reflect.Type) reflect.Value {
	p := reflect.New(t)
	if d, ok := p.Interface().(interface{ SetDefaults() }); ok {
		d.SetDefaults()
	}
	return p
}

// paths lists every setting below a type; free keys of a map are written *.
func paths(prefix string, t reflect.Type) []string {
	var out []string
	for _, f := range fieldsOf(t) {
		out = append(out, pathsOf(join(prefix, f.name), f)...)
	}
	return out
}

func pathsOf(p string, f field) []string {
	switch f.shape() {
	case shapeSection:
		return paths(p, indirect(f.typ))
	case shapeKeyed:
		return pathsOf(p+".*", f.element())
	default:
		return []string{p}
	}
}
