package book_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/marketprism/marketprism/internal/book"
	"github.com/marketprism/marketprism/internal/market"
)

func levels(pairs ...string) []market.Level {
	var out []market.Level
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, market.Level{Price: market.MustDecimal(pairs[i]), Amount: market.MustDecimal(pairs[i+1])})
	}
	return out
}

func text(ls []market.Level) string {
	s := ""
	for _, l := range ls {
		s += fmt.Sprintf("%s@%s ", l.Amount, l.Price)
	}
	return s
}

func TestReplaceReplaces(t *testing.T) {
	var b book.Book
	b.Replace(levels("10.0", "1", "9.5", "2"), levels("10.5", "3"), book.Whole)
	b.Replace(levels("9.0", "1", "9.50", "0", "8.0", "4", "9.0", "2"), nil, book.Whole)
	if got, want := text(b.AppendBids(nil, -1)), "2@9.0 4@8.0 "; got != want {
		t.Errorf("bids %q, want %q", got, want)
	}
	if _, ok := b.BestAsk(); ok {
		t.Error("an ask of the book before survived the snapshot")
	}
}

func TestDigitsSurvive(t *testing.T) {
	var b book.Book
	b.Replace(levels("10.10", "1.000"), levels("10.2", "5"), book.Whole)
	b.Apply(levels("10.1000", "2.50"), levels("10.15000001", "0.1", "11", "7"))
	if got, want := text(b.AppendBids(nil, -1)), "2.50@10.1000 "; got != want {
		t.Errorf("bids %q, want %q", got, want)
	}
	if got, want := text(b.AppendAsks(nil, -1)), "0.1@10.15000001 5@10.2 7@11 "; got != want {
		t.Errorf("asks %q, want %q", got, want)
	}
}

func TestBeyondACutSnapshotNothingIsProven(t *testing.T) {
	var b book.Book
	b.Replace(levels("10", "1", "9", "1"), levels("11", "1", "12", "1"), book.Cut)
	b.Apply(levels("8", "5", "7", "5"), levels("13", "5"))
	if bids, asks := b.Proven(); bids != 2 || asks != 2 {
		t.Errorf("proven %d, %d, want 2, 2", bids, asks)
	}
	if bids, asks := b.Len(); bids != 4 || asks != 3 {
		t.Errorf("levels %d, %d, want 4, 3", bids, asks)
	}
	if !b.Narrow(3) || b.Narrow(2) {
		t.Error("Narrow does not count the proven levels")
	}
	b.Apply(levels("10", "0", "9", "0"), nil)
	if bids, _ := b.Proven(); bids != 0 {
		t.Errorf("%d bids proven beyond the snapshot's edge", bids)
	}
	if l, ok := b.BestBid(); !ok || l.Price.String() != "8" {
		t.Errorf("best bid %v", l)
	}
}

func TestCrossed(t *testing.T) {
	var b book.Book
	if b.Crossed() {
		t.Error("an empty book is crossed")
	}
	b.Replace(levels("10", "1"), levels("11", "1"), book.Whole)
	if b.Crossed() {
		t.Error("10/11 is crossed")
	}
	b.Apply(levels("11.0", "1"), nil)
	if !b.Crossed() {
		t.Error("11/11 is not crossed")
	}
}

// model is the plainest book there is.
type model struct{ bids, asks map[string]market.Level }

func canonical(d market.Decimal) string {
	r, _ := new(big.Rat).SetString(d.String())
	return r.RatString()
}

func (m *model) apply(side map[string]market.Level, ls []market.Level) {
	for _, l := range ls {
		if l.Amount.IsZero() {
			delete(side, canonical(l.Price))
		} else {
			side[canonical(l.Price)] = l
		}
	}
}

func (m *model) sorted(side map[string]market.Level, descending bool) []market.Level {
	var out []market.Level
	for _, l := range side {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b market.Level) int {
		if descending {
			a, b = b, a
		}
		return a.Price.Cmp(b.Price)
	})
	return out
}

// price draws prices that now and then change scale, or do not fit an int64.
func price(r *rand.Rand, wild bool) market.Decimal {
	n := 1000 + r.Int64N(300)
	switch {
	case wild && r.IntN(50) == 0:
		return market.MustDecimal(fmt.Sprintf("%d.000000000000000000000000001", n))
	case wild && r.IntN(20) == 0:
		return market.NewDecimal(n*1_000_000, 8)
	case r.IntN(10) == 0:
		return market.NewDecimal(n*10, 3)
	}
	return market.NewDecimal(n, 2)
}

func TestAgainstModel(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		wild := seed%2 == 1
		draw := func(n int) []market.Level {
			var out []market.Level
			for range n {
				amount := market.NewDecimal(r.Int64N(5), uint8(r.IntN(4)))
				if wild && r.IntN(60) == 0 {
					amount = market.MustDecimal("123456789012345678901234567890.5")
				}
				out = append(out, market.Level{Price: price(r, wild), Amount: amount})
			}
			return out
		}
		var b book.Book
		m := model{bids: map[string]market.Level{}, asks: map[string]market.Level{}}
		for step := range 200 {
			bids, asks := draw(r.IntN(12)), draw(r.IntN(12))
			if r.IntN(60) == 0 {
				clear(m.bids)
				clear(m.asks)
				b.Replace(bids, asks, book.Whole)
			} else {
				b.Apply(bids, asks)
			}
			m.apply(m.bids, bids)
			m.apply(m.asks, asks)
			if got, want := text(b.AppendBids(nil, -1)), text(m.sorted(m.bids, true)); got != want {
				t.Fatalf("seed %d step %d bids:\n got %s\nwant %s", seed, step, got, want)
			}
			if got, want := text(b.AppendAsks(nil, -1)), text(m.sorted(m.asks, false)); got != want {
				t.Fatalf("seed %d step %d asks:\n got %s\nwant %s", seed, step, got, want)
			}
		}
	}
}

// changes are random changes around a moving middle, most of them near the best
// prices, as exchanges send them.
func changes(n int) (snapshotBids, snapshotAsks []market.Level, steps [][2][]market.Level) {
	r := rand.New(rand.NewPCG(7, 7))
	mid := int64(6_180_000)
	at := func(p int64) market.Level {
		return market.Level{Price: market.NewDecimal(p, 2), Amount: market.NewDecimal(1+r.Int64N(1e9), 8)}
	}
	for i := range int64(1000) {
		snapshotBids = append(snapshotBids, at(mid-1-i*3))
		snapshotAsks = append(snapshotAsks, at(mid+1+i*3))
	}
	for range n {
		var s [2][]market.Level
		for range 5 {
			d := int64(r.ExpFloat64() * 300)
			bid, ask := at(mid-1-d), at(mid+1+d)
			if r.IntN(3) == 0 {
				bid.Amount, ask.Amount = market.NewDecimal(0, 8), market.NewDecimal(0, 8)
			}
			s[0], s[1] = append(s[0], bid), append(s[1], ask)
		}
		steps = append(steps, s)
	}
	return snapshotBids, snapshotAsks, steps
}

func TestAllocApply(t *testing.T) {
	bids, asks, steps := changes(200)
	var b book.Book
	top := make([]market.Level, 0, 64)
	run := func() {
		b.Replace(bids, asks, book.Cut)
		for _, s := range steps {
			b.Apply(s[0], s[1])
		}
		top = b.AppendBids(top[:0], 20)
	}
	run()
	// A snapshot's rows, one side and the other, are not kept.
	if n := testing.AllocsPerRun(10, run); n > 2 {
		t.Errorf("%v allocations for a snapshot and its changes, want at most 2", n)
	}
}

func BenchmarkApplyLevel(b *testing.B) {
	bids, asks, steps := changes(1000)
	var bk book.Book
	bk.Replace(bids, asks, book.Cut)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s := &steps[i%len(steps)]
		bk.Apply(s[0], s[1])
		i++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*10), "ns/level")
}
