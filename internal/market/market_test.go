package market_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
)

func TestParseDecimal(t *testing.T) {
	for _, tc := range []struct {
		name, in, want string
		err            bool
	}{
		{name: "trailing zeros stay", in: "61837.63000000", want: "61837.63000000"},
		{name: "zero keeps its scale", in: "0.00000000", want: "0.00000000"},
		{name: "negative below one", in: "-0.00012", want: "-0.00012"},
		{name: "negative zero is zero", in: "-0.00", want: "0.00"},
		{name: "leading zeros", in: "007.50", want: "7.50"},
		{name: "exponent", in: "1.19647E-5", want: "0.0000119647"},
		{name: "positive exponent", in: "1.5e+3", want: "1500"},
		{name: "eighteen digits", in: "123456789012345678", want: "123456789012345678"},
		{name: "nineteen digits", in: "1234567890123456789", want: "1234567890123456789"},
		{name: "thirty-eight digits", in: "-12345678901234567890.123456789012345678", want: "-12345678901234567890.123456789012345678"},
		{name: "small and long", in: "0.0000000000000000000000000001", want: "0.0000000000000000000000000001"},
		{name: "empty", in: "", err: true},
		{name: "sign alone", in: "-", err: true},
		{name: "plus", in: "+1", err: true},
		{name: "point first", in: ".5", err: true},
		{name: "point last", in: "5.", err: true},
		{name: "two points", in: "1.2.3", err: true},
		{name: "NaN", in: "NaN", err: true},
		{name: "infinity", in: "Infinity", err: true},
		{name: "hexadecimal", in: "0x10", err: true},
		{name: "space", in: " 1", err: true},
		{name: "bare exponent", in: "1e", err: true},
		{name: "exponent bomb", in: "1e999999999", err: true},
		{name: "too many digits", in: strings.Repeat("9", market.MaxDecimalDigits+1), err: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := market.ParseDecimal([]byte(tc.in))
			if (err != nil) != tc.err {
				t.Fatalf("ParseDecimal(%q) error = %v, want error: %v", tc.in, err, tc.err)
			}
			if got.String() != tc.want {
				t.Errorf("ParseDecimal(%q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

// randomNumber is a random number in JSON's syntax.
func randomNumber(r *rand.Rand) string {
	var b strings.Builder
	if r.IntN(2) == 0 {
		b.WriteByte('-')
	}
	for range 1 + r.IntN(r.IntN(24)+1) {
		b.WriteByte(byte('0' + r.IntN(10)))
	}
	if r.IntN(3) > 0 {
		b.WriteByte('.')
		for range 1 + r.IntN(r.IntN(24)+1) {
			b.WriteByte(byte('0' + r.IntN(10)))
		}
	}
	return b.String()
}

func TestDecimalAgainstBig(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		as, bs := randomNumber(r), randomNumber(r)
		if r.IntN(4) == 0 {
			bs = as + strings.Repeat("0", r.IntN(3))
			if !strings.Contains(as, ".") {
				bs = as + ".0"
			}
		}
		a, b := market.MustDecimal(as), market.MustDecimal(bs)
		ra, _ := new(big.Rat).SetString(as)
		rb, _ := new(big.Rat).SetString(bs)
		if got, ok := new(big.Rat).SetString(a.String()); !ok || got.Cmp(ra) != 0 {
			t.Fatalf("%q came back as %q", as, a)
		}
		if got, want := a.Cmp(b), ra.Cmp(rb); got != want {
			t.Fatalf("Cmp(%s, %s) = %d, want %d", as, bs, got, want)
		}
		if got, want := a.Sign(), ra.Sign(); got != want {
			t.Fatalf("Sign(%s) = %d, want %d", as, got, want)
		}
		if got, want := a.IsZero(), ra.Sign() == 0; got != want {
			t.Fatalf("IsZero(%s) = %v", as, got)
		}
		want, _ := ra.Float64()
		if got := a.Float64(); got != want {
			t.Fatalf("Float64(%s) = %v, want %v", as, got, want)
		}
		if a.FitsFloat() {
			if back := market.DecimalFromFloat(a.Float64(), a.Scale()); back.String() != a.String() {
				t.Fatalf("%s through float64 came back as %s", a, back)
			}
		}
	}
}

func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"0", "-1.5", "1e10", "1E-7", "00.100", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := market.ParseDecimal([]byte(s))
		if err != nil {
			return
		}
		again, err := market.ParseDecimal([]byte(d.String()))
		if err != nil || again.String() != d.String() || again.Cmp(d) != 0 {
			t.Fatalf("%q -> %q -> %q, %v", s, d, again, err)
		}
		if len(d.String()) > market.MaxDecimalDigits+3 {
			t.Fatalf("%q grew to %d bytes", s, len(d.String()))
		}
	})
}

func TestKinds(t *testing.T) {
	tables := map[string]market.Kind{}
	for _, k := range market.Kinds() {
		if got, ok := market.ParseKind(k.String()); !ok || got != k {
			t.Errorf("ParseKind(%q) = %v, %v", k, got, ok)
		}
		if k.New().Kind() != k {
			t.Errorf("%v.New() is a %v", k, k.New().Kind())
		}
		if other, taken := tables[k.Table()]; taken && k.Table() != "" {
			t.Errorf("%v and %v share table %q", k, other, k.Table())
		}
		tables[k.Table()] = k
	}
	for alias, want := range map[string]market.Kind{
		"trades": market.KindTrade, "orderbook": market.KindBookSnapshot, "orderbooks": market.KindBookSnapshot,
		"tickers": market.KindTicker, "kline": market.KindCandle, "funding_rate": market.KindFunding, "TRADE": market.KindTrade,
	} {
		if got, ok := market.ParseKind(alias); !ok || got != want {
			t.Errorf("ParseKind(%q) = %v, %v, want %v", alias, got, ok, want)
		}
	}
	if _, ok := market.ParseKind(""); ok {
		t.Error("the empty word is a kind")
	}
}

var btc = &market.Instrument{Exchange: "binance", Market: market.Spot, Symbol: "BTC-USDT", Native: "BTCUSDT"}

func TestJSON(t *testing.T) {
	var b market.Batch
	trade := market.Add[market.Trade](&b)
	trade.Header = market.Header{
		Instrument: btc, ExchangeTime: 1_700_000_000_123_000_000, ReceiveTime: 1_700_000_000_124_000_001,
		Seq: market.Int(7), PrevSeq: market.Int(6), Conn: 2, Epoch: 3, Flags: market.FlagBackfilled | market.FlagBlock,
	}
	trade.ID, trade.Price, trade.Amount, trade.Side = market.NumID(7), market.MustDecimal("1.50"), market.MustDecimal("0.10"), market.Sell
	delta := market.Add[market.BookDelta](&b)
	delta.Instrument, delta.Origin = btc, market.External
	mark := b.LevelMark()
	b.Level(market.Level{Price: market.MustDecimal("1.0"), Amount: market.MustDecimal("0")})
	b.Level(market.Level{Price: market.MustDecimal("0.9"), Amount: market.MustDecimal("12")})
	delta.Bids = b.LevelsFrom(mark)

	want := []string{
		`{"kind":"trade","exchange":"binance","market":"spot","symbol":"BTC-USDT","native_symbol":"BTCUSDT","exchange_time_ns":1700000000123000000,"receive_time_ns":1700000000124000001,"seq":7,"prev_seq":6,"conn":2,"epoch":3,"flags":["backfilled","block"],"id":"7","price":"1.50","amount":"0.10","side":"sell"}`,
		`{"kind":"book_delta","exchange":"binance","market":"spot","symbol":"BTC-USDT","native_symbol":"BTCUSDT","origin":"external","is_snapshot":false,"bids":[["1.0","0"],["0.9","12"]],"asks":[]}`,
	}
	var j market.JSON
	i := 0
	for r := range b.All() {
		got := string(j.Append(nil, r))
		if got != want[i] {
			t.Errorf("record %d:\n got %s\nwant %s", i, got, want[i])
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("record %d is not JSON", i)
		}
		i++
	}
}

func TestAppendJSONString(t *testing.T) {
	for _, s := range []string{"plain", "quo\"te\\", "\x00\x1f\n\r\t", "日本", "bad\xffutf8", ""} {
		got := market.AppendJSONString(nil, s)
		var back string
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%q -> %s: %v", s, got, err)
		}
		if want := strings.ToValidUTF8(s, "�"); back != want {
			t.Errorf("%q came back as %q", s, back)
		}
	}
}

func TestBatch(t *testing.T) {
	var b market.Batch
	first := market.Add[market.Trade](&b)
	first.ID = market.NumID(1)
	for i := range 200 {
		market.Add[market.Trade](&b).ID = market.NumID(int64(i + 2))
		market.Add[market.Gap](&b)
	}
	first.Price = market.MustDecimal("5")
	if got, ok := b.At(0).(*market.Trade); !ok || got.Price.String() != "5" {
		t.Error("a pointer went stale while others were added")
	}
	if b.Len() != 401 || b.Count(market.KindTrade) != 201 || b.Count(market.KindGap) != 200 {
		t.Errorf("counts: %d, %d, %d", b.Len(), b.Count(market.KindTrade), b.Count(market.KindGap))
	}
	b.Truncate(3)
	if b.Len() != 3 || b.Count(market.KindTrade) != 2 || b.Count(market.KindGap) != 1 {
		t.Errorf("after Truncate: %d, %d, %d", b.Len(), b.Count(market.KindTrade), b.Count(market.KindGap))
	}
	var c market.Batch
	delta := market.Add[market.BookDelta](&b)
	delta.Bids = b.CopyLevels([]market.Level{{Price: market.MustDecimal("3"), Amount: market.MustDecimal("4")}})
	kept, ok := c.Copy(delta).(*market.BookDelta)
	b.Reset()
	b.Level(market.Level{})
	if !ok || kept.Bids[0].Price.String() != "3" {
		t.Error("a copy shares levels with its source")
	}
	if b.Len() != 0 || b.Count(market.KindTrade) != 0 {
		t.Error("Reset left records")
	}
	if again := market.Add[market.Trade](&b); again.ID.IsSet() {
		t.Error("a reused record is not empty")
	}
}

func TestAllocBatch(t *testing.T) {
	var b market.Batch
	buf := make([]byte, 0, 1024)
	var j market.JSON
	price := market.MustDecimal("1.5")
	step := func() {
		b.Reset()
		trade := market.Add[market.Trade](&b)
		trade.Instrument, trade.ID, trade.Price = btc, market.NumID(9), price
		delta := market.Add[market.BookDelta](&b)
		delta.Instrument = btc
		mark := b.LevelMark()
		b.Level(market.Level{Price: price, Amount: price})
		delta.Bids = b.LevelsFrom(mark)
		for r := range b.All() {
			buf = j.Append(buf[:0], r)
		}
	}
	step()
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations for a batch, want 0", n)
	}
}

func TestInstruments(t *testing.T) {
	mk := func(symbol, native string) *market.Instrument {
		return &market.Instrument{Exchange: "binance", Market: market.Future, Symbol: symbol, Native: native}
	}
	table := market.NewInstruments([]*market.Instrument{
		mk("BTC-USDT-20250627", "BTCUSDT_250627"), mk("BTC-USDT", "BTCUSDT"), mk("A-BC", "ABC1"), mk("AB-C", "ABC2"),
	})
	for spelling, want := range map[string]string{
		"BTC-USDT": "BTC-USDT", "BTCUSDT": "BTC-USDT", "btc_usdt": "BTC-USDT", "btc/usdt": "BTC-USDT",
		"BTCUSDT_250627": "BTC-USDT-20250627", "btcusdt-20250627": "BTC-USDT-20250627", "A-BC": "A-BC", "abc2": "AB-C",
	} {
		if got, err := table.Resolve(spelling); err != nil || got.Symbol != want {
			t.Errorf("Resolve(%q) = %v, %v, want %s", spelling, got, err, want)
		}
	}
	for _, spelling := range []string{"nope", "abc", ""} {
		if got, err := table.Resolve(spelling); err == nil {
			t.Errorf("Resolve(%q) = %v, want an error", spelling, got)
		}
	}
}

func TestSubjectToken(t *testing.T) {
	for in, want := range map[string]string{
		"BTC-USDT": "BTC-USDT", "ETH-USDC-0.5-C": "ETH-USDC-0d5-C", "A*B>C D%": "A%2AB%3EC%20D%25", "é": "%C3%A9",
	} {
		if got := market.SubjectToken(in); got != want {
			t.Errorf("SubjectToken(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestStamp(t *testing.T) {
	trade := &market.Trade{Header: market.Header{ExchangeTime: 5, ReceiveTime: 9}}
	market.Stamp(trade)
	quote := &market.BookTicker{Header: market.Header{ReceiveTime: 9}}
	market.Stamp(quote)
	candle := &market.Candle{Header: market.Header{ExchangeTime: 7}, OpenTime: 3}
	market.Stamp(candle)
	if trade.TS != 5 || trade.Flags != 0 || quote.TS != 9 || quote.Flags != market.FlagUnkeyed || candle.TS != 3 {
		t.Errorf("got %d %v, %d %v, %d", trade.TS, trade.Flags, quote.TS, quote.Flags, candle.TS)
	}
}

func BenchmarkParseDecimal(b *testing.B) {
	in := []byte("61837.63000000")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := market.ParseDecimal(in); err != nil {
			b.Fatal(err)
		}
	}
}

// The text that is kept from one record to the next is never an older one's.
func TestJSONOfMixedRecords(t *testing.T) {
	eth := &market.Instrument{Exchange: "okx", Market: market.Perpetual, Symbol: "ETH-USDT", Native: "ETH-USDT-SWAP"}
	times := []int64{1, -1, 999_999_999, 999_999_999_999_999_999, 1e18, 1_700_000_000_000_000_001, 1_700_000_000_999_999_999, 1_700_000_001_000_000_000, math.MaxInt64}
	var kept market.JSON
	for i, ns := range times {
		for _, inst := range []*market.Instrument{btc, eth, btc, nil} {
			trade := &market.Trade{Header: market.Header{Instrument: inst, ExchangeTime: ns, ReceiveTime: times[len(times)-1-i]}}
			var fresh market.JSON
			got, want := kept.Append(nil, trade), fresh.Append(nil, trade)
			if string(got) != string(want) || !json.Valid(got) {
				t.Errorf("got %s, want %s", got, want)
			}
			if text := fmt.Sprintf(`"exchange_time_ns":%d,"receive_time_ns":%d`, ns, times[len(times)-1-i]); !strings.Contains(string(got), text) {
				t.Errorf("%s does not say %s", got, text)
			}
		}
	}
}

func BenchmarkJSON(b *testing.B) {
	trade := &market.Trade{
		Header: market.Header{Instrument: btc, ExchangeTime: 1_700_000_000_123_000_000, ReceiveTime: 1_700_000_000_124_000_001, Seq: market.Int(4_000_000_000), Conn: 3, Epoch: 12},
		ID:     market.NumID(4_000_000_000), Price: market.MustDecimal("61837.63000000"), Amount: market.MustDecimal("0.01250000"), Side: market.Buy,
	}
	var j market.JSON
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		trade.ExchangeTime += 1_000_000
		buf = j.Append(buf[:0], trade)
	}
}
