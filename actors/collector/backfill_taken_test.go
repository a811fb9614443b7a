package collector_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	documents "github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/internal/market"
)

// among says which nodes live.
func among(nodes ...string) func() ([]string, bool) {
	return func() ([]string, bool) { return nodes, true }
}

// underWay begins an operation of trades that does not come to its end, because the
// journal does not answer, at node a.
func underWay(t *testing.T) (*era, collector.BackfillRequest, collector.BackfillStatus) {
	t.Helper()
	e := newEra(t, all.Exchanges()[0], market.Spot, nil)
	e.stop()
	e.options.Node, e.options.Alive = "a", among("a", "b")
	e.start()
	from := e.begun.Add(30 * time.Minute).Truncate(time.Millisecond)
	r := collector.BackfillRequest{Kinds: []string{"trade"}, From: from, To: from.Add(2 * time.Minute)}
	e.ledger.set(nil, true, nil)
	s, err := e.begin(r)
	if err != nil {
		t.Fatal(err)
	}
	return e, r, s
}

// TestBackfillOfADeadNode: what a node has left goes on at another one, under its id, once
// that knows that the node is dead, and not before; each trade is there once. When the
// node comes back it is the other's.
func TestBackfillOfADeadNode(t *testing.T) {
	e, r, left := underWay(t)
	kept := copied(t, e.kept)
	e.stop()
	e.ledger.set(nil, false, nil)
	e.options.Node, e.options.Epoch, e.options.Backfills, e.kept = "b", 4, kept, kept
	e.start()
	// It has looked, and a lived: an operation of its own ends after that.
	e.backfill(collector.BackfillRequest{Kinds: []string{"candle"}, From: r.From, To: r.To})
	if n := len(e.collector.Backfills(t.Context())); n != 1 {
		t.Errorf("it knows %d operations while the other node lives", n)
	}
	e.stop()
	e.options.Alive, e.options.Epoch = among("b"), 5
	e.start()
	until(t, "the operation to be taken over", func() bool {
		return slices.ContainsFunc(e.collector.Backfills(t.Context()), func(s collector.BackfillStatus) bool { return s.ID == left.ID })
	})
	if s := e.await(left.ID); s.State != collector.BackfillSucceeded || s.Records == 0 {
		t.Errorf("it ended as %+v", s)
	}
	if got, want := e.numbers(), e.truth(r.From, r.To); !slices.Equal(got, want) {
		t.Errorf("%d trades, want %d", len(got), len(want))
	}
	e.stop()
	e.options.Node, e.options.Alive, e.options.Epoch = "a", among("a", "b"), 6
	e.start()
	e.backfill(collector.BackfillRequest{Kinds: []string{"candle"}, From: r.From, To: r.To})
	if list := e.collector.Backfills(t.Context()); len(list) != 1 || list[0].ID == left.ID {
		t.Errorf("the node that came back knows %+v", list)
	}
}

// TestBackfillTakenAway: a node that was taken for dead, and lives, lets go of what
// another one has taken over.
func TestBackfillTakenAway(t *testing.T) {
	e, _, left := underWay(t)
	until(t, "it to run", func() bool {
		s, err := e.collector.BackfillStatus(t.Context(), left.ID)
		return err == nil && s.State == collector.BackfillRunning
	})
	key := e.id.Exchange + "-spot." + left.ID
	until(t, "another to take it", func() bool { // the node writes it too
		d, _, err := e.kept.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := json.Unmarshal(d.Value, &doc); err != nil {
			t.Fatal(err)
		}
		doc["node"] = "b"
		value, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.kept.Put(t.Context(), key, value, d.Revision)
		return err == nil
	})
	if _, err := e.collector.CancelBackfill(t.Context(), left.ID); err != nil { // it writes, and finds out
		t.Fatal(err)
	}
	until(t, "it to be let go", func() bool { return len(e.collector.Backfills(t.Context())) == 0 })
	e.ledger.set(nil, false, nil)
	d, _, err := e.kept.Get(t.Context(), key)
	if err != nil || !strings.Contains(string(d.Value), `"node":"b"`) || !strings.Contains(string(d.Value), `"state":"running"`) {
		t.Errorf("%v: it is kept as %s", err, d.Value)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.Now().Add(2 * patience)
	for !ok() {
		if time.Now().After(limit) {
			t.Fatalf("waited in vain for %s", what)
		}
		tick := time.NewTimer(20 * time.Millisecond)
		<-tick.C
	}
}

// mute is a store of operations that does not answer after it was read once.
type mute struct {
	documents.Store
	asked atomic.Int64
}

// Load implements bucket.Store.
func (m *mute) Load(ctx context.Context, prefix string) ([]documents.Document, error) {
	if m.asked.Add(1) > 1 {
		return nil, errors.New("no answer")
	}
	return m.Store.Load(ctx, prefix)
}

// TestBackfillsNotKnown: what was left cannot be found out, and is asked for at intervals.
func TestBackfillsNotKnown(t *testing.T) {
	e := newEra(t, all.Exchanges()[0], market.Spot, nil)
	e.stop()
	silent := &mute{Store: e.kept}
	e.options.Node, e.options.Alive, e.options.Backfills = "a", among("a", "b"), silent
	e.start()
	from := e.begun.Add(30 * time.Minute).Truncate(time.Millisecond)
	for range 3 { // each is a few messages
		e.backfill(collector.BackfillRequest{Kinds: []string{"candle"}, From: from, To: from.Add(2 * time.Minute)})
	}
	if n := silent.asked.Load(); n < 2 || n > 4 {
		t.Errorf("it was asked %d times", n)
	}
}
