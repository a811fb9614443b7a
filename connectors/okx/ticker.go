package okx

import (
	"github.com/marketprism/marketprism/internal/market"
)

// ticker reads the rolling 24 hours. What has never traded has no prices. vol24h
// is base on spot and contracts elsewhere; volCcy24h is quote on spot, base
// elsewhere.
// https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-tickers-channel
func (d *decoder) ticker(m *message) {
	s := &d.s
	var t market.Ticker
	var volume, volumeCcy market.Decimal
	at := int64(0)
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "last":
			t.Last = s.Decimal()
		case "open24h":
			t.Open = s.Decimal()
		case "high24h":
			t.High = s.Decimal()
		case "low24h":
			t.Low = s.Decimal()
		case "vol24h":
			volume = s.Decimal()
		case "volCcy24h":
			volumeCcy = s.Decimal()
		case "bidPx":
			t.BidPrice = s.Decimal()
		case "askPx":
			t.AskPrice = s.Decimal()
		case "ts":
			at = d.time()
		default:
			s.Skip()
		}
	}
	if at == 0 {
		s.Fail("a ticker without ts")
	}
	if s.Err() != nil {
		return
	}
	if d.market == market.Spot {
		t.Volume, t.QuoteVolume = volume, volumeCcy
	} else {
		t.Volume = volumeCcy
	}
	m.head(&t.Header, m.inst, at)
	t.Flags = market.FlagUnverifiable
	*market.Add[market.Ticker](m.out) = t
}

// candle reads [open time,o,h,l,c,vol,volCcy,volCcyQuote,confirm]; the last two
// came in 2022. Units as in a ticker; volCcyQuote is quote.
// https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-candlesticks-channel
func (d *decoder) candle(m *message) {
	s := &d.s
	var c market.Candle
	var volume, volumeCcy, volumeQuote market.Decimal
	confirm := market.Decimal{}
	n := 0
	s.Array()
	for ; s.Element(); n++ {
		switch n {
		case 0:
			c.OpenTime = d.time()
		case 1:
			c.Open = s.Decimal()
		case 2:
			c.High = s.Decimal()
		case 3:
			c.Low = s.Decimal()
		case 4:
			c.Close = s.Decimal()
		case 5:
			volume = s.Decimal()
		case 6:
			volumeCcy = s.Decimal()
		case 7:
			volumeQuote = s.Decimal()
		case 8:
			confirm = s.Decimal()
		default:
			s.Skip()
		}
	}
	if c.OpenTime == 0 || !c.Open.IsSet() || !c.High.IsSet() || !c.Low.IsSet() || !c.Close.IsSet() || !volumeCcy.IsSet() {
		s.Fail("a candle without its time, prices or volume")
	}
	if s.Err() != nil {
		return
	}
	c.Volume, c.QuoteVolume = volumeCcy, volumeQuote
	if d.market == market.Spot {
		if c.Volume = volume; !volumeQuote.IsSet() {
			c.QuoteVolume = volumeCcy
		}
	}
	c.Closed = confirm.IsSet() && !confirm.IsZero()
	c.Interval = m.route.interval
	m.head(&c.Header, m.inst, 0)
	c.Flags = market.FlagUnverifiable
	*market.Add[market.Candle](m.out) = c
}

// price reads the members name and ts of an element.
func (d *decoder) price(name string) (p market.Decimal, at int64) {
	s := &d.s
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case name:
			p = s.Decimal()
		case "ts":
			at = d.time()
		default:
			s.Skip()
		}
	}
	if !p.IsSet() || at == 0 {
		s.Fail("a price without its value or ts")
	}
	return p, at
}

// markPrice reads {"instType":…,"instId":…,"markPx":…,"ts":…}.
// https://www.okx.com/docs-v5/en/#public-data-websocket-mark-price-channel
func (d *decoder) markPrice(m *message) {
	price, at := d.price("markPx")
	if d.s.Err() != nil {
		return
	}
	p := market.Add[market.MarkPrice](m.out)
	m.head(&p.Header, m.inst, at)
	p.Flags, p.Price = market.FlagUnverifiable, price
}

// indexPrice reads {"instId":index,"idxPx":…,"ts":…}: a record of each instrument
// with that index.
// https://www.okx.com/docs-v5/en/#public-data-websocket-index-tickers-channel
func (d *decoder) indexPrice(m *message) {
	price, at := d.price("idxPx")
	if d.s.Err() != nil {
		return
	}
	for _, i := range m.concerns {
		p := market.Add[market.IndexPrice](m.out)
		m.head(&p.Header, i, at)
		p.Flags, p.Price = market.FlagUnverifiable, price
	}
}
