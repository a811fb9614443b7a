package okx

import (
	"errors"
	"io"
	"net/url"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/internal/feed"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
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

// frames are those of a recording that give records, by the kind of the first.
func frames(t testing.TB, v *connectors.Venue, path string) (*market.Instruments, map[market.Kind][][]byte) {
	t.Helper()
	f := connectorstest.Open(t, path)
	defer f.Close()
	r, err := connectors.NewCaptureReader(f)
	if err != nil {
		t.Fatal(err)
	}
	table := v.Builtin()
	dec := v.NewDecoder(table)
	var batch market.Batch
	out := map[market.Kind][][]byte{}
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return table, out
		}
		if err != nil {
			t.Fatal(err)
		}
		if u, _ := url.Parse(rec.URL); rec.Dir == connectors.CaptureHTTP {
			if _, ours := v.REST.Recognise(u, table); ours {
				list, err := v.REST.Instruments(rec.Body)
				if err != nil {
					t.Fatal(err)
				}
				table = market.NewInstruments(list)
				dec = v.NewDecoder(table)
			}
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

// BenchmarkDecode is whole frames to records: those of a recording, and those of
// today's form out of testdata.
func BenchmarkDecode(b *testing.B) {
	for _, m := range []market.Market{market.Spot, market.Future} {
		v := venue(b, m)
		table, byKind := frames(b, v, "okx/part1")
		for _, k := range market.Kinds() {
			decode(b, m.String()+"/"+k.String(), v, table, byKind[k])
		}
	}
	v := venue(b, market.Perpetual)
	for name, frame := range today {
		decode(b, "perpetual/today_"+name, v, v.Builtin(), [][]byte{[]byte(frame)})
	}
}

// today are frames in the form that OKX's documentation shows.
var today = map[string]string{
	"trade":         `{"arg":{"channel":"trades-all","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","tradeId":"130639474","px":"70000.1","sz":"0.12","side":"buy","source":"0","ts":"1790000000010"}]}`,
	"book_ticker":   `{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT-SWAP"},"data":[{"asks":[["70000.1","1.25","0","3"]],"bids":[["70000","2","0","7"]],"ts":"1790000000002","seqId":363996337}]}`,
	"book_delta":    `{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"update","data":[{"asks":[["70000.1","0","0","0"],["70001.3","215.5","0","4"]],"bids":[["69999.9","1.5","0","6"]],"ts":"1790000000101","checksum":0,"prevSeqId":363996337,"seqId":363996338}]}`,
	"mark_price":    `{"arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","markPx":"70000.05","ts":"1790000000030"}]}`,
	"open_interest": `{"arg":{"channel":"open-interest","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","oi":"2216113.01","oiCcy":"22161.1301","oiUsd":"1551279107.05","ts":"1790000000032"}]}`,
}

func decode(b *testing.B, name string, v *connectors.Venue, table *market.Instruments, frames [][]byte) {
	if len(frames) == 0 {
		return
	}
	b.Run(name, func(b *testing.B) {
		dec := v.NewDecoder(table)
		var batch market.Batch
		levels, bytes, i := 0, 0, 0
		b.ReportAllocs()
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
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(bytes), "ns/B")
		b.SetBytes(int64(bytes / b.N))
	})
}

// BenchmarkLegacyBook is the recorded frames of a book through the stream, the
// checksum taken after each.
func BenchmarkLegacyBook(b *testing.B) {
	v := venue(b, market.Spot)
	table, byKind := frames(b, v, "okx/part1")
	frames := byKind[market.KindBookDelta]
	f := feed.New(v, table, feed.Options{})
	var out stream.Output
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		out.Reset()
		if _, _, err := f.Frame(frames[i], connectors.Receipt{Time: 1}, &out); err != nil {
			b.Fatal(err)
		}
		if i++; i == len(frames) {
			i = 0
		}
	}
}

// TestFastPathIsTaken keeps the predicted forms in step with the exchange: if
// they fit frames no longer, decoding is right but slow.
func TestFastPathIsTaken(t *testing.T) {
	var batch market.Batch
	for _, name := range []string{"trade", "book_ticker", "book_delta"} {
		v := venue(t, market.Perpetual)
		batch.Reset()
		if _, ok := v.NewDecoder(v.Builtin()).(*decoder).fast([]byte(today[name]), connectors.Receipt{}, &batch); !ok || batch.Len() != 1 {
			t.Errorf("%s: not the predicted form: %s", name, today[name])
		}
	}
	for _, m := range []market.Market{market.Spot, market.Perpetual, market.Future} {
		v := venue(t, m)
		table, byKind := frames(t, v, "okx/part1")
		d := v.NewDecoder(table).(*decoder)
		for _, k := range []market.Kind{market.KindTrade, market.KindBookDelta} {
			for _, f := range byKind[k] {
				batch.Reset()
				if _, ok := d.fast(f, connectors.Receipt{}, &batch); !ok {
					t.Fatalf("%s %s: not the predicted form: %.200s", m, k, f)
				}
			}
			if len(byKind[k]) == 0 {
				t.Errorf("%s: no %s in the recording", m, k)
			}
		}
	}
}

// FuzzTwoWays: what the fast path takes, the slow one decodes alike.
func FuzzTwoWays(f *testing.F) {
	for _, name := range []string{"spot", "perpetual", "future", "option"} {
		for _, frame := range connectorstest.Frames(f, name) {
			f.Add(frame, name == "spot")
		}
	}
	for _, frame := range today {
		f.Add([]byte(frame), false)
	}
	venues := map[bool]*connectors.Venue{true: venue(f, market.Spot), false: venue(f, market.Perpetual)}
	tables := map[bool]*market.Instruments{true: venues[true].Builtin(), false: venues[false].Builtin()}
	f.Fuzz(func(t *testing.T, frame []byte, spot bool) {
		var fast, slow market.Batch
		d := venues[spot].NewDecoder(tables[spot]).(*decoder)
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
		out = append(form.Append(out, r), '\n')
	}
	return string(out)
}

// TestAmountsUndone: the number of contracts comes back digit by digit.
func TestAmountsUndone(t *testing.T) {
	for _, size := range []string{"1", "0.01", "100", "0.0001", "10", "0.00010", "1000", "123456789012345678901"} {
		i := &market.Instrument{ContractSize: market.MustDecimal(size)}
		z := sizeOf(i)
		for _, sent := range []string{"0", "0.0", "1", "7.50", "12345678901234567890.123", "999999999999999999", "0.00000001", "-3.5"} {
			d := market.MustDecimal(sent)
			if got := contracts(i, z.amount(d)); got.String() != sent {
				t.Errorf("%s contracts of %s: %s is %s back", sent, size, z.amount(d), got)
			}
		}
	}
	for _, tc := range []struct{ contracts, size, want string }{
		{"7", "0.01", "0.07"}, {"7.5", "0.01", "0.075"}, {"3", "100", "300"}, {"0", "0.01", "0.00"}, {"12345678901234567890", "10", "123456789012345678900"},
	} {
		z := sizeOf(&market.Instrument{ContractSize: market.MustDecimal(tc.size)})
		if got := z.amount(market.MustDecimal(tc.contracts)); got.String() != tc.want {
			t.Errorf("%s contracts of %s: %s, want %s", tc.contracts, tc.size, got, tc.want)
		}
	}
}
