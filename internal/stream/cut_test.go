package stream_test

import (
	"slices"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// cutTimes are when an instrument's book is cut, after a full second.
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

// Books of all instruments are cut at the same moments, so that they can be put side
// by side.
func TestBooksAreCutAtTheFullSecond(t *testing.T) {
	want := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second}
	for _, symbol := range []string{"BTC-USDT", "ETH-USDT", "DOGE-USDT"} {
		if got := cutTimes(t, symbol); !slices.Equal(got, want) {
			t.Errorf("%s was cut at %v, want %v", symbol, got, want)
		}
	}
}
