package storage_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// collected are trades that our collector brought.
func collected(first, n int) *market.Batch {
	b := trades(first, n)
	for r := range b.All() {
		r.Head().Origin, r.Head().Epoch = market.Collected, 1
	}
	return b
}

// record puts a batch into the journal as the collector does.
func (n *node) record(b *market.Batch) persistence.Outcome {
	n.Helper()
	done := make(chan persistence.Outcome, 1)
	e := &persistence.Entry{Batch: *b, Done: func(_ *persistence.Entry, o persistence.Outcome) { done <- o }}
	if err := n.rec.Record(e); err != nil {
		n.Fatal(err)
	}
	return <-done
}

func copyTree(t testing.TB, from, to string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from))); err != nil {
		t.Fatal(err)
	}
}

func (n *node) standing() storage.ShardStanding {
	n.Helper()
	s, err := n.h.Standing(testContext(n.TB))
	if err != nil {
		n.Fatal(err)
	}
	return s.Shards[0]
}

func (n *node) gaps() (all []market.Gap) {
	n.Helper()
	rows, err := n.engine.Query(testContext(n.TB), persistence.Query{Kind: market.KindGap})
	if err != nil {
		n.Fatal(err)
	}
	defer rows.Close()
	var b market.Batch
	for {
		b.Reset()
		got, _ := rows.Next(testContext(n.TB), &b)
		for g := range market.Rows[market.Gap](&b) {
			all = append(all, *g)
		}
		if got == 0 {
			return all
		}
	}
}

// broken fails to publish while it is told to.
type broken struct {
	persistence.Engine
	now *atomic.Bool
}

func (b broken) Publish(ctx context.Context, shard int) error {
	if b.now.Load() {
		return &persistence.IOError{Op: "write", Path: "part", Err: errors.New("broken")}
	}
	return b.Engine.Publish(ctx, shard)
}

// TestAdopt: a store with another journal, an older copy of its own, and one that
// was written to beyond the store's position.
func TestAdopt(t *testing.T) {
	for _, tc := range []struct {
		name    string
		verdict string
		fresh   bool // the broker's directory is empty
		before  int  // entries between the copy and the loss
		foreign int  // entries written to the wrong journal while no store reads
		break_  bool // the first attempt fails half way
	}{
		{name: "older copy", verdict: storage.VerdictRolledBack, before: 3},
		{name: "older copy, written to", verdict: storage.VerdictRolledBack, before: 3, foreign: 2},
		{name: "older copy, written to beyond", verdict: storage.VerdictForked, before: 2, foreign: 4},
		{name: "another journal", verdict: storage.VerdictOther, fresh: true, before: 2, foreign: 3},
		{name: "an adoption that fails half way", verdict: storage.VerdictRolledBack, before: 3, foreign: 1, break_: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := defaults(t)
			s.journal.PurgeInterval = 1 << 40 // the messages stay
			n := start(t, s)
			n.record(collected(0, 5))
			n.stop()
			saved := t.TempDir()
			if !tc.fresh {
				copyTree(t, s.broker.StoreDir, saved)
			}
			n = start(t, s)
			next := 5
			for range tc.before {
				n.record(collected(next, 1))
				next++
			}
			n.eventually("everything of before", func() bool { return len(n.ids()) == next })
			n.stop()
			copyTree(t, saved, s.broker.StoreDir)

			// Somebody writes to it before the store sees it.
			apart := *s
			apart.engineDir = t.TempDir()
			if tc.foreign > 0 {
				n = start(t, &apart)
				for range tc.foreign {
					n.record(collected(next, 1))
					next++
				}
				n.stop()
			}
			var fails atomic.Bool
			s.wrap = func(e persistence.Engine) persistence.Engine { return broken{e, &fails} }
			n = start(t, s)
			ctx := testContext(t)
			n.eventually("the fault", func() bool { return n.status().Shards[0].State == "faulted" })
			st := n.standing()
			if st.Verdict != tc.verdict || !st.Adoptable() || st.Detail == "" {
				t.Fatalf("%+v, want %s", st, tc.verdict)
			}
			if tc.break_ {
				fails.Store(true)
				if _, err := n.h.Adopt(ctx); err == nil {
					t.Fatal("an adoption without a disk succeeded")
				}
				fails.Store(false)
				n.eventually("the fault again", func() bool { return n.status().Shards[0].State == "faulted" })
			}
			all, err := n.h.Adopt(ctx)
			if err != nil {
				t.Fatal(err)
			}
			a := all[0]
			if !tc.break_ && (a.RecoveredRecords != tc.foreign || a.LostAfter != st.Position || a.MarkedGaps != 1 || a.From == nil) {
				t.Errorf("%+v", a)
			}
			if o := n.record(collected(next, 1)); o.Err != nil || o.Seq <= a.Joined {
				t.Errorf("recorded afterwards: %+v", o)
			}
			next++
			n.eventually("everything", func() bool { return len(n.ids()) == next })
			n.wantIDs(next)
			if st := n.standing(); st.Verdict != storage.VerdictJoined {
				t.Errorf("afterwards: %+v", st)
			}
			if f, _ := n.h.Health(); len(f) > 0 {
				t.Errorf("health: %v", f)
			}
			gaps := n.gaps()
			if len(gaps) == 0 || gaps[0].Cause != market.CauseJournalForeign || gaps[0].FromTime == 0 || gaps[0].ToTime <= gaps[0].FromTime || !gaps[0].FromSeq.OK {
				t.Errorf("the ledger: %+v", gaps)
			}
			if again, err := n.h.Adopt(ctx); err != nil || again[0].Joined != 0 {
				t.Errorf("a second adoption: %+v, %v", again, err)
			}
			if left, _ := filepath.Glob(filepath.Join(s.engineDir, "journal-rescue-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			n.stop()
			n = start(t, s)
			n.wantIDs(next)
			n.record(collected(next, 1))
			n.eventually("the last one", func() bool { return len(n.ids()) == next+1 })
		})
	}
}

// A store that has not what the journal has forgotten is not joined by this.
func TestAdoptRefuses(t *testing.T) {
	n := start(t, defaults(t))
	n.record(collected(0, 1))
	all, err := n.h.Adopt(testContext(t))
	if err != nil || all[0].Joined != 0 || all[0].Adoptable() || n.standing().Verdict == storage.VerdictOther {
		t.Errorf("a store that is well: %+v, %v", all, err)
	}
	if _, err := n.h.Reached(testContext(t), "another", 0, 1); err == nil {
		t.Error("another journal's place was reached")
	}
}
