package heritage

import (
	"slices"
	"testing"
)

type inner struct {
	Text string `json:"text"`
}

type outer struct {
	Name  string           `json:"name"`
	Many  []inner          `json:"many,omitempty"`
	ByKey map[string]inner `json:"by_key"`
	At    *int             `json:"at,omitempty"`
	Left  string           `json:"-"`
}

// TestToday: whatever is written is set.
func TestToday(t *testing.T) {
	text, err := Form{Name: "outer", Of: outer{}}.today()
	if want := `{"name":"name","many":[{"text":"text"}],"by_key":{"by_key key":{"text":"text"}},"at":1}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}

// TestLacks: what is gone, of another kind, or of another value is found.
func TestLacks(t *testing.T) {
	want := parsed(t, []byte(`{"name":"a","many":[{"text":"b"}],"at":1}`))
	for _, c := range []struct {
		have   string
		values bool
		lost   []string
	}{
		{`{"name":"a","many":[{"text":"b","more":1}],"at":1,"new":{}}`, true, nil},
		{`{"name":"x","many":[{"text":"y"}],"at":2}`, false, nil},
		{`{"name":"x","many":[{"text":"b"}],"at":1}`, true, []string{".name=a (string)"}},
		{`{"nom":"a","many":[{"text":"b"}],"at":1}`, false, []string{".name"}},
		{`{"name":"a","many":[],"at":1}`, false, []string{".many[]"}},
		{`{"name":"a","many":[{}],"at":"1"}`, false, []string{".at=1 (json.Number)", ".many[0].text"}},
	} {
		if lost := lacks(want, parsed(t, []byte(c.have)), "", c.values); !slices.Equal(lost, c.lost) {
			t.Errorf("%s lacks %q, want %q", c.have, lost, c.lost)
		}
	}
}

// TestThrough: a field that was renamed is lost on its way through.
func TestThrough(t *testing.T) {
	f := Form{Name: "outer", Of: outer{}}
	old := []byte(`{"name":"a","many":[{"old_text":"b"}],"by_key":{}}`)
	if lost := lacks(parsed(t, old), f.through(t, "a line", old), "", true); !slices.Equal(lost, []string{".many[0].old_text"}) {
		t.Errorf("lost %q", lost)
	}
	whole := []byte(`{"name":"a","many":[{"text":"b"}],"by_key":{"k":{"text":"c"}},"at":3}`)
	f.reads(t, "a line", whole)
}
