package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
)

// filler is a visitor that fills a record with random values, extremes included.
type filler struct {
	r           *rand.Rand
	instruments []*market.Instrument
}

func (f *filler) Instrument(v **market.Instrument) {
	*v = f.instruments[f.r.IntN(len(f.instruments))]
}
func (f *filler) int64() int64 {
	switch f.r.IntN(8) {
	case 0:
		return [...]int64{0, 1, -1, math.MaxInt64, math.MinInt64, math.MinInt64 + 1}[f.r.IntN(6)]
	case 1:
		return int64(f.r.Uint64())
	case 2, 3:
		return int64(f.r.IntN(3))
	}
	return 1_700_000_000_000_000_000 + f.r.Int64N(1e12)
}
func (f *filler) Time(_ *market.Field, v *int64)  { *v = f.int64() }
func (f *filler) Count(_ *market.Field, v *int64) { *v = f.int64() }
func (f *filler) Int(_ *market.Field, v *market.OptInt) {
	if *v = (market.OptInt{}); f.r.IntN(3) > 0 {
		*v = market.Int(f.int64())
	}
}
func (f *filler) decimal() market.Decimal {
	switch f.r.IntN(10) {
	case 0:
		return market.Decimal{}
	case 1: // longer than a coefficient
		return market.MustDecimal(fmt.Sprintf("%d.%018d%06d", f.r.Int64N(1e9)-5e8, f.r.Int64N(1e18), f.r.Int64N(1e6)))
	case 2:
		return market.NewDecimal(f.int64(), uint8(f.r.IntN(128)))
	case 3:
		return market.MustDecimal("0.00")
	}
	return market.NewDecimal(6_000_000_00+f.r.Int64N(100000), 2)
}
func (f *filler) Decimal(_ *market.Field, v *market.Decimal) { *v = f.decimal() }
func (f *filler) ID(_ *market.Field, v *market.ID) {
	switch f.r.IntN(5) {
	case 0:
		*v = market.ID{}
	case 1:
		*v = market.TextID(fmt.Sprintf("%08x-%04x-uuid", f.r.Uint32(), f.r.Uint32()))
	case 2:
		*v = market.NumID(f.int64() & math.MaxInt64)
	case 3:
		*v = market.TextID("007")
	default:
		*v = market.NumID(int64(f.r.IntN(5)))
	}
}
func (f *filler) Word(_ *market.Field, v *string) {
	*v = [...]string{"", "1m", "live", "ü", "sequence", "a longer word with spaces"}[f.r.IntN(6)]
}
func (f *filler) Enum(_ *market.Field, v market.Enum) { v.SetCode(uint8(f.r.IntN(4))) }
func (f *filler) Bool(_ *market.Field, v *bool)       { *v = f.r.IntN(2) == 0 }
func (f *filler) Levels(_ *market.Field, v *[]market.Level) {
	*v = nil
	for range f.r.IntN(6) * f.r.IntN(6) {
		*v = append(*v, market.Level{Price: f.decimal(), Amount: f.decimal()})
	}
}
func (f *filler) Flags(v *market.Flags) { *v = market.Flags(f.r.Uint32() >> f.r.IntN(32)) }

// dump is a visitor that writes everything down, absent fields too.
type dump struct{ out []byte }

func (d *dump) put(f *market.Field, format string, args ...any) {
	d.out = fmt.Appendf(d.out, " "+f.Column+"="+format, args...)
}
func (d *dump) Instrument(v **market.Instrument) {
	if *v == nil {
		d.put(market.FieldInstrument, "none")
		return
	}
	d.put(market.FieldInstrument, "%s %s", (*v).ID(), (*v).Native)
}
func (d *dump) Time(f *market.Field, v *int64)        { d.put(f, "%d", *v) }
func (d *dump) Count(f *market.Field, v *int64)       { d.put(f, "%d", *v) }
func (d *dump) Int(f *market.Field, v *market.OptInt) { d.put(f, "%d %v", v.V, v.OK) }
func (d *dump) Decimal(f *market.Field, v *market.Decimal) {
	_, ok := v.Coefficient()
	d.put(f, "%s %v %d %v", v, v.IsSet(), v.Scale(), ok)
}
func (d *dump) ID(f *market.Field, v *market.ID) {
	_, ok := v.Num()
	d.put(f, "%s %v %v", v, v.IsSet(), ok)
}
func (d *dump) Word(f *market.Field, v *string)     { d.put(f, "%q", *v) }
func (d *dump) Enum(f *market.Field, v market.Enum) { d.put(f, "%d", v.Code()) }
func (d *dump) Bool(f *market.Field, v *bool)       { d.put(f, "%v", *v) }
func (d *dump) Levels(f *market.Field, v *[]market.Level) {
	d.put(f, "%d", len(*v))
	for i := range *v {
		d.Decimal(f, &(*v)[i].Price)
		d.Decimal(f, &(*v)[i].Amount)
	}
}
func (d *dump) Flags(v *market.Flags) { d.put(market.FieldFlags, "%x", uint32(*v)) }

func dumpRecord(r market.Record) string {
	d := dump{out: []byte(r.Kind().String())}
	market.Visit(r, &d)
	return string(d.out)
}

var someInstruments = []*market.Instrument{
	{Exchange: "binance", Market: market.Spot, Symbol: "BTC-USDT", Native: "BTCUSDT"},
	{Exchange: "binance", Market: market.Perpetual, Symbol: "BTC-USDT", Native: "BTCUSDT"},
	{Exchange: "okx", Market: market.Option, Symbol: "BTC-USD-20261225-60000-C", Native: "BTC-USD-261225-60000-C"},
	{Exchange: "deribit", Market: market.Future, Symbol: "ETH-USD-20261225"},
	nil,
}

func randomBatch(seed uint64, rows int) *market.Batch {
	f := &filler{r: rand.New(rand.NewPCG(seed, 1)), instruments: someInstruments}
	b := &market.Batch{}
	kinds := market.Kinds()
	for range rows {
		market.Visit(b.AddKind(kinds[f.r.IntN(len(kinds))]), f)
	}
	return b
}

func wantEqual(t testing.TB, got, want *market.Batch) {
	t.Helper()
	if got.Len() != want.Len() {
		t.Fatalf("%d records, want %d", got.Len(), want.Len())
	}
	for i := range want.Len() {
		if g, w := dumpRecord(got.At(i)), dumpRecord(want.At(i)); g != w {
			t.Fatalf("record %d:\n got %s\nwant %s", i, g, w)
		}
	}
}

func TestCodecRoundTripsEverything(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	var got market.Batch
	for seed := range uint64(100) { // one encoder and decoder: nothing leaks from payload to payload
		want := randomBatch(seed, int(seed)*5)
		e.Reset()
		if err := e.AddBatch(want); err != nil {
			t.Fatal(err)
		}
		payload := e.Payload()
		if !bytes.Equal(payload, e.Payload()) {
			t.Fatal("Payload differs the second time")
		}
		if slack := len(payload) - e.Size(); slack < 0 || slack > 1500 {
			t.Fatalf("Size says %d, the payload has %d", e.Size(), len(payload))
		}
		got.Reset()
		n, err := d.Decode(payload, &got)
		if err != nil || n != want.Len() || e.Rows() != n {
			t.Fatalf("seed %d: %d of %d records: %v", seed, n, want.Len(), err)
		}
		wantEqual(t, &got, want)
	}
}

func TestCodecAppendsToABatch(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	one, two := randomBatch(1, 20), randomBatch(2, 30)
	var got, want market.Batch
	for _, b := range []*market.Batch{one, two} {
		e.Reset()
		for r := range b.All() {
			if err := e.Add(r); err != nil {
				t.Fatal(err)
			}
			want.Copy(r)
		}
		if _, err := d.Decode(e.Payload(), &got); err != nil {
			t.Fatal(err)
		}
	}
	wantEqual(t, &got, &want)
	// After an error the batch is as it was.
	bad := bytes.Clone(e.Payload())
	bad = bad[:len(bad)-1]
	if _, err := d.Decode(bad, &got); !errors.Is(err, ErrCorrupt) {
		t.Errorf("cut: %v", err)
	}
	wantEqual(t, &got, &want)
}

func TestCodecGivesTheSameInstrumentEachTime(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	var b market.Batch
	var last *market.Instrument
	for range 3 {
		e.Reset()
		tr := market.Trade{Header: market.Header{Instrument: someInstruments[0], TS: 1}}
		if err := e.Add(&tr); err != nil {
			t.Fatal(err)
		}
		b.Reset()
		if _, err := d.Decode(e.Payload(), &b); err != nil {
			t.Fatal(err)
		}
		i := b.At(0).Head().Instrument
		if last != nil && i != last {
			t.Error("another pointer")
		}
		last = i
	}
}

// TestCodecVersions rewrites fingerprints and counts as an older or newer
// program would have written them.
func TestCodecVersions(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	encode := func() []byte {
		e.Reset()
		mark := market.MarkPrice{Header: market.Header{TS: 5, ExchangeTime: 5, ReceiveTime: 9}}
		mark.Price = market.MustDecimal("1.5")
		if err := e.Add(&mark); err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(e.Payload())
	}
	// version, rows, common count and print, no words, no instruments, one kind:
	const kindAt = 1 + 1 + 1 + 4 + 1 + 1 + 1
	good := encode()
	if market.Kind(good[kindAt]) != market.KindMarkPrice {
		t.Fatalf("the kind is not where this test expects it: % x", good)
	}
	for name, change := range map[string]func(p []byte){
		"payload version":    func(p []byte) { p[0]++ },
		"common fields":      func(p []byte) { p[2]++ },
		"common fingerprint": func(p []byte) { p[3]++ },
		"unknown kind":       func(p []byte) { p[kindAt] = 200 },
		"more fields":        func(p []byte) { p[kindAt+1]++ },
		"fingerprint":        func(p []byte) { p[kindAt+2]++ },
	} {
		p := encode()
		change(p)
		var b market.Batch
		if _, err := d.Decode(p, &b); !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An older program's payload lacks the last field of the kind.
	s := schemas()[market.KindMarkPrice]
	older := bytes.Clone(good)
	older[kindAt+1]--
	binary.LittleEndian.PutUint32(older[kindAt+2:], s.prints[len(s.prints)-2])
	lengths := kindAt + 6
	last := lengths + 1 + len(s.fields) - 1 // the price column's length
	cut := int(older[last])
	older = append(older[:last], older[last+1:]...)
	older = older[:len(older)-cut]
	mask := len(older) - 1
	for i := lengths + 1; i < lengths+len(s.fields); i++ {
		mask -= int(older[i]) // the columns before the price
	}
	mask -= int(older[lengths]) - 1
	m, n := binary.Uvarint(older[mask:])
	m &^= 1 << (len(s.fields) - 1)
	if w := binary.PutUvarint(older[mask:], m); w != n {
		older = append(older[:mask+w], older[mask+n:]...)
		older[lengths] = byte(w)
	}
	var b market.Batch
	if _, err := d.Decode(older, &b); err != nil {
		t.Fatalf("older payload: %v", err)
	}
	got := b.At(0).(*market.MarkPrice)
	if got.Price.IsSet() || got.TS != 5 || got.ReceiveTime != 9 {
		t.Errorf("older payload: %s", dumpRecord(got))
	}
	// And the current one still decodes, with the plan made again.
	b.Reset()
	if _, err := d.Decode(good, &b); err != nil || b.At(0).(*market.MarkPrice).Price.String() != "1.5" {
		t.Errorf("current payload after an older one: %v", err)
	}
}

// The fingerprints are stored in journals: what is listed here stays readable
// only while it stays true. New fields go to the end of a kind, new lines here.
func TestSchemasKeepTheirBeginnings(t *testing.T) {
	const common, commonPrint = 10, 0xffed020e
	for _, want := range []struct {
		kind  market.Kind
		own   int
		print uint32
	}{
		{market.KindTrade, 5, 0x50f76544},
		{market.KindBookDelta, 4, 0x8c3d9d01},
		{market.KindBookSnapshot, 4, 0x6cea2033},
		{market.KindBookTop, 4, 0x8fb949b0},
		{market.KindBookTicker, 4, 0x8fb949b0},
		{market.KindTicker, 12, 0xe92db035},
		{market.KindCandle, 11, 0xb93db763},
		{market.KindFunding, 4, 0x50523f6b},
		{market.KindMarkPrice, 1, 0xba5551cd},
		{market.KindIndexPrice, 1, 0xba5551cd},
		{market.KindOpenInterest, 3, 0xd66b8e1c},
		{market.KindLiquidation, 5, 0x7060e4c0},
		{market.KindLongShortRatio, 5, 0xa0828041},
		{market.KindVolatilityIndex, 2, 0x0d620429},
		{market.KindGap, 8, 0x00175fd4},
	} {
		s := schemas()[want.kind]
		switch {
		case len(s.commonPrints) <= common || s.commonPrints[common] != commonPrint:
			t.Errorf("the common fields of %s changed: %08x", want.kind, s.commonPrints)
		case len(s.prints) <= want.own || s.prints[want.own] != want.print:
			t.Errorf("the first %d fields of %s changed: %08x", want.own, want.kind, s.prints)
		}
	}
	if n := len(market.Kinds()); n != 15 {
		t.Errorf("%d kinds, 15 are listed here", n)
	}
}

func TestCodecDamageIsNoticedOrHarmless(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	if err := e.AddBatch(randomBatch(7, 40)); err != nil {
		t.Fatal(err)
	}
	good := bytes.Clone(e.Payload())
	var b market.Batch
	for n := range good {
		b.Reset()
		if _, err := d.Decode(good[:n], &b); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x55
		b.Reset()
		_, err := d.Decode(bad, &b)
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatalf("byte %d: untyped error %v", i, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	e := NewEncoder()
	for seed := range uint64(4) {
		e.Reset()
		if err := e.AddBatch(randomBatch(seed, 5)); err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(e.Payload()))
	}
	d := NewDecoder()
	again := NewDecoder()
	f.Fuzz(func(t *testing.T, payload []byte) {
		var b, c market.Batch
		n, err := d.Decode(payload, &b)
		if err != nil {
			if b.Len() != 0 || !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("%d records, %v", b.Len(), err)
			}
			return
		}
		// What decodes also encodes, to the same records.
		e.Reset()
		if err := e.AddBatch(&b); err != nil {
			t.Fatal(err)
		}
		if m, err := again.Decode(e.Payload(), &c); err != nil || m != n {
			t.Fatalf("%d of %d: %v", m, n, err)
		}
		wantEqual(t, &c, &b)
	})
}

// tradeBatch is what a busy exchange sends: few instruments, rising ids.
func tradeBatch(rows int) *market.Batch {
	r := rand.New(rand.NewPCG(1, 2))
	instruments := make([]*market.Instrument, 8)
	for i := range instruments {
		s := fmt.Sprintf("C%d", i)
		instruments[i] = &market.Instrument{Exchange: "binance", Market: market.Perpetual, Symbol: s + "-USDT", Native: s + "USDT"}
	}
	price := make([]int64, len(instruments))
	b := &market.Batch{}
	now := int64(1_700_000_000_000_000_000)
	for i := range rows {
		k := r.IntN(len(instruments))
		now += r.Int64N(3e6)
		price[k] += r.Int64N(21) - 10
		t := market.Add[market.Trade](b)
		t.Header = market.Header{
			Instrument: instruments[k], TS: now / 1e6 * 1e6, ExchangeTime: now / 1e6 * 1e6, ReceiveTime: now + 30e6 + r.Int64N(2e6),
			Conn: 1, Epoch: 7,
		}
		t.ID = market.NumID(4_000_000_000 + int64(i))
		t.Price = market.NewDecimal(6_000_000+price[k], 2)
		t.Amount = market.NewDecimal(1+r.Int64N(5000), 3)
		t.Side = market.Side(1 + r.IntN(2))
	}
	return b
}

func deltaBatch(rows, levels int) *market.Batch {
	r := rand.New(rand.NewPCG(1, 2))
	b := &market.Batch{}
	inst := someInstruments[1]
	for i := range rows {
		d := market.Add[market.BookDelta](b)
		ts := 1_700_000_000_000_000_000 + int64(i)*1e8
		d.Header = market.Header{Instrument: inst, TS: ts, ExchangeTime: ts, ReceiveTime: ts + 20e6 + r.Int64N(1e6),
			Seq: market.Int(int64(i) * 37), PrevSeq: market.Int(int64(i-1) * 37), Conn: 1, Epoch: 7}
		side := func(sign int64) []market.Level {
			mark := b.LevelMark()
			price := int64(6_000_000)
			for range levels / 2 {
				price += sign * (1 + r.Int64N(20))
				b.Level(market.Level{Price: market.NewDecimal(price, 2), Amount: market.NewDecimal(r.Int64N(5000), 3)})
			}
			return b.LevelsFrom(mark)
		}
		d.Bids, d.Asks = side(-1), side(1)
	}
	return b
}

// allocations is how many it takes to write a batch and read it into another.
func allocations(t *testing.T, b, into *market.Batch) float64 {
	e, d := NewEncoder(), NewDecoder()
	return testing.AllocsPerRun(5, func() {
		e.Reset()
		into.Reset()
		if err := e.AddBatch(b); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Decode(e.Payload(), into); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAllocCodec(t *testing.T) {
	for name, b := range map[string]*market.Batch{"trades": tradeBatch(5000), "deltas": deltaBatch(500, 40)} {
		if n := allocations(t, b, &market.Batch{}); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Textual identifiers share one copy of their column.
func TestAllocCodecOfTextualIDs(t *testing.T) {
	b := tradeBatch(2000)
	for r := range market.Rows[market.Trade](b) {
		n, _ := r.ID.Num()
		r.ID = market.TextID(fmt.Sprintf("%08x-aaaa-bbbb-cccc-ddddeeeeffff", n))
	}
	var into market.Batch
	if n := allocations(t, b, &into); n > 1 {
		t.Errorf("%v allocations for %d records", n, b.Len())
	}
	wantEqual(t, &into, b)
}

func benchmarkBatches() map[string]*market.Batch {
	return map[string]*market.Batch{"trades": tradeBatch(20_000), "deltas40": deltaBatch(1000, 40)}
}

func perRow(b *testing.B, rows int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows), "ns/row")
}

func BenchmarkEncode(b *testing.B) {
	for name, batch := range benchmarkBatches() {
		b.Run(name, func(b *testing.B) {
			e := NewEncoder()
			b.ReportAllocs()
			for b.Loop() {
				e.Reset()
				if err := e.AddBatch(batch); err != nil {
					b.Fatal(err)
				}
				e.Payload()
			}
			perRow(b, batch.Len())
			b.ReportMetric(float64(len(e.Payload()))/float64(batch.Len()), "B/row")
			s, err := newSealer()
			if err != nil {
				b.Fatal(err)
			}
			m, err := s.seal(someIncarnation, 1, 1, e.Payload(), MaxMessage)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(m))/float64(batch.Len()), "sealedB/row")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, batch := range benchmarkBatches() {
		b.Run(name, func(b *testing.B) {
			e, d := NewEncoder(), NewDecoder()
			if err := e.AddBatch(batch); err != nil {
				b.Fatal(err)
			}
			payload := e.Payload()
			var into market.Batch
			b.ReportAllocs()
			for b.Loop() {
				into.Reset()
				if _, err := d.Decode(payload, &into); err != nil {
					b.Fatal(err)
				}
			}
			perRow(b, batch.Len())
		})
	}
}
