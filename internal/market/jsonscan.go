package market

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxNesting is how deep a record nests: levels are lists in a list.
const maxNesting = 3

var errEnds = errors.New("the text ends early")

// jsonScanner walks over JSON text and copies nothing.
type jsonScanner struct {
	data []byte
	pos  int
}

func (s *jsonScanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *jsonScanner) expect(c byte) error {
	s.space()
	switch {
	case s.pos == len(s.data):
		return errEnds
	case s.data[s.pos] != c:
		return fmt.Errorf("%q at byte %d, want %q", s.data[s.pos], s.pos, c)
	}
	s.pos++
	return nil
}

// more is behind an element: whether another one follows, or the list closes.
func (s *jsonScanner) more(closing byte) (bool, error) {
	s.space()
	switch {
	case s.pos == len(s.data):
		return false, errEnds
	case s.data[s.pos] == ',':
		s.pos++
		return true, nil
	}
	return false, s.expect(closing)
}

func (s *jsonScanner) end() error {
	if s.space(); s.pos < len(s.data) {
		return fmt.Errorf("%q at byte %d, behind the record", s.data[s.pos], s.pos)
	}
	return nil
}

// name is a member's, with its colon. The names of fields need no escapes.
func (s *jsonScanner) name() ([]byte, error) {
	s.space()
	raw, err := s.text()
	if err != nil {
		return nil, err
	}
	name, err := plain(raw)
	if err != nil {
		return nil, err
	}
	return name, s.expect(':')
}

// value is the raw text of the next value.
func (s *jsonScanner) value() ([]byte, error) {
	s.space()
	from := s.pos
	err := s.skip(0)
	return s.data[from:s.pos], err
}

func (s *jsonScanner) skip(depth int) error {
	s.space()
	if s.pos == len(s.data) {
		return errEnds
	}
	switch c := s.data[s.pos]; {
	case c == '"':
		_, err := s.text()
		return err
	case c == '[':
		return s.skipList(depth + 1)
	case c == '-' || c >= '0' && c <= '9' || c == 't' || c == 'f':
		for s.pos < len(s.data) && scalar(s.data[s.pos]) {
			s.pos++
		}
		return nil
	default:
		return fmt.Errorf("%q at byte %d begins no value of a record", c, s.pos)
	}
}

// scalar is part of a number, of true or of false; whoever reads it checks it.
func scalar(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c >= 'a' && c <= 'z' || c == 'E'
}

func (s *jsonScanner) skipList(depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("lists in lists at byte %d", s.pos)
	}
	s.pos++
	if s.space(); s.pos < len(s.data) && s.data[s.pos] == ']' {
		s.pos++
		return nil
	}
	for {
		if err := s.skip(depth); err != nil {
			return err
		}
		more, err := s.more(']')
		if err != nil || !more {
			return err
		}
	}
}

// text is a string with its quotes; escapes are checked by whoever reads it.
func (s *jsonScanner) text() ([]byte, error) {
	from := s.pos
	if from == len(s.data) {
		return nil, errEnds
	}
	if s.data[from] != '"' {
		return nil, fmt.Errorf("%q at byte %d, want a string", s.data[from], from)
	}
	for s.pos++; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[from:s.pos], nil
		case c == '\\':
			s.pos++
		case c < ' ':
			return nil, fmt.Errorf("a control character at byte %d", s.pos)
		}
	}
	return nil, errEnds
}

// elements calls yield with each element of a list that was scanned before.
func elements(value []byte, yield func([]byte) error) error {
	if len(value) == 0 || value[0] != '[' {
		return fmt.Errorf("%q is no list", clipped(value))
	}
	s := jsonScanner{data: value, pos: 1}
	if s.space(); s.data[s.pos] == ']' {
		return nil
	}
	for {
		one, err := s.value()
		if err == nil {
			err = yield(one)
		}
		if err != nil {
			return err
		}
		if more, err := s.more(']'); err != nil || !more {
			return err
		}
	}
}

// plain is what a string without escapes holds.
func plain(value []byte) ([]byte, error) {
	if len(value) < 2 || value[0] != '"' {
		return nil, fmt.Errorf("%q is no string", clipped(value))
	}
	text := value[1 : len(value)-1]
	for _, c := range text {
		if c == '\\' || c >= utf8.RuneSelf {
			return nil, fmt.Errorf("%q is no plain word", clipped(text))
		}
	}
	return text, nil
}

// unquoted is what a string holds. Text that is not UTF-8, and half a surrogate
// pair, are errors.
func unquoted(value []byte) (string, error) {
	if text, err := plain(value); err == nil {
		return string(text), nil
	}
	if len(value) < 2 || value[0] != '"' {
		return "", fmt.Errorf("%q is no string", clipped(value))
	}
	text := value[1 : len(value)-1]
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '\\':
			r, n, err := escape(text[i:])
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
			i += n
		case c < utf8.RuneSelf:
			out = append(out, c)
			i++
		default:
			r, n := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && n == 1 {
				return "", errors.New("text that is not UTF-8")
			}
			out = append(out, text[i:i+n]...)
			i += n
		}
	}
	return string(out), nil
}

// escape reads the escape that text begins with.
func escape(text []byte) (r rune, n int, err error) {
	if len(text) < 2 {
		return 0, 0, errEnds
	}
	switch text[1] {
	case '"', '\\', '/':
		return rune(text[1]), 2, nil
	case 'b':
		return '\b', 2, nil
	case 'f':
		return '\f', 2, nil
	case 'n':
		return '\n', 2, nil
	case 'r':
		return '\r', 2, nil
	case 't':
		return '\t', 2, nil
	case 'u':
		r, err := unit(text)
		if err != nil || !utf16.IsSurrogate(r) {
			return r, 6, err
		}
		low, err := unit(text[6:])
		if r = utf16.DecodeRune(r, low); err != nil || r == utf8.RuneError {
			return 0, 0, errors.New("half a surrogate pair")
		}
		return r, 12, nil
	}
	return 0, 0, fmt.Errorf("the escape \\%c", text[1])
}

func unit(text []byte) (rune, error) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, errEnds
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return 0, fmt.Errorf("the escape %q", text[:6])
	}
	return rune(n), nil
}

// clipped is what of hostile text goes into an error.
func clipped(text []byte) []byte { return text[:min(len(text), 40)] }
