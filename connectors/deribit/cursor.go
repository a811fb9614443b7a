package deribit

import (
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// cursor reads JSON as Deribit writes it: no white space, no escapes. i is -1 once
// something else was met; what was read then does not count.
type cursor struct {
	b []byte
	i int
}

func (c *cursor) fail() { c.i = -1 }

// lit steps over the text word.
func (c *cursor) lit(word string) bool {
	if c.i < 0 || len(c.b)-c.i < len(word) || string(c.b[c.i:c.i+len(word)]) != word {
		c.i = -1
		return false
	}
	c.i += len(word)
	return true
}

// peek is the byte that comes next; 0 at the end.
func (c *cursor) peek() byte {
	if c.i < 0 || c.i >= len(c.b) {
		return 0
	}
	return c.b[c.i]
}

// open steps into an object or array that is not empty; false for one that is,
// which is stepped over.
func (c *cursor) open(bracket, closing byte) bool {
	if c.peek() != bracket {
		c.fail()
		return false
	}
	c.i++
	if c.peek() == closing {
		c.i++
		return false
	}
	return true
}

// more steps over the comma to the next member; false at the closing bracket,
// which is stepped over.
func (c *cursor) more(closing byte) bool {
	switch c.peek() {
	case ',':
		c.i++
		return true
	case closing:
		c.i++
		return false
	}
	c.fail()
	return false
}

// text is a string.
func (c *cursor) text() []byte {
	if c.peek() != '"' {
		c.fail()
		return nil
	}
	from := c.i + 1
	for i := from; i < len(c.b); i++ {
		switch ch := c.b[i]; {
		case ch == '"':
			c.i = i + 1
			return c.b[from:i]
		case ch == '\\' || ch < ' ':
			c.fail()
			return nil
		}
	}
	c.fail()
	return nil
}

// key is a member's key, with the colon after it. It may hold anything: only those
// that are known count.
func (c *cursor) key() []byte {
	word := c.text()
	if c.peek() != ':' {
		c.fail()
		return nil
	}
	c.i++
	return word
}

func (c *cursor) int() int64 {
	if c.i < 0 {
		return 0
	}
	n, end := connectors.TakeInt(c.b, c.i)
	if end > 0 && end < len(c.b) && (c.b[end] == '.' || c.b[end]|0x20 == 'e') {
		end = -1
	}
	c.i = end
	return n
}

// time reads a time in ms.
func (c *cursor) time() int64 {
	t := c.int()
	if t > maxTime {
		c.fail()
	}
	return t * 1e6
}

// decimal reads a number; null is absent.
func (c *cursor) decimal() market.Decimal {
	if c.peek() == 'n' {
		c.lit("null")
		return market.Decimal{}
	}
	return c.number()
}

// number reads a number.
func (c *cursor) number() market.Decimal {
	if c.i < 0 {
		return market.Decimal{}
	}
	d, i := connectors.TakeDecimal(c.b, c.i)
	c.i = i
	return d
}

// skipDepth is how deep lists may lie inside each other.
const skipDepth = 4

// skip steps over a value.
func (c *cursor) skip(depth int) {
	switch c.peek() {
	case '"':
		c.text()
	case 'n':
		c.lit("null")
	case 't':
		c.lit("true")
	case 'f':
		c.lit("false")
	case '{':
		if depth == 0 {
			c.fail()
			return
		}
		for more := c.open('{', '}'); more; more = c.more('}') {
			c.key()
			c.skip(depth - 1)
		}
	case '[':
		if depth == 0 {
			c.fail()
			return
		}
		for more := c.open('[', ']'); more; more = c.more(']') {
			c.skip(depth - 1)
		}
	default:
		c.skipNumber()
	}
}

// skipNumber steps over a number as JSON writes it, but for an exponent.
func (c *cursor) skipNumber() {
	if c.i < 0 {
		return
	}
	b, i := c.b, c.i
	if i < len(b) && b[i] == '-' {
		i++
	}
	whole := i
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	if i == whole || b[whole] == '0' && i > whole+1 {
		c.fail()
		return
	}
	if i < len(b) && b[i] == '.' {
		i++
		frac := i
		for i < len(b) && isDigit(b[i]) {
			i++
		}
		if i == frac {
			c.fail()
			return
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		c.number()
		return
	}
	c.i = i
}
