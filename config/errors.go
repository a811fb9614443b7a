package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing that is wrong with a configuration.
type Error struct {
	Path    string // the setting, such as data-storage-service.port; empty when a whole source is unusable
	At      Origin // where it was given
	Problem string // what is wrong: "unknown key", "found …"
	Allowed string // what would be right; may be empty
	Suggest string // what was probably meant; may be empty
}

// Error returns "file:line:column: path: problem; allowed: …; did you mean …?".
func (e Error) Error() string {
	var b strings.Builder
	b.WriteString(e.At.String())
	if e.Path != "" {
		b.WriteString(": " + e.Path)
	}
	b.WriteString(": " + e.Problem)
	if e.Allowed != "" {
		b.WriteString("; allowed: " + e.Allowed)
	}
	if e.Suggest != "" {
		fmt.Fprintf(&b, "; did you mean %s?", e.Suggest)
	}
	return b.String()
}

// Errors is everything that is wrong with a configuration, in the order of the
// sources and, in a file, of its lines. Load returns all of them at once.
type Errors []Error

// Error returns one line for each error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find a single Error.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i := range e {
		all[i] = e[i]
	}
	return all
}

func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(
			cmp.Compare(a.At.Source, b.At.Source),
			strings.Compare(a.At.File, b.At.File),
			cmp.Compare(a.At.Line, b.At.Line),
			cmp.Compare(a.At.Column, b.At.Column),
			strings.Compare(a.At.Name, b.At.Name),
			strings.Compare(a.Path, b.Path),
		)
	})
	return e
}

// Notice is something that a user should know about a configuration that is
// used all the same; the program logs each once at start.
type Notice struct {
	Path string
	At   Origin
	Text string
}

// String returns "place: path: text".
func (n Notice) String() string {
	if n.Path == "" {
		return n.At.String() + ": " + n.Text
	}
	return n.At.String() + ": " + n.Path + ": " + n.Text
}
