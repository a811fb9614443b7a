package questdb

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/memtable"
	"github.com/marketprism/marketprism/persistence/part"
)

// TestStatesAreAskedForTogether: one question at a time, and everybody gets the answer
// to one that was asked after he wanted to know.
func TestStatesAreAskedForTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked, underWay := int64(0), 0
		s := newStates(func(context.Context) (map[string]tableState, error) {
			mu.Lock()
			asked++
			underWay++
			n := asked
			if underWay > 1 {
				t.Error("two questions at once")
			}
			mu.Unlock()
			<-time.After(time.Second) // of the test's clock: the server takes its time
			mu.Lock()
			underWay--
			mu.Unlock()
			return map[string]tableState{"trades": {Taken: n}}, nil
		})
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				<-time.After(time.Duration(i) * 100 * time.Millisecond)
				mu.Lock()
				before := asked
				mu.Unlock()
				got, err := s.get(t.Context())
				if err != nil || got["trades"].Taken <= before {
					t.Errorf("%d: answer %d to a question asked after %d: %v", i, got["trades"].Taken, before, err)
				}
			})
		}
		all.Wait()
		if asked > 8 {
			t.Errorf("%d questions in 6 s, of a second each", asked)
		}
	})
}

// TestStatesWhenTheAskerLeaves: those who wait with him get an answer all the same,
// and one who leaves waits no longer.
func TestStatesWhenTheAskerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStates(func(ctx context.Context) (map[string]tableState, error) {
			select {
			case <-time.After(time.Second):
				return map[string]tableState{"trades": {Taken: 7}}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		ctx, leave := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer leave()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := s.get(t.Context()); err != nil { // this one holds the turn for a second
				t.Error(err)
			}
		})
		synctest.Wait()
		all.Go(func() {
			if _, err := s.get(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the asker who leaves: %v", err)
			}
		})
		synctest.Wait()
		for range 3 {
			all.Go(func() {
				got, err := s.get(t.Context())
				if err != nil || got["trades"].Taken != 7 {
					t.Errorf("who waited with him: %v, %v", got, err)
				}
			})
		}
		all.Wait()
	})
}

// TestTimeline: the rows of many streams, which came in any order, in that of their
// times, each once.
func TestTimeline(t *testing.T) {
	schemas, err := part.NewSchemas()
	if err != nil {
		t.Fatal(err)
	}
	store := memtable.New(memtable.Options{Rows: 1 << 20, Bytes: 1 << 40, Interval: time.Hour, Now: time.Now, Names: part.NewNames(), Schemas: schemas})
	r := rand.New(rand.NewPCG(1, 2))
	const messages, rows = 40, 50
	want := map[string]bool{}
	for m := range messages {
		b := trades(instrument(string(rune('A'+r.IntN(7)))), r.IntN(3000), rows)
		for k := range b.Len() {
			trade := b.At(k).(*market.Trade)
			want[trade.Instrument.Symbol+trade.ID.String()] = true
		}
		if _, err := store.Apply(0, uint64(m+1), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Seal(persistence.Position{Seq: messages}); err != nil {
		t.Fatal(err)
	}
	l, err := newTimeline(t.Context(), store.Oldest(0), market.KindTrade)
	if err != nil {
		t.Fatal(err)
	}
	var filler part.Filler
	var into market.Batch
	last, n := int64(0), 0
	for block, row := l.next(); block != nil; block, row = l.next() {
		record, err := filler.Fill(block, row, &into)
		if err != nil {
			t.Fatal(err)
		}
		trade := record.(*market.Trade)
		if trade.TS < last {
			t.Fatalf("row %d is of %d, after one of %d", n, trade.TS, last)
		}
		key := trade.Instrument.Symbol + trade.ID.String()
		if !want[key] {
			t.Fatalf("%s comes twice, or was never applied", key)
		}
		delete(want, key)
		last = trade.TS
		n++
		if err := l.advance(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(want) > 0 {
		t.Errorf("%d rows are missing after %d", len(want), n)
	}
}
