package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Override is one setting given by the command line or decided by a command.
type Override struct {
	Path string // such as node.data_dir
	Text string // as a variable would hold it
	Name string // of the flag or of the command, for Origin
}

// Options says where to look. Load reads the files named by it and nothing of
// the process: the caller passes os.Environ().
type Options struct {
	Path    string     // services.yaml as given by -c; it must exist
	Dir     string     // working directory; "" is the process's
	Environ []string   // NAME=value; nil is none
	Flags   []Override // from the command line
	Runtime []Override // decided by the command itself, above everything else
}

// Loaded is a configuration that passed every check, with the place where each
// of its settings was given. It is not changed after Load.
type Loaded struct {
	Config  Config
	File    string   // services.yaml that was read; "" when only the built-in defaults were
	DotEnv  string   // .env file that was read; "" for none
	Notices []Notice // what the program says once at start

	state *decoder
}

// Setting is one effective value; a secret is redacted.
type Setting struct {
	Path   string
	Value  string
	Origin Origin
}

var exchangeName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// Load reads every layer, later over earlier: built-in defaults, exchanges/*.yaml
// and services.yaml, .env.<environment>, variables, flags, runtime. It returns
// Errors with everything that is wrong, not only the first.
//
// Load has no effect beyond reading, so it can be called again to see whether a
// changed file would be accepted.
func Load(o Options) (*Loaded, error) {
	l := &Loaded{Config: Default()}
	l.state = newDecoder(&l.Config, legacyKeys)
	l.state.instead = insteadKeys
	d := l.state

	d.embeddedExchanges()
	dir := d.files(o, l)
	d.variables(o, dir, l)
	d.overrides(o.Flags, SourceFlag)
	d.overrides(o.Runtime, SourceRuntime)

	d.validate()
	d.checkPorts(&l.Config)
	d.checkAuth(&l.Config)
	d.checkExchanges(&l.Config)
	d.checkDataDir(&l.Config, o.Dir)

	l.Notices = d.notices
	if len(d.errs) > 0 {
		return nil, d.errs.sorted()
	}
	return l, nil
}

// files reads services.yaml and exchanges/ beside it, and returns their folder.
func (d *decoder) files(o Options, l *Loaded) string {
	file := o.Path
	if file == "" {
		file = filepath.Join(o.Dir, "config", "services.yaml")
		if _, err := os.Stat(file); err != nil && os.IsNotExist(err) {
			file = "" // the embedded file equals the built-in defaults
		}
	}
	dir := filepath.Join(o.Dir, "config")
	if file != "" {
		dir = filepath.Dir(file)
	}
	d.exchangeFiles(filepath.Join(dir, "exchanges"))
	if file != "" {
		l.File = file
		if v, ok := d.read(file); ok {
			d.apply(d.ungroup(v))
		}
	}
	return dir
}

func (d *decoder) read(file string) (value, bool) {
	at := Origin{Source: SourceFile, File: file}
	text, err := os.ReadFile(file)
	if err != nil {
		d.fail("", at, "cannot be read: "+reason(err), "a services.yaml; `config init` writes one", "")
		return value{}, false
	}
	v, errs := parseYAML(text, at)
	d.errs = append(d.errs, errs...)
	return v, v.form != formNull
}

// reason drops the path that an *os.PathError repeats.
func reason(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func (d *decoder) exchangeFiles(dir string) {
	found, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		d.fail("", Origin{Source: SourceFile, File: dir}, "cannot be read: "+reason(err), "", "")
		return
	}
	for _, entry := range found {
		file := filepath.Join(dir, entry.Name())
		name, isYAML := strings.CutSuffix(entry.Name(), ".yaml")
		switch {
		case entry.IsDir() || strings.HasPrefix(name, "."):
		case !isYAML || !exchangeName.MatchString(name):
			d.notice("", Origin{Source: SourceFile, File: file}, "not read: an exchange is described in <exchange>.yaml, in lower case")
		default:
			if v, ok := d.read(file); ok {
				d.applyExchange(name, v)
			}
		}
	}
}

func (d *decoder) applyExchange(name string, v value) {
	at := v.at
	at.Line, at.Column = 0, 0
	inner := value{form: formMap, at: at, entries: []entry{{key: name, at: at, value: v}}}
	d.apply(value{form: formMap, at: at, entries: []entry{{key: "exchanges", at: at, value: inner}}})
}

// ungroup lifts what stands under services: to the top level.
func (d *decoder) ungroup(v value) value {
	i := slices.IndexFunc(v.entries, func(e entry) bool { return e.key == "services" })
	if i < 0 {
		return v
	}
	group := v.entries[i]
	v.entries = slices.Delete(slices.Clone(v.entries), i, i+1)
	if group.value.form != formMap && group.value.form != formNull {
		d.fail("services", group.value.at, "found "+group.value.describe(), "a map with the keys "+strings.Join(serviceNames, ", "), "")
	}
	for _, e := range group.value.entries {
		switch {
		case !slices.Contains(serviceNames, e.key):
			d.fail("services."+e.key, e.at, "unknown key", "", nearest(e.key, serviceNames))
		case slices.ContainsFunc(v.entries, func(top entry) bool { return top.key == e.key }):
			d.fail("services."+e.key, e.at, "given twice, also at the top level", "", "")
		default:
			v.entries = append(v.entries, e)
		}
	}
	return v
}

// variables reads the .env file that MARKETPRISM_ENV chooses, then the
// environment itself.
func (d *decoder) variables(o Options, dir string, l *Loaded) {
	process := processEnvironment(o.Environ)
	i := slices.IndexFunc(process, func(a assignment) bool { return a.name == environmentVariable })
	if i >= 0 && process[i].text != "" {
		d.dotEnvFile(process[i], dir, l)
	}
	d.applyVariables(process)
}

func (d *decoder) dotEnvFile(chosen assignment, dir string, l *Loaded) {
	if !environmentName.MatchString(chosen.text) {
		d.fail("", chosen.at, fmt.Sprintf("found %q", chosen.text), "the name of an environment, such as production or development", "")
		return
	}
	file := filepath.Join(dir, ".env."+chosen.text)
	all, found, err := dotEnv(file)
	switch {
	case err != nil:
		d.fail("", Origin{Source: SourceDotEnv, File: file}, reason(err), "", "")
	case !found:
		d.notice("", chosen.at, file+" does not exist; nothing was read from it")
	default:
		l.DotEnv = file
		d.applyVariables(all)
	}
}

func (d *decoder) overrides(all []Override, source Source) {
	for _, o := range all {
		a := assignment{name: o.Name, text: o.Text, at: Origin{Source: source, Name: o.Name}}
		d.apply(nest(strings.Split(o.Path, "."), a))
	}
}

// Origin returns where a setting was given. ok is false when there is no such
// setting.
func (l *Loaded) Origin(path string) (o Origin, ok bool) {
	if _, _, ok = l.state.lookup(path); !ok {
		return Origin{}, false
	}
	return l.state.origins[path], true
}

// Settings lists every effective setting in the order of the file, secrets
// redacted. It is what /config serves.
func (l *Loaded) Settings() []Setting {
	var out []Setting
	for _, line := range l.lines() {
		if line.path != "" {
			out = append(out, Setting{Path: line.path, Value: line.value, Origin: line.origin})
		}
	}
	return out
}

// Show writes the effective configuration as YAML that can be read again
// (except for secrets, which are redacted); with origins, each setting is
// followed by a comment that says where it was given.
func (l *Loaded) Show(w io.Writer, origins bool) error {
	return write(w, l.lines(), origins)
}

func (l *Loaded) lines() []line {
	root := reflect.ValueOf(&l.Config).Elem()
	return l.state.lines("", field{typ: root.Type()}, root, "")
}

// Check loads the configuration and writes what a user wants to know about it:
// the sources that were read and the notices. The error is that of Load, or what a
// start of the services would refuse; none names all.
func Check(w io.Writer, o Options, services ...string) error {
	l, err := Load(o)
	if err != nil {
		return err
	}
	if len(services) == 0 || slices.Contains(services, storageService) {
		l.state.checkCold(&l.Config)
	}
	if len(l.state.errs) > 0 {
		return l.state.errs.sorted()
	}
	file := l.File
	if file == "" {
		file = "built-in defaults"
	}
	if l.DotEnv != "" {
		file += ", " + l.DotEnv
	}
	given := 0
	for _, s := range l.Settings() {
		if s.Origin.Source != SourceDefault {
			given++
		}
	}
	for _, n := range l.Notices {
		if _, err := fmt.Fprintln(w, "notice:", n); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "%s: ok, %d settings given\n", file, given)
	return err
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
