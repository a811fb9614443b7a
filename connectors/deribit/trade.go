package deribit

import (
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// aTrade is a trade as it is read.
type aTrade struct {
	id            market.ID
	seq, at       int64
	price, amount market.Decimal
	side          market.Side
	// taker and maker: that side was liquidated.
	taker, maker, block bool
}

// trades reads [{"trade_id":…,"trade_seq":…,"timestamp":…,"price":…,"amount":…,"direction":"buy"|"sell",
// "liquidation":"M"|"T"|"MT","block_trade_id":…},…] and returns how many there were.
// https://docs.deribit.com/subscriptions/trades/tradesinstrument_nameinterval
func (d *decoder) trades(m *message) (n int) {
	s := &d.s
	s.Array()
	for s.Element() {
		t := d.trade()
		if s.Err() != nil {
			return n
		}
		t.add(m, 0)
		t.liquidations(m, 0)
		n++
	}
	return n
}

// trade reads one.
func (d *decoder) trade() (t aTrade) {
	s := &d.s
	t.seq = -1
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "trade_id":
			t.id = d.id(s.String())
		case "trade_seq":
			t.seq = s.Int()
		case "timestamp":
			t.at = d.time()
		case "price":
			t.price = s.Decimal()
		case "amount":
			t.amount = s.Decimal()
		case "direction":
			t.side = side(s.String())
		case "liquidation":
			t.taker, t.maker = liquidated(s)
		case "block_trade_id":
			t.block = s.Peek() != 'n' // null
			s.Skip()
		default:
			s.Skip()
		}
	}
	if !t.whole() {
		s.Fail("a trade without trade_id, trade_seq, timestamp, price, amount or direction")
	}
	return t
}

// whole reports whether nothing is missing.
func (t *aTrade) whole() bool {
	return t.id.IsSet() && t.seq >= 0 && t.at > 0 && t.price.IsSet() && t.amount.IsSet() && t.side != market.SideUnknown
}

// side is the taker's direction.
func side(word []byte) market.Side {
	switch string(word) {
	case "buy":
		return market.Buy
	case "sell":
		return market.Sell
	}
	return market.SideUnknown
}

// liquidated reads whose order was forced: "T" the taker's, "M" the maker's, "MT"
// both.
func liquidated(s *connectors.Scanner) (taker, maker bool) {
	if s.Peek() == 'n' {
		s.Null()
		return false, false
	}
	return liquidation(s.String())
}

func liquidation(word []byte) (taker, maker bool) {
	switch string(word) {
	case "T":
		return true, false
	case "M":
		return false, true
	case "MT", "TM":
		return true, true
	}
	return false, false
}

func (t *aTrade) add(m *message, flags market.Flags) {
	r := market.Add[market.Trade](m.out)
	head(&r.Header, m)
	r.ExchangeTime, r.Seq, r.Flags = t.at, market.Int(t.seq), flags
	r.ID, r.Price, r.Amount, r.Side = t.id, t.price, t.amount, t.side
	if m.topic.inverse {
		r.QuoteAmount = t.amount
	}
	if t.taker || t.maker {
		r.Flags |= market.FlagLiquidation
	}
	if t.block {
		r.Flags |= market.FlagBlock
	}
}

// liquidations are the forced orders that the trade filled. A maker's is on the
// other side.
func (t *aTrade) liquidations(m *message, flags market.Flags) {
	if t.taker {
		t.liquidation(m, t.side, flags)
	}
	if t.maker {
		t.liquidation(m, market.Buy+market.Sell-t.side, flags)
	}
}

func (t *aTrade) liquidation(m *message, forced market.Side, flags market.Flags) {
	l := market.Add[market.Liquidation](m.out)
	head(&l.Header, m)
	l.ExchangeTime, l.Seq, l.Flags = t.at, market.Int(t.seq), flags|market.FlagUnverifiable
	l.ID, l.Price, l.Amount, l.Side = t.id, t.price, t.amount, forced
}
