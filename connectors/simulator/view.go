package simulator

import (
	"github.com/marketprism/marketprism/internal/market"
)

// View is a host's markets at a moment, for the answer to a call. It is good
// during the call only.
type View struct {
	*Listing
	host *host
	now  int64
}

// Now is the moment, Unix ns.
func (v *View) Now() int64 { return v.now }

// Book is the whole book of an instrument, best first: n levels a side, 0 for all
// of them; time is that of its last change. false for an unknown instrument.
func (v *View) Book(native string, n int) (bids, asks []market.Level, seq, time int64, ok bool) {
	s, ok := v.stream(native)
	if !ok {
		return nil, nil, 0, 0, false
	}
	e := v.host.engineOf(s, v.now)
	bids, asks = e.top(n)
	return bids, asks, s.seq(e.now), s.time(e.now), true
}

// State is what else can be said of an instrument.
func (v *View) State(native string) (*State, bool) {
	s, ok := v.stream(native)
	if !ok {
		return nil, false
	}
	return v.host.engineOf(s, v.now).state(v.now), true
}

// maxTradesView bounds the trades of one call.
const maxTradesView = 10_000

// Trades are the trades of an instrument with ids from one to another, both
// inclusive and clipped to those there are, oldest first, at most 10,000 of them.
func (v *View) Trades(native string, from, to int64) ([]market.Trade, bool) {
	s, ok := v.stream(native)
	if !ok {
		return nil, false
	}
	from = max(from, 1)
	return s.tradesBetween(from, min(to, from+maxTradesView-1), v.host.step(s, v.now)), true
}

// LastTrades are the newest n, oldest first.
func (v *View) LastTrades(native string, n int) ([]market.Trade, bool) {
	s, ok := v.stream(native)
	if !ok {
		return nil, false
	}
	last := v.host.engineOf(s, v.now).trades
	return v.Trades(native, last-int64(min(n, maxTradesView))+1, last)
}

// Candles are the last n candles of an interval, oldest first, the running one
// last; those of long intervals are about as the market was. A call gives at most
// 1000.
func (v *View) Candles(native, interval string, n int) ([]Candle, bool) {
	s, ok := v.stream(native)
	if _, good := IntervalLength(interval); !ok || !good {
		return nil, false
	}
	e := v.host.engineOf(s, v.now)
	running := e.candleNow(interval, v.now)
	out := []Candle{*running.record(e, v.now, false)}
	for at := running; len(out) < min(n, 1000) && at.from > s.genesis; {
		at = e.pastCandle(interval, at.from-1)
		out = append(out, *at.record(e, at.to-1, true))
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out, true
}

// Ratio is how longs compared with shorts in the last whole period before a time
// of a kind ([market.LongShortRatio]); end is that of the period, Unix ns.
func (v *View) Ratio(native, kind string, end int64) (market.LongShortRatio, bool) {
	s, ok := v.stream(native)
	if !ok {
		return market.LongShortRatio{}, false
	}
	return s.ratio(kind, end), true
}

// engineOf is the market now: that which listeners follow, or one made for the
// call. The host's lock is held.
func (h *host) engineOf(s *stream, now int64) *engine {
	if s.engine != nil {
		return s.engine
	}
	return s.at(s.stepAt(now))
}

// step is the market's last step.
func (h *host) step(s *stream, now int64) int64 {
	if s.engine != nil {
		return s.engine.now
	}
	return s.stepAt(now)
}
