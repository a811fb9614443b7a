package connectors

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/marketprism/marketprism/internal/market"
)

// maxNesting is how deep arrays and objects may lie inside each other.
const maxNesting = 64

// Scanner reads one JSON text in one pass, keys as they are spelt ("e" is not
// "E"), without building anything. The first error sticks: every later call
// gives a zero value, so that a decoder asks [Scanner.Err] once, at its end.
//
//	s.Object()
//	for key, ok := s.Key(); ok; key, ok = s.Key() {
//		switch string(key) { case "p": price = s.Decimal(); default: s.Skip() }
//	}
type Scanner struct {
	b       []byte
	i       int
	first   bool // just inside a bracket: no comma yet
	failed  bool
	err     FrameError
	scratch []byte // holds a string that had escapes
}

// Reset begins a new text. The scanner reads b[from:]; offsets count from b's
// start.
func (s *Scanner) Reset(b []byte, from int) {
	s.b, s.i, s.first, s.failed = b, from, false, false
}

// Offset is where the scanner stands.
func (s *Scanner) Offset() int { return s.i }

// Err is the first error, or nil. Only a failure allocates.
func (s *Scanner) Err() error {
	if !s.failed {
		return nil
	}
	e := s.err
	return &e
}

// Fail makes problem the error, unless there is one.
func (s *Scanner) Fail(problem string) { s.fail(problem, s.i) }

func (s *Scanner) fail(problem string, at int) {
	if s.failed {
		return
	}
	s.failed, s.err = true, FrameError{Offset: min(at, len(s.b)), Problem: problem}
	s.i = len(s.b)
}

// space skips white space and returns the byte that follows; 0 at the end.
func (s *Scanner) space() byte {
	for s.i < len(s.b) {
		c := s.b[s.i]
		if c > ' ' || (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
			return c
		}
		s.i++
	}
	return 0
}

func (s *Scanner) open(bracket byte, problem string) bool {
	if s.failed || s.space() != bracket {
		s.Fail(problem)
		return false
	}
	s.i++
	s.first = true
	return true
}

// more steps over the comma to the next member, or over the closing bracket.
func (s *Scanner) more(closing byte) bool {
	if s.failed {
		return false
	}
	c := s.space()
	switch {
	case c == closing:
		s.i++
		s.first = false
		return false
	case s.first:
		s.first = false
		return true
	case c == ',':
		s.i++
		return true
	}
	s.Fail("neither a comma nor the end of the list")
	return false
}

// Object steps into an object.
func (s *Scanner) Object() bool { return s.open('{', "not an object") }

// Array steps into an array.
func (s *Scanner) Array() bool { return s.open('[', "not an array") }

// Key is the next key of the object, good until the next call; ok is false at
// the object's end, which is stepped over.
func (s *Scanner) Key() (key []byte, ok bool) {
	if !s.more('}') {
		return nil, false
	}
	key = s.String()
	if s.space() != ':' {
		s.Fail("a key without a colon")
	}
	if s.failed {
		return nil, false
	}
	s.i++
	return key, true
}

// Element steps to the next element of the array; false at the array's end,
// which is stepped over.
func (s *Scanner) Element() bool { return s.more(']') }

// String is a string, good until the next call of the scanner.
func (s *Scanner) String() []byte {
	if s.failed || s.space() != '"' {
		s.Fail("not a string")
		return nil
	}
	start := s.i + 1
	for i := start; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '"':
			s.i = i + 1
			return s.b[start:i]
		case c == '\\':
			return s.escaped(start, i)
		case c < ' ':
			s.fail("a control character in a string", i)
			return nil
		}
	}
	s.fail("a string without an end", len(s.b))
	return nil
}

// escaped reads the rest of a string whose first backslash is at i.
func (s *Scanner) escaped(start, i int) []byte {
	out := append(s.scratch[:0], s.b[start:i]...)
	for i < len(s.b) {
		run := i
		for i < len(s.b) && s.b[i] != '"' && s.b[i] != '\\' && s.b[i] >= ' ' {
			i++
		}
		out = append(out, s.b[run:i]...)
		if i == len(s.b) {
			break
		}
		if s.b[i] == '"' {
			s.i, s.scratch = i+1, out
			return out
		}
		var ok bool
		if out, i, ok = unescape(out, s.b, i); !ok {
			s.fail("a control character or a bad escape in a string", i)
			return nil
		}
	}
	s.fail("a string without an end", len(s.b))
	return nil
}

// unescape appends what the escape at b[i] stands for and returns the index
// after it.
func unescape(out, b []byte, i int) ([]byte, int, bool) {
	if i+1 >= len(b) || b[i] != '\\' {
		return out, i, false
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if n := strings.IndexByte(from, b[i+1]); n >= 0 {
		return append(out, to[n]), i + 2, true
	}
	r, ok := hex4(b, i)
	if !ok {
		return out, i, false
	}
	i += 6
	if utf16.IsSurrogate(r) {
		low, ok := hex4(b, i)
		if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
			return utf8.AppendRune(out, pair), i + 6, true
		}
		r = utf8.RuneError
	}
	return utf8.AppendRune(out, r), i, true
}

// hex4 reads \uXXXX at b[i].
func hex4(b []byte, i int) (rune, bool) {
	if len(b)-i < 6 || b[i] != '\\' || b[i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[i+2 : i+6] {
		switch {
		case c-'0' <= 9:
			r = r<<4 | rune(c-'0')
		case (c|0x20)-'a' <= 5:
			r = r<<4 | rune((c|0x20)-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// Int is an integer, bare or in quotes, that fits an int64 of 18 digits.
func (s *Scanner) Int() int64 {
	if s.failed {
		return 0
	}
	quoted := s.space() == '"'
	i := s.i
	if quoted {
		i++
	}
	neg := i < len(s.b) && s.b[i] == '-'
	if neg {
		i++
	}
	n, end := TakeInt(s.b, i)
	if end < 0 || end < len(s.b) && (s.b[end] == '.' || s.b[end]|0x20 == 'e') || !s.leave(quoted, end) {
		s.Fail("not an integer")
		return 0
	}
	if neg {
		n = -n
	}
	return n
}

// Decimal is a number, bare or in quotes; absent when it is null or an empty
// string.
func (s *Scanner) Decimal() market.Decimal {
	if s.failed {
		return market.Decimal{}
	}
	c := s.space()
	if c == 'n' {
		s.literal("null")
		return market.Decimal{}
	}
	quoted := c == '"'
	i := s.i
	if quoted {
		i++
		if i < len(s.b) && s.b[i] == '"' {
			s.i = i + 1
			return market.Decimal{}
		}
	}
	d, end := TakeDecimal(s.b, i)
	if end < 0 || !s.leave(quoted, end) {
		s.Fail("not a decimal number")
		return market.Decimal{}
	}
	return d
}

// leave steps behind a number that ends at end, and its closing quote.
func (s *Scanner) leave(quoted bool, end int) bool {
	if quoted {
		if end >= len(s.b) || s.b[end] != '"' {
			return false
		}
		end++
	} else if end < len(s.b) && isNumberByte(s.b[end]) {
		return false
	}
	s.i = end
	return true
}

// Bool is true or false.
func (s *Scanner) Bool() bool {
	if s.failed {
		return false
	}
	if s.space() == 't' {
		return s.literal("true")
	}
	s.literal("false")
	return false
}

// Null steps over null, if it is next.
func (s *Scanner) Null() bool {
	return !s.failed && s.space() == 'n' && s.literal("null")
}

// Peek is the first byte of the next value; 0 at the end.
func (s *Scanner) Peek() byte {
	if s.failed {
		return 0
	}
	return s.space()
}

func (s *Scanner) literal(word string) bool {
	if end := s.i + len(word); end <= len(s.b) && string(s.b[s.i:end]) == word {
		s.i = end
		return true
	}
	s.Fail("not a JSON value")
	return false
}

// Skip steps over a value of any kind.
func (s *Scanner) Skip() {
	var objects uint64 // one bit for each open bracket: 1 is an object
	for depth := 0; !s.failed; {
		switch c := s.space(); c {
		case '{', '[':
			if depth == maxNesting {
				s.Fail("nested too deeply")
				return
			}
			s.i++
			s.first = true
			depth++
			objects <<= 1
			if c == '{' {
				objects |= 1
			}
		case '"':
			s.String()
		case 't', 'f':
			s.Bool()
		case 'n':
			s.Null()
		default:
			s.number()
		}
		// A value has been passed, or a bracket opened: go to the next value.
		for depth > 0 {
			if objects&1 == 1 {
				if _, more := s.Key(); more {
					break
				}
			} else if s.Element() {
				break
			}
			depth--
			objects >>= 1
		}
		if depth == 0 {
			return
		}
	}
}

// number steps over a number by JSON's grammar.
func (s *Scanner) number() {
	i := s.i
	if i < len(s.b) && s.b[i] == '-' {
		i++
	}
	whole := i
	i = digitsEnd(s.b, i)
	ok := i > whole && (s.b[whole] != '0' || i == whole+1)
	if ok && i < len(s.b) && s.b[i] == '.' {
		frac := i + 1
		i = digitsEnd(s.b, frac)
		ok = i > frac
	}
	if ok && i < len(s.b) && s.b[i]|0x20 == 'e' {
		i++
		if i < len(s.b) && (s.b[i] == '+' || s.b[i] == '-') {
			i++
		}
		exp := i
		i = digitsEnd(s.b, exp)
		ok = i > exp
	}
	if !ok {
		s.Fail("not a JSON value")
		return
	}
	s.i = i
}

func digitsEnd(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// End fails unless nothing but white space is left.
func (s *Scanner) End() {
	if !s.failed && s.space() != 0 || !s.failed && s.i < len(s.b) {
		s.Fail("more after the end of the value")
	}
}

// Levels appends the levels of an array of [price, amount] pairs to out. What
// stands after the amount inside a pair is skipped.
func (s *Scanner) Levels(out *market.Batch) []market.Level {
	mark := out.LevelMark()
	if !s.Array() {
		return nil
	}
	for s.Element() {
		s.Array()
		if !s.Element() {
			s.Fail("a level without a price")
			return nil
		}
		price := s.Decimal()
		if !s.Element() {
			s.Fail("a level without an amount")
			return nil
		}
		amount := s.Decimal()
		for s.Element() {
			s.Skip()
		}
		if !price.IsSet() || !amount.IsSet() {
			s.Fail("a level without a number")
			return nil
		}
		out.Level(market.Level{Price: price, Amount: amount})
	}
	if s.failed {
		return nil
	}
	return out.LevelsFrom(mark)
}
