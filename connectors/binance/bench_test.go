package binance

import (
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/internal/market"
)

// BenchmarkDecode is whole frames to records, from recorded traffic.
func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name, path string
		market     market.Market
	}{
		{"spot", "binance-spot/btcusdt_20240808", market.Spot},
		{"perpetual", "binance-usdm/btcusdt_20240808", market.Perpetual},
		{"perpetual_part1", "binance-usdm/part1", market.Perpetual},
	} {
		v := connectorstest.Venue(b, New(), c.market)
		table, frames := connectorstest.Recorded(b, v, c.path)
		connectorstest.BenchDecode(b, c.name, v, table, connectorstest.ByKind(b, v, table, frames))
	}
}

// TestFastPathIsTaken keeps the predicted forms in step with the exchange: if
// they fit recorded frames no longer, decoding is right but slow.
func TestFastPathIsTaken(t *testing.T) {
	for path, m := range map[string]market.Market{
		"binance-spot/btcusdt_20240808": market.Spot, "binance-usdm/btcusdt_20240808": market.Perpetual,
	} {
		v := connectorstest.Venue(t, New(), m)
		table, frames := connectorstest.Recorded(t, v, path)
		for k, frames := range connectorstest.ByKind(t, v, table, frames) {
			d := v.NewDecoder(table).(*decoder)
			var batch market.Batch
			for _, f := range frames[:min(len(frames), 2000)] {
				batch.Reset()
				if _, ok := d.fast(f, connectors.Receipt{}, &batch); !ok {
					t.Fatalf("%s %s: not the predicted form: %.200s", m, k, f)
				}
			}
		}
	}
}

// FuzzTwoWays: what the fast path takes, the slow one decodes alike.
func FuzzTwoWays(f *testing.F) {
	for _, name := range []string{"spot", "perpetual"} {
		for _, frame := range connectorstest.Frames(f, name) {
			f.Add(frame, name == "spot")
		}
	}
	venues := map[bool]*connectors.Venue{
		true: connectorstest.Venue(f, New(), market.Spot), false: connectorstest.Venue(f, New(), market.Perpetual),
	}
	f.Fuzz(func(t *testing.T, frame []byte, spot bool) {
		v := venues[spot]
		d := v.NewDecoder(v.Builtin()).(*decoder)
		connectorstest.SameWay(t, frame, func(out *market.Batch) (connectors.Note, bool) {
			note, ok := d.fast(frame, connectors.Receipt{}, out)
			if !ok && out.Len() != 0 {
				t.Fatalf("%d records of a frame that was not taken: %q", out.Len(), frame)
			}
			return note, ok
		}, func(out *market.Batch) (connectors.Note, error) { return d.envelope(frame, connectors.Receipt{}, out) })
	})
}
