package cron

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"
	_ "time/tzdata" // the zones of a machine that has none, or an old set
)

// MaxLength is the longest expression, in bytes.
const MaxLength = 1024

// Error says what is wrong with an expression, and where.
type Error struct {
	Expression string
	// Field is the name of the field, such as "day of month"; empty when it is the
	// expression as a whole.
	Field string
	// Column is where in the expression, in bytes from 1.
	Column  int
	Problem string
}

// Error names the field, the column and the problem.
func (e *Error) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("column %d: %s", e.Column, e.Problem)
	}
	return fmt.Sprintf("%s, column %d: %s", e.Field, e.Column, e.Problem)
}

// macros are the names of expressions.
var macros = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// Parse reads an expression. The error is an [*Error]. An expression that is never
// due, such as one of 30 February, is none: its Next is the zero time.
func Parse(expression string, o Options) (*Schedule, error) {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	s := &Schedule{expression: expression, zone: o.Zone}
	p := parser{expression: expression, seed: o.Seed}
	if len(expression) > MaxLength {
		return nil, p.fault("", 0, "is %d bytes long, allowed %d", len(expression), MaxLength)
	}
	words := p.words(expression)
	if len(words) == 0 {
		return nil, p.fault("", 0, "is empty; want five fields, such as */5 * * * *, or six with seconds")
	}
	if strings.HasPrefix(words[0].text, "@") {
		if err := p.named(s, words); err != nil {
			return nil, err
		}
		return s, nil
	}
	if zone, _, ok := strings.Cut(words[0].text, "="); ok && (zone == "TZ" || zone == "CRON_TZ") {
		return nil, p.fault("", words[0].at, "%s does not stand in the expression; the time zone is a setting of its own", zone)
	}
	if err := p.fields(s, words); err != nil {
		return nil, err
	}
	return s, nil
}

// Zone finds a time zone by its IANA name, such as Europe/Berlin; the empty name is
// UTC. The zone of the machine is none: another machine has another.
func Zone(name string) (*time.Location, error) {
	switch name {
	case "", "UTC":
		return time.UTC, nil
	case "Local":
		return nil, fmt.Errorf("time zone %q differs from machine to machine; name one such as Europe/Berlin", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("no time zone %q; want a name such as Europe/Berlin or UTC", name)
	}
	return zone, nil
}

// word is a piece of the expression and where it begins, in bytes from 0.
type word struct {
	text string
	at   int
}

type parser struct {
	expression string
	seed       string
}

func (p *parser) fault(field string, at int, format string, args ...any) *Error {
	return &Error{Expression: p.expression, Field: field, Column: at + 1, Problem: fmt.Sprintf(format, args...)}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func (p *parser) words(text string) (out []word) {
	for at := 0; at < len(text); {
		if isSpace(text[at]) {
			at++
			continue
		}
		end := at
		for end < len(text) && !isSpace(text[end]) {
			end++
		}
		out = append(out, word{text[at:end], at})
		at = end
	}
	return out
}

// named reads what begins with @.
func (p *parser) named(s *Schedule, words []word) error {
	name := words[0]
	arguments := words[1:]
	lower := strings.ToLower(name.text)
	if fields, ok := macros[lower]; ok {
		if len(arguments) > 0 {
			return p.fault("", arguments[0].at, "%s stands alone", name.text)
		}
		return p.fields(s, p.words(fields))
	}
	switch lower {
	case "@every":
		return p.every(s, name, arguments)
	case "@at":
		return p.once(s, name, arguments)
	case "@reboot":
		return p.fault("", name.at, "@reboot has no meaning in a cluster; a schedule is about time")
	}
	return p.fault("", name.at, "unknown name %s; there are @every, @at, @hourly, @daily, @weekly, @monthly, @yearly", clip(name.text))
}

// Bounds of @every.
const (
	minPeriod = time.Second
	maxPeriod = 3660 * 24 * time.Hour
)

func (p *parser) every(s *Schedule, name word, arguments []word) error {
	if len(arguments) != 1 {
		return p.fault("", name.at, "@every wants one duration, such as @every 90s or @every 1h30m")
	}
	d, err := duration(arguments[0].text)
	switch {
	case err != nil:
		return p.fault("", arguments[0].at, "%s is no duration; want one such as 90s, 1h30m or 7d", clip(arguments[0].text))
	case d < minPeriod || d > maxPeriod || d%time.Second != 0:
		return p.fault("", arguments[0].at, "%s is not within 1s and 3660d in whole seconds", clip(arguments[0].text))
	}
	s.form, s.period = every, d.Milliseconds()
	if p.seed != "" {
		s.offset = int64(p.hash("every") % uint64(s.period))
	}
	return nil
}

// duration is Go's, with d for days of 24 hours in front.
func duration(text string) (time.Duration, error) {
	count, rest, ok := strings.Cut(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, digits := 0, 0
	for ; digits < len(count) && count[digits] >= '0' && count[digits] <= '9' && digits < 6; digits++ {
		n = n*10 + int(count[digits]-'0')
	}
	if digits == 0 || digits < len(count) {
		return 0, fmt.Errorf("no number of days in %q", text)
	}
	total := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return total, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || more < 0 || n > 100_000 {
		return 0, fmt.Errorf("no duration in %q", text)
	}
	return total + more, nil
}

// Forms of @at: with a zone, and without, in that of the schedule.
var atForms = []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"}

func (p *parser) once(s *Schedule, name word, arguments []word) error {
	if len(arguments) < 1 || len(arguments) > 2 {
		return p.fault("", name.at, "@at wants one time, such as @at 2027-01-01T09:00:00Z")
	}
	text := arguments[0].text
	if len(arguments) == 2 {
		text += "T" + arguments[1].text
	}
	t, err := time.Parse(time.RFC3339, text)
	for _, form := range atForms {
		if err == nil {
			break
		}
		t, err = time.ParseInLocation(form, text, s.zone)
	}
	switch {
	case err != nil:
		return p.fault("", arguments[0].at, "%s is no time; want one such as 2027-01-01T09:00:00Z, or without a zone, in that of the schedule", clip(text))
	case t.Nanosecond() != 0:
		return p.fault("", arguments[0].at, "%s is not a whole second", clip(text))
	case t.Year() < 1970 || t.Year() > 9999:
		return p.fault("", arguments[0].at, "the year %d is not within 1970 and 9999", t.Year())
	}
	s.form, s.at = once, t.Unix()
	return nil
}

// hash spreads seeds evenly.
func (p *parser) hash(what string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(what + "\x00" + p.seed)) // a hash never fails to take bytes
	v := h.Sum64()
	v = (v ^ v>>33) * 0xff51afd7ed558ccd
	v = (v ^ v>>33) * 0xc4ceb9fe1a85ec53
	return v ^ v>>33
}

func clip(text string) string {
	if len(text) > 40 {
		text = text[:40] + "…"
	}
	return strings.ToValidUTF8(fmt.Sprintf("%q", text), "")
}
