package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/joho/godotenv"
)

// prefix starts the name of every variable that is ours.
const prefix = "MARKETPRISM_"

// environmentVariable chooses the .env file: .env.<environment>.
const environmentVariable = prefix + "ENV"

var environmentName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// variable returns the name of the variable that sets a path:
// MARKETPRISM_DATA_STORAGE_SERVICE__PORT sets data-storage-service.port.
func variable(path string) string {
	segments := strings.Split(path, ".")
	for i, s := range segments {
		segments[i] = shout(s)
	}
	return prefix + strings.Join(segments, "__")
}

// shout writes one key the way variables do.
func shout(key string) string {
	return strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

// assignment is one variable with its value and its place.
type assignment struct {
	name, text string
	at         Origin
}

// processEnvironment returns our variables of an environment (NAME=value), in
// the order of their names.
func processEnvironment(environ []string) []assignment {
	var out []assignment
	for _, pair := range environ {
		name, text, ok := strings.Cut(pair, "=")
		if ok && strings.HasPrefix(name, prefix) {
			out = append(out, assignment{name, text, Origin{Source: SourceEnvironment, Name: name}})
		}
	}
	slices.SortFunc(out, func(a, b assignment) int { return strings.Compare(a.name, b.name) })
	return out
}

// dotEnv reads a .env file; a missing one is said by found.
func dotEnv(file string) (out []assignment, found bool, err error) {
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	variables, err := godotenv.UnmarshalBytes(text)
	if err != nil {
		return nil, true, fmt.Errorf("not valid dotenv: %w", err)
	}
	for name, content := range variables {
		if strings.HasPrefix(name, prefix) {
			at := Origin{Source: SourceDotEnv, File: file, Line: lineOf(string(text), name), Name: name}
			out = append(out, assignment{name, content, at})
		}
	}
	slices.SortFunc(out, func(a, b assignment) int { return a.at.Line - b.at.Line })
	return out, true, nil
}

// lineOf finds the last line that sets a variable, which is the one that counts.
func lineOf(text, name string) int {
	last := 0
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "export "))
		rest, ok := strings.CutPrefix(line, name)
		if rest = strings.TrimSpace(rest); ok && (strings.HasPrefix(rest, "=") || strings.HasPrefix(rest, ":")) {
			last = number
		}
	}
	return last
}

// applyVariables lays a set of variables over the settings. A name with __ is a
// path and must exist; one that would be a path if its _ were __ is a mistake;
// any other (MARKETPRISM_ENV) is not a setting.
func (d *decoder) applyVariables(all []assignment) {
	given := map[string]string{} // path -> variable
	for _, a := range all {
		tail := strings.TrimPrefix(a.name, prefix)
		if !strings.Contains(tail, "__") {
			d.checkPlainName(a)
			continue
		}
		path := d.resolve(strings.Split(tail, "__"))
		target := strings.TrimSuffix(strings.Join(path, "."), "_file")
		if other, twice := given[target]; twice {
			d.fail(target, a.at, "given twice, also by "+other, "", "")
			continue
		}
		given[target] = a.name
		d.apply(nest(path, a))
	}
}

func (d *decoder) checkPlainName(a assignment) {
	for _, p := range paths("", d.root.Type()) {
		if want := variable(p); strings.ReplaceAll(want, "__", "_") == a.name {
			d.fail("", a.at, "not a setting", "", want)
			return
		}
	}
}

// nest builds the map of maps in which the variable's text is the one leaf.
func nest(path []string, a assignment) value {
	v := value{form: formPlain, text: a.text, at: a.at}
	for _, key := range slices.Backward(path) {
		v = value{form: formMap, at: a.at, entries: []entry{{key: key, at: a.at, value: v}}}
	}
	return v
}

// resolve turns the segments of a name into the keys they stand for. What
// matches nothing stays, in lower case, and the decoder reports it.
func (d *decoder) resolve(segments []string) []string {
	out := make([]string, len(segments))
	here := d.root
	for i, segment := range segments {
		out[i] = strings.ToLower(segment)
		here = reflect.Indirect(here)
		switch {
		case !here.IsValid():
		case here.Kind() == reflect.Struct:
			here = matchField(here, segment, &out[i])
		case here.Kind() == reflect.Map:
			here = matchKey(here, segment, &out[i])
		default:
			here = reflect.Value{}
		}
	}
	return out
}

func matchField(section reflect.Value, segment string, key *string) reflect.Value {
	for _, f := range fieldsOf(section.Type()) {
		switch segment {
		case shout(f.name):
			*key = f.name
			next := section.FieldByIndex(f.index)
			if next.Kind() == reflect.Pointer && next.IsNil() {
				next = reflect.New(f.typ.Elem())
			}
			return next
		case shout(f.name) + "_FILE":
			*key = f.name + "_file"
		}
	}
	return reflect.Value{}
}

func matchKey(keyed reflect.Value, segment string, key *string) reflect.Value {
	for _, k := range keyed.MapKeys() {
		if shout(k.String()) == segment {
			*key = k.String()
			return keyed.MapIndex(k)
		}
	}
	return reflect.New(keyed.Type().Elem()).Elem()
}
