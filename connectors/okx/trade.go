package okx

import (
	"github.com/marketprism/marketprism/internal/market"
)

// tradeFields are the members of a trade.
type tradeFields struct {
	id, at, count int64
	price, amount market.Decimal
	side          market.Side
}

// trade reads {"instId":…,"tradeId":…,"px":…,"sz":contracts,"side":…,"ts":…}, of
// either channel. In trades a count above 1 says how many fills the record stands
// for, and tradeId is the last one's: ids rise by one per fill.
// https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-trades-channel
func (d *decoder) trade(m *message) {
	f := d.tradeFields()
	if d.s.Err() == nil {
		f.add(m)
	}
}

func (d *decoder) tradeFields() tradeFields {
	s := &d.s
	f := tradeFields{id: -1, count: 1}
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "tradeId":
			f.id = s.Int()
		case "px":
			f.price = s.Decimal()
		case "sz":
			f.amount = d.amount(s.Decimal())
		case "side":
			f.side = side(s.String())
		case "ts":
			f.at = d.time()
		case "count":
			f.count = s.Int()
		default:
			s.Skip()
		}
	}
	if problem := f.problem(); problem != "" {
		s.Fail(problem)
	}
	return f
}

// problem says what is wrong; "" for nothing.
func (f *tradeFields) problem() string {
	switch {
	case f.id < 0 || !f.price.IsSet() || !f.amount.IsSet() || f.side == market.SideUnknown || f.at == 0:
		return "a trade without tradeId, px, sz, side or ts"
	case f.count < 1 || f.count > f.id+1:
		return "a count of fills that cannot be"
	}
	return ""
}

func (f *tradeFields) add(m *message) *market.Trade {
	t := market.Add[market.Trade](m.out)
	m.head(&t.Header, m.inst, f.at)
	t.Seq = market.Int(f.id)
	t.ID, t.Price, t.Amount, t.Side = market.NumID(f.id), f.price, f.amount, f.side
	if f.count > 1 {
		t.Flags, t.PrevSeq = market.FlagAggregate, market.Int(f.id-f.count)
	}
	return t
}
