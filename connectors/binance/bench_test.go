package binance

import (
	"errors"
	"io"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/internal/market"
)

// venue is a market with its default settings.
func venue(t testing.TB, m market.Market) *connectors.Venue {
	t.Helper()
	v, err := New().Venue(m, New().DefaultConfig().Markets[m.String()])
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// framesByKind are the frames of a capture by the kind of their first record.
func framesByKind(t testing.TB, v *connectors.Venue, path string) map[market.Kind][][]byte {
	t.Helper()
	f := connectorstest.Open(t, path)
	defer f.Close()
	r, err := connectors.NewCaptureReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dec := v.NewDecoder(v.Builtin())
	var batch market.Batch
	out := map[market.Kind][][]byte{}
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.Dir != connectors.CaptureIn {
			continue
		}
		batch.Reset()
		if _, err := dec.Decode(rec.Body, connectors.Receipt{}, &batch); err != nil {
			t.Fatal(err)
		}
		if batch.Len() > 0 {
			k := batch.At(0).Kind()
			out[k] = append(out[k], append([]byte(nil), rec.Body...))
		}
	}
}

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
		v := venue(b, c.market)
		byKind := framesByKind(b, v, c.path)
		for _, k := range market.Kinds() {
			frames := byKind[k]
			if len(frames) == 0 {
				continue
			}
			b.Run(c.name+"/"+k.String(), func(b *testing.B) {
				dec := v.NewDecoder(v.Builtin())
				var batch market.Batch
				levels, bytes := 0, 0
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					batch.Reset()
					if _, err := dec.Decode(frames[i], connectors.Receipt{}, &batch); err != nil {
						b.Fatal(err)
					}
					levels += batch.LevelMark()
					bytes += len(frames[i])
					if i++; i == len(frames) {
						i = 0
					}
				}
				if levels > 0 {
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(levels), "ns/level")
				}
				b.SetBytes(int64(bytes / b.N))
			})
		}
	}
}

// TestFastPathIsTaken keeps the predicted forms in step with the exchange: if
// they fit recorded frames no longer, decoding is right but slow.
func TestFastPathIsTaken(t *testing.T) {
	for path, m := range map[string]market.Market{
		"binance-spot/btcusdt_20240808": market.Spot, "binance-usdm/btcusdt_20240808": market.Perpetual,
	} {
		v := venue(t, m)
		for k, frames := range framesByKind(t, v, path) {
			d := v.NewDecoder(v.Builtin()).(*decoder)
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
	venues := map[bool]*connectors.Venue{true: venue(f, market.Spot), false: venue(f, market.Perpetual)}
	f.Fuzz(func(t *testing.T, frame []byte, spot bool) {
		v := venues[spot]
		var fast, slow market.Batch
		d := v.NewDecoder(v.Builtin()).(*decoder)
		note, ok := d.fast(frame, connectors.Receipt{}, &fast)
		if !ok {
			if fast.Len() != 0 {
				t.Fatalf("%d records of a frame that was not taken: %q", fast.Len(), frame)
			}
			return
		}
		again, err := d.envelope(frame, connectors.Receipt{}, &slow)
		if err != nil || again != note || text(&fast) != text(&slow) {
			t.Fatalf("frame %q\nfast %+v %s\nslow %+v %s %v", frame, note, text(&fast), again, text(&slow), err)
		}
	})
}

func text(b *market.Batch) string {
	var form market.JSON
	var out []byte
	for r := range b.All() {
		out = form.Append(out, r)
	}
	return string(out)
}
