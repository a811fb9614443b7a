package bench_test

import (
	"testing"

	"github.com/marketprism/marketprism/connectors/binance"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/internal/cli/bench"
	"github.com/marketprism/marketprism/internal/market"
)

func input(tb testing.TB, name string, m market.Market, kind market.Kind) *bench.Input {
	tb.Helper()
	f := connectorstest.Open(tb, name)
	defer f.Close()
	cfg := binance.New().DefaultConfig().Markets[m.String()]
	v, err := binance.New().Venue(m, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	in := &bench.Input{Name: name, Venue: v, Known: v.Builtin(), Depth: cfg.Depth}
	if err := in.Load(f, kind); err != nil {
		tb.Fatal(err)
	}
	return in
}

var captures = map[string]market.Market{
	"binance-usdm/btcusdt_20240808": market.Perpetual,
	"binance-spot/btcusdt_20240808": market.Spot,
}

func BenchmarkFrame(b *testing.B) {
	for name, m := range captures {
		for kind, k := range map[string]market.Kind{"all": 0, "trade": market.KindTrade, "book_ticker": market.KindBookTicker, "book_delta": market.KindBookDelta} {
			in := input(b, name, m, k)
			for _, mode := range []bench.Mode{bench.Decode, bench.Full, bench.FullBook} {
				b.Run(m.String()+"/"+kind+"/"+string(mode), func(b *testing.B) {
					b.ReportAllocs()
					total := bench.Result{}
					for total.Frames < int64(b.N) {
						if err := in.Round(mode, &total); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total.Frames), "ns/frame")
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(max(total.Levels, 1)), "ns/level")
				})
			}
		}
	}
}

// TestAllocFrames counts the allocations of whole frames, streams included, once
// the first round has made what is kept.
func TestAllocFrames(t *testing.T) {
	for name, m := range captures {
		in := input(t, name, m, 0)
		var res bench.Result
		n := testing.AllocsPerRun(2, func() {
			res = bench.Result{}
			if err := in.Round(bench.FullBook, &res); err != nil {
				t.Fatal(err)
			}
		})
		// A round makes its streams, book and batches anew: what remains is theirs.
		if perFrame := n / float64(res.Frames); perFrame > 0.02 {
			t.Errorf("%s: %.3f allocations a frame (%v in %d frames), want those of the start alone", name, perFrame, n, res.Frames)
		}
	}
}
