package simulator

import "github.com/marketprism/marketprism/internal/market"

// TradeAt is the id of the first trade at or after a time, Unix ns; false while none
// has happened, or for an unknown instrument.
func (v *View) TradeAt(native string, t int64) (id int64, ok bool) {
	s, ok := v.stream(native)
	if !ok {
		return 0, false
	}
	now := v.host.step(s, v.now)
	// What happens in a step, happens before it is told of.
	for e := s.at(min(s.stepAt(t), now)); e.now < now; {
		if e.next(); len(e.fills) > 0 && e.time(e.now) >= t {
			return e.trades - int64(len(e.fills)) + 1, true
		}
	}
	return 0, false
}

// exactSteps bounds what one answer makes again.
const exactSteps = 2_000_000

// CandlesBetween are the candles of an interval that begin from one time on and
// before another, Unix ns, oldest first, at most n, up to the running one. They are
// exactly what the trades were while the answer covers no more than two million steps
// of the market, else about that.
func (v *View) CandlesBetween(native, interval string, from, to int64, n int) ([]Candle, bool) {
	s, ok := v.stream(native)
	if _, good := IntervalLength(interval); !ok || !good {
		return nil, false
	}
	at, end := bounds(interval, max(from, s.genesis))
	if at < from {
		at, end = bounds(interval, end)
	}
	now := v.host.step(s, v.now)
	var out []Candle
	var e *engine
	if last := min(to, v.now); at < last && (last-at)/s.period <= exactSteps {
		e = s.at(max(-1, min(s.stepAt(at), now)))
	}
	for ; at < min(to, v.now) && len(out) < n; at, end = bounds(interval, end) {
		closed := end <= v.now
		if e == nil {
			out = append(out, *s.pastCandle(interval, at).record(&engine{spec: s.spec}, end-1, closed))
			continue
		}
		c := newCandle(interval, at, e.lastCell)
		for e.now < now && e.time(e.now+1) < end {
			if e.next(); len(e.fills) > 0 && e.time(e.now) >= at {
				c.take(e)
			}
		}
		out = append(out, *c.record(e, min(end, v.now), closed))
	}
	return out, true
}

// StateAt is what could be said of an instrument at a time of the past, Unix ns.
func (v *View) StateAt(native string, t int64) (*State, bool) {
	s, ok := v.stream(native)
	if !ok || t > v.now {
		return nil, false
	}
	return s.at(s.stepAt(t)).state(t), true
}

// FundingPaid is a rate that was paid.
type FundingPaid struct {
	Time int64 // Unix ns
	Rate market.Decimal
}

// FundingBetween are the rates that were paid from one time on and before another,
// Unix ns, oldest first.
func (v *View) FundingBetween(native string, from, to int64) ([]FundingPaid, bool) {
	s, ok := v.stream(native)
	if !ok {
		return nil, false
	}
	var out []FundingPaid
	for at := (max(from, s.genesis) + fundingPeriod - 1) / fundingPeriod * fundingPeriod; at < min(to, v.now+1); at += fundingPeriod {
		out = append(out, FundingPaid{at, s.rate(at/fundingPeriod - 1)})
	}
	return out, true
}
