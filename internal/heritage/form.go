package heritage

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var freeze = flag.Bool("freeze", false, "keep the form of documents that have fields which no line of testdata/kept has")

// Form is one kind of document.
type Form struct {
	// Name is that of the file in testdata/kept, without its ending.
	Name string
	// Of is the zero value of what it is written from and read into.
	Of any
	// Values are those of types that write themselves: of each one that this program
	// writes.
	Values []any
}

// Check holds forms to what is kept of them.
func Check(t *testing.T, forms ...Form) {
	t.Helper()
	for _, f := range forms {
		t.Run(f.Name, func(t *testing.T) { f.check(t) })
	}
}

func (f Form) path() string { return filepath.Join("testdata", "kept", f.Name+".jsonl") }

func (f Form) check(t *testing.T) {
	now, err := f.today()
	if err != nil {
		t.Fatal(err)
	}
	lines, err := f.lines()
	if err != nil {
		t.Fatal(err)
	}
	var newest any = map[string]any{}
	if len(lines) > 0 {
		newest = parsed(t, lines[len(lines)-1])
	}
	for i, line := range lines {
		f.reads(t, fmt.Sprintf("line %d", i+1), line)
	}
	for _, lost := range lacks(newest, parsed(t, now), "", false) {
		t.Errorf("%s: other versions read %s, which this one does not write", f.path(), lost)
	}
	fresh := lacks(parsed(t, now), newest, "", false)
	switch {
	case len(fresh) == 0 || t.Failed():
	case *freeze:
		if err := f.keep(now); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s has not %s: keep it by go test -run '%s' -freeze", f.path(), strings.Join(fresh, ", "), t.Name())
	}
}

// reads holds this program to reading a line whole.
func (f Form) reads(t *testing.T, what string, line []byte) {
	t.Helper()
	kept := parsed(t, line)
	again := f.through(t, what, line)
	for _, lost := range lacks(kept, again, "", true) {
		t.Errorf("%s: %s: %s is not read", f.path(), what, lost)
	}
	later, err := json.Marshal(extended(kept, reflect.TypeOf(f.Of)))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f.through(t, what+" of a later version", later), again) {
		t.Errorf("%s: %s: fields that are not known change what is read", f.path(), what)
	}
}

// through reads a document and writes it again.
func (f Form) through(t *testing.T, what string, text []byte) any {
	t.Helper()
	into := reflect.New(reflect.TypeOf(f.Of))
	if err := json.Unmarshal(text, into.Interface()); err != nil {
		t.Fatalf("%s: %s: %v", f.path(), what, err)
	}
	out, err := json.Marshal(into.Interface())
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, out)
}

// today is what this program writes, with every field set.
func (f Form) today() ([]byte, error) {
	v := reflect.New(reflect.TypeOf(f.Of)).Elem()
	w := filler{values: map[reflect.Type]reflect.Value{}}
	for _, one := range f.Values {
		w.values[reflect.TypeOf(one)] = reflect.ValueOf(one)
	}
	if err := w.fill(v, "value"); err != nil {
		return nil, fmt.Errorf("a whole %s: %w", f.Name, err)
	}
	return json.Marshal(v.Interface())
}

func (f Form) lines() (all [][]byte, err error) {
	text, err := os.ReadFile(f.path())
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		all = append(all, bytes.TrimSpace(line))
	}
	return all, nil
}

func (f Form) keep(line []byte) error {
	if err := os.MkdirAll(filepath.Dir(f.path()), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(f.path(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

func parsed(t *testing.T, text []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// lacks lists what one document has and another has not: a member, an element, another
// kind of value; and with values another value.
func lacks(want, have any, at string, values bool) (lost []string) {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			return []string{at + "{}"}
		}
		for _, name := range slices.Sorted(maps.Keys(w)) {
			v, there := h[name]
			if !there {
				lost = append(lost, at+"."+name)
				continue
			}
			lost = append(lost, lacks(w[name], v, at+"."+name, values)...)
		}
		return lost
	case []any:
		h, ok := have.([]any)
		if !ok || len(h) < len(w) {
			return []string{at + "[]"}
		}
		for i := range w {
			lost = append(lost, lacks(w[i], h[i], fmt.Sprintf("%s[%d]", at, i), values)...)
		}
		return lost
	}
	if reflect.TypeOf(want) != reflect.TypeOf(have) || values && want != have {
		return []string{fmt.Sprintf("%s=%v (%T)", at, want, want)}
	}
	return nil
}

// extended is a document of a type in which every object, where that is a struct, has a
// field that nobody knows.
func extended(v any, t reflect.Type) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := v.(type) {
	case map[string]any:
		if t.Kind() != reflect.Struct && t.Kind() != reflect.Map || reflect.PointerTo(t).Implements(readsItself) {
			return v
		}
		out := map[string]any{}
		if t.Kind() == reflect.Struct {
			out["of_a_later_version"] = map[string]any{"x": []any{1, "y"}}
		}
		members := membersOf(t)
		for name, one := range v {
			if out[name] = one; t.Kind() == reflect.Map {
				out[name] = extended(one, t.Elem())
			} else if member, ok := members[name]; ok {
				out[name] = extended(one, member)
			}
		}
		return out
	case []any:
		if t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
			return v
		}
		out := []any{}
		for _, one := range v {
			out = append(out, extended(one, t.Elem()))
		}
		return out
	}
	return v
}

// membersOf are the types of a struct's members in JSON, by name.
func membersOf(t reflect.Type) map[string]reflect.Type {
	members := map[string]reflect.Type{}
	if t.Kind() != reflect.Struct {
		return members
	}
	for _, f := range reflect.VisibleFields(t) {
		if name, ok := nameOf(f); ok && !f.Anonymous {
			members[name] = f.Type
		}
	}
	return members
}
