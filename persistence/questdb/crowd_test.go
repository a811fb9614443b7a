package questdb

import (
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

// TestQuestDBCrowd: rows of one microsecond, more than a page, come in reading order,
// each once, in spans of a bounded size, with what is before and behind them.
func TestQuestDBCrowd(t *testing.T) {
	f := newFixture(t)
	i := instrument("CROWD")
	const rows, few = 30_000, 1_000
	r := rand.New(rand.NewPCG(1, 2))
	type key struct{ ts, id int64 }
	var want []key
	for id := range int64(rows) {
		k := key{epoch2024 + r.Int64N(3), id} // of three ns
		switch {
		case id < few:
			k.ts = epoch2024 - 1 - id*100
		case id >= rows-few:
			k.ts = epoch2024 + 1_000 + id
		}
		want = append(want, k)
	}
	r.Shuffle(len(want), func(a, b int) { want[a], want[b] = want[b], want[a] })
	for chunk := range slices.Chunk(want, 10_000) {
		var b market.Batch
		for _, k := range chunk {
			tr := market.Add[market.Trade](&b)
			tr.Instrument, tr.ExchangeTime, tr.ReceiveTime, tr.ID = i, k.ts, k.ts, market.NumID(k.id)
			tr.Price, tr.Amount = market.NewDecimal(1, 0), market.NewDecimal(1, 0)
			market.Stamp(tr)
		}
		f.apply(&b)
	}
	f.published()
	slices.SortFunc(want, func(a, b key) int {
		if a.ts != b.ts {
			return int(a.ts - b.ts)
		}
		return int(a.id - b.id)
	})
	for _, newest := range []bool{false, true} {
		id := i.ID()
		s := newSource(f.engine, scan.Selection{Kind: market.KindTrade, Stream: &id, From: math.MinInt64, To: math.MaxInt64, Newest: newest}, id, 2_000, func(*question) {})
		s.crowdRows = 4_000
		var got []key
		var filler part.Filler
		for {
			span, err := s.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if n := span.Hi - span.Lo; n > s.crowdRows {
				t.Errorf("a span of %d rows", n)
			}
			at := make([]key, 0, span.Hi-span.Lo)
			for row := span.Lo; row < span.Hi; row++ {
				var b market.Batch
				rec, err := filler.Fill(span.Block, row, &b)
				if err != nil {
					t.Fatal(err)
				}
				number, _ := rec.(*market.Trade).Number()
				at = append(at, key{rec.Head().TS, number})
			}
			if newest {
				slices.Reverse(at)
			}
			got = append(got, at...)
		}
		if newest {
			slices.Reverse(got)
		}
		if !slices.Equal(got, want) {
			t.Errorf("newest %v: %d rows, want %d in order", newest, len(got), len(want))
		}
	}
}

// TestQuestDBNeighbours: rows of neighbouring microseconds are read once, in either
// direction, wherever a page ends.
func TestQuestDBNeighbours(t *testing.T) {
	f := newFixture(t)
	i := instrument("NEXT")
	const rows = 2*pageRows + 500
	var b market.Batch
	for id := range int64(rows) {
		tr := market.Add[market.Trade](&b)
		tr.Instrument, tr.ExchangeTime, tr.ReceiveTime, tr.ID = i, epoch2024+id*1000, epoch2024, market.NumID(id)
		tr.Price, tr.Amount = market.NewDecimal(1, 0), market.NewDecimal(1, 0)
		market.Stamp(tr)
	}
	f.apply(&b)
	f.published()
	id := i.ID()
	for _, newest := range []bool{false, true} {
		for _, to := range []int64{0, epoch2024 + 15_000_500, epoch2024 + 15_000_000} {
			got, err := f.engine.Query(t.Context(), persistence.Query{Kind: market.KindTrade, Stream: &id, Newest: newest, To: to})
			if err != nil {
				t.Fatal(err)
			}
			want := int64(rows)
			if to != 0 {
				want = (to - epoch2024 + 999) / 1000
			}
			n, last := int64(0), int64(-1)
			for {
				var b market.Batch
				_, err := got.Next(t.Context(), &b)
				for r := range market.Rows[market.Trade](&b) {
					number, _ := r.Number()
					if last >= 0 && number != last+1 && number != last-1 {
						t.Fatalf("newest %v: %d follows %d", newest, number, last)
					}
					last = number
					n++
				}
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			got.Close()
			if n != want {
				t.Errorf("newest %v, to %d: %d rows, want %d", newest, to, n, want)
			}
		}
	}
}
