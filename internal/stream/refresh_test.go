package stream_test

import (
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// TestRefreshAfterClockStep: a book that has come close to the edge of its snapshot
// asks for another, at most every half minute, and does not wait for a clock that was
// set back to come as far again.
func TestRefreshAfterClockStep(t *testing.T) {
	cfg := config()
	cfg.Refresh, cfg.SnapshotLimit = true, 2
	s := stream.New(cfg)
	var out stream.Output
	level := func(price, amount int64) market.Level {
		return market.Level{Price: market.NewDecimal(price, 0), Amount: market.NewDecimal(amount, 0)}
	}
	seq, now := int64(1), int64(2*time.Hour)
	change := func(bids ...market.Level) {
		seq++
		s.Step(&market.BookDelta{
			Header:   market.Header{Instrument: instrument, ExchangeTime: now, ReceiveTime: now, Seq: market.Int(seq), PrevSeq: market.Int(seq - 1)},
			FirstSeq: market.Int(seq), Bids: bids,
		}, &out)
	}
	splice := func() {
		d := snapshot(seq)
		d.Bids, d.Asks = []market.Level{level(100, 1), level(99, 1)}, []market.Level{level(200, 1), level(201, 1)}
		rest(d)(s, &out)
		change(level(100, 0)) // one proven level is left
	}
	asked := func() bool {
		for range 64 {
			out.Reset()
			change(level(99, seq))
			for _, r := range out.Requests {
				if r.Kind == stream.RequestSnapshot {
					return true
				}
			}
		}
		return false
	}
	change(level(99, 1))
	splice()
	for _, step := range []struct {
		name string
		by   time.Duration
		want bool
	}{
		{"at first", time.Minute, true},
		{"soon after", time.Second, false},
		{"later", time.Minute, true},
		{"after the clock was set back", -time.Hour, true},
		{"soon after that", time.Second, false},
	} {
		now += int64(step.by)
		if got := asked(); got != step.want {
			t.Errorf("%s: asked for a snapshot: %v, want %v", step.name, got, step.want)
		} else if got {
			splice()
		}
	}
}
