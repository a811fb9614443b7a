package stream_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// cutTimes are when, within a second, an instrument's book is cut.
func cutTimes(t *testing.T, symbol string) []time.Duration {
	t.Helper()
	cfg := config()
	cfg.Instrument = &market.Instrument{Exchange: "test", Market: market.Spot, Symbol: symbol, Native: symbol}
	cfg.BookDepth, cfg.BookInterval = 5, time.Second
	s := stream.New(cfg)
	var o stream.Output
	start := time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC).UnixNano()
	at := func(d *market.BookDelta) *market.BookDelta {
		d.Instrument = cfg.Instrument
		d.ExchangeTime, d.ReceiveTime = start+d.Seq.V*int64(10*time.Millisecond), start+d.Seq.V*int64(10*time.Millisecond)
		return d
	}
	s.Step(at(delta(1, 1)), &o)
	s.Snapshot(snapshot(1), &o)
	var times []time.Duration
	for i := int64(2); i <= 400; i++ {
		o.Reset()
		s.Step(at(delta(i, i)), &o)
		for _, r := range o.Records {
			if b, ok := r.(*market.BookSnapshot); ok {
				times = append(times, time.Duration(b.TS-start))
				if cut := start + b.Seq.V*int64(10*time.Millisecond); cut > b.TS || b.TS-cut > int64(10*time.Millisecond) {
					t.Errorf("%s: cut for %d at change %d, of %d", symbol, b.TS, b.Seq.V, cut)
				}
			}
		}
	}
	return times
}

// Books are cut once a second each, always at the same moment of it, and not all of
// them at once.
func TestBooksAreCutAtAPhaseOfTheirOwn(t *testing.T) {
	const books = 500
	tenths := map[time.Duration]int{}
	for n := range books {
		symbol := fmt.Sprintf("X%d-USDT", n)
		times := cutTimes(t, symbol)
		if len(times) < 3 || len(times) > 4 {
			t.Fatalf("%s was cut %d times in four seconds: %v", symbol, len(times), times)
		}
		for i := 1; i < len(times); i++ {
			if times[i]-times[i-1] != time.Second {
				t.Errorf("%s was cut at %v", symbol, times)
			}
		}
		if again := cutTimes(t, symbol); fmt.Sprint(again) != fmt.Sprint(times) {
			t.Errorf("%s was cut at %v, and the second time at %v", symbol, times, again)
		}
		tenths[times[0]%time.Second/(100*time.Millisecond)]++
	}
	for tenth, n := range tenths {
		if n > books/5 {
			t.Errorf("%d of %d books are cut within tenth %d of the second", n, books, tenth)
		}
	}
	if len(tenths) != 10 {
		t.Errorf("books are cut in %d tenths of the second", len(tenths))
	}
}
