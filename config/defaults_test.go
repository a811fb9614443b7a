package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestPublishedDefaults: services.yaml says every setting, and says of each what
// the code says.
func TestPublishedDefaults(t *testing.T) {
	text, err := published.ReadFile("services.yaml")
	if err != nil {
		t.Fatal(err)
	}
	v, errs := parseYAML(text, Origin{Source: SourceFile, File: "services.yaml"})
	var got Config
	d := newDecoder(&got, nil)
	d.apply(v)
	if len(errs)+len(d.errs) > 0 {
		t.Fatal(errs, d.errs)
	}
	if want := Default(); !reflect.DeepEqual(got, want) {
		t.Errorf("services.yaml gives\n%+v\nthe code\n%+v", got, want)
	}
	for _, path := range paths("", reflect.TypeFor[Config]()) {
		if _, said := d.origins[path]; !said && !strings.HasPrefix(path, "exchanges.") {
			t.Errorf("services.yaml does not say %s", path)
		}
	}
}

// defaults are the built-in defaults with the built-in exchanges.
func defaults() Config {
	c := Default()
	c.Exchanges = Exchanges()
	return c
}

func TestDefaultsPass(t *testing.T) {
	l, err := Load(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Notices) > 0 || l.File != "" {
		t.Errorf("built-in defaults: file %q, notices %v", l.File, l.Notices)
	}
	if want := defaults(); !reflect.DeepEqual(l.Config, want) {
		t.Errorf("got %+v, want %+v", l.Config, want)
	}
}

func TestInit(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "config")
	written, err := Init(target)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"services.yaml", "exchanges/binance.yaml", "schema/services.schema.json", ".env.production.example"} {
		if !slices.Contains(written, filepath.Join(target, name)) {
			t.Errorf("%s was not written; got %q", name, written)
		}
	}
	l, err := Load(Options{Dir: dir})
	if err != nil {
		t.Fatalf("what Init wrote is refused: %v", err)
	}
	if want := defaults(); !reflect.DeepEqual(l.Config, want) {
		t.Errorf("got %+v, want %+v", l.Config, want)
	}
	for _, name := range []string{"production", "development"} {
		file := filepath.Join(target, ".env."+name)
		if err := os.Rename(file+".example", file); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(Options{Dir: dir, Environ: []string{"MARKETPRISM_ENV=" + name}}); err != nil {
			t.Errorf("the example for %s is refused: %v", name, err)
		}
	}
}

func TestInitOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "services.yaml")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	written, err := Init(dir)
	if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), mine) || len(written) != 0 {
		t.Errorf("got %q, %v", written, err)
	}
	if text, err := os.ReadFile(mine); err != nil || string(text) != "mine" {
		t.Errorf("the file is now %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "exchanges")); !os.IsNotExist(err) {
		t.Errorf("something was written: %v", err)
	}
}
