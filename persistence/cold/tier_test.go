package cold

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/persistencetest"
	"github.com/marketprism/marketprism/persistence/scan"
)

// told is a hot store that notes what it is told.
type told struct {
	scan.Hot
	marks map[string]uint64
}

func (h *told) Archived(kind market.Kind, _ int, journalID string, seq uint64) {
	h.marks[kind.Table()+" "+journalID] = max(h.marks[kind.Table()+" "+journalID], seq)
}

// emptied has nothing to be archived.
type emptied struct{ told }

func (*emptied) Oldest(context.Context, market.Kind, int, time.Time) (scan.Unit, error) {
	return nil, nil
}

// TestArchiveCountsWhatItListedBefore: an archive that another process has begun, and
// was killed between a commit and the note of it, counts all that it has listed, and
// nothing of others.
func TestArchiveCountsWhatItListedBefore(t *testing.T) {
	b, err := NewLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	s := opened(t, b, &now, func(c *Config) { c.CheckpointEvery = 2 })
	list := func(operation string, first int) {
		p, err := s.Write(t.Context(), part.Meta{Kind: market.KindTrade, JournalID: "j", LastSeq: uint64(first + 1)}, persistencetest.Instruments()[0].ID(), Day(noon), merge(versions(s, first, first+10, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(t.Context(), func() (*Record, error) { return &Record{Add: []Part{p}, Operation: operation}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	list("ours", 0) // of another archive of that name, long ago
	now = now.Add(48 * time.Hour)
	since := now
	list("ours", 10)
	list("others", 20)
	list("", 30)
	list("ours", 40)
	s = opened(t, b, &now, nil)
	hot := &emptied{told{marks: map[string]uint64{}}}
	r, err := s.Archive(t.Context(), hot, 1, persistence.ArchiveOptions{Operation: "ours", Since: since})
	if err != nil || r.Rows != 20 || r.Files != 2 || r.ByTable["trades"] != 20 || r.Bytes == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := s.Archive(t.Context(), hot, 1, persistence.ArchiveOptions{Operation: "ours"}); err != nil || r.Rows != 0 {
		t.Errorf("one that begins: %+v, %v", r, err)
	}
}

// TestTier: a store that cannot be opened refuses queries and is opened later; then
// the hot store is told what it has, by journal.
func TestTier(t *testing.T) {
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "cold")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // in the way
		t.Fatal(err)
	}
	hot := &told{marks: map[string]uint64{}}
	tier, err := NewTier(DefaultConfig(), dir, hot, Surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := tier.Tend(ctx); !errors.Is(err, persistence.ErrAway) {
			t.Fatalf("opened in the place of a file: %v", err)
		}
	}
	if _, err := tier.Pin(ctx, scan.Selection{Kind: market.KindTrade}); !errors.Is(err, persistence.ErrAway) {
		t.Errorf("a query: %v", err)
	}
	if _, err := tier.Parts(); !errors.Is(err, persistence.ErrAway) {
		t.Errorf("the files: %v", err)
	}
	if st := tier.Stats(); st.Open || st.Problem == "" || st.Corrupt {
		t.Errorf("%+v", st)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	other, err := NewLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, other)
	for _, a := range []Archived{{Table: "trades", JournalID: "a", Seq: 900}, {Table: "trades", JournalID: "b", Seq: 3}, {Table: "trades", JournalID: "b", Seq: 7}} {
		if err := s.Commit(ctx, func() (*Record, error) { return &Record{Archived: []Archived{a}}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := tier.Tend(ctx); err != nil {
		t.Fatal(err)
	}
	if st := tier.Stats(); !st.Open || st.Problem != "" || len(st.Archived) != 2 {
		t.Errorf("%+v", st)
	}
	if hot.marks["trades a"] != 900 || hot.marks["trades b"] != 7 {
		t.Errorf("the hot store was told %v", hot.marks)
	}
	if err := errors.Join(tier.Close(), tier.Close()); err != nil {
		t.Error(err)
	}
	if err := tier.Tend(ctx); !errors.Is(err, persistence.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// TestRemovedBeforeACrash: a file that was removed is deleted by the next process, also
// when a checkpoint has taken the place of the record that removed it.
func TestRemovedBeforeACrash(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		now := time.Now()
		cfg := DefaultConfig()
		cfg.CheckpointEvery = 2
		again := func() *Store {
			s, err := Open(context.WithoutCancel(t.Context()), b, cfg, Surroundings{Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := again()
		p := store(t, s, market.KindTrade, block(t, s, market.KindTrade, 1, 50), 1, 1)
		if err := s.Commit(t.Context(), func() (*Record, error) { return &Record{Remove: []string{p.File}}, nil }); err != nil {
			t.Fatal(err)
		}
		s = again()
		if err := s.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Get(t.Context(), p.File); err != nil {
			t.Fatalf("it is gone before the grace has passed: %v", err)
		}
		now = now.Add(time.Hour)
		s = again()
		if err := s.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Get(t.Context(), p.File); !errors.Is(err, ErrNotFound) {
			t.Errorf("it stays for ever: %v", err)
		}
		if s = again(); len(s.manifest.state.removed) != 0 {
			t.Errorf("still to be deleted: %v", s.manifest.state.removed)
		}
	})
}

// TestRetain: a file goes when every row of it is of a time, and arrived, long ago.
func TestRetain(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		now := time.Unix(1_800_000_000, 0)
		s, err := Open(t.Context(), b, DefaultConfig(), Surroundings{Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		const day = 24 * time.Hour
		at := func(age time.Duration) int64 { return now.Add(-age).UnixNano() }
		for name, p := range map[string]Part{
			"old":            {Created: at(40 * day), MaxTime: at(40 * day)},
			"a young replay": {Created: at(5 * day), MaxTime: at(2000 * day)},
			"ahead of time":  {Created: at(40 * day), MaxTime: at(-day)},
			"perhaps young":  {Created: at(30*day + 12*time.Hour), MaxTime: at(40 * day)},
		} {
			p.Table, p.Market, p.Checksum, p.File, p.Rows = "trades", "spot", "0", "trades/"+name, 10
			if err := s.Commit(t.Context(), func() (*Record, error) { return &Record{Add: []Part{p}}, nil }); err != nil {
				t.Fatal(err)
			}
		}
		if rows, err := s.Retain(t.Context(), 30*day); err != nil || rows != 10 || s.Lists("trades/old") || len(s.Parts()) != 3 {
			t.Errorf("%d rows, %v; left %+v", rows, err, s.Parts())
		}
	})
}
