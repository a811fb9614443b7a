package documents

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

//go:generate go test -run ^TestSettings$ . -update

const settingsPage = "docs/settings.md"

// TestSettings: docs/settings.md has every setting with its default, as the JSON Schemas
// have them, which are made of the code. With -update it is written.
func TestSettings(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Settings

Every setting, with its default. This page is made of the JSON Schemas in ` + "`config/schema/`" + `, and those of the code; how settings are
given, as files, variables and flags, is in [configuration](configuration.md). A duration is written ` + "`250ms`, `30s`, `24h`, `7d`" + `, a size ` + "`512MiB`" + `.
An empty default is left to the program; the meaning says what it takes.
`)
	services := readSchema(t, "services")
	for _, name := range slices.Sorted(maps.Keys(services.Properties)) {
		if name == "services" || name == "exchanges" { // the same again; and below
			continue
		}
		services.Properties[name].write(&b, name)
	}
	fmt.Fprintf(&b, "\n## exchanges/EXCHANGE.yaml\n\nOf one exchange; what the built-in ones say is in `config/exchanges/`.\n")
	table(&b, readSchema(t, "exchange"), "")
	if *update {
		if err := os.WriteFile("../../"+settingsPage, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if shownPage(t, settingsPage) != b.String() {
		t.Errorf("%s is not what the schemas say: go test ./tests/documents -run TestSettings -update", settingsPage)
	}
}

// write writes a section: its own settings, then its sections.
func (s *setting) write(b *strings.Builder, name string) {
	fmt.Fprintf(b, "\n## %s\n", name)
	if s.Description != "" {
		fmt.Fprintf(b, "\n%s\n", s.Description)
	}
	own := setting{Properties: map[string]*setting{}}
	for key, below := range s.Properties {
		if len(below.Properties) == 0 {
			own.Properties[key] = below
		}
	}
	if len(own.Properties) > 0 {
		table(b, &own, "")
	}
	for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
		below := s.Properties[key]
		if len(below.Properties) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n### %s.%s\n", name, key)
		if below.Description != "" {
			fmt.Fprintf(b, "\n%s\n", below.Description)
		}
		table(b, below, "")
	}
}

func table(b *strings.Builder, s *setting, within string) {
	if within == "" {
		fmt.Fprintf(b, "\n| setting | value | default | |\n|---|---|---|---|\n")
	}
	for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
		rows(b, s.Properties[key], within+key)
	}
}

// rows writes a setting, and those below it.
func rows(b *strings.Builder, s *setting, name string) {
	of := s
	if below := s.each(); below != nil {
		of, name = below, name+".NAME"
	}
	if s.Items != nil && len(s.Items.Properties) > 0 {
		of, name = s.Items, name+"[]"
	}
	if len(of.Properties) > 0 {
		if s.Description != "" {
			fmt.Fprintf(b, "| `%s` | | | *%s* |\n", name, cell(s.Description))
		}
		table(b, of, name+".")
		return
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, of.value(), s.otherwise(), cell(s.Description))
}

// value says what a setting may be.
func (s *setting) value() string {
	switch {
	case len(s.Enum) > 0:
		return "`" + strings.Join(s.Enum, "`, `") + "`"
	case s.Items != nil:
		return "list of " + s.Items.value()
	case len(s.AnyOf) > 0 && strings.Contains(s.AnyOf[0].Pattern, "KiB"):
		return "size"
	case len(s.AnyOf) > 0:
		return "duration"
	}
	text := fmt.Sprint(s.Type)
	if text == "string" {
		return "text"
	}
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		text += fmt.Sprintf(", %v to %v", *s.Minimum, *s.Maximum)
	case s.Minimum != nil:
		text += fmt.Sprintf(", at least %v", *s.Minimum)
	case s.Maximum != nil:
		text += fmt.Sprintf(", at most %v", *s.Maximum)
	}
	return text
}

// otherwise is the default, as YAML writes it.
func (s *setting) otherwise() string {
	if text := string(s.Default); text == "" || text == `""` || text == "[]" || text == "{}" || text == "null" {
		return ""
	}
	var word string
	if json.Unmarshal(s.Default, &word) == nil {
		return "`" + cell(word) + "`"
	}
	var compact bytes.Buffer
	if json.Compact(&compact, s.Default) != nil {
		return ""
	}
	return "`" + cell(compact.String()) + "`"
}
