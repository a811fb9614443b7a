package binance

import (
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// markPrice reads {"e":"markPriceUpdate","E":…,"s":…,"p":mark,"i":index,"P":settle,"r":rate,"T":next funding}
// and gives up to three records. A delivery contract has an empty r and T 0.
func (d *decoder) markPrice(m message) verdict {
	s := &d.s
	var inst *market.Instrument
	var mark, index, rate market.Decimal
	at, next, hasSymbol := int64(0), int64(0), false
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "s":
			inst, hasSymbol = d.instrument(s.String()), true
		case "E":
			at = d.time()
		case "p":
			mark = s.Decimal()
		case "i":
			index = s.Decimal()
		case "r":
			rate = s.Decimal()
		case "T":
			next = d.time()
		default:
			s.Skip()
		}
	}
	if !hasSymbol || at == 0 || !mark.IsSet() {
		s.Fail("a markPriceUpdate without s, E or p")
	}
	if inst == nil || s.Err() != nil {
		return verdict{connectors.UnknownSymbol, d.index.markPrice}
	}
	p := market.Add[market.MarkPrice](m.out)
	head(&p.Header, inst, m)
	p.ExchangeTime, p.Flags, p.Price = at, market.FlagUnverifiable, mark
	if index.IsSet() {
		p := market.Add[market.IndexPrice](m.out)
		head(&p.Header, inst, m)
		p.ExchangeTime, p.Flags, p.Price = at, market.FlagUnverifiable, index
	}
	if rate.IsSet() {
		f := market.Add[market.Funding](m.out)
		head(&f.Header, inst, m)
		f.ExchangeTime, f.Flags, f.Rate, f.NextFundingTime = at, market.FlagUnverifiable, rate, next
	}
	return verdict{connectors.Records, d.index.markPrice}
}

// forceOrder reads {"e":"forceOrder","E":…,"o":{"s":…,"S":"SELL","ap":average,"z":filled,"X":status,"T":time}}.
// S is the forced order's side: SELL closes a long.
func (d *decoder) forceOrder(m message) verdict {
	s := &d.s
	var inst *market.Instrument
	var l market.Liquidation
	hasSymbol := false
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		if string(key) != "o" {
			s.Skip()
			continue
		}
		s.Object()
		for key, ok := s.Key(); ok; key, ok = s.Key() {
			switch string(key) {
			case "s":
				inst, hasSymbol = d.instrument(s.String()), true
			case "S":
				l.Side = orderSide(s.String())
			case "ap":
				l.Price = s.Decimal()
			case "z":
				l.Amount = s.Decimal()
			case "X":
				l.Status = orderStatus(s.String())
			case "T":
				l.ExchangeTime = d.time()
			default:
				s.Skip()
			}
		}
	}
	if !hasSymbol || l.Side == market.SideUnknown || !l.Price.IsSet() || !l.Amount.IsSet() || l.ExchangeTime == 0 {
		s.Fail("a forceOrder without s, S, ap, z or T")
	}
	if inst == nil || s.Err() != nil {
		return verdict{connectors.UnknownSymbol, d.index.liquidation}
	}
	head(&l.Header, inst, m)
	l.Flags = market.FlagLossy | market.FlagUnverifiable
	*market.Add[market.Liquidation](m.out) = l
	return verdict{connectors.Records, d.index.liquidation}
}

func orderSide(word []byte) market.Side {
	switch string(word) {
	case "BUY":
		return market.Buy
	case "SELL":
		return market.Sell
	}
	return market.SideUnknown
}

// orderStatus is the status in lower case; the usual ones allocate nothing.
func orderStatus(word []byte) string {
	switch string(word) {
	case "FILLED":
		return "filled"
	case "PARTIALLY_FILLED":
		return "partially_filled"
	case "NEW":
		return "new"
	case "CANCELED":
		return "canceled"
	case "EXPIRED":
		return "expired"
	}
	return lower(word)
}
