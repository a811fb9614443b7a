package market_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
)

// filler is a Visitor that fills a record with anything that can stand in it.
type filler struct {
	r *rand.Rand
	b *market.Batch
}

func (f filler) some() bool { return f.r.IntN(3) > 0 }

func (f filler) integer() int64 {
	switch f.r.IntN(6) {
	case 0:
		return math.MinInt64
	case 1:
		return math.MaxInt64
	case 2:
		return 0
	}
	return f.r.Int64N(2e9) - 1e9
}

func (f filler) text() string {
	const runes = "abcXYZ0189-_/ \"\\\n\t\x01日本é😀"
	all := []rune(runes)
	out := make([]rune, 1+f.r.IntN(12))
	for i := range out {
		out[i] = all[f.r.IntN(len(all))]
	}
	return string(out)
}

func (f filler) decimal() market.Decimal {
	d, err := market.ParseDecimal([]byte(randomNumber(f.r)))
	if err != nil {
		return market.MustDecimal("0.00")
	}
	return d
}

func (f filler) Instrument(v **market.Instrument) {
	if f.some() {
		*v = &market.Instrument{Exchange: f.text(), Market: market.Markets()[f.r.IntN(len(market.Markets()))], Symbol: f.text(), Native: f.text()}
	}
}

func (f filler) Time(_ *market.Field, v *int64) {
	if f.some() {
		*v = 1.7e18 + f.r.Int64N(1e18)
	} else {
		*v = f.integer()
	}
}
func (f filler) Count(_ *market.Field, v *int64) { *v = f.integer() }
func (f filler) Int(_ *market.Field, v *market.OptInt) {
	if f.some() {
		*v = market.Int(f.integer())
	}
}
func (f filler) Decimal(_ *market.Field, v *market.Decimal) {
	if f.some() {
		*v = f.decimal()
	}
}
func (f filler) ID(_ *market.Field, v *market.ID) {
	switch f.r.IntN(3) {
	case 0:
		*v = market.TextID(f.text())
	case 1:
		*v = market.NumID(f.r.Int64())
	}
}
func (f filler) Word(_ *market.Field, v *string) {
	if f.some() {
		*v = f.text()
	}
}
func (f filler) Enum(_ *market.Field, v market.Enum) { v.SetCode(uint8(f.r.IntN(4))) }
func (f filler) Bool(_ *market.Field, v *bool)       { *v = f.some() }
func (f filler) Levels(_ *market.Field, v *[]market.Level) {
	mark := f.b.LevelMark()
	for range f.r.IntN(5) {
		f.b.Level(market.Level{Price: f.decimal(), Amount: f.decimal()})
	}
	*v = f.b.LevelsFrom(mark)
}
func (f filler) Flags(v *market.Flags) { *v = market.Flags(f.r.Uint32N(1 << 10)) }

// TestJSONReadIsTheWayBack: what is written is read, and written again as the same
// bytes, for every kind, with every field present and absent.
func TestJSONReadIsTheWayBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var reader market.JSONReader
	for _, numbers := range []bool{false, true} {
		w := market.JSON{Numbers: numbers}
		for _, k := range market.Kinds() {
			for range 2000 {
				var b, into market.Batch
				record := b.AddKind(k)
				market.Visit(record, filler{r, &b})
				want := string(w.Append(nil, record))
				if !json.Valid([]byte(want)) {
					t.Fatalf("not JSON: %s", want)
				}
				back, err := reader.Read([]byte(want), &into)
				if err != nil {
					t.Fatalf("%v: %v\n%s", k, err, want)
				}
				if got := string(w.Append(nil, back)); got != want {
					t.Fatalf("%v:\n got %s\nwant %s", k, got, want)
				}
			}
		}
	}
}

func TestJSONReadStamps(t *testing.T) {
	var b market.Batch
	var reader market.JSONReader
	for line, want := range map[string]int64{
		`{"kind":"trade","exchange_time_ns":5,"receive_time_ns":6}`:               5,
		`{"kind":"book_ticker","receive_time_ns":6,"flags":["unkeyed"]}`:          6,
		`{"kind":"candle","exchange_time_ns":5,"open_time_ns":4,"closed":true}`:   4,
		`{"kind":"gap","receive_time_ns":9,"channel":"trade","from_time_ns":3}`:   3,
		"{ \"kind\" : \"trade\" ,\n \"price\": 1.50, \"exchange_time_ns\" : 7 } ": 7,
	} {
		r, err := reader.Read([]byte(line), &b)
		if err != nil || r.Head().TS != want {
			t.Errorf("%s: %v %+v, want time %d", line, err, r, want)
		}
	}
}

func TestJSONReadRefuses(t *testing.T) {
	var reader market.JSONReader
	for _, line := range []string{
		``, `{`, `{}`, `[]`, `null`, `{"kind":"trade"`, `{"kind":"nothing"}`, `{"kind":1}`, `{"price":"1"}`,
		`{"kind":"trade"} x`, `{"kind":"trade","kind":"trade"}`, `{"kind":"trade","prize":"1"}`, `{"kind":"trade","price":null}`,
		`{"kind":"trade","price":"abc"}`, `{"kind":"trade","price":{}}`, `{"kind":"trade","seq":"1"}`, `{"kind":"trade","seq":1.5}`,
		`{"kind":"trade","seq":99999999999999999999}`, `{"kind":"trade","side":"long"}`, `{"kind":"trade","flags":["odd"]}`,
		`{"kind":"trade","flags":"block"}`, `{"kind":"trade","id":"\ud800"}`, `{"kind":"trade","id":"\x"}`, "{\"kind\":\"trade\",\"id\":\"\xff\"}",
		`{"kind":"trade","exchange":"a"}`, `{"kind":"trade","exchange":"a","market":"b","symbol":"c","native_symbol":"d"}`,
		`{"kind":"book_delta","is_snapshot":1}`, `{"kind":"book_delta","bids":[["1"]]}`, `{"kind":"book_delta","bids":[["1","2","3"]]}`,
		`{"kind":"book_delta","bids":[[[["1"]]]]}`, `{"kind":"book_delta","bids":["1","2"]}`,
		`{"kind":"trade","id":"` + strings.Repeat("x", market.MaxJSONRecord) + `"}`,
		`{"kind":"trade",` + strings.Repeat(`"a":1,`, 100) + `"b":1}`,
	} {
		var b market.Batch
		b.AddKind(market.KindTicker)
		_, err := reader.Read([]byte(line), &b)
		if !errors.Is(err, market.ErrJSONRecord) {
			t.Errorf("%.80s: error %v", line, err)
		}
		if b.Len() != 1 || b.Count(market.KindTrade) != 0 {
			t.Errorf("%.80s: the batch holds %d records", line, b.Len())
		}
	}
}

// FuzzJSONRead: nothing that is read panics, and what was read is written in a form
// that reads as itself.
func FuzzJSONRead(f *testing.F) {
	f.Add([]byte(`{"kind":"trade","exchange":"binance","market":"spot","symbol":"BTC-USDT","native_symbol":"BTCUSDT","exchange_time_ns":1700000000123000000,"receive_time_ns":1700000000124000001,"seq":7,"flags":["backfilled","block"],"id":"7","price":"1.50","amount":0.10,"side":"sell"}`))
	f.Add([]byte(`{"kind":"book_delta","origin":"external","is_snapshot":true,"bids":[["1.0","0"],["0.9","12"]],"asks":[],"checksum":-5}`))
	f.Add([]byte(`{"kind":"gap","channel":"trade","from_seq":3,"cause":"r\u00e9\ud83d\ude00\n"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var reader market.JSONReader
		var w market.JSON
		var b market.Batch
		r, err := reader.Read(line, &b)
		if err != nil {
			if b.Len() != 0 {
				t.Fatal("half a record stays in the batch")
			}
			return
		}
		if !json.Valid(line) {
			t.Logf("more than JSON was read: %q", line)
		}
		once := w.Append(nil, r)
		again, err := reader.Read(once, &b)
		if err != nil {
			t.Fatalf("%q was written as %s, which does not read: %v", line, once, err)
		}
		if twice := w.Append(nil, again); string(twice) != string(once) {
			t.Fatalf("%s became %s", once, twice)
		}
	})
}

func BenchmarkJSONRead(b *testing.B) {
	line := []byte(`{"kind":"trade","exchange":"binance","market":"spot","symbol":"BTC-USDT","native_symbol":"BTCUSDT","exchange_time_ns":1700000000123000000,"receive_time_ns":1700000000124000001,"seq":7,"conn":2,"epoch":3,"flags":["backfilled","block"],"id":"7","price":"61837.63000000","amount":"0.10","side":"sell"}`)
	var reader market.JSONReader
	var batch market.Batch
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		if _, err := reader.Read(line, &batch); err != nil {
			b.Fatal(err)
		}
	}
}
