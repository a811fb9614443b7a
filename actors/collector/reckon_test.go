package collector_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/embedded"
)

// stored is a store on disk whose records are of long ago: streams that start find
// nothing to go on from.
type stored struct{ *embedded.Engine }

func (stored) Last(context.Context, market.Kind, market.StreamID, persistence.OriginFilter, *market.Batch) (market.Record, bool, error) {
	return nil, false, nil
}

// archive is the directory of a store, and what the journal has brought so far.
type archive struct {
	t   *testing.T
	dir string
	seq uint64
}

func (a *archive) open() *embedded.Engine {
	a.t.Helper()
	e, err := embedded.Open(a.dir, embedded.DefaultConfig(), embedded.Surroundings{})
	if err != nil {
		a.t.Fatal(err)
	}
	return e
}

// store makes one message of records durable.
func (a *archive) store(e *embedded.Engine, records ...market.Record) {
	a.t.Helper()
	var b market.Batch
	for _, r := range records {
		b.Copy(r)
	}
	a.seq++
	if err := e.Apply(0, a.seq, &b); err != nil {
		a.t.Fatal(err)
	}
	if err := e.Seal(persistence.Position{JournalID: "known", Seq: a.seq}); err != nil {
		a.t.Fatal(err)
	}
	if err := e.Publish(a.t.Context(), 0); err != nil {
		a.t.Fatal(err)
	}
}

// The two days of TestCoverageOfAKnownLedger; the stream begins at noon of the first.
var (
	firstDay  = time.Date(2024, 8, 8, 0, 0, 0, 0, time.UTC)
	secondDay = firstDay.Add(24 * time.Hour)
	thirdDay  = secondDay.Add(24 * time.Hour)
	noon      = firstDay.Add(12 * time.Hour)
)

var btcSpot = &market.Instrument{Exchange: "binance", Market: market.Spot, Symbol: "BTC-USDT", Native: "BTCUSDT"}

func hole(channel string, from, to time.Time, seq int64, outcome string) *market.Gap {
	g := &market.Gap{
		Header:  market.Header{Instrument: btcSpot, TS: from.UnixNano(), ReceiveTime: from.UnixNano(), Epoch: 1},
		Channel: channel, FromSeq: market.Int(seq), FromTime: from.UnixNano(), Cause: market.CauseDisconnect, Outcome: outcome,
	}
	if !to.IsZero() {
		g.ToTime, g.ToSeq = to.UnixNano(), market.Int(seq+1)
	}
	return g
}

// one trade a minute from noon on, every fourth of them suspect.
func trades() (out []market.Record) {
	for n, at := int64(1), noon; at.Before(thirdDay); n, at = n+1, at.Add(time.Minute) {
		t := &market.Trade{
			Header: market.Header{Instrument: btcSpot, TS: at.UnixNano(), ExchangeTime: at.UnixNano(), ReceiveTime: at.UnixNano(), Seq: market.Int(n), Epoch: 1},
			ID:     market.NumID(n), Price: market.MustDecimal("61000.5"), Amount: market.MustDecimal("0.1"), Side: market.Buy,
		}
		if n%4 == 0 {
			t.Flags = market.FlagSuspect
		}
		out = append(out, t)
	}
	return out
}

// wanted is what a stretch of time has to come to.
type wanted struct {
	observed, uncovered time.Duration
	records, verified   int64
	gaps                int64 // that begin in it
}

func (w wanted) check(t *testing.T, what string, b *collector.CoverageBucket) {
	t.Helper()
	got := wanted{time.Duration(b.Observed), time.Duration(b.Observed - b.Live), b.Records, b.Verified, b.Gaps}
	if got != w {
		t.Errorf("%s: got %+v, want %+v", what, got, w)
	}
}

// TestCoverageOfAKnownLedger: coverage and verified of a store on disk whose holes are
// known to the nanosecond, of each UTC day, before and after a restart.
func TestCoverageOfAKnownLedger(t *testing.T) {
	a := &archive{t: t, dir: t.TempDir()}
	e := a.open()
	a.store(e, trades()...)
	hour := func(h float64) time.Time { return firstDay.Add(time.Duration(h * float64(time.Hour))) }
	a.store(e,
		hole("trade", hour(13), hour(13.2), 100, market.OutcomeHealed),              // every record is there
		hole("trade", hour(18), hour(19.5), 200, market.OutcomeMarked),              // 1.5 h …
		hole("book_delta", hour(19), hour(20), 7000, market.OutcomeMarked),          // … and 0.5 h more: channels overlap
		hole("trade", hour(20.5), hour(20.5).Add(time.Nanosecond), 300, "marked"),   // the shortest there is
		hole("book_ticker", hour(23), hour(25), 9000, market.OutcomeMarked),         // over midnight
		hole("trade", hour(29), hour(29.5), 400, market.OutcomeOpen),                // healed below
		hole("trade", hour(46), time.Time{}, 500, market.OutcomeOpen),               // until now
		hole("trade", thirdDay, thirdDay.Add(time.Hour), 600, market.OutcomeMarked), // after all that is asked about
		hole("trade", noon.Add(-time.Hour), noon.Add(-time.Minute), 1, "marked"),    // before there was a stream
	)
	a.store(e, hole("trade", hour(29), hour(29.5), 400, market.OutcomeHealed))

	w := newWorld(t)
	w.reader = stored{e}
	w.start()
	ask := func(from, to time.Time, width time.Duration) collector.Coverage {
		t.Helper()
		var c collector.Coverage
		w.await(t, "the stream", func() (ok bool) {
			var err error
			c, err = w.collector.Coverage(t.Context(), "binance", "", "BTCUSDT", from, to, width, true)
			return err == nil
		})
		return c
	}
	judge := func(open time.Duration, gaps int) {
		t.Helper()
		c := ask(firstDay, thirdDay, 24*time.Hour)
		if c.Since != noon.UnixNano() || c.Truncated || len(c.Gaps) != gaps || len(c.Days) != 2 || len(c.Buckets) != 2 {
			t.Fatalf("since %v, truncated %v, %d gaps, %d days", time.Unix(0, c.Since).UTC(), c.Truncated, len(c.Gaps), len(c.Days))
		}
		first := wanted{12 * time.Hour, 3*time.Hour + 1, 720, 540, 6}
		second := wanted{24 * time.Hour, time.Hour + open, 1440, 1080, 2}
		first.check(t, "the first day", &c.Days[0])
		second.check(t, "the second day", &c.Days[1])
		lost := first.uncovered + second.uncovered
		if want := 100 * float64(36*time.Hour-lost) / float64(36*time.Hour); math.Abs(c.Percent-want) > 1e-9 || c.Verified != 75 || c.Records != 2160 {
			t.Errorf("coverage %v, want %v; verified %v of %d", c.Percent, want, c.Verified, c.Records)
		}
		// A time that begins and ends in holes.
		c = ask(hour(19), hour(24.5), time.Hour)
		want := []time.Duration{time.Hour, 1, 0, 0, time.Hour, time.Hour / 2}
		if len(c.Buckets) != len(want) {
			t.Fatalf("%d hours", len(c.Buckets))
		}
		for i, lost := range want {
			observed := time.Hour
			if i == len(want)-1 {
				observed = time.Hour / 2
			}
			if b := c.Buckets[i]; time.Duration(b.Observed) != observed || time.Duration(b.Observed-b.Live) != lost {
				t.Errorf("hour %d: %v of %v uncovered, want %v of %v", 19+i, time.Duration(b.Observed-b.Live), time.Duration(b.Observed), lost, observed)
			}
		}
		all, err := w.collector.AllCoverage(t.Context(), secondDay, thirdDay)
		if err != nil || len(all) != 2 {
			t.Fatalf("%v: %d streams", err, len(all))
		}
		if got := time.Duration(all[0].ObservedNS - all[0].Live); got != second.uncovered || all[1].Since != 0 || all[1].Percent != -1 {
			t.Errorf("of all: %v uncovered, want %v; of a stream without records %v", got, second.uncovered, all[1].Percent)
		}
	}
	judge(2*time.Hour, 8)
	w.stop()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}

	// The same directory, another process; meanwhile the last hole got an end.
	e = a.open()
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	w = newWorld(t)
	w.reader = stored{e}
	w.start()
	judge(2*time.Hour, 8)
	a.store(e, hole("trade", hour(46), hour(47), 500, market.OutcomeMarked))
	judge(time.Hour, 8)
}
