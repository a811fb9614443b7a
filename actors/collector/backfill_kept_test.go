package collector_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	documents "github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/bucket/buckettest"
	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// copied is what a kill would leave of a bucket: what had been written by then.
func copied(t *testing.T, m *buckettest.Memory) *buckettest.Memory {
	t.Helper()
	found, err := m.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	out := buckettest.New()
	for _, d := range found {
		if _, err := out.Put(t.Context(), d.Key, d.Value, 0); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestBackfillOutlivesTheProcess: what was accepted is done by a process that comes
// after a kill, under the same id; what was over is known to it, and what was cancelled
// stays so.
func TestBackfillOutlivesTheProcess(t *testing.T) {
	e := newEra(t, all.Exchanges()[0], market.Spot, nil)
	from := e.begun.Add(30 * time.Minute).Truncate(time.Millisecond)
	r := collector.BackfillRequest{Kinds: []string{"trade"}, From: from, To: from.Add(2 * time.Minute)}
	done := e.backfill(r)
	e.ledger.set(nil, true, nil) // the journal does not answer
	r.From, r.To = from.Add(10*time.Minute), from.Add(12*time.Minute)
	running, err := e.begin(r)
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := e.begin(collector.BackfillRequest{Kinds: []string{"candle"}, From: from, To: from.Add(10 * time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	unwanted, err := e.begin(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.collector.CancelBackfill(t.Context(), unwanted.ID); err != nil {
		t.Fatal(err)
	}
	e.options.Backfills = copied(t, e.kept) // as a kill at this moment leaves it
	e.stop()
	e.ledger.set(nil, false, errors.New("killed"))
	e.options.Epoch = 4
	e.start()
	if s := e.await(running.ID); s.State != collector.BackfillSucceeded || s.Records == 0 {
		t.Errorf("what was running: %+v", s)
	}
	if s := e.await(waiting.ID); s.State != collector.BackfillSucceeded || s.Records != 10 || !slices.Equal(s.Parts, waiting.Parts) {
		t.Errorf("what waited: %+v", s)
	}
	if s := e.await(done.ID); s.State != collector.BackfillSucceeded || s.Records != done.Records || !s.Finished.Equal(done.Finished) || s.Resumed != 0 {
		t.Errorf("what was over: %+v, it was %+v", s, done)
	}
	if s := e.await(unwanted.ID); s.State != collector.BackfillCancelled {
		t.Errorf("what was cancelled: %+v", s)
	}
	want := slices.Concat(e.truth(from, from.Add(2*time.Minute)), e.truth(r.From, r.To))
	slices.Sort(want)
	if got := e.numbers(); !slices.Equal(slices.Compact(got), want) {
		t.Errorf("%d trades, want %d", len(got), len(want))
	}
	list := e.collector.Backfills(t.Context())
	if len(list) != 4 {
		t.Errorf("%d are listed", len(list))
	}
	e.stop() // and what the second process has done is known to a third
	e.start()
	if s := e.await(running.ID); s.State != collector.BackfillSucceeded {
		t.Errorf("in the third process: %+v", s)
	}
}

// TestBackfillOfAnotherNode: a node leaves alone what another one was asked for, and goes
// on with its own.
func TestBackfillOfAnotherNode(t *testing.T) {
	e := newEra(t, all.Exchanges()[0], market.Spot, nil)
	e.stop()
	e.options.Node = "a"
	e.start()
	done := e.backfill(collector.BackfillRequest{Kinds: []string{"candle"}, From: e.begun.Add(time.Minute), To: e.begun.Add(3 * time.Minute)})
	for i, node := range []string{"b", "a", ""} {
		e.stop()
		e.options.Node, e.options.Epoch = node, int64(10+i)
		e.start()
		if node == "b" {
			e.backfill(collector.BackfillRequest{Kinds: []string{"candle"}, From: e.begun.Add(time.Minute), To: e.begun.Add(3 * time.Minute)})
			if n := len(e.collector.Backfills(t.Context())); n != 1 {
				t.Errorf("%q knows %d operations", node, n)
			}
			continue
		}
		if s := e.await(done.ID); s.State != collector.BackfillSucceeded {
			t.Errorf("%q: %+v", node, s)
		}
	}
}

// TestBackfillCannotBeKept: what would be forgotten is not accepted.
func TestBackfillCannotBeKept(t *testing.T) {
	e := newEra(t, all.Exchanges()[0], market.Spot, nil)
	r := collector.BackfillRequest{Kinds: []string{"candle"}, From: e.begun.Add(time.Minute), To: e.begun.Add(3 * time.Minute)}
	e.backfill(r)
	e.kept.Break(errors.New("no broker"))
	if _, err := e.begin(r); !errors.Is(err, documents.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	e.kept.Break(nil)
	if n := len(e.collector.Backfills(t.Context())); n != 1 {
		t.Errorf("%d are listed", n)
	}
	e.backfill(r)
}

// TestBackfillGivenUp: an operation over which process after process ends is given up.
func TestBackfillGivenUp(t *testing.T) {
	e := newEra(t, all.Exchanges()[0], market.Spot, nil)
	e.stop()
	for _, idle := range []int{0, 2} {
		id := fmt.Sprintf("%s-spot-1-%d", e.id.Exchange, idle)
		value := fmt.Sprintf(`{"version":1,"symbol":%q,"native_symbol":"x","kinds":["candle"],"from_ns":%d,"to_ns":%d,"state":"running","idle":%d}`,
			e.id.Symbol, e.begun.Add(time.Minute).UnixNano(), e.begun.Add(2*time.Minute).UnixNano(), idle)
		if _, err := e.kept.Put(t.Context(), e.id.Exchange+"-spot."+id, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.kept.Put(t.Context(), e.id.Exchange+"-spot.unreadable", []byte("{"), 0); err != nil {
		t.Fatal(err)
	}
	e.start()
	for idle, want := range map[string]collector.BackfillState{"0": collector.BackfillSucceeded, "2": collector.BackfillFailed} {
		id := e.id.Exchange + "-spot-1-" + idle
		if s := e.await(id); s.State != want || s.Resumed != 1 {
			t.Errorf("%s: %+v", id, s)
		}
	}
}

// TestBackfillTimedGaps: gaps of channels that have no numbers, of which the exchange
// remembers what was missed, are healed; of others the operation says why they stay.
func TestBackfillTimedGaps(t *testing.T) {
	for _, x := range all.Exchanges() {
		t.Run(x.Name(), func(t *testing.T) {
			e := newEra(t, x, market.Perpetual, nil)
			from, to := e.begun.Add(30*time.Minute).Truncate(time.Minute), e.begun.Add(50*time.Minute).Truncate(time.Minute)
			e.backfill(collector.BackfillRequest{Kinds: []string{"candle"}, From: from, To: to})
			want := len(e.ledger.all(e.id, market.KindCandle))
			hole, end := from.Add(5*time.Minute).UnixNano(), from.Add(11*time.Minute).UnixNano()
			lost := 0
			e.ledger.drop(e.id, func(r market.Record) bool {
				c, ok := r.(*market.Candle)
				if ok && c.TS > hole && c.TS < end {
					lost++
					return true
				}
				return false
			})
			if lost < 5 {
				t.Fatalf("only %d candles are lost", lost)
			}
			e.missed("candle", hole, end, market.OutcomeMarked)
			e.missed("candle", e.begun.UnixNano()-int64(200*24*time.Hour), e.begun.UnixNano()-int64(200*24*time.Hour)+1e9, market.OutcomeHealed)
			e.missed("ticker", hole, end, market.OutcomeMarked)
			e.missed("ticker", end, end+1e9, market.OutcomeMarked)
			e.missed("book_delta", hole, end, market.OutcomeMarked)
			e.missed("funding", hole, end, market.OutcomeMarked)
			e.missed("mark_price", end, 0, market.OutcomeOpen)
			s := e.backfill(collector.BackfillRequest{Gaps: true})
			if s.GapsFound != 3 || s.GapsHealed != 2 || s.GapsLeft != 1 || s.Missing != 0 || s.Records < int64(lost) {
				t.Errorf("%+v", s)
			}
			if got := len(e.ledger.all(e.id, market.KindCandle)); got != want {
				t.Errorf("%d candles, want %d", got, want)
			}
			outcomes := e.outcomes()
			for entry, outcome := range map[string]string{
				fmt.Sprint("candle ", hole):     fmt.Sprint("healed ", lost),
				fmt.Sprint("ticker ", hole):     "marked 0",
				fmt.Sprint("book_delta ", hole): "marked 0",
			} {
				if outcomes[entry] != outcome {
					t.Errorf("%s is %s, want %s", entry, outcomes[entry], outcome)
				}
			}
			if got := outcomes[fmt.Sprint("funding ", hole)]; !strings.HasPrefix(got, "healed") {
				t.Errorf("funding is %s", got)
			}
			for _, u := range s.Unobtainable {
				if u.Channel == "ticker" && u.Entries != 2 || u.Reason == "" {
					t.Errorf("%+v", u)
				}
			}
			if len(s.Unobtainable) != 2 {
				t.Errorf("%+v", s.Unobtainable)
			}
			if again := e.backfill(collector.BackfillRequest{Gaps: true}); again.GapsFound != 1 || again.Calls != 0 {
				t.Errorf("again: %+v", again)
			}
			// Of some kinds alone.
			e.missed("candle", end+1, end+2, market.OutcomeMarked)
			if s := e.backfill(collector.BackfillRequest{Gaps: true, Kinds: []string{"trade"}}); s.GapsFound != 0 || len(s.Unobtainable) != 0 {
				t.Errorf("of trades: %+v", s)
			}
		})
	}
}

// missed writes an entry of the ledger of a channel without numbers.
func (e *era) missed(channel string, from, to int64, outcome string) {
	e.Helper()
	b := new(persistence.Entry)
	b.Done = func(*persistence.Entry, persistence.Outcome) {}
	g := market.Add[market.Gap](&b.Batch)
	g.Instrument = &market.Instrument{Exchange: e.id.Exchange, Market: e.id.Market, Symbol: e.id.Symbol, Native: "n"}
	g.Channel, g.Cause, g.Outcome = channel, market.CauseDisconnect, outcome
	g.FromTime, g.ToTime = from, to
	market.Stamp(g)
	if err := e.ledger.Record(b); err != nil {
		e.Fatal(err)
	}
}

// outcomes are those of the entries, with their healed records, by channel and time.
func (e *era) outcomes() map[string]string {
	out := map[string]string{}
	for _, r := range e.ledger.all(e.id, market.KindGap) {
		g := r.(*market.Gap)
		out[fmt.Sprint(g.Channel, " ", g.FromTime)] = fmt.Sprint(g.Outcome, " ", g.HealedRecords.V)
	}
	return out
}
