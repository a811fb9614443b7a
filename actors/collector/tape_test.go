package collector

import (
	"math"
	"slices"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
)

// someTrades are as different as trades can be.
func someTrades(i *market.Instrument, n int) (trades []market.Trade) {
	for k := range n {
		at := 1_700_000_000_000_000_000 + int64(k)*1_000_000
		t := market.Trade{
			Header: market.Header{
				Instrument: i, ExchangeTime: at, ReceiveTime: at + 3_141_592 + int64(k%7), Epoch: 12, Conn: int64(1 + k/50),
				Seq: market.Int(int64(1000 + k)), Origin: market.Collected,
			},
			ID: market.NumID(int64(1000 + k)), Price: market.NewDecimal(6_180_010+int64(k%13), 2),
			Amount: market.NewDecimal(int64(k%997), 5), Side: market.Buy,
		}
		switch k % 11 {
		case 1:
			t.ID, t.Seq = market.TextID("2f1c9e3a-0b7d-4f0e-9a63-5c1d2e3f4a5b"), market.OptInt{}
		case 2:
			t.Price = market.MustDecimal("123456789012345678901234567890.5")
			t.QuoteAmount = market.MustDecimal("-0.000000000000000000000000000001")
		case 3:
			t.ID, t.Side, t.Flags = market.ID{}, market.Sell, market.FlagAggregate|market.FlagBackfilled
			t.PrevSeq = market.Int(math.MinInt64)
		case 4:
			t.Price, t.Amount, t.ExchangeTime = market.Decimal{}, market.NewDecimal(math.MinInt64, 18), 0
		case 5:
			t.ID, t.Seq, t.Origin = market.NumID(math.MaxInt64), market.Int(math.MinInt64), market.External
		case 6:
			t.Conn, t.QuoteAmount = 0, market.NewDecimal(0, 8)
		case 7:
			t.ID, t.Amount = market.TextID("00012"), market.MustDecimal("0."+string(slices.Repeat([]byte{'7'}, 150)))
		}
		market.Stamp(&t)
		trades = append(trades, t)
	}
	return trades
}

func TestTapeGivesBackWholeTrades(t *testing.T) {
	i := &market.Instrument{Exchange: "binance", Symbol: "BTC-USDT", Native: "BTCUSDT"}
	want := someTrades(i, 700)
	for _, limit := range []int{1, 31, 32, 33, 200, 5000} {
		h := newHistory(Config{RecentTrades: limit})
		for n := range want {
			h.trade(&want[n])
			if n%97 != 0 && n != len(want)-1 {
				continue
			}
			got := h.newest(i)
			if len(got) != min(limit, n+1) {
				t.Fatalf("limit %d: %d trades after %d", limit, len(got), n+1)
			}
			for k := range got {
				w := want[n+1-len(got)+k]
				if a, b := textOf(&got[k]), textOf(&w); a != b || got[k].TS != w.TS {
					t.Fatalf("limit %d: got\n%s %d, want\n%s %d", limit, a, got[k].TS, b, w.TS)
				}
			}
		}
	}
}

func textOf(t *market.Trade) string {
	var form market.JSON
	return string(form.Append(nil, t))
}

func TestTapeGivesBackBuckets(t *testing.T) {
	h := newHistory(DefaultConfig())
	for k := range 3 * int64(bucketsKept) {
		h.beat((1000+k)*int64(bucketLength), k%3 != 0, 1000+k%17, 1000, k%2)
	}
	_, _, got := h.read()
	if len(got) != bucketsKept {
		t.Fatalf("%d buckets, want %d", len(got), bucketsKept)
	}
	for n, b := range got {
		k := 2*int64(bucketsKept) + int64(n)
		want := bucket{start: (1000 + k) * int64(bucketLength), seen: int64(bucketLength), records: 1000 + k%17, verified: 1000, gaps: k % 2}
		if k%3 != 0 {
			want.live = want.seen
		}
		if b != want {
			t.Fatalf("bucket %d: %+v, want %+v", n, b, want)
		}
	}
}

// TestAllocTape measures what a stream remembers.
func TestAllocTape(t *testing.T) {
	trades := plainTrades(1000)
	h := newHistory(DefaultConfig())
	for n := range trades {
		h.trade(&trades[n])
	}
	n := 0
	if got := testing.AllocsPerRun(500, func() { h.trade(&trades[n%len(trades)]); n++ }); got != 0 {
		t.Errorf("%v allocations a trade", got)
	}
	size := 0
	for _, b := range h.trades.blocks {
		size += cap(b.text)
	}
	for k := range int64(2 * 4 * hoursKept) { // two weeks of a busy stream
		h.beat((1000+k)*int64(bucketLength)+k*k*7919%1e9, true, 50_000+k*7919%20_000, 40_000+k*104_729%10_000, 0)
	}
	week := 0
	for _, b := range append(h.buckets.blocks, h.hours.blocks...) {
		week += cap(b.text)
	}
	t.Logf("%d trades are remembered in %d bytes, a week in %d", h.trades.len(), size, week)
	if limit := 32 * h.trades.limit; size > limit {
		t.Errorf("%d bytes for %d trades, want at most %d", size, h.trades.limit, limit)
	}
	if week > 3<<10 {
		t.Errorf("%d bytes for a week", week)
	}
}

func BenchmarkTape(b *testing.B) {
	trades := plainTrades(1000)
	h := newHistory(DefaultConfig())
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		h.trade(&trades[n%len(trades)])
	}
}

// plainTrades are like those of a busy market.
func plainTrades(n int) []market.Trade {
	trades := make([]market.Trade, n)
	for k := range trades {
		at := 1_700_000_000_000_000_000 + int64(k)*137_000_000
		trades[k] = market.Trade{
			Header: market.Header{ExchangeTime: at, ReceiveTime: at + 2_000_000 + int64(k*7919%1_000_000), Epoch: 12, Conn: 3},
			ID:     market.NumID(int64(3_000_000 + k)), Price: market.NewDecimal(6_180_010+int64(k*31%400), 2),
			Amount: market.NewDecimal(int64(k*7919%100_000), 5), Side: market.Side(1 + k%2),
		}
		market.Stamp(&trades[k])
	}
	return trades
}
