package simulator

import (
	"slices"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

func testSpec(m market.Market, base string, rate float64) *spec {
	i := &market.Instrument{Exchange: "x", Market: m, Symbol: base + "-USDT", Native: base + "USDT", Base: base, Quote: "USDT"}
	return newSpec(i, ShapeOf(i), 7, Genesis.UnixNano(), rate, 1)
}

// A market that went on and one made again at any step are the same.
func TestAnyMomentCanBeMadeAgain(t *testing.T) {
	for _, base := range []string{"BTC", "SHIB", "DOGE", Coin(3), Coin(700)} {
		p := testSpec(market.Spot, base, 10)
		e := p.at(-1)
		for e.now < 6*chunkSteps {
			e.next()
			if e.now%97 != 0 && e.now%chunkSteps > 1 {
				continue
			}
			again := p.at(e.now)
			if again.amounts != e.amounts || again.base != e.base || again.best != e.best || again.trades != e.trades {
				t.Fatalf("%s: step %d made again differs: %d trades and %d, best %v and %v", base, e.now, again.trades, e.trades, again.best, e.best)
			}
		}
	}
}

func TestMarketIsSound(t *testing.T) {
	for _, base := range []string{"BTC", "ETH", "SHIB", "PEPE", "DOGE", Coin(0), Coin(41), Coin(4000)} {
		p := testSpec(market.Perpetual, base, 10)
		e := p.at(-1)
		id, liquidations, low, high := int64(0), 0, p.price(e.lastCell), p.price(e.lastCell)
		widest := 0
		for e.now < 40*chunkSteps {
			e.next()
			for _, tr := range e.appendTrades(nil) {
				id++
				if tr.Seq.V != id {
					t.Fatalf("%s: trade %d follows %d", base, tr.Seq.V, id-1)
				}
				if tr.Price.Sign() <= 0 || tr.Amount.Sign() <= 0 || tr.QuoteAmount.Sign() < 0 {
					t.Fatalf("%s: trade %+v", base, tr)
				}
				if tr.Price.Cmp(low) < 0 {
					low = tr.Price
				}
				if tr.Price.Cmp(high) > 0 {
					high = tr.Price
				}
			}
			if e.liquidation {
				liquidations++
			}
			if e.best[bids] >= e.best[asks] || e.amounts[e.best[bids]] <= 0 || e.amounts[e.best[asks]] <= 0 {
				t.Fatalf("%s: step %d: best %v", base, e.now, e.best)
			}
			widest = max(widest, e.best[asks]-e.best[bids])
		}
		if want := 40*int64(chunkTrades) + e.trades - 40*chunkTrades; id != want || e.trades < 40*chunkTrades {
			t.Errorf("%s: %d trades, want %d", base, id, want)
		}
		if liquidations == 0 {
			t.Errorf("%s: no liquidation", base)
		}
		if spread := (high.Float64() - low.Float64()) / low.Float64(); spread > 0.13 || low.Cmp(high) == 0 {
			t.Errorf("%s: prices from %v to %v", base, low, high)
		}
		t.Logf("%s: %d trades, prices %v to %v, %d cells wide at most, %d and %d levels", base, id, low, high, widest, e.levels[bids], e.levels[asks])
	}
}

// The changes of each step lead from the book before to the book after.
func TestChangesLeadFromBookToBook(t *testing.T) {
	p := testSpec(market.Spot, "BTC", 10)
	e := p.at(0)
	type key struct {
		side side
		cell int64
	}
	fill := func() map[key]int64 {
		m := map[key]int64{}
		for i, a := range e.amounts {
			if a > 0 {
				s := bids
				if i >= e.best[asks] {
					s = asks
				}
				m[key{s, e.base + int64(i)}] = a
			}
		}
		return m
	}
	book := fill()
	for e.now < 5*chunkSteps {
		e.next()
		for _, c := range e.changes {
			k := key{c.side, c.cell}
			if book[k] != c.was {
				t.Fatalf("step %d: %+v, but there was %d", e.now, c, book[k])
			}
			if book[k] = c.now; c.now == 0 {
				delete(book, k)
			}
		}
		if want := fill(); len(want) != len(book) {
			t.Fatalf("step %d: %d levels by changes, %d in the book", e.now, len(book), len(want))
		}
	}
}

func TestTradesCanBeMadeAgain(t *testing.T) {
	p := testSpec(market.Spot, "BTC", 10)
	e := p.at(-1)
	var all []market.Trade
	for e.now < 4*chunkSteps+300 {
		e.next()
		all = e.appendTrades(all)
	}
	last := e.trades
	for _, span := range [][2]int64{{1, last}, {1, 1}, {chunkTrades, chunkTrades + 1}, {last - 5, last + 50}, {500, 777}, {-4, 3}, {last + 1, last + 9}} {
		got := p.tradesBetween(span[0], span[1], e.now)
		var want []market.Trade
		for _, tr := range all {
			if tr.Seq.V >= span[0] && tr.Seq.V <= span[1] {
				want = append(want, tr)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("trades %v: got %d, want %d", span, len(got), len(want))
		}
	}
}

func TestStepsAreInTime(t *testing.T) {
	p := testSpec(market.Spot, "BTC", 33)
	for step := range int64(1000) {
		at, due := p.time(step), p.due(step)
		if at >= due || step > 0 && at <= p.time(step-1) {
			t.Fatalf("step %d happened at %d, is told of at %d", step, at, due)
		}
		if p.stepAt(due) != step || p.stepAt(due-1) != step-1 {
			t.Fatalf("stepAt(%d) = %d, and %d before", due, p.stepAt(due), p.stepAt(due-1))
		}
	}
	if got := p.stepAt(p.genesis - int64(time.Hour)); got != -1 {
		t.Errorf("before the beginning there is step %d", got)
	}
}

func BenchmarkStep(b *testing.B) {
	e := testSpec(market.Spot, "BTC", 10).at(-1)
	for b.Loop() {
		e.next()
	}
}

func BenchmarkAt(b *testing.B) {
	p := testSpec(market.Spot, "BTC", 10)
	for b.Loop() {
		p.at(chunkSteps*1000 - 1)
	}
}
