package okx

import (
	"bytes"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// fast reads books, quotes and trades that are compact JSON and begin as OKX's
// frames do, the members of the data in any order. ok is false when the frame has
// any other form; out then holds no record of it.
func (d *decoder) fast(frame []byte, rc connectors.Receipt, out *market.Batch) (connectors.Note, bool) {
	c := &d.cursor
	*c = cursor{d: d, b: frame, m: message{rc: rc, out: out}}
	c.lit(`{"arg":{"channel":"`)
	channel, read := c.channel()
	c.lit(`","instId":"`)
	c.m.inst = c.instrument()
	c.lit(`"},`)
	if read == nil || c.i < 0 {
		return connectors.Note{}, false
	}
	if channel == d.index.books {
		c.action()
	}
	c.lit(`"data":[`)
	before := out.Len()
	for c.i >= 0 {
		if !read(c) || !c.step(']') {
			break
		}
	}
	if c.lit(`}`); c.i != len(frame) {
		out.Truncate(before)
		return connectors.Note{}, false
	}
	return connectors.Note{Channel: channel}, true
}

// cursor walks along the predicted form. i is -1 once a prediction has failed.
type cursor struct {
	d *decoder
	b []byte
	i int
	m message
}

func (c *cursor) lit(word string) { c.i = connectors.TakeWord(c.b, c.i, word) }

// channel reads a channel's name, up to its quote.
func (c *cursor) channel() (index int, read func(*cursor) bool) {
	if c.i < 0 || c.i == len(c.b) {
		return -1, nil
	}
	switch c.b[c.i] {
	case 'b':
		if i := connectors.TakeWord(c.b, c.i, "books"); i > 0 {
			c.i = i
			return c.d.index.books, (*cursor).book
		}
		c.lit("bbo-tbt")
		return c.d.index.bbo, (*cursor).quote
	case 't':
		c.lit("trades")
		if i := connectors.TakeWord(c.b, c.i, "-all"); i > 0 {
			c.i = i
			return c.d.index.tradesAll, (*cursor).trade
		}
		return c.d.index.trades, (*cursor).trade
	}
	return -1, nil
}

// instrument reads a native name, up to its quote.
func (c *cursor) instrument() *market.Instrument {
	if c.i < 0 {
		return nil
	}
	if end := connectors.TakeWord(c.b, c.i, c.d.native); end > c.i && end < len(c.b) && c.b[end] == '"' {
		c.i = end
		return c.d.last
	}
	n := bytes.IndexByte(c.b[c.i:], '"')
	if n < 0 {
		c.i = -1
		return nil
	}
	inst := c.d.instrument(c.b[c.i : c.i+n])
	if c.i += n; inst == nil {
		c.i = -1
	}
	return inst
}

func (c *cursor) action() {
	if i := connectors.TakeWord(c.b, c.i, `"action":"update",`); i > 0 {
		c.i, c.m.action = i, update
		return
	}
	c.lit(`"action":"snapshot",`)
	c.m.action = snapshot
}

// step goes over a comma, or over the closing bracket: false.
func (c *cursor) step(closing byte) bool {
	if c.i < 0 || c.i >= len(c.b) {
		c.i = -1
		return false
	}
	switch c.b[c.i] {
	case ',':
		c.i++
		return true
	case closing:
		c.i++
		return false
	}
	c.i = -1
	return false
}

// key reads a member's key, up to its value.
func (c *cursor) key() []byte {
	b, i := c.b, c.i
	if i < 0 || i >= len(b) || b[i] != '"' {
		c.i = -1
		return nil
	}
	start := i + 1
	for i = start; i < len(b) && b[i] > '"' && b[i] != '\\'; i++ {
	}
	if i+1 >= len(b) || b[i] != '"' || b[i+1] != ':' {
		c.i = -1
		return nil
	}
	c.i = i + 2
	return b[start:i]
}

// value steps over a value that is text without escapes.
func (c *cursor) value() {
	c.lit(`"`)
	for c.i >= 0 && c.i < len(c.b) && c.b[c.i] >= ' ' && c.b[c.i] != '"' && c.b[c.i] != '\\' {
		c.i++
	}
	c.lit(`"`)
}

// int reads an integer that may be negative.
func (c *cursor) int() int64 {
	if c.i < 0 {
		return 0
	}
	negative := c.i < len(c.b) && c.b[c.i] == '-'
	if negative {
		c.i++
	}
	n, i := connectors.TakeInt(c.b, c.i)
	if c.i = i; negative {
		return -n
	}
	return n
}

// text reads an integer in quotes.
func (c *cursor) text() int64 {
	c.lit(`"`)
	n := c.int()
	c.lit(`"`)
	return n
}

// time reads milliseconds in quotes; 0 and what is out of range are left to the
// slow way.
func (c *cursor) time() int64 {
	t := c.text()
	if t <= 0 || t > maxMillis {
		c.i = -1
	}
	return t * 1_000_000
}

// decimal reads a number in quotes.
func (c *cursor) decimal() market.Decimal {
	c.lit(`"`)
	if c.i < 0 {
		return market.Decimal{}
	}
	d, i := connectors.TakeDecimal(c.b, c.i)
	c.i = i
	c.lit(`"`)
	return d
}

func (c *cursor) trade() bool {
	f := tradeFields{id: -1, count: 1}
	c.lit(`{`)
	for c.i >= 0 {
		switch string(c.key()) {
		case "instId", "source":
			c.value()
		case "tradeId":
			f.id = c.text()
		case "px":
			f.price = c.decimal()
		case "sz":
			f.amount = c.d.size.amount(c.decimal())
		case "side":
			f.side = c.side()
		case "ts":
			f.at = c.time()
		case "count":
			f.count = c.text()
		case "seqId":
			c.int()
		default:
			c.i = -1
		}
		if !c.step('}') {
			break
		}
	}
	if c.i < 0 || f.problem() != "" {
		c.i = -1
		return false
	}
	f.add(&c.m)
	return true
}

func (c *cursor) side() market.Side {
	if i := connectors.TakeWord(c.b, c.i, `"buy"`); i > 0 {
		c.i = i
		return market.Buy
	}
	c.lit(`"sell"`)
	return market.Sell
}

func (c *cursor) book() bool {
	f := c.fields()
	if c.i < 0 || f.problem(c.m.action) != "" {
		c.i = -1
		return false
	}
	f.add(&c.m)
	return true
}

func (c *cursor) quote() bool {
	f := c.fields()
	if c.i < 0 || f.problem(update) != "" {
		c.i = -1
		return false
	}
	f.addQuote(&c.m)
	return true
}

func (c *cursor) fields() bookFields {
	var f bookFields
	c.lit(`{`)
	for c.i >= 0 {
		switch string(c.key()) {
		case "asks":
			f.asks, f.hasAsks = c.levels(), true
		case "bids":
			f.bids, f.hasBids = c.levels(), true
		case "ts":
			f.at = c.time()
		case "checksum":
			f.checksum = c.int()
		case "prevSeqId":
			f.prev = market.Int(c.int())
		case "seqId":
			f.seq = market.Int(c.int())
		case "instId":
			c.value()
		default:
			c.i = -1
		}
		if !c.step('}') {
			break
		}
	}
	return f
}

// levels reads [["price","contracts","0","orders"],…].
func (c *cursor) levels() []market.Level {
	b, out, size := c.b, c.m.out, &c.d.size
	i := connectors.TakeWord(b, c.i, `[`)
	mark := out.LevelMark()
	if i > 0 && i < len(b) && b[i] == ']' {
		c.i = i + 1
		return out.LevelsFrom(mark)
	}
	for i > 0 && len(b)-i > 2 && b[i] == '[' && b[i+1] == '"' {
		var l market.Level
		if l.Price, i = connectors.TakeDecimal(b, i+2); i < 0 || len(b)-i < 3 || string(b[i:i+3]) != `","` {
			break
		}
		if l.Amount, i = connectors.TakeDecimal(b, i+3); i < 0 {
			break
		}
		if size.set {
			if l.Amount = size.amount(l.Amount); !l.Amount.IsSet() {
				break
			}
		}
		if i = afterAmount(b, i); i < 0 || i+1 >= len(b) {
			break
		}
		out.Level(l)
		if b[i] == ']' {
			c.i = i + 1
			return out.LevelsFrom(mark)
		}
		if b[i] != ',' {
			break
		}
		i++
	}
	c.i = -1
	return nil
}

// afterAmount steps over the rest of a level, `","0","12"]`: what is obsolete, and
// the number of orders. A level may also end with its amount, or have more numbers.
func afterAmount(b []byte, i int) int {
	const obsolete = `","0","`
	if len(b)-i > len(obsolete) && string(b[i:i+len(obsolete)]) == obsolete {
		i += len(obsolete)
		start := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i > start && len(b)-i > 1 && b[i] == '"' && b[i+1] == ']' {
			return i + 2
		}
		i = start - len(obsolete)
	}
	if i = connectors.TakeWord(b, i, `"`); i < 0 {
		return -1
	}
	for i < len(b) && b[i] == ',' {
		if i = digits(b, i+1); i < 0 {
			return -1
		}
	}
	return connectors.TakeWord(b, i, `]`)
}

// digits steps over digits in quotes; -1 when there are none.
func digits(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	start := i + 1
	for i = start; i < len(b) && b[i]-'0' <= 9; i++ {
	}
	if i == start || i >= len(b) || b[i] != '"' {
		return -1
	}
	return i + 1
}
