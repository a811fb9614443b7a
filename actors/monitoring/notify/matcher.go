package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

// Op is how a Matcher compares.
type Op string

// The ways to compare. A regular expression is RE2 and has to match all of the value.
const (
	Equal    Op = "="
	NotEqual Op = "!="
	Like     Op = "=~"
	NotLike  Op = "!~"
)

// maxMatcher bounds a matcher's value, in bytes: an expression is compiled.
const maxMatcher = 1024

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// Matcher compares one label with a value; an absent label has the value "".
type Matcher struct {
	Name  string `json:"name"`
	Op    Op     `json:"op"`
	Value string `json:"value"`

	expression *regexp.Regexp
}

// NewMatcher checks a matcher and makes it ready.
func NewMatcher(name string, op Op, value string) (Matcher, error) {
	m := Matcher{Name: name, Op: op, Value: value}
	switch {
	case !labelName.MatchString(name):
		return m, fmt.Errorf("%q is no name of a label", name)
	case len(value) > maxMatcher:
		return m, fmt.Errorf("the value for %s is longer than %d bytes", name, maxMatcher)
	}
	switch op {
	case Equal, NotEqual:
		return m, nil
	case Like, NotLike:
		var err error
		if m.expression, err = regexp.Compile("^(?:" + value + ")$"); err != nil {
			return m, fmt.Errorf("the expression for %s: %w", name, err)
		}
		return m, nil
	}
	return m, fmt.Errorf("%q is none of =, !=, =~, !~", op)
}

// matcherText is name, operator, value; the value in double quotes or bare.
var matcherText = regexp.MustCompile(`^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!=|!~|=)\s*(.*?)\s*$`)

// ParseMatcher reads a matcher as Alertmanager writes it: service="broker",
// severity=~"warning|critical".
func ParseMatcher(text string) (Matcher, error) {
	parts := matcherText.FindStringSubmatch(text)
	if parts == nil {
		return Matcher{}, fmt.Errorf(`%q is no matcher such as service="broker"`, text)
	}
	value := parts[3]
	if strings.HasPrefix(value, `"`) {
		var err error
		if value, err = strconv.Unquote(value); err != nil {
			return Matcher{}, fmt.Errorf("%q: the value's quotes are wrong", text)
		}
	}
	return NewMatcher(parts[1], Op(parts[2]), value)
}

// Matches compares the label.
func (m Matcher) Matches(ls alert.Labels) bool { return m.takes(ls.Get(m.Name)) }

func (m Matcher) takes(value string) bool {
	switch m.Op {
	case Equal:
		return value == m.Value
	case NotEqual:
		return value != m.Value
	case Like:
		return m.expression.MatchString(value)
	case NotLike:
		return !m.expression.MatchString(value)
	}
	return false
}

// String is as ParseMatcher reads it.
func (m Matcher) String() string { return m.Name + string(m.Op) + strconv.Quote(m.Value) }

// UnmarshalJSON reads name, op and value.
func (m *Matcher) UnmarshalJSON(text []byte) error {
	var raw struct {
		Name  string `json:"name"`
		Op    Op     `json:"op"`
		Value string `json:"value"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	var err error
	*m, err = NewMatcher(raw.Name, raw.Op, raw.Value)
	return err
}

// Matchers match what all of them match; none match everything.
type Matchers []Matcher

// ParseMatchers reads several; the errors are joined.
func ParseMatchers(texts []string) (Matchers, error) {
	var ms Matchers
	var errs []error
	for _, text := range texts {
		m, err := ParseMatcher(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ms = append(ms, m)
	}
	return ms, errors.Join(errs...)
}

// Match reports whether all match.
func (ms Matchers) Match(ls alert.Labels) bool {
	for _, m := range ms {
		if !m.Matches(ls) {
			return false
		}
	}
	return true
}

// String is {a="b", …}, as Alertmanager writes a route.
func (ms Matchers) String() string {
	texts := make([]string, len(ms))
	for i, m := range ms {
		texts[i] = m.String()
	}
	return "{" + strings.Join(texts, ",") + "}"
}
