package alert

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Names of labels and annotations that have a meaning here.
const (
	NameLabel     = "alertname" // the rule's name
	SeverityLabel = "severity"  // critical, warning, info or none
	ServiceLabel  = "service"

	SummaryAnnotation     = "summary"     // one line
	DescriptionAnnotation = "description" // what happens, and what it means
	RunbookAnnotation     = "runbook_url"
)

// Label is one name and its value.
type Label struct{ Name, Value string }

// Labels are sorted by name; each name is there once, and no value is empty.
type Labels []Label

// LabelsOf makes Labels of a map; empty values are left out.
func LabelsOf(m map[string]string) Labels {
	ls := make(Labels, 0, len(m))
	for name, value := range m {
		if value != "" {
			ls = append(ls, Label{name, value})
		}
	}
	slices.SortFunc(ls, func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
	return ls
}

// Get is the value of a label; "" when it is absent.
func (ls Labels) Get(name string) string {
	at, found := slices.BinarySearchFunc(ls, name, func(l Label, name string) int { return cmp.Compare(l.Name, name) })
	if !found {
		return ""
	}
	return ls[at].Value
}

// Map is a copy as a map; never nil.
func (ls Labels) Map() map[string]string {
	m := make(map[string]string, len(ls))
	for _, l := range ls {
		m[l.Name] = l.Value
	}
	return m
}

// Only is what is left of ls when only these names stay.
func (ls Labels) Only(names ...string) Labels {
	kept := Labels{}
	for _, l := range ls {
		if slices.Contains(names, l.Name) {
			kept = append(kept, l)
		}
	}
	return kept
}

// Compare orders labels by their text.
func (ls Labels) Compare(other Labels) int {
	return slices.CompareFunc(ls, other, func(a, b Label) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value))
	})
}

// Fingerprint is the identity of what bears these labels.
type Fingerprint uint64

// String is 16 hexadecimal digits.
func (f Fingerprint) String() string {
	text := strconv.FormatUint(uint64(f), 16)
	return strings.Repeat("0", 16-len(text)) + text
}

// Fingerprint hashes names and values; equal labels have equal ones, in every
// process and version.
func (ls Labels) Fingerprint() Fingerprint {
	var d xxhash.Digest
	d.Reset()
	for _, l := range ls {
		_, _ = d.WriteString(l.Name) // a Digest takes everything
		_, _ = d.Write(separator)
		_, _ = d.WriteString(l.Value)
		_, _ = d.Write(separator)
	}
	return Fingerprint(d.Sum64())
}

// separator is no byte of valid UTF-8.
var separator = []byte{0xff}

// String is {name="value", …}.
func (ls Labels) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, l := range ls {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(l.Name + "=" + strconv.Quote(l.Value))
	}
	b.WriteByte('}')
	return b.String()
}

// MarshalJSON writes an object, sorted by name.
func (ls Labels) MarshalJSON() ([]byte, error) { return json.Marshal(ls.Map()) }

// UnmarshalJSON reads an object.
func (ls *Labels) UnmarshalJSON(text []byte) error {
	var m map[string]string
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	*ls = LabelsOf(m)
	return nil
}
