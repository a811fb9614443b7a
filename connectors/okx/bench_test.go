package okx

import (
	"maps"
	"slices"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/internal/feed"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// BenchmarkDecode is whole frames to records: those of a recording, and those of
// today's form out of testdata.
func BenchmarkDecode(b *testing.B) {
	for _, m := range []market.Market{market.Spot, market.Future} {
		v := connectorstest.Venue(b, New(), m)
		table, frames := connectorstest.Recorded(b, v, "okx/part1")
		connectorstest.BenchDecode(b, m.String(), v, table, connectorstest.ByKind(b, v, table, frames))
	}
	v := connectorstest.Venue(b, New(), market.Perpetual)
	var frames [][]byte
	for _, name := range slices.Sorted(maps.Keys(today)) {
		frames = append(frames, []byte(today[name]))
	}
	connectorstest.BenchDecode(b, "perpetual/today", v, v.Builtin(), connectorstest.ByKind(b, v, v.Builtin(), frames))
}

// today are frames in the form that OKX's documentation shows.
var today = map[string]string{
	"trade":         `{"arg":{"channel":"trades-all","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","tradeId":"130639474","px":"70000.1","sz":"0.12","side":"buy","source":"0","ts":"1790000000010"}]}`,
	"book_ticker":   `{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT-SWAP"},"data":[{"asks":[["70000.1","1.25","0","3"]],"bids":[["70000","2","0","7"]],"ts":"1790000000002","seqId":363996337}]}`,
	"book_delta":    `{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"update","data":[{"asks":[["70000.1","0","0","0"],["70001.3","215.5","0","4"]],"bids":[["69999.9","1.5","0","6"]],"ts":"1790000000101","checksum":0,"prevSeqId":363996337,"seqId":363996338}]}`,
	"mark_price":    `{"arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","markPx":"70000.05","ts":"1790000000030"}]}`,
	"open_interest": `{"arg":{"channel":"open-interest","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","oi":"2216113.01","oiCcy":"22161.1301","oiUsd":"1551279107.05","ts":"1790000000032"}]}`,
}

// BenchmarkLegacyBook is the recorded frames of a book through the stream, the
// checksum taken after each.
func BenchmarkLegacyBook(b *testing.B) {
	v := connectorstest.Venue(b, New(), market.Spot)
	table, all := connectorstest.Recorded(b, v, "okx/part1")
	frames := connectorstest.ByKind(b, v, table, all)[market.KindBookDelta]
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
		v := connectorstest.Venue(t, New(), market.Perpetual)
		batch.Reset()
		if _, ok := v.NewDecoder(v.Builtin()).(*decoder).fast([]byte(today[name]), connectors.Receipt{}, &batch); !ok || batch.Len() != 1 {
			t.Errorf("%s: not the predicted form: %s", name, today[name])
		}
	}
	for _, m := range []market.Market{market.Spot, market.Perpetual, market.Future} {
		v := connectorstest.Venue(t, New(), m)
		table, frames := connectorstest.Recorded(t, v, "okx/part1")
		byKind := connectorstest.ByKind(t, v, table, frames)
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
	venues := map[bool]*connectors.Venue{
		true: connectorstest.Venue(f, New(), market.Spot), false: connectorstest.Venue(f, New(), market.Perpetual),
	}
	tables := map[bool]*market.Instruments{true: venues[true].Builtin(), false: venues[false].Builtin()}
	f.Fuzz(func(t *testing.T, frame []byte, spot bool) {
		d := venues[spot].NewDecoder(tables[spot]).(*decoder)
		connectorstest.SameWay(t, frame, func(out *market.Batch) (connectors.Note, bool) {
			note, ok := d.fast(frame, connectors.Receipt{}, out)
			if !ok && out.Len() != 0 {
				t.Fatalf("%d records of a frame that was not taken: %q", out.Len(), frame)
			}
			return note, ok
		}, func(out *market.Batch) (connectors.Note, error) { return d.envelope(frame, connectors.Receipt{}, out) })
	})
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
