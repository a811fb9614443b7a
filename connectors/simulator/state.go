package simulator

import (
	"math"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

const (
	day           = int64(24 * time.Hour)
	fundingPeriod = int64(8 * time.Hour)
)

// state is what can be said of the instrument at a time, beside its book. All of
// it follows from the seed and the time, so that it is the same whenever the
// simulator was started.
func (e *engine) state(t int64) *State {
	s := &State{
		Time: t, Seq: e.seq(e.now), TradeID: e.trades, Quote: e.quoteNow(), Opened: t - day,
		Last: e.price(e.lastCell), LastAmount: e.amount(e.lastAmount),
	}
	e.window(s, t)
	index := e.indexTicks(t)
	s.Index = e.rounded(index)
	s.Mark = e.rounded(index * (1 + 0.0002*wave(e.key+11, float64(t)/float64(5*time.Minute))))
	period := t / fundingPeriod
	s.Funding = (period + 1) * fundingPeriod
	s.Rate, s.NextRate = e.rate(period), e.rate(period+1)
	open := int64(e.usual * 40000 * (1 + 0.2*wave(e.key+13, float64(t)/float64(time.Hour))))
	s.OpenInterest = e.amount(open)
	s.OpenInterestQuote = e.worth(e.lastCell, open)
	s.Volatility = market.NewDecimal(int64(1e2*(55+15*wave(e.key+14, float64(t)/float64(6*time.Hour))+wave(e.key+15, float64(t)/float64(time.Minute)))), 2)
	return s
}

// window fills in the last 24 hours: of a market that is remade from any chunk,
// they are known at the beginnings of chunks.
func (e *engine) window(s *State, t int64) {
	then := max(-1, e.stepAt(t-day))
	cellAt := func(step int64) int64 { return e.middle(max(0, step) / chunkSteps) }
	open, high, low := cellAt(then), e.lastCell, e.lastCell
	const samples = 24
	for i := range int64(samples) {
		c := cellAt(then + (e.now-then)*i/samples)
		high, low = max(high, c), min(low, c)
	}
	s.Open, s.High, s.Low = e.price(open), e.price(high), e.price(low)
	first := (then + 1) / windowSteps * windowTrades
	s.Trades = max(1, e.trades-first)
	// A trade is about so many usual orders.
	volume := int64(e.usual * 0.45 * float64(s.Trades))
	s.Volume, s.QuoteVolume = e.amount(max(1, volume)), e.worth((high+low)/2, max(1, volume))
}

// indexTicks is the index price, in ticks: where the price is drawn to.
func (p *spec) indexTicks(t int64) float64 {
	chunk := float64(t-p.genesis) / float64(p.period) / chunkSteps
	return p.center * (1 + drift(p.key, chunk))
}

// rounded is a price with two more digits than the tick has.
func (p *spec) rounded(ticks float64) market.Decimal {
	return market.NewDecimal(int64(math.Round(ticks*float64(p.tick)*100)), p.priceScale+2)
}

// rate is the funding rate of a period: between -0.02 % and 0.04 %.
func (p *spec) rate(period int64) market.Decimal {
	return market.NewDecimal(int64(1e4+3e4*(2*unit(hash(p.key, 12, uint64(period)))-1)), 8)
}

// ratio is how longs compare with shorts in the period that ended at a time.
func (p *spec) ratio(kind string, end int64) market.LongShortRatio {
	long := int64(5000 + 1500*wave(hashText(p.key, kind), float64(end)/float64(3*time.Hour)))
	return market.LongShortRatio{
		Header:    market.Header{Instrument: p.instrument, ExchangeTime: end},
		RatioKind: kind, Long: market.NewDecimal(long, 4), Short: market.NewDecimal(10000-long, 4),
		Ratio: market.NewDecimal(long*10000/(10000-long), 4),
	}
}
