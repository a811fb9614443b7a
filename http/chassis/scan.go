package chassis

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays of a body may nest.
const MaxDepth = 64

// CheckJSON reports whether data is one JSON value (RFC 8259) and nothing else:
// valid UTF-8 without unpaired surrogates, no name twice in one object, nested
// at most MaxDepth deep. The error is a 400 that names the byte offset.
func CheckJSON(data []byte) error {
	s := scanner{data: data}
	s.space()
	if err := s.skip(); err != nil {
		return err
	}
	return s.end()
}

// scanner walks over JSON text, checking it on the way.
type scanner struct {
	data  []byte
	pos   int
	depth int
}

func (s *scanner) malformed(at int, format string, args ...any) error {
	return BadRequest("malformed JSON at byte %d: %s", at, fmt.Sprintf(format, args...)).WithCode("malformed_json")
}

// unexpected describes what stands at pos instead of want.
func (s *scanner) unexpected(want string) error {
	if s.pos >= len(s.data) {
		return s.malformed(s.pos, "it ends where %s is expected", want)
	}
	r, size := utf8.DecodeRune(s.data[s.pos:])
	if r == utf8.RuneError && size <= 1 {
		return s.malformed(s.pos, "invalid UTF-8")
	}
	return s.malformed(s.pos, "found %q where %s is expected", r, want)
}

func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// end checks that nothing but space follows.
func (s *scanner) end() error {
	s.space()
	if s.pos < len(s.data) {
		return s.unexpected("the end")
	}
	return nil
}

// open enters an object or array whose bracket is at pos, and reports whether
// it is empty (then it is left again).
func (s *scanner) open(closing byte) (empty bool, err error) {
	if s.depth++; s.depth > MaxDepth {
		return false, s.malformed(s.pos, "nested deeper than %d", MaxDepth)
	}
	s.pos++
	s.space()
	if s.peek() == closing {
		s.pos++
		s.depth--
		return true, nil
	}
	return false, nil
}

// next moves past the comma to the next element, or leaves at closing.
func (s *scanner) next(closing byte) (more bool, err error) {
	s.space()
	switch s.peek() {
	case ',':
		s.pos++
		s.space()
		return true, nil
	case closing:
		s.pos++
		s.depth--
		return false, nil
	}
	return false, s.unexpected(fmt.Sprintf("a comma or %q", closing))
}

// name reads an object member's name and the colon, up to the value.
func (s *scanner) name(seen *names) ([]byte, error) {
	at := s.pos
	if s.peek() != '"' {
		return nil, s.unexpected("a name in double quotes")
	}
	raw, escaped, err := s.text()
	if err != nil {
		return nil, err
	}
	if escaped {
		raw = unescape(raw)
	}
	if !seen.add(raw) {
		return nil, s.malformed(at, "the name %q stands twice in one object", clip(string(raw), 64))
	}
	s.space()
	if s.peek() != ':' {
		return nil, s.unexpected("a colon")
	}
	s.pos++
	s.space()
	return raw, nil
}

// skip moves past one value.
func (s *scanner) skip() error {
	switch c := s.peek(); {
	case c == '{':
		return s.skipObject()
	case c == '[':
		return s.skipArray()
	case c == '"':
		_, _, err := s.text()
		return err
	case c == '-' || c >= '0' && c <= '9':
		_, err := s.number()
		return err
	default:
		_, err := s.literal()
		return err
	}
}

func (s *scanner) skipObject() error {
	empty, err := s.open('}')
	if empty || err != nil {
		return err
	}
	var seen names
	for more := true; more; {
		if _, err := s.name(&seen); err != nil {
			return err
		}
		if err := s.skip(); err != nil {
			return err
		}
		if more, err = s.next('}'); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) skipArray() error {
	empty, err := s.open(']')
	if empty || err != nil {
		return err
	}
	for more := true; more; {
		if err := s.skip(); err != nil {
			return err
		}
		if more, err = s.next(']'); err != nil {
			return err
		}
	}
	return nil
}

// literal reads true, false or null, and returns its first letter.
func (s *scanner) literal() (byte, error) {
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
			s.pos += len(word)
			return word[0], nil
		}
	}
	return 0, s.unexpected("a value")
}

// number reads a number's literal.
func (s *scanner) number() ([]byte, error) {
	start := s.pos
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return nil, s.unexpected("a digit")
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return nil, s.unexpected("a digit")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return nil, s.unexpected("a digit")
		}
	}
	return s.data[start:s.pos], nil
}

func (s *scanner) digits() bool {
	start := s.pos
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}

// text reads a string and returns what stands between its quotes, and whether
// that holds escapes.
func (s *scanner) text() (raw []byte, escaped bool, err error) {
	s.pos++
	start := s.pos
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start : s.pos-1], escaped, nil
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return nil, false, err
			}
		case c < 0x20:
			return nil, false, s.malformed(s.pos, "a control character in a string must be escaped")
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, size := utf8.DecodeRune(s.data[s.pos:])
			if r == utf8.RuneError && size == 1 {
				return nil, false, s.malformed(s.pos, "invalid UTF-8")
			}
			s.pos += size
		}
	}
	return nil, false, s.malformed(s.pos, "it ends inside a string")
}

// escape checks one escape sequence, a surrogate pair as one.
func (s *scanner) escape() error {
	at := s.pos
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
	default:
		return s.malformed(at, "an unknown escape in a string")
	}
	r, ok := hex4(s.data[s.pos+1:])
	if !ok {
		return s.malformed(at, `\u needs four hex digits`)
	}
	s.pos += 5
	if !utf16.IsSurrogate(r) {
		return nil
	}
	if rest := s.data[s.pos:]; len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' {
		if low, ok := hex4(rest[2:]); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
			s.pos += 6
			return nil
		}
	}
	return s.malformed(at, "an unpaired surrogate in a string")
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unescape resolves the escapes of a string that was checked by text.
func unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(raw[i+2:])
			i += 4
			if utf16.IsSurrogate(r) {
				low, _ := hex4(raw[i+4:])
				r = utf16.DecodeRune(r, low)
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
		i += 2
	}
	return out
}

// names are the member names seen in one object.
type names struct {
	few  [8][]byte
	n    int
	many map[string]struct{}
}

// add reports whether name is new.
func (s *names) add(name []byte) bool {
	for _, have := range s.few[:s.n] {
		if bytes.Equal(have, name) {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if _, ok := s.many[string(name)]; ok {
		return false
	}
	if s.many == nil {
		s.many = map[string]struct{}{}
	}
	s.many[string(name)] = struct{}{}
	return true
}
