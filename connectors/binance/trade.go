package binance

import (
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// trade reads {"e":"trade","E":…,"s":…,"t":id,"p":…,"q":…,"T":time,"m":buyer is maker}.
// On futures X says where the trade came from: an insurance fund's or an
// auto-deleveraging fill did not happen in the book and is no trade.
func (d *decoder) trade(m message) verdict {
	s := &d.s
	var inst *market.Instrument
	var price, amount market.Decimal
	id, at := int64(-1), int64(0)
	maker, hasMaker, hasSymbol, inBook := false, false, false, true
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "s":
			inst, hasSymbol = d.instrument(s.String()), true
		case "t":
			id = s.Int()
		case "p":
			price = s.Decimal()
		case "q":
			amount = s.Decimal()
		case "T":
			at = d.time()
		case "m":
			maker, hasMaker = s.Bool(), true
		case "X":
			x := s.String()
			inBook = string(x) != "INSURANCE_FUND" && string(x) != "ADL" && string(x) != "NA"
		default:
			s.Skip()
		}
	}
	if !inBook {
		return verdict{connectors.Ignored, d.index.trade}
	}
	if !hasSymbol || id < 0 || !price.IsSet() || !amount.IsSet() || at == 0 || !hasMaker {
		s.Fail("a trade without s, t, p, q, T or m")
	}
	if inst == nil || s.Err() != nil {
		return verdict{connectors.UnknownSymbol, d.index.trade}
	}
	addTrade(m, inst, id, price, amount, at, maker, 0)
	return verdict{connectors.Records, d.index.trade}
}

// aggTrade reads {"e":"aggTrade",…,"a":id,"f":first,"l":last,…}: the fills of one
// taker order at one price.
func (d *decoder) aggTrade(m message) verdict {
	s := &d.s
	var inst *market.Instrument
	var price, amount market.Decimal
	id, at := int64(-1), int64(0)
	maker, hasMaker, hasSymbol := false, false, false
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "s":
			inst, hasSymbol = d.instrument(s.String()), true
		case "a":
			id = s.Int()
		case "p":
			price = s.Decimal()
		case "q":
			amount = s.Decimal()
		case "T":
			at = d.time()
		case "m":
			maker, hasMaker = s.Bool(), true
		default:
			s.Skip()
		}
	}
	if !hasSymbol || id < 0 || !price.IsSet() || !amount.IsSet() || at == 0 || !hasMaker {
		s.Fail("an aggTrade without s, a, p, q, T or m")
	}
	if inst == nil || s.Err() != nil {
		return verdict{connectors.UnknownSymbol, d.index.aggTrade}
	}
	addTrade(m, inst, id, price, amount, at, maker, market.FlagAggregate)
	return verdict{connectors.Records, d.index.aggTrade}
}

func addTrade(m message, inst *market.Instrument, id int64, price, amount market.Decimal, at int64, maker bool, flags market.Flags) *market.Trade {
	t := market.Add[market.Trade](m.out)
	head(&t.Header, inst, m)
	t.ExchangeTime, t.Flags, t.Seq = at, flags, market.Int(id)
	t.ID, t.Price, t.Amount, t.Side = market.NumID(id), price, amount, side(maker)
	return t
}
