package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/persistencetest"
)

// damaged is a store of two published parts of trades, and a third record in
// memory only.
func damaged(t *testing.T) *world {
	w := newWorld(t)
	for range 2 {
		g := persistencetest.NewGenerator(1)
		g.Times = 1_000_000
		b := &market.Batch{}
		for range 9000 {
			g.Add(b, market.KindTrade)
		}
		w.messages = append(w.messages, b)
		apply(t, w.engine, uint64(len(w.messages)), b)
		if err := w.publish(); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// checkQuarantine expects the first part to have been moved aside and the store
// to serve the rest.
func (w *world) checkQuarantine(bad persistence.PartInfo) {
	w.t.Helper()
	for range 2 {
		stats, err := w.engine.Stats(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if len(stats.Quarantined) != 1 || stats.Quarantined[0].Part.Path != bad.Path || stats.Quarantined[0].Reason == "" {
			w.t.Fatalf("quarantined %+v, want %s", stats.Quarantined, bad.Path)
		}
		if len(w.engine.Parts()) != 1 {
			w.t.Fatalf("parts %+v", w.engine.Parts())
		}
		if _, err := os.Stat(bad.Path); !errors.Is(err, os.ErrNotExist) {
			w.t.Errorf("the damaged file is still in its place: %v", err)
		}
		if _, _, err := persistencetest.Read(w.t.Context(), w.engine, persistence.Query{Kind: market.KindTrade}); err != nil {
			w.t.Errorf("the rest is not served: %v", err)
		}
		w.crash()
	}
}

// TestDamagedPart flips one byte at many places of a part: a query that meets it
// fails with a CorruptError, or Maintain finds it; it is never skipped silently.
func TestLargeDamagedPart(t *testing.T) {
	for _, share := range []float64{0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.995} {
		t.Run("query", func(t *testing.T) {
			w := damaged(t)
			bad := w.engine.Parts()[0]
			w.crash() // no file is open
			flip(t, bad.Path, int64(share*float64(bad.Bytes-1)))
			_, _, err := persistencetest.Read(t.Context(), w.engine, persistence.Query{Kind: market.KindTrade})
			var corrupt *persistence.CorruptError
			if errors.As(err, &corrupt) {
				if corrupt.Path != bad.Path {
					t.Fatalf("%v, want it about %s", err, bad.Path)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			// Bytes that no query needs are found by the checksum of the whole.
			if err := w.engine.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.checkQuarantine(bad)
		})
	}
}

func TestMissingAndShortParts(t *testing.T) {
	for name, harm := range map[string]func(path string, size int64) error{
		"missing": func(path string, _ int64) error { return os.Remove(path) },
		"short":   func(path string, size int64) error { return os.Truncate(path, size-1) },
		"empty":   func(path string, _ int64) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			w := damaged(t)
			bad := w.engine.Parts()[0]
			if err := harm(bad.Path, bad.Bytes); err != nil {
				t.Fatal(err)
			}
			w.crash()
			w.checkQuarantine(bad)
		})
	}
}

// TestDamagedWhileMerging: a damaged source is quarantined, not merged.
func TestDamagedWhileMerging(t *testing.T) {
	w := damaged(t)
	bad := w.engine.Parts()[0]
	flip(t, bad.Path, bad.Bytes/2)
	w.clock.advance(2 * time.Hour)
	if err := w.engine.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.checkQuarantine(bad)
}

func TestTornManifest(t *testing.T) {
	w := damaged(t)
	path := filepath.Join(w.dir, "MANIFEST")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-3); err != nil {
		t.Fatal(err)
	}
	w.crash()
	if got := w.engine.Position(0); got.JournalID != "" || got.Seq != 0 {
		t.Fatalf("position %+v after losing the last record, want none", got)
	}
	if got := w.engine.Applied(0); got != 2 {
		t.Fatalf("applied %d after the replay, want 2", got)
	}
	w.checkFiles()
	if err := w.publish(); err != nil {
		t.Fatal(err)
	}
	w.crash()
	if got := w.engine.Position(0).Seq; got != 2 {
		t.Fatalf("position %d, want 2", got)
	}
}

// TestUnlink: a file that left the manifest stays for ten minutes and for those
// who read it.
func TestUnlink(t *testing.T) {
	w := damaged(t)
	old := w.engine.Parts()
	rows, err := w.engine.Query(t.Context(), persistence.Query{Kind: market.KindTrade})
	if err != nil {
		t.Fatal(err)
	}
	exist := func() (n int) {
		for _, p := range old {
			if _, err := os.Stat(p.Path); err == nil {
				n++
			}
		}
		return n
	}
	maintain := func(after time.Duration, want int, why string) {
		t.Helper()
		w.clock.advance(after)
		if err := w.engine.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := exist(); got != want {
			t.Fatalf("%s: %d files of %d are left, want %d", why, got, len(old), want)
		}
	}
	maintain(2*time.Hour, 2, "just merged")
	if n := len(w.engine.Parts()); n != 1 {
		t.Fatalf("%d parts after merging", n)
	}
	maintain(9*time.Minute, 2, "nine minutes later")
	maintain(2*time.Minute, 2, "a query reads them")
	if n := drainRows(t, rows); n < 8000 {
		t.Errorf("the query read %d rows", n)
	}
	maintain(0, 0, "nobody reads them")
}
