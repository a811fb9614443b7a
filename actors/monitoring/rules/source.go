package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/marketprism/marketprism/actors/monitoring/promql"
)

// File is a rule file.
type File struct {
	Name    string
	Content []byte
}

// Source reads rule files.
type Source func() ([]File, error)

// Files are those that one of the patterns matches. A pattern without * that matches
// nothing is an error.
func Files(patterns []string) Source {
	return func() ([]File, error) {
		var out []File
		for _, p := range patterns {
			names, err := filepath.Glob(p)
			if err != nil {
				return nil, fmt.Errorf("rule files %q: %w", p, err)
			}
			if len(names) == 0 && !bytes.ContainsAny([]byte(p), "*?[") {
				names = []string{p}
			}
			for _, name := range names {
				if slices.ContainsFunc(out, func(f File) bool { return f.Name == name }) {
					continue
				}
				content, err := os.ReadFile(name)
				if err != nil {
					return nil, fmt.Errorf("reading rules: %w", err)
				}
				out = append(out, File{name, content})
			}
		}
		return out, nil
	}
}

// Embedded are all .yaml files of a file system.
func Embedded(from fs.FS) Source {
	return func() ([]File, error) {
		names, err := fs.Glob(from, "*.yaml")
		if err != nil {
			return nil, fmt.Errorf("reading the built-in rules: %w", err)
		}
		var out []File
		for _, name := range names {
			content, err := fs.ReadFile(from, name)
			if err != nil {
				return nil, fmt.Errorf("reading the built-in rules: %w", err)
			}
			out = append(out, File{name, content})
		}
		return out, nil
	}
}

// parse reads all files; every fault of every file is in the error.
func parse(files []File) (map[string][]promql.Group, error) {
	var errs []error
	out := map[string][]promql.Group{}
	for _, f := range files {
		groups, faults := promql.ParseRules(f.Content)
		for _, fault := range faults {
			errs = append(errs, fmt.Errorf("%s: %w", f.Name, fault))
		}
		out[f.Name] = groups
	}
	return out, errors.Join(errs...)
}
