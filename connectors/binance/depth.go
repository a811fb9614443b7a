package binance

import (
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// depth reads {"e":"depthUpdate","E":…,"T":…,"s":…,"U":first,"u":last,"pu":previous,"b":[…],"a":[…]};
// T and pu are the futures'.
func (d *decoder) depth(m message) verdict {
	s := &d.s
	var inst *market.Instrument
	var bids, asks []market.Level
	first, last, prev := int64(-1), int64(-1), int64(-1)
	event, transaction := int64(0), int64(0)
	hasSymbol, hasBids, hasAsks := false, false, false
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "s":
			inst, hasSymbol = d.instrument(s.String()), true
		case "E":
			event = d.time()
		case "T":
			transaction = d.time()
		case "U":
			first = s.Int()
		case "u":
			last = s.Int()
		case "pu":
			prev = s.Int()
		case "b":
			bids, hasBids = s.Levels(m.out), true
		case "a":
			asks, hasAsks = s.Levels(m.out), true
		default:
			s.Skip()
		}
	}
	at := event
	if d.futures {
		at = transaction
	}
	if !hasSymbol || at == 0 || first < 0 || last < first || !hasBids || !hasAsks || d.futures && prev < 0 {
		s.Fail("a depthUpdate without s, U, u, b, a or its time, or with u before U")
	}
	if inst == nil || s.Err() != nil {
		return verdict{connectors.UnknownSymbol, d.index.depth}
	}
	if !d.futures {
		prev = first - 1
	}
	addDelta(m, inst, at, first, last, prev, bids, asks)
	return verdict{connectors.Records, d.index.depth}
}

func addDelta(m message, inst *market.Instrument, at, first, last, prev int64, bids, asks []market.Level) {
	b := market.Add[market.BookDelta](m.out)
	head(&b.Header, inst, m)
	b.ExchangeTime = at
	b.FirstSeq, b.Seq, b.PrevSeq = market.Int(first), market.Int(last), market.Int(prev)
	b.Bids, b.Asks = bids, asks
}
