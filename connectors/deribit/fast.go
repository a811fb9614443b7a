package deribit

import (
	"bytes"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// prefix begins every notification, suffix ends it.
const (
	prefix = `{"jsonrpc":"2.0","method":"subscription","params":{"channel":"`
	suffix = `}}`
)

// fast reads the notifications that come by the million: books, trades, tickers
// and quotes of channels that have been seen before. ok is false when the frame is
// anything else; what is in out then does not count.
func (d *decoder) fast(frame []byte, rc connectors.Receipt, out *market.Batch) (connectors.Note, bool) {
	c := cursor{b: frame}
	if !c.lit(prefix) {
		return connectors.Note{}, false
	}
	t := d.topic(frame[c.i:])
	if t == nil {
		return connectors.Note{}, false
	}
	c.i += len(t.name)
	c.lit(`","data":`)
	m := message{rc: rc, out: out, topic: t}
	switch t.family {
	case book:
		d.fastBook(&c, &m)
	case trades:
		d.fastTrades(&c, &m)
	case ticker:
		d.fastTicker(&c, &m)
	case quote:
		d.fastQuote(&c, &m)
	default:
		return connectors.Note{}, false
	}
	if !c.lit(suffix) || c.i != len(frame) {
		return connectors.Note{}, false
	}
	return connectors.Note{Channel: t.channel}, true
}

// topic is that of the channel whose name b begins with; nil for one not seen yet.
func (d *decoder) topic(b []byte) *topic {
	if t := d.last; t != nil && len(b) > len(t.name) && b[len(t.name)] == '"' && string(b[:len(t.name)]) == t.name {
		return t
	}
	n := bytes.IndexByte(b, '"')
	if n < 0 {
		return nil
	}
	t := d.topics[string(b[:n])]
	if t != nil {
		d.last = t
	}
	return t
}

func (d *decoder) fastBook(c *cursor, m *message) {
	b := aBook{id: -1, prev: -1}
	r := reading{fields: &d.objects.book}
	for more := c.open('{', '}'); more; more = c.more('}') {
		switch c.field(&r) {
		case bookType:
			word := c.text()
			b.snapshot, b.change = string(word) == "snapshot", string(word) == "change"
		case bookTime:
			b.at = c.time()
		case bookID:
			b.id = c.int()
		case bookPrevID:
			b.prev = c.int()
		case bookBids:
			b.bids, b.hasBids = c.levels(m.out), true
		case bookAsks:
			b.asks, b.hasAsks = c.levels(m.out), true
		default:
			c.skip(skipDepth)
		}
	}
	if c.i < 0 || !b.whole() {
		c.fail()
		return
	}
	b.add(m)
}

func (c *cursor) levels(out *market.Batch) []market.Level {
	mark := out.LevelMark()
	for more := c.open('[', ']'); more; more = c.more(']') {
		gone := false
		switch {
		case c.i < 0:
			return nil
		case bytes.HasPrefix(c.b[c.i:], []byte(`["new",`)):
			c.i += len(`["new",`)
		case bytes.HasPrefix(c.b[c.i:], []byte(`["change",`)):
			c.i += len(`["change",`)
		default:
			gone = c.lit(`["delete",`)
		}
		price := c.number()
		c.lit(`,`)
		l := market.Level{Price: price, Amount: c.number()}
		if !c.lit(`]`) {
			return nil
		}
		if gone {
			l.Amount = deleted(l.Amount)
		}
		out.Level(l)
	}
	return out.LevelsFrom(mark)
}

func (d *decoder) fastTrades(c *cursor, m *message) {
	some := false
	for more := c.open('[', ']'); more; more = c.more(']') {
		t := aTrade{seq: -1}
		d.fastTrade(c, &t)
		if c.i < 0 || !t.whole() {
			c.fail()
			return
		}
		t.add(m, 0)
		t.liquidations(m, 0)
		some = true
	}
	if !some {
		c.fail()
	}
}

func (d *decoder) fastTrade(c *cursor, t *aTrade) {
	r := reading{fields: &d.objects.trade}
	for more := c.open('{', '}'); more; more = c.more('}') {
		switch c.field(&r) {
		case tradeID:
			t.id = d.id(c.text())
		case tradeSeq:
			t.seq = c.int()
		case tradeTime:
			t.at = c.time()
		case tradePrice:
			t.price = c.decimal()
		case tradeAmount:
			t.amount = c.decimal()
		case tradeDirection:
			t.side = side(c.text())
		case tradeLiquidation:
			t.taker, t.maker = liquidation(c.text())
		case tradeBlock:
			t.block = c.peek() != 'n'
			c.skip(skipDepth)
		default:
			c.skip(skipDepth)
		}
	}
}

func (d *decoder) fastTicker(c *cursor, m *message) {
	var t aTicker
	r := reading{fields: &d.objects.ticker}
	for more := c.open('{', '}'); more; more = c.more('}') {
		switch c.field(&r) {
		case tickerTime:
			t.at = c.time()
		case tickerLast:
			t.last = c.decimal()
		case tickerBid:
			t.bid = c.decimal()
		case tickerAsk:
			t.ask = c.decimal()
		case tickerMark:
			t.mark = c.decimal()
		case tickerIndex:
			t.index = c.decimal()
		case tickerInterest:
			t.interest = c.decimal()
		case tickerFunding:
			t.funding = c.decimal()
		case tickerStats:
			d.fastStats(c, &t)
		default:
			c.skip(skipDepth)
		}
	}
	if c.i < 0 || t.at == 0 {
		c.fail()
		return
	}
	t.add(m)
	t.addDerivative(m, d.market)
}

func (d *decoder) fastStats(c *cursor, t *aTicker) {
	r := reading{fields: &d.objects.stats}
	for more := c.open('{', '}'); more; more = c.more('}') {
		switch c.field(&r) {
		case statsVolume:
			t.volume = c.decimal()
		case statsVolumeUSD:
			t.volumeUSD = c.decimal()
		case statsVolumeNotional:
			t.volumeNotional = c.decimal()
		case statsChange:
			t.change = c.decimal()
		case statsLow:
			t.low = c.decimal()
		case statsHigh:
			t.high = c.decimal()
		default:
			c.skip(skipDepth)
		}
	}
}

func (d *decoder) fastQuote(c *cursor, m *message) {
	var q aQuote
	r := reading{fields: &d.objects.quote}
	for more := c.open('{', '}'); more; more = c.more('}') {
		switch c.field(&r) {
		case quoteTime:
			q.at = c.time()
		case quoteBid:
			q.BidPrice, q.bid = c.decimal(), true
		case quoteBidAmount:
			q.BidAmount = c.decimal()
		case quoteAsk:
			q.AskPrice, q.ask = c.decimal(), true
		case quoteAskAmount:
			q.AskAmount = c.decimal()
		default:
			c.skip(skipDepth)
		}
	}
	if c.i < 0 || !q.whole() {
		c.fail()
		return
	}
	q.add(m)
}
