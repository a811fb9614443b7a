package binance

import (
	"bytes"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// fast reads the frames that come by the million in the order of keys in which
// Binance sends them, checking each key. ok is false when the frame has any
// other form; out then holds no record of it.
func (d *decoder) fast(frame []byte, rc connectors.Receipt, out *market.Batch) (connectors.Note, bool) {
	i, end, quote := 0, len(frame), true
	if after := connectors.TakeWord(frame, 0, `{"stream":"`); after > 0 {
		name := connectors.TakePlain(frame, after) // its end
		if i = connectors.TakeWord(frame, name, `","data":`); i < 0 || name == after || frame[end-1] != '}' {
			return connectors.Note{}, false
		}
		end--
		quote = bytes.HasSuffix(frame[:name], bookTicker)
	}
	c := cursor{d: d, b: frame[:end], i: i, m: message{rc: rc, out: out, mayBeQuote: quote}}
	channel, ok := c.read()
	return connectors.Note{Channel: channel}, ok
}

var bookTicker = []byte("bookTicker")

// cursor walks along the predicted form. i is -1 once a prediction has failed.
type cursor struct {
	d *decoder
	b []byte
	i int
	m message
}

func (c *cursor) read() (channel int, ok bool) {
	if i := connectors.TakeWord(c.b, c.i, `{"u":`); i > 0 {
		c.i = i
		return c.d.index.bookTicker, c.spotQuote()
	}
	if c.i = connectors.TakeWord(c.b, c.i, `{"e":"`); c.i < 0 || c.i == len(c.b) {
		return -1, false
	}
	switch c.b[c.i] {
	case 't':
		c.lit(`trade","E":`)
		return c.d.index.trade, c.trade()
	case 'd':
		c.lit(`depthUpdate","E":`)
		return c.d.index.depth, c.delta()
	case 'a':
		c.lit(`aggTrade","E":`)
		return c.d.index.aggTrade, c.aggTrade()
	case 'b':
		c.lit(`bookTicker","u":`)
		return c.d.index.bookTicker, c.futuresQuote()
	}
	return -1, false
}

func (c *cursor) lit(word string) { c.i = connectors.TakeWord(c.b, c.i, word) }

func (c *cursor) int() int64 {
	if c.i < 0 {
		return 0
	}
	n, i := connectors.TakeInt(c.b, c.i)
	c.i = i
	return n
}

// time reads a time; 0 and what is out of range are left to the slow way.
func (c *cursor) time() int64 {
	t, ok := nanos(c.int())
	if t <= 0 || !ok {
		c.i = -1
	}
	return t
}

func (c *cursor) decimal() market.Decimal {
	if c.i < 0 {
		return market.Decimal{}
	}
	d, i := connectors.TakeDecimal(c.b, c.i)
	c.i = i
	return d
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

func (c *cursor) bool() bool {
	if i := connectors.TakeWord(c.b, c.i, "true"); i > 0 {
		c.i = i
		return true
	}
	c.lit("false")
	return false
}

// done reports whether every prediction has held, up to the end.
func (c *cursor) done() bool { return c.i == len(c.b) }

// trade follows "E". Spot: E s t p q T m M. Futures: E T s t p q X m.
func (c *cursor) trade() bool {
	c.int()
	var at int64
	if c.d.futures {
		c.lit(`,"T":`)
		at = c.time()
	}
	c.lit(`,"s":"`)
	inst := c.instrument()
	c.lit(`","t":`)
	id := c.int()
	c.lit(`,"p":"`)
	price := c.decimal()
	c.lit(`","q":"`)
	amount := c.decimal()
	if c.d.futures {
		c.lit(`","X":"MARKET","m":`)
	} else {
		c.lit(`","T":`)
		at = c.time()
		c.lit(`,"m":`)
	}
	maker := c.bool()
	if !c.d.futures {
		c.lit(`,"M":`)
		c.bool()
	}
	if c.lit(`}`); !c.done() {
		return false
	}
	addTrade(c.m, inst, id, price, amount, at, maker, 0)
	return true
}

// aggTrade follows "E". Spot: E s a p q f l T m M. Futures: E a s p q f l T m.
func (c *cursor) aggTrade() bool {
	c.int()
	var inst *market.Instrument
	var id int64
	if c.d.futures {
		c.lit(`,"a":`)
		id = c.int()
		c.lit(`,"s":"`)
		inst = c.instrument()
		c.lit(`"`)
	} else {
		c.lit(`,"s":"`)
		inst = c.instrument()
		c.lit(`","a":`)
		id = c.int()
	}
	c.lit(`,"p":"`)
	price := c.decimal()
	c.lit(`","q":"`)
	amount := c.decimal()
	c.lit(`","f":`)
	c.int()
	c.lit(`,"l":`)
	c.int()
	c.lit(`,"T":`)
	at := c.time()
	c.lit(`,"m":`)
	maker := c.bool()
	if !c.d.futures {
		c.lit(`,"M":`)
		c.bool()
	}
	if c.lit(`}`); !c.done() {
		return false
	}
	addTrade(c.m, inst, id, price, amount, at, maker, market.FlagAggregate)
	return true
}

// spotQuote follows "u": u s b B a A.
func (c *cursor) spotQuote() bool {
	if c.d.futures || !c.m.mayBeQuote {
		return false
	}
	id, inst, q := c.quote()
	if c.lit(`"}`); !c.done() {
		return false
	}
	addQuote(c.m, inst, 0, id, q)
	return true
}

// futuresQuote follows "u": u s b B a A T E.
func (c *cursor) futuresQuote() bool {
	if !c.d.futures {
		return false
	}
	id, inst, q := c.quote()
	c.lit(`","T":`)
	at := c.time()
	c.lit(`,"E":`)
	c.int()
	if c.lit(`}`); !c.done() {
		return false
	}
	addQuote(c.m, inst, at, id, q)
	return true
}

func (c *cursor) quote() (id int64, inst *market.Instrument, q market.Quote) {
	id = c.int()
	c.lit(`,"s":"`)
	inst = c.instrument()
	c.lit(`","b":"`)
	q.BidPrice = c.decimal()
	c.lit(`","B":"`)
	q.BidAmount = c.decimal()
	c.lit(`","a":"`)
	q.AskPrice = c.decimal()
	c.lit(`","A":"`)
	q.AskAmount = c.decimal()
	return id, inst, q
}

// delta follows "E". Spot: E s U u b a. Futures: E T s U u pu b a.
func (c *cursor) delta() bool {
	at := c.time()
	if c.d.futures {
		c.lit(`,"T":`)
		at = c.time()
	}
	c.lit(`,"s":"`)
	inst := c.instrument()
	c.lit(`","U":`)
	first := c.int()
	c.lit(`,"u":`)
	last := c.int()
	prev := first - 1
	if c.d.futures {
		c.lit(`,"pu":`)
		prev = c.int()
	}
	c.lit(`,"b":[`)
	bids := c.levels()
	c.lit(`,"a":[`)
	asks := c.levels()
	if c.lit(`}`); !c.done() || last < first {
		return false
	}
	addDelta(c.m, inst, at, first, last, prev, bids, asks)
	return true
}

// levels follows the opening bracket and steps over the closing one.
func (c *cursor) levels() []market.Level {
	b, i, out := c.b, c.i, c.m.out
	mark := out.LevelMark()
	if i >= 0 && i < len(b) && b[i] == ']' {
		c.i = i + 1
		return out.LevelsFrom(mark)
	}
	for i >= 0 {
		if i = connectors.TakeWord(b, i, `["`); i < 0 {
			break
		}
		var l market.Level
		if l.Price, i = connectors.TakeDecimal(b, i); i < 0 {
			break
		}
		if i = connectors.TakeWord(b, i, `","`); i < 0 {
			break
		}
		if l.Amount, i = connectors.TakeDecimal(b, i); i < 0 {
			break
		}
		if i = connectors.TakeWord(b, i, `"]`); i < 0 || i >= len(b) {
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
