package deribit_test

import (
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/connectors/deribit"
	"github.com/marketprism/marketprism/internal/market"
)

var subject = connectorstest.Subject{
	Exchange: deribit.New(),
	Golden: map[market.Market]string{
		market.Spot: "spot", market.Perpetual: "perpetual", market.Future: "future", market.Option: "option",
	},
	Captures: []connectorstest.Capture{{Market: market.Option, Path: "deribit/part1", Books: true}},
}

func TestSuite(t *testing.T) { connectorstest.Run(t, subject) }

func TestAllocDecode(t *testing.T) { connectorstest.Alloc(t, subject) }

func FuzzPerpetual(f *testing.F) {
	connectorstest.FuzzDecoder(f, subject.Venue(f, market.Perpetual), connectorstest.Frames(f, "perpetual"))
}

func FuzzOption(f *testing.F) {
	connectorstest.FuzzDecoder(f, subject.Venue(f, market.Option), connectorstest.Frames(f, "option"))
}

func change(prev, last int64) *market.BookDelta {
	return &market.BookDelta{Header: market.Header{Seq: market.Int(last), PrevSeq: market.Int(prev)}}
}

func TestSequence(t *testing.T) {
	var rule connectors.Sequence = deribit.Sequence{}
	for _, tc := range []struct {
		name  string
		last  int64
		delta *market.BookDelta
		want  market.Continuity
	}{
		{"follows", 100, change(100, 117), market.Next},
		{"follows by one", 100, change(100, 101), market.Next},
		{"of another connection, begins before the book's end", 100, change(95, 117), market.Next},
		{"of another connection, ends at the book's end", 100, change(95, 100), market.Old},
		{"twice", 117, change(100, 117), market.Old},
		{"long gone", 200, change(100, 117), market.Old},
		{"one is missing", 100, change(101, 117), market.Hole},
		{"many are missing", 100, change(1000, 1001), market.Hole},
		{"no numbers", 100, &market.BookDelta{}, market.Hole},
		{"no previous number", 100, &market.BookDelta{Header: market.Header{Seq: market.Int(101)}}, market.Hole},
	} {
		if got := rule.Follow(tc.last, tc.delta); got != tc.want {
			t.Errorf("follow: %s: %s, want %s", tc.name, got, tc.want)
		}
		if got := rule.Splice(tc.last, tc.delta); got != tc.want {
			t.Errorf("splice: %s: %s, want %s", tc.name, got, tc.want)
		}
	}
}
