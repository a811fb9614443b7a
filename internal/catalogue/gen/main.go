// Gen writes the documentation of the metrics: `go run ./gen FILE`.
package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/internal/catalogue"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen FILE")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], []byte(document()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "gen: writing the documentation:", err)
		os.Exit(1)
	}
}

const head = "<!-- Written by `make generate` from internal/catalogue; do not edit. -->\n" + `
# Metrics

Every service answers ` + "`/metrics`" + ` with the metrics of its process: those below, and the Go runtime's and the process's
own (` + "`go_…`, `process_…`" + `). Names, types and labels are declared once, in ` + "`internal/catalogue/`" + `, from which this page is
written; tests hold them to the rules there and compare them with what a running program shows.

A histogram has the series ` + "`_bucket`, `_sum` and `_count`" + `. Flags are 1 or 0.
`

// document is the whole page.
func document() string {
	var b strings.Builder
	b.WriteString(head)
	for _, a := range catalogue.Areas() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| name | type | unit | labels | meaning |\n|---|---|---|---|---|\n", a.Title, a.About)
		for _, m := range a.Metrics {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.Name, kind(m), m.Unit, code(m.Labels), m.Help)
		}
	}
	b.WriteString("\n## Labels\n\n| label | value |\n|---|---|\n")
	used := labels()
	for _, l := range catalogue.Labels() {
		if slices.Contains(used, l.Name) {
			fmt.Fprintf(&b, "| `%s` | %s |\n", l.Name, l.Meaning)
		}
	}
	b.WriteString("\n## Buckets\n\nUpper bounds of the classes of histogram, in the unit of the metric.\n\n| class | bounds |\n|---|---|\n")
	for _, c := range catalogue.Classes() {
		var bounds []string
		for _, x := range c.Bounds() {
			bounds = append(bounds, strconv.FormatFloat(x, 'f', -1, 64))
		}
		fmt.Fprintf(&b, "| %s | %s |\n", c, strings.Join(bounds, ", "))
	}
	return b.String()
}

func kind(m catalogue.Metric) string {
	if m.Buckets == "" {
		return string(m.Type)
	}
	return fmt.Sprintf("%s (%s)", m.Type, m.Buckets)
}

func code(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = "`" + n + "`"
	}
	return strings.Join(quoted, ", ")
}

// labels are all labels that metrics have.
func labels() []string {
	var all []string
	for _, m := range catalogue.All() {
		all = append(all, m.Labels...)
	}
	return all
}
