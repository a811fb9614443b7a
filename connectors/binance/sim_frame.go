package binance

import (
	"strconv"

	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

// Append implements [simulator.Dialogue].
func (c *simConn) Append(dst []byte, s *simulator.Subscription, e *simulator.Event) []byte {
	if !c.combined {
		return c.event(dst, s, e)
	}
	dst = append(append(append(dst, `{"stream":"`...), s.Topic...), `","data":`...)
	return append(c.event(dst, s, e), '}')
}

func (c *simConn) event(dst []byte, s *simulator.Subscription, e *simulator.Event) []byte {
	switch s.Tag {
	case simTrade:
		return c.tradeEvent(dst, e)
	case simAggTrade:
		return c.aggTradeEvent(dst, e)
	case simDepth:
		return c.depthEvent(dst, e)
	case simBookTicker:
		return c.bookTickerEvent(dst, e)
	case simTicker:
		return c.tickerEvent(dst, e)
	case simCandle:
		return c.candleEvent(dst, e)
	case simMarkPrice:
		return c.markPriceEvent(dst, e)
	}
	return c.forceOrderEvent(dst, e)
}

// begin writes {"e":…,"E":….
func begin(dst []byte, event string, at int64) []byte {
	dst = append(append(append(dst, `{"e":"`...), event...), `","E":`...)
	return strconv.AppendInt(dst, at/1e6, 10)
}

func addInt(dst []byte, key string, n int64) []byte {
	dst = append(append(append(dst, `,"`...), key...), `":`...)
	return strconv.AppendInt(dst, n, 10)
}

func addText(dst []byte, key, text string) []byte {
	dst = append(append(append(dst, `,"`...), key...), `":"`...)
	return append(append(dst, text...), '"')
}

func addBool(dst []byte, key string, b bool) []byte {
	dst = append(append(append(dst, `,"`...), key...), `":`...)
	return strconv.AppendBool(dst, b)
}

// number writes a number with the market's digits: the spot market has eight.
func (c *simConn) number(dst []byte, key string, d market.Decimal) []byte {
	dst = append(append(append(dst, `,"`...), key...), `":"`...)
	return append(digits(dst, d, c.futures), '"')
}

func digits(dst []byte, d market.Decimal, futures bool) []byte {
	dst = d.AppendText(dst)
	if futures {
		return dst
	}
	n := d.Scale()
	if n == 0 {
		dst = append(dst, '.')
	}
	for ; n < 8; n++ {
		dst = append(dst, '0')
	}
	return dst
}

func (c *simConn) tradeEvent(dst []byte, e *simulator.Event) []byte {
	t := &e.Trades[0]
	dst = begin(dst, "trade", e.Sent)
	if c.futures {
		dst = addInt(dst, "T", t.ExchangeTime/1e6)
	}
	dst = addText(dst, "s", e.Instrument.Native)
	dst = addInt(dst, "t", t.Seq.V)
	dst = c.number(dst, "p", t.Price)
	dst = c.number(dst, "q", t.Amount)
	if c.futures {
		dst = addBool(append(dst, `,"X":"MARKET"`...), "m", t.Side == market.Sell)
		return append(dst, '}')
	}
	dst = addInt(dst, "T", t.ExchangeTime/1e6)
	return append(addBool(dst, "m", t.Side == market.Sell), `,"M":true}`...)
}

// aggTradeEvent lets every trade be an aggregate of its own.
func (c *simConn) aggTradeEvent(dst []byte, e *simulator.Event) []byte {
	t := &e.Trades[0]
	dst = begin(dst, "aggTrade", e.Sent)
	dst = addText(dst, "s", e.Instrument.Native)
	dst = addInt(dst, "a", t.Seq.V)
	dst = c.number(dst, "p", t.Price)
	dst = c.number(dst, "q", t.Amount)
	dst = addInt(dst, "f", t.Seq.V)
	dst = addInt(dst, "l", t.Seq.V)
	dst = addInt(dst, "T", t.ExchangeTime/1e6)
	dst = addBool(dst, "m", t.Side == market.Sell)
	if !c.futures {
		dst = append(dst, `,"M":true`...)
	}
	return append(dst, '}')
}

func (c *simConn) depthEvent(dst []byte, e *simulator.Event) []byte {
	dst = begin(dst, "depthUpdate", e.Sent)
	if c.futures {
		dst = addInt(dst, "T", e.Time/1e6)
	}
	dst = addText(dst, "s", e.Instrument.Native)
	dst = addInt(dst, "U", e.Book.FirstSeq)
	dst = addInt(dst, "u", e.Book.Seq)
	if c.futures {
		dst = addInt(dst, "pu", e.Book.PrevSeq)
	}
	dst = c.levels(append(dst, `,"b":`...), e.Book.Bids)
	dst = c.levels(append(dst, `,"a":`...), e.Book.Asks)
	return append(dst, '}')
}

func (c *simConn) levels(dst []byte, levels []simulator.Level) []byte {
	dst = append(dst, '[')
	for i := range levels {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = digits(append(dst, `["`...), levels[i].Price, c.futures)
		dst = digits(append(dst, `","`...), levels[i].Amount, c.futures)
		dst = append(dst, `"]`...)
	}
	return append(dst, ']')
}

func (c *simConn) bookTickerEvent(dst []byte, e *simulator.Event) []byte {
	if c.futures {
		dst = append(dst, `{"e":"bookTicker","u":`...)
	} else {
		dst = append(dst, `{"u":`...)
	}
	dst = strconv.AppendInt(dst, e.Seq, 10)
	dst = addText(dst, "s", e.Instrument.Native)
	dst = c.number(dst, "b", e.Quote.BidPrice)
	dst = c.number(dst, "B", e.Quote.BidAmount)
	dst = c.number(dst, "a", e.Quote.AskPrice)
	dst = c.number(dst, "A", e.Quote.AskAmount)
	if c.futures {
		dst = addInt(dst, "T", e.Time/1e6)
		dst = addInt(dst, "E", e.Sent/1e6)
	}
	return append(dst, '}')
}

func (c *simConn) tickerEvent(dst []byte, e *simulator.Event) []byte {
	s := e.State
	change, percent := changeOf(s)
	dst = begin(dst, "24hrTicker", e.Sent)
	dst = addText(dst, "s", e.Instrument.Native)
	dst = c.number(dst, "p", change)
	dst = addText(dst, "P", percent.String())
	dst = c.number(dst, "w", average(s))
	if !c.futures {
		dst = c.number(dst, "x", s.Open)
	}
	dst = c.number(dst, "c", s.Last)
	dst = c.number(dst, "Q", s.LastAmount)
	if !c.futures {
		dst = c.number(dst, "b", s.Quote.BidPrice)
		dst = c.number(dst, "B", s.Quote.BidAmount)
		dst = c.number(dst, "a", s.Quote.AskPrice)
		dst = c.number(dst, "A", s.Quote.AskAmount)
	}
	dst = c.number(dst, "o", s.Open)
	dst = c.number(dst, "h", s.High)
	dst = c.number(dst, "l", s.Low)
	dst = c.number(dst, "v", s.Volume)
	dst = c.number(dst, "q", s.QuoteVolume)
	dst = addInt(dst, "O", s.Opened/1e6)
	dst = addInt(dst, "C", s.Time/1e6)
	dst = addInt(dst, "F", s.TradeID-s.Trades+1)
	dst = addInt(dst, "L", s.TradeID)
	return append(addInt(dst, "n", s.Trades), '}')
}

// changeOf is last − open, and the same in percent of open.
func changeOf(s *simulator.State) (change, percent market.Decimal) {
	last, _ := s.Last.Coefficient()
	open, _ := s.Open.Coefficient()
	p := market.DecimalFromFloat(100*float64(last-open)/float64(max(1, open)), 3)
	return market.NewDecimal(last-open, s.Last.Scale()), p
}

// average is the average price of the window, weighted by amounts.
func average(s *simulator.State) market.Decimal {
	return market.DecimalFromFloat(s.QuoteVolume.Float64()/s.Volume.Float64(), min(8, s.Last.Scale()+2))
}

func (c *simConn) candleEvent(dst []byte, e *simulator.Event) []byte {
	k := e.Candle
	first, last := k.FirstID, k.LastID
	if !k.Trades.OK || k.Trades.V == 0 {
		first, last = -1, -1
	}
	dst = begin(dst, "kline", e.Sent)
	dst = addText(dst, "s", e.Instrument.Native)
	dst = strconv.AppendInt(append(dst, `,"k":{"t":`...), k.OpenTime/1e6, 10)
	dst = addInt(dst, "T", k.CloseTime/1e6)
	dst = addText(dst, "s", e.Instrument.Native)
	dst = addText(dst, "i", k.Interval)
	dst = addInt(dst, "f", first)
	dst = addInt(dst, "L", last)
	dst = c.number(dst, "o", k.Open)
	dst = c.number(dst, "c", k.Close)
	dst = c.number(dst, "h", k.High)
	dst = c.number(dst, "l", k.Low)
	dst = c.number(dst, "v", k.Volume)
	dst = addInt(dst, "n", k.Trades.V)
	dst = addBool(dst, "x", k.Closed)
	dst = c.number(dst, "q", k.QuoteVolume)
	dst = c.number(dst, "V", k.BoughtVolume)
	dst = c.number(dst, "Q", k.BoughtQuoteVolume)
	return append(dst, `,"B":"0"}}`...)
}

func (c *simConn) markPriceEvent(dst []byte, e *simulator.Event) []byte {
	s := e.State
	dst = begin(dst, "markPriceUpdate", e.Sent)
	dst = addText(dst, "s", e.Instrument.Native)
	dst = c.number(dst, "p", s.Mark)
	dst = c.number(dst, "i", s.Index)
	dst = c.number(dst, "P", s.Mark)
	if e.Instrument.Market == market.Future {
		return append(dst, `,"r":"","T":0}`...)
	}
	dst = c.number(dst, "r", s.Rate)
	return append(addInt(dst, "T", s.Funding/1e6), '}')
}

func (c *simConn) forceOrderEvent(dst []byte, e *simulator.Event) []byte {
	l := e.Liquidation
	side := "SELL"
	if l.Side == market.Buy {
		side = "BUY"
	}
	dst = begin(dst, "forceOrder", e.Sent)
	dst = append(append(append(dst, `,"o":{"s":"`...), e.Instrument.Native...), '"')
	dst = addText(dst, "S", side)
	dst = append(dst, `,"o":"LIMIT","f":"IOC"`...)
	dst = c.number(dst, "q", l.Amount)
	dst = c.number(dst, "p", l.Price)
	dst = c.number(dst, "ap", l.Price)
	dst = append(dst, `,"X":"FILLED"`...)
	dst = c.number(dst, "l", l.Amount)
	dst = c.number(dst, "z", l.Amount)
	dst = addInt(dst, "T", l.ExchangeTime/1e6)
	return append(dst, "}}"...)
}

// Leave implements [simulator.Leaver].
func (c *simConn) Leave(r *simulator.Reply) {
	r.Send(append(begin(nil, eventShutdown, r.Now()), '}'))
}
