package config

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/marketprism/marketprism/connectors"
)

// published are the commented defaults: what `config init` writes, and the
// built-in description of each exchange.
//
//go:embed services.yaml exchanges/*.yaml schema/*.json .env.production.example .env.development.example
var published embed.FS

// embeddedExchanges lays the built-in description of each exchange.
func (d *decoder) embeddedExchanges() {
	files, err := fs.Glob(published, "exchanges/*.yaml")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for _, file := range files {
		text, err := published.ReadFile(file)
		if err != nil {
			panic(err) // it is in the binary
		}
		v, errs := parseYAML(text, Origin{Source: SourceDefault, File: file})
		d.errs = append(d.errs, errs...)
		d.applyExchange(strings.TrimSuffix(path.Base(file), ".yaml"), v)
	}
}

// Exchanges returns the built-in description of each exchange, which must be
// what its package's DefaultConfig says. Each call returns a new map.
func Exchanges() map[string]connectors.Config {
	var c Config
	newDecoder(&c, nil).embeddedExchanges()
	return c.Exchanges
}

// Defaults lists every setting as it is when nothing is given, in the order of the file. Of
// lists and maps only what the program itself puts into them is there.
func Defaults() []Setting {
	l := &Loaded{Config: Default()}
	l.state = newDecoder(&l.Config, nil)
	l.state.embeddedExchanges()
	return l.Settings()
}

// Init writes the commented defaults into dir (services.yaml, exchanges/,
// schema/ for editors, and examples of .env files) and returns the paths that
// it wrote. It overwrites nothing: when one of the files exists, it writes none
// and the error names them all.
func Init(dir string) ([]string, error) {
	var names []string
	err := fs.WalkDir(published, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the defaults: %w", err)
	}
	var exist []error
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			exist = append(exist, fmt.Errorf("%s: %w", filepath.Join(dir, name), fs.ErrExist))
		}
	}
	if len(exist) > 0 {
		return nil, errors.Join(exist...)
	}
	var written []string
	for _, name := range names {
		target := filepath.Join(dir, name)
		if err := publishFile(name, target); err != nil {
			return written, err
		}
		written = append(written, target)
	}
	return written, nil
}

func publishFile(name, target string) error {
	text, err := published.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read the default %s: %w", name, err)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("make the folder of %s: %w", target, err)
	}
	f, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write the default %s: %w", name, err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the default %s: %w", target, err)
	}
	return nil
}
