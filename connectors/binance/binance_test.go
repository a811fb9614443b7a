package binance_test

import (
	"errors"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/binance"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/internal/market"
)

var subject = connectorstest.Subject{
	Exchange: binance.New(),
	Golden:   map[market.Market]string{market.Spot: "spot", market.Perpetual: "perpetual", market.Future: "future"},
	Captures: []connectorstest.Capture{
		{Market: market.Spot, Path: "binance-spot/btcusdt_20240808", Trades: true, Books: true},
		{Market: market.Perpetual, Path: "binance-usdm/btcusdt_20240808", Trades: true, Books: true},
		{Market: market.Spot, Path: "binance-spot/part1", Trades: true, Books: true},
		{Market: market.Perpetual, Path: "binance-usdm/part1", Trades: true, Books: true},
	},
}

func TestSuite(t *testing.T) { connectorstest.Run(t, subject) }

func TestAllocDecode(t *testing.T) { connectorstest.Alloc(t, subject) }

func FuzzSpot(f *testing.F) {
	connectorstest.FuzzDecoder(f, subject.Venue(f, market.Spot), connectorstest.Frames(f, "spot"))
}

func FuzzPerpetual(f *testing.F) {
	connectorstest.FuzzDecoder(f, subject.Venue(f, market.Perpetual), connectorstest.Frames(f, "perpetual"))
}

func FuzzVolumes(f *testing.F) {
	ranked := subject.Venue(f, market.Spot).REST.(connectors.Ranked)
	f.Add([]byte(`[{"symbol":"BTCUSDT","lastPrice":"70000.01","quoteVolume":"840000120.50"},{"symbol":"X","quoteVolume":"0"}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := ranked.Volumes(body)
		var bad *connectors.FrameError
		if err != nil && (!errors.As(err, &bad) || list != nil) {
			t.Fatalf("%v, %v", list, err)
		}
		for _, v := range list {
			if v.Native == "" || !(v.Turnover >= 0) || !(v.Price >= 0) {
				t.Fatalf("%+v of %q", v, body)
			}
		}
	})
}

func delta(first, last, prev int64) *market.BookDelta {
	return &market.BookDelta{
		FirstSeq: market.Int(first), Header: market.Header{Seq: market.Int(last), PrevSeq: market.Int(prev)},
	}
}

func TestSequences(t *testing.T) {
	var spot, futures connectors.Sequence = binance.SpotSequence{}, binance.FuturesSequence{}
	for _, tc := range []struct {
		name  string
		rule  func(int64, *market.BookDelta) market.Continuity
		last  int64
		delta *market.BookDelta
		want  market.Continuity
	}{
		{"spot splice: ends at the snapshot", spot.Splice, 100, delta(90, 100, 89), market.Old},
		{"spot splice: spans the snapshot", spot.Splice, 100, delta(95, 105, 94), market.Next},
		{"spot splice: begins right after it", spot.Splice, 100, delta(101, 105, 100), market.Next},
		{"spot splice: begins one too late", spot.Splice, 100, delta(102, 105, 101), market.Hole},
		{"spot follow: next", spot.Follow, 105, delta(106, 110, 105), market.Next},
		{"spot follow: overlaps", spot.Follow, 105, delta(103, 110, 102), market.Next},
		{"spot follow: twice", spot.Follow, 105, delta(101, 105, 100), market.Old},
		{"spot follow: skips one", spot.Follow, 105, delta(107, 110, 106), market.Hole},
		{"futures splice: before", futures.Splice, 100, delta(90, 99, 80), market.Old},
		{"futures splice: repeats the snapshot", futures.Splice, 100, delta(90, 100, 80), market.Next},
		{"futures splice: spans it", futures.Splice, 100, delta(90, 120, 80), market.Next},
		{"futures splice: pu is the snapshot", futures.Splice, 100, delta(103, 120, 100), market.Next},
		{"futures splice: begins after it", futures.Splice, 100, delta(103, 120, 102), market.Hole},
		{"futures follow: pu is the last u", futures.Follow, 120, delta(125, 130, 120), market.Next},
		{"futures follow: U is u+1 but pu is not", futures.Follow, 120, delta(121, 130, 119), market.Hole},
		{"futures follow: twice", futures.Follow, 120, delta(103, 120, 100), market.Old},
		{"futures follow: skips", futures.Follow, 120, delta(131, 140, 130), market.Hole},
		{"spot: no numbers", spot.Follow, 1, &market.BookDelta{}, market.Hole},
		{"futures: no numbers", futures.Follow, 1, &market.BookDelta{}, market.Hole},
		{"futures splice: no numbers", futures.Splice, 1, &market.BookDelta{}, market.Hole},
	} {
		if got := tc.rule(tc.last, tc.delta); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}
