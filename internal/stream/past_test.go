package stream_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

func pastConfig() stream.Config {
	return stream.Config{Instrument: &market.Instrument{Exchange: "x", Market: market.Spot, Symbol: "A-B"}, Epoch: 7}
}

func tradesOf(numbers ...int64) *market.Batch {
	b := new(market.Batch)
	for _, n := range numbers {
		t := market.Add[market.Trade](b)
		t.Instrument, t.ExchangeTime, t.ID = pastConfig().Instrument, 1000+n, market.NumID(n)
	}
	return b
}

// TestPast: each missing number passes once, and asking ends.
func TestPast(t *testing.T) {
	p := stream.NewPast(pastConfig(), 10, 30)
	for _, n := range []int64{12, 13, 20, 9, 31, 12} {
		p.Have(n)
	}
	var asked []string
	var out stream.Output
	var got []int64
	for {
		from, to, ok := p.Missing()
		if !ok {
			break
		}
		asked = append(asked, fmt.Sprint(from, "-", to))
		// The exchange gives five at a time, and has no trade 25.
		var page []int64
		for n := from; n <= min(to, from+4); n++ {
			if n != 25 {
				page = append(page, n)
			}
		}
		p.Take(tradesOf(page...), &out)
		p.Passed(min(to, from+4))
	}
	for _, r := range out.Records {
		tr := r.(*market.Trade)
		n, _ := tr.Number()
		got = append(got, n)
		if tr.Epoch != 7 || !tr.Flags.Has(market.FlagBackfilled) || tr.TS != 1000+n {
			t.Errorf("trade %d: %+v", n, tr.Header)
		}
	}
	want := []int64{10, 11, 14, 15, 16, 17, 18, 19, 21, 22, 23, 24, 26, 27, 28, 29, 30}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if w := []string{"10-11", "14-19", "19-19", "21-30", "26-30"}; !slices.Equal(asked, w) {
		t.Errorf("asked for %v, want %v", asked, w)
	}
	if p.Left() != 1 {
		t.Errorf("%d are missing, want 1", p.Left())
	}
	if p.Close(5, &out); len(out.Records) != len(want) {
		t.Error("a range that is no entry of the ledger was written to it")
	}
}

// TestPastOfGap: the ledger's entry says exactly what became of it.
func TestPastOfGap(t *testing.T) {
	entry := market.Gap{
		Channel: "trade", FromSeq: market.Int(10), ToSeq: market.Int(19), FromTime: 500, ToTime: 900,
		Cause: market.CauseDisconnect, Outcome: market.OutcomeMarked, HealedRecords: market.Int(2),
	}
	entry.Instrument = pastConfig().Instrument
	for _, tc := range []struct {
		name    string
		have    []int64
		fetched []int64
		want    []string
	}{
		{"all", []int64{10, 11}, []int64{12, 13, 14, 15, 16, 17, 18, 19}, []string{"10-19 healed 12"}},
		{"stored before", []int64{10, 11, 12, 13, 14, 15, 16, 17, 18, 19}, nil, []string{"10-19 healed 12"}},
		{"some", nil, []int64{10, 11, 15}, []string{"10-11 healed 5", "12-14 marked 0", "16-19 marked 0"}},
		{"none", nil, nil, nil},
	} {
		p, ok := stream.PastOf(pastConfig(), &entry)
		if !ok {
			t.Fatal(tc.name)
		}
		for _, n := range tc.have {
			p.Have(n)
		}
		var out stream.Output
		p.Take(tradesOf(tc.fetched...), &out)
		out.Reset()
		p.Close(77, &out)
		var got []string
		for _, r := range out.Records {
			g := r.(*market.Gap)
			got = append(got, fmt.Sprintf("%d-%d %s %d", g.FromSeq.V, g.ToSeq.V, g.Outcome, g.HealedRecords.V))
			if g.TS != 500 || g.Cause != entry.Cause {
				t.Errorf("%s: another entry: %+v", tc.name, g)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
	entry.ToSeq = market.OptInt{}
	if _, ok := stream.PastOf(pastConfig(), &entry); ok {
		t.Error("an entry without numbers was taken")
	}
}
