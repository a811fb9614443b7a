package okx

import (
	"strconv"
	"strings"

	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

// Append implements [simulator.Dialogue].
func (c *simConn) Append(dst []byte, s *simulator.Subscription, e *simulator.Event) []byte {
	channel, subject, _ := strings.Cut(s.Topic, ":")
	key := "instId"
	if s.Tag == simLiquidation {
		key = "instType"
	}
	dst = append(append(append(dst, `{"arg":{"channel":"`...), channel...), `","`...)
	dst = append(append(append(append(dst, key...), `":"`...), subject...), `"},`...)
	if s.Tag == simBook {
		word := `"action":"update",`
		if e.Book.Snapshot {
			word = `"action":"snapshot",`
		}
		dst = append(dst, word...)
	}
	dst = append(dst, `"data":[`...)
	return append(c.element(dst, s, e), "]}"...)
}

func (c *simConn) element(dst []byte, s *simulator.Subscription, e *simulator.Event) []byte {
	i := e.Instrument
	switch s.Tag {
	case simTrade:
		return appendTrade(dst, &e.Trades[0])
	case simTrades:
		if c.legacy {
			return fills(dst, e)
		}
		return c.trades(dst, e)
	case simBook:
		return c.book(dst, e)
	case simQuote:
		return c.quote(dst, e)
	case simTicker:
		return appendTicker(dst, i, e.State)
	case simCandle:
		return appendCandle(dst, i, e.Candle)
	case simMark:
		return price(instrument(dst, i), "markPx", e.State.Mark, e.State.Time)
	case simIndex:
		return price(append(dst, `{"instId":"`+indexName(i)+`"`...), "idxPx", e.State.Index, e.State.Time)
	case simOpenInterest:
		return openInterest(dst, i, e.State)
	case simFunding:
		return fundingRate(dst, i, e.State)
	}
	return liquidation(dst, e)
}

// instrument writes {"instType":…,"instId":….
func instrument(dst []byte, i *market.Instrument) []byte {
	dst = append(append(dst, `{"instType":"`...), instTypes[i.Market]...)
	return append(append(append(dst, `","instId":"`...), i.Native...), '"')
}

func addNumber(dst []byte, key string, d market.Decimal) []byte {
	dst = append(append(append(dst, `,"`...), key...), `":"`...)
	return append(d.AppendText(dst), '"')
}

// addTime writes nanoseconds as milliseconds.
func addTime(dst []byte, key string, at int64) []byte {
	dst = append(append(append(dst, `,"`...), key...), `":"`...)
	return append(strconv.AppendInt(dst, at/1e6, 10), '"')
}

func price(dst []byte, key string, p market.Decimal, at int64) []byte {
	return append(addTime(addNumber(dst, key, p), "ts", at), '}')
}

// fills writes each by itself and without its source, as the channel did before.
func fills(dst []byte, e *simulator.Event) []byte {
	for n := range e.Trades {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = appendFill(dst, &e.Trades[n])
		dst = append(addTime(dst, "ts", e.Trades[n].ExchangeTime), '}')
	}
	return dst
}

// trades puts the fills at one price together, as the channel does.
func (c *simConn) trades(dst []byte, e *simulator.Event) []byte {
	list := e.Trades
	for from := 0; from < len(list); {
		to, coef := from, int64(0)
		scale := list[from].Amount.Scale()
		for ; to < len(list) && list[to].Price == list[from].Price; to++ {
			n, _ := list[to].Amount.Coefficient()
			coef += n
		}
		t := list[to-1]
		t.Amount = market.NewDecimal(coef, scale)
		if from > 0 {
			dst = append(dst, ',')
		}
		dst = appendTrade(dst, &t)
		dst = strconv.AppendInt(append(dst[:len(dst)-1], `,"count":"`...), int64(to-from), 10)
		dst = append(strconv.AppendInt(append(dst, `","seqId":`...), e.Seq, 10), '}')
		from = to
	}
	return dst
}

func (c *simConn) book(dst []byte, e *simulator.Event) []byte {
	b := e.Book
	dst = c.levels(append(dst, `{"asks":`...), e.Instrument, b.Asks)
	dst = c.levels(append(dst, `,"bids":`...), e.Instrument, b.Bids)
	dst = addTime(dst, "ts", e.Time)
	dst = append(dst, `,"checksum":`...)
	if c.legacy {
		bids, asks := b.Top(checksumDepth)
		n := newSequence().Checksum(e.Instrument, bids, asks)
		if e.BadChecksum {
			n ^= 1
		}
		return append(strconv.AppendInt(dst, n, 10), '}')
	}
	prev := b.PrevSeq
	if b.Snapshot {
		prev = -1
	}
	dst = strconv.AppendInt(append(dst, `0,"prevSeqId":`...), prev, 10)
	return append(strconv.AppendInt(append(dst, `,"seqId":`...), b.Seq, 10), '}')
}

func (c *simConn) levels(dst []byte, i *market.Instrument, levels []simulator.Level) []byte {
	dst = append(dst, '[')
	for n := range levels {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = appendOrders(dst, i, &levels[n].Level)
	}
	return append(dst, ']')
}

func (c *simConn) quote(dst []byte, e *simulator.Event) []byte {
	side := func(price, amount market.Decimal) []market.Level {
		if !price.IsSet() {
			return nil
		}
		return []market.Level{{Price: price, Amount: amount}}
	}
	dst = appendLevels(append(dst, `{"asks":`...), e.Instrument, side(e.Quote.AskPrice, e.Quote.AskAmount))
	dst = appendLevels(append(dst, `,"bids":`...), e.Instrument, side(e.Quote.BidPrice, e.Quote.BidAmount))
	dst = addTime(dst, "ts", e.Time)
	return append(strconv.AppendInt(append(dst, `,"seqId":`...), e.Seq, 10), '}')
}

// inBase is an amount as base: that of an inverse contract is worth it at a price.
func inBase(i *market.Instrument, amount, at market.Decimal) market.Decimal {
	if !inverse(i) || !at.IsSet() || at.IsZero() {
		return amount
	}
	return market.DecimalFromFloat(amount.Float64()/at.Float64(), 4)
}

func appendTicker(dst []byte, i *market.Instrument, s *simulator.State) []byte {
	dst = instrument(dst, i)
	dst = addNumber(dst, "last", s.Last)
	dst = addNumber(dst, "lastSz", contracts(i, s.LastAmount))
	dst = addNumber(dst, "askPx", s.Quote.AskPrice)
	dst = addNumber(dst, "askSz", contracts(i, s.Quote.AskAmount))
	dst = addNumber(dst, "bidPx", s.Quote.BidPrice)
	dst = addNumber(dst, "bidSz", contracts(i, s.Quote.BidAmount))
	dst = addNumber(dst, "open24h", s.Open)
	dst = addNumber(dst, "high24h", s.High)
	dst = addNumber(dst, "low24h", s.Low)
	if i.Market == market.Spot {
		dst = addNumber(dst, "volCcy24h", s.QuoteVolume)
	} else {
		dst = addNumber(dst, "volCcy24h", inBase(i, s.Volume, s.Last))
	}
	dst = addNumber(dst, "vol24h", contracts(i, s.Volume))
	dst = addNumber(dst, "sodUtc0", s.Open)
	dst = addNumber(dst, "sodUtc8", s.Open)
	return append(addTime(dst, "ts", s.Time), '}')
}

func appendCandle(dst []byte, i *market.Instrument, k *simulator.Candle) []byte {
	text := func(d market.Decimal) {
		dst = append(d.AppendText(append(dst, `,"`...)), '"')
	}
	dst = append(strconv.AppendInt(append(dst, `["`...), k.OpenTime/1e6, 10), '"')
	text(k.Open)
	text(k.High)
	text(k.Low)
	text(k.Close)
	text(contracts(i, k.Volume))
	quote := k.QuoteVolume
	switch {
	case i.Market == market.Spot:
		text(k.QuoteVolume)
	default:
		text(inBase(i, k.Volume, k.Close))
		if inverse(i) {
			quote = k.Volume
		}
	}
	text(quote)
	if k.Closed {
		return append(dst, `,"1"]`...)
	}
	return append(dst, `,"0"]`...)
}

func openInterest(dst []byte, i *market.Instrument, s *simulator.State) []byte {
	dst = addNumber(instrument(dst, i), "oi", contracts(i, s.OpenInterest))
	dst = addNumber(dst, "oiCcy", inBase(i, s.OpenInterest, s.Last))
	dollars := s.OpenInterestQuote
	if inverse(i) {
		dollars = s.OpenInterest
	}
	return append(addTime(addNumber(dst, "oiUsd", dollars), "ts", s.Time), '}')
}

func fundingRate(dst []byte, i *market.Instrument, s *simulator.State) []byte {
	const period = int64(8 * 3600 * 1e9)
	dst = append(dst, `{"formulaType":"noRate","fundingRate":"`...)
	dst = append(s.Rate.AppendText(dst), '"')
	dst = addTime(dst, "fundingTime", s.Funding)
	dst = append(append(append(dst, `,"instId":"`...), i.Native...), `","instType":"SWAP","method":"current_period","nextFundingRate":""`...)
	dst = addTime(dst, "nextFundingTime", s.Funding+period)
	return append(addTime(append(dst, `,"settState":"settled"`...), "ts", s.Time), '}')
}

func liquidation(dst []byte, e *simulator.Event) []byte {
	l, i := e.Liquidation, e.Instrument
	position := "long"
	if l.Side == market.Buy {
		position = "short"
	}
	dst = append(dst, `{"details":[{"bkLoss":"0","bkPx":"`...)
	dst = append(l.Price.AppendText(dst), `","ccy":"","posSide":"`+position+`","side":"`...)
	dst = append(append(dst, l.Side.String()...), '"')
	dst = addNumber(dst, "sz", contracts(i, l.Amount))
	dst = append(addTime(dst, "ts", l.ExchangeTime), `}],"instFamily":"`+i.Base+"-"+i.Quote+`","instId":"`...)
	dst = append(append(append(dst, i.Native...), `","instType":"`...), instTypes[i.Market]...)
	return append(dst, `","uly":"`+indexName(i)+`"}`...)
}
