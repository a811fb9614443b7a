package connectorstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
)

// Shapes are the keys of JSON texts, by path, with the types of their values. Whole
// numbers are told from others, and texts that are numbers from those that are not.
type Shapes map[string]map[string]bool

// Add takes a text in, below a path.
func (s Shapes) Add(t testing.TB, path string, text []byte) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	s.walk(path, v, false)
}

// walk takes a value in. An array inside of another is a row, such as a level of a book:
// its columns differ, the elements of any other array are alike.
func (s Shapes) walk(path string, v any, row bool) {
	kind := fmt.Sprintf("%T", v)
	switch v := v.(type) {
	case map[string]any:
		kind = "object"
		for key, member := range v {
			s.walk(path+"."+key, member, false)
		}
	case []any:
		kind = "array"
		for i, e := range v {
			if !row {
				i = 0
			}
			s.walk(fmt.Sprintf("%s[%d]", path, i), e, true)
		}
	case json.Number:
		kind = "integer"
		if strings.ContainsAny(v.String(), ".eE") {
			kind = "fraction"
		}
	case string:
		if _, err := market.ParseDecimal([]byte(v)); err == nil {
			kind = "number in text"
		}
	}
	if s[path] == nil {
		s[path] = map[string]bool{}
	}
	s[path][kind] = true
}

// CompareShapes checks that got has every path of want and none beside those since,
// which the exchange has added after it was recorded, with no type that want has not.
func CompareShapes(t testing.TB, want, got Shapes, since []string) {
	t.Helper()
	if len(want) < 10 {
		t.Fatalf("only %d keys to compare with", len(want))
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if got[path] == nil {
			t.Errorf("%s is missing: the exchange sends it", path)
			continue
		}
		for kind := range got[path] {
			if !want[path][kind] {
				t.Errorf("%s: %s, the exchange sends %v", path, kind, want[path])
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(got)) {
		if want[path] == nil && !slices.Contains(since, path) {
			t.Errorf("%s: the exchange does not send it", path)
		}
	}
}
