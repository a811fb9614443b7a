package notify

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

func labels(pairs ...string) alert.Labels {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return alert.LabelsOf(m)
}

// TestMatcher: the cases are those of Alertmanager's documentation of matchers.
func TestMatcher(t *testing.T) {
	ls := labels("service", "broker", "quote", `a"b`)
	for _, tt := range []struct {
		text string
		want bool
	}{
		{`service="broker"`, true},
		{`service=broker`, true},
		{`service = broker `, true},
		{`service="brok"`, false},
		{`service!="broker"`, false},
		{`service!="storage"`, true},
		{`service=~"bro.*"`, true},
		{`service=~"bro"`, false}, // anchored
		{`service=~"a|broker"`, true},
		{`service!~"bro.*"`, false},
		{`service!~"bro"`, true},
		{`absent=""`, true},
		{`absent!=""`, false},
		{`absent=~".*"`, true},
		{`absent=~".+"`, false},
		{`quote="a\"b"`, true},
	} {
		m, err := ParseMatcher(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got := m.Matches(ls); got != tt.want {
			t.Errorf("%s matches %v, want %v", tt.text, got, tt.want)
		}
		again, err := ParseMatcher(m.String())
		if err != nil || again.Matches(ls) != tt.want {
			t.Errorf("%s is written as %s, which is not the same (%v)", tt.text, m, err)
		}
		text, err := json.Marshal(m)
		var back Matcher
		if err != nil || json.Unmarshal(text, &back) != nil || back.Matches(ls) != tt.want {
			t.Errorf("%s is not the same after JSON %s", tt.text, text)
		}
	}
	for _, text := range []string{"", "service", `=x`, `1a="b"`, `a=~"("`, `a="b`, `a~b`, `a="` + strings.Repeat("x", 2000) + `"`} {
		if m, err := ParseMatcher(text); err == nil {
			t.Errorf("%.40q was read as %s", text, m)
		}
	}
}

func TestSilenceIsChecked(t *testing.T) {
	now := time.Date(2024, 8, 8, 12, 0, 0, 0, time.UTC)
	good := func() Silence {
		m, err := NewMatcher("service", Equal, "broker")
		if err != nil {
			t.Fatal(err)
		}
		return Silence{Matchers: Matchers{m}, StartsAt: now, EndsAt: now.Add(time.Hour), CreatedBy: "ops", Comment: "maintenance"}
	}
	s := good()
	if err := s.check(now); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	empty, err := NewMatcher("service", Like, ".*")
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Silence){
		"no matcher":        func(s *Silence) { s.Matchers = nil },
		"everything":        func(s *Silence) { s.Matchers = Matchers{empty} },
		"no creator":        func(s *Silence) { s.CreatedBy = "" },
		"no comment":        func(s *Silence) { s.Comment = "" },
		"long comment":      func(s *Silence) { s.Comment = strings.Repeat("x", 3000) },
		"end before start":  func(s *Silence) { s.EndsAt = s.StartsAt },
		"past":              func(s *Silence) { s.StartsAt, s.EndsAt = now.Add(-2*time.Hour), now.Add(-time.Hour) },
		"too many matchers": func(s *Silence) { s.Matchers = make(Matchers, 65) },
	} {
		s := good()
		spoil(&s)
		if s.check(now) == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
