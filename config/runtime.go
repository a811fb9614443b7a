package config

import (
	"io"
	"slices"
	"strings"
)

// RunTimeList is a list of words that a running service was told to change, over what
// it was configured with.
type RunTimeList struct {
	Path string // of the setting
	// Items are in force now.
	Items []string
	// By names who was asked, for the origin.
	By string
	// Notes tell the changes; each stands below the setting as a comment.
	Notes []string
}

// ShowWith is [Loaded.Show] with what running services were told to change: a list
// whose items differ from those that were read has the origin runtime. The notes of a
// setting that is unknown here stand at the end.
func (l *Loaded) ShowWith(w io.Writer, origins bool, running []RunTimeList) error {
	lines := l.lines()
	for _, r := range running {
		i := slices.IndexFunc(lines, func(l line) bool { return l.path == r.Path })
		if i < 0 {
			lines = append(lines, notes("", r.Path+": ", r.Notes)...)
			continue
		}
		at := &lines[i]
		indent := at.text[:len(at.text)-len(strings.TrimLeft(at.text, " "))]
		quoted := make([]string, len(r.Items))
		for k, s := range r.Items {
			quoted[k] = quote(s)
		}
		if value := "[" + strings.Join(quoted, ", ") + "]"; value != at.value {
			key, _, _ := strings.Cut(at.text, ":")
			*at = line{text: key + ": " + value, path: r.Path, value: value, origin: Origin{Source: SourceRuntime, Name: r.By}}
		}
		lines = slices.Insert(lines, i+1, notes(indent, "", r.Notes)...)
	}
	return write(w, lines, origins)
}

func notes(indent, where string, all []string) (out []line) {
	for _, n := range all {
		out = append(out, line{text: indent + "# runtime: " + where + n})
	}
	return out
}
