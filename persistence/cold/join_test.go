package cold

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/persistencetest"
	"github.com/marketprism/marketprism/persistence/scan"
)

var noon = time.Date(2024, 8, 8, 12, 0, 0, 0, time.UTC).UnixNano()

// opened is a store with a clock and settings of the test's.
func opened(t *testing.T, b Bucket, now *time.Time, change func(*Config)) *Store {
	t.Helper()
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	s, err := Open(t.Context(), b, cfg, Surroundings{Now: func() time.Time { return *now }, Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// versions makes trades with ids [from, to), one each second after noon; price says
// which version of them it is.
func versions(s *Store, from, to, price int) *part.Block {
	b := part.NewBlock(s.schemas[market.KindTrade], s.names)
	i := persistencetest.Instruments()[0]
	code := s.names.InstrumentCode(i)
	var batch market.Batch
	for id := from; id < to; id++ {
		batch.Reset()
		t := market.Add[market.Trade](&batch)
		t.Instrument, t.TS, t.ID = i, noon+int64(id)*int64(time.Second), market.NumID(int64(id))
		t.Price, t.Amount, t.Side = market.NewDecimal(int64(price), 0), market.NewDecimal(1, 0), market.Sell
		b.Append(t, code, uint64(id))
	}
	return b
}

// put lists a file of one journal with the rows, as an archive does.
func put(t *testing.T, s *Store, b *part.Block, journal string, seq uint64, created time.Time) Part {
	t.Helper()
	p, err := tryPut(t.Context(), s, b, journal, seq, created)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryPut(ctx context.Context, s *Store, b *part.Block, journal string, seq uint64, created time.Time) (Part, error) {
	meta := part.Meta{Kind: market.KindTrade, JournalID: journal, FirstSeq: seq, LastSeq: seq, Created: created.UnixNano()}
	p, err := s.Write(ctx, meta, persistencetest.Instruments()[0].ID(), Day(noon), merge(b))
	if err != nil {
		return p, err
	}
	return p, s.Commit(ctx, func() (*Record, error) {
		r := &Record{Archived: []Archived{{Table: p.Table, JournalID: journal, Seq: seq}}}
		if !s.Lists(p.File) { // by somebody who has mended the manifest meanwhile
			r.Add = []Part{p}
		}
		return r, nil
	})
}

func join(t *testing.T, s *Store) Joined {
	t.Helper()
	j, err := s.Join(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// TestJoin: small files of a stream and day become one, of each key the last version;
// readers that began before go on with the old files, which are deleted when they are
// done and the grace has passed, and never before.
func TestJoin(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		now := time.Unix(1_800_000_000, 0)
		s := opened(t, b, &now, nil)
		var old []Part
		for n := range 5 { // each has half of the one before again
			old = append(old, put(t, s, versions(s, n*100, n*100+200, n+1), "j", uint64(n+1), now.Add(time.Duration(n)*time.Hour)))
		}
		want := stored(t, s, market.KindTrade)
		if len(want) != 600 {
			t.Fatalf("%d rows before", len(want))
		}
		id := persistencetest.Instruments()[0].ID()
		v := pin(t, s, market.KindTrade, id)
		j := join(t, s)
		if j.Files != 5 || j.Made != 1 || j.Rows != 600 || j.Dropped != 400 {
			t.Errorf("joined %+v", j)
		}
		parts := s.Parts()
		if len(parts) != 1 || parts[0].FirstSeq != 1 || parts[0].LastSeq != 5 || parts[0].Created != old[0].Created || parts[0].Youngest != old[4].Created {
			t.Errorf("%+v", parts)
		}
		if got := stored(t, s, market.KindTrade); !slices.Equal(got, want) {
			t.Errorf("%d rows after, of %d", len(got), len(want))
		}
		if again := join(t, s); again != (Joined{}) {
			t.Errorf("joined again: %+v", again)
		}
		exist := func() (n int) {
			if err := s.Clean(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, p := range old {
				if _, err := b.Get(t.Context(), p.File); err == nil {
					n++
				}
			}
			return n
		}
		if n := exist(); n != 5 {
			t.Errorf("%d files of 5 before the grace", n)
		}
		now = now.Add(time.Hour)
		if n := exist(); n != 5 {
			t.Errorf("%d files of 5 while they are read", n)
		}
		if got := lines(t, part.NewMerge(v.Sources(nil, id, part.OneStream), false)); !slices.Equal(got, want) {
			t.Errorf("a reader from before: %d rows of %d", len(got), len(want))
		}
		v.Release()
		if n := exist(); n != 0 {
			t.Errorf("%d files stay for ever", n)
		}
		other := opened(t, b, &now, nil)
		if got := stored(t, other, market.KindTrade); !slices.Equal(got, want) {
			t.Errorf("another node: %d rows of %d", len(got), len(want))
		}
	})
}

// TestJoinKeepsTheOrderOfVersions: whatever is joined when, the last version of a key
// in journal order is read; files that are not neighbours in that order are not joined.
func TestJoinKeepsTheOrderOfVersions(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 5))
		b, err := NewLocal(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1_800_000_000, 0)
		s := opened(t, b, &now, func(c *Config) { c.JoinFiles, c.JoinRows = 2+r.IntN(3), 100+r.Int64N(300) })
		last := map[int]int{}
		for version := 1; version <= 30; version++ {
			from := r.IntN(100)
			to := from + 1 + r.IntN(60)
			for id := from; id < to; id++ {
				last[id] = version
			}
			put(t, s, versions(s, from, to, version), "j", uint64(version), now)
			now = now.Add(time.Duration(r.IntN(60)) * time.Hour)
			if r.IntN(3) == 0 {
				join(t, s)
			}
			if r.IntN(5) == 0 { // a file that is set aside is nobody's neighbour
				parts := s.Parts()
				s.suspect(parts[r.IntN(len(parts))].File, "a whim")
				join(t, s)
				if err := s.Examine(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		join(t, s)
		got := prices(t, s)
		if len(got) != len(last) {
			t.Fatalf("seed %d: %d rows, want %d", seed, len(got), len(last))
		}
		for id, version := range last {
			if price := got[fmt.Sprint(id)]; price != fmt.Sprint(version) {
				t.Fatalf("seed %d: %d at %s is read, the last version is %d", seed, id, price, version)
			}
		}
		if files := len(s.Parts()); files > 20 {
			t.Errorf("seed %d: %d files of 30 are left", seed, files)
		}
	}
}

// TestLaterJournalWins: of equal keys that came by two journals, whose sequences say
// nothing about each other, that of the journal that began later is read: in whichever
// order they were archived, joined or not, and in a store that is opened from a
// checkpoint, when the file that told when the earlier journal began is gone.
func TestLaterJournalWins(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 9))
		b, err := NewLocal(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		now := start.Add(24 * time.Hour)
		change := func(c *Config) { c.JoinFiles, c.CheckpointEvery = 2, 3 }
		s := opened(t, b, &now, change)
		first := put(t, s, versions(s, 90, 91, 1), "zzz", 1, start.Add(-time.Hour))
		type step struct {
			journal string
			seq     uint64
			created time.Time
			price   int
		}
		old := []step{{"zzz", 1_000, start, 1}, {"zzz", 1_001, start.Add(time.Minute), 2}, {"zzz", 1_002, start.Add(2 * time.Minute), 3}}
		young := []step{{"aaa", 5, start.Add(time.Hour), 4}, {"aaa", 6, start.Add(61 * time.Minute), 5}, {"aaa", 7, start.Add(62 * time.Minute), 6}}
		for len(old)+len(young) > 0 {
			from := &old
			if len(old) == 0 || len(young) > 0 && r.IntN(2) == 0 {
				from = &young
			}
			x := (*from)[0]
			*from = (*from)[1:]
			put(t, s, versions(s, 0, 20, x.price), x.journal, x.seq, x.created)
			if r.IntN(3) == 0 {
				join(t, s)
			}
		}
		if err := s.Commit(t.Context(), func() (*Record, error) {
			if !s.Lists(first.File) {
				return nil, nil // it was joined
			}
			return &Record{Remove: []string{first.File}}, nil
		}); err != nil {
			t.Fatal(err)
		}
		if r.IntN(2) == 0 {
			if err := s.manifest.checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range []*Store{s, opened(t, b, &now, change)} {
			for id, price := range prices(t, s) {
				if id != "90" && price != "6" {
					t.Fatalf("seed %d: of %s the one at %s is read, want 6", seed, id, price)
				}
			}
		}
	}
}

// prices reads the price of each trade, which must be there once.
func prices(t *testing.T, s *Store) map[string]string {
	t.Helper()
	got, err := tryPrices(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func tryPrices(t *testing.T, s *Store) (map[string]string, error) {
	t.Helper()
	id := persistencetest.Instruments()[0].ID()
	v := pin(t, s, market.KindTrade, id)
	defer v.Release()
	m := part.NewMerge(v.Sources(nil, id, part.OneStream), false)
	var filler part.Filler
	got := map[string]string{}
	for {
		span, err := m.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		for row := span.Lo; row < span.Hi; row++ {
			var batch market.Batch
			rec, err := filler.Fill(span.Block, row, &batch)
			if err != nil {
				t.Fatal(err)
			}
			tr := rec.(*market.Trade)
			if _, twice := got[tr.ID.String()]; twice {
				t.Fatalf("%s is read twice", tr.ID)
			}
			got[tr.ID.String()] = tr.Price.String()
		}
	}
}

// TestNotJoined: what may not be joined stays: files of other journals, of which
// earlier rows are still to come, that arrived long apart, and large ones for the sake
// of small ones.
func TestNotJoined(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	for name, fill := range map[string]func(*testing.T, *Store){
		"of several journals": func(t *testing.T, s *Store) {
			for n := range 6 {
				put(t, s, versions(s, n*10, n*10+10, 1), fmt.Sprint("j", n%2), uint64(n+1), start)
			}
		},
		"earlier rows are still to come": func(t *testing.T, s *Store) {
			for n := range 6 {
				p, err := s.Write(t.Context(), part.Meta{Kind: market.KindTrade, JournalID: "j", LastSeq: uint64(n + 1)}, persistencetest.Instruments()[0].ID(), Day(noon), merge(versions(s, n, n+5, 1)))
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Commit(t.Context(), func() (*Record, error) { return &Record{Add: []Part{p}}, nil }); err != nil {
					t.Fatal(err)
				}
			}
		},
		"weeks between them": func(t *testing.T, s *Store) {
			for n := range 6 {
				put(t, s, versions(s, n*10, n*10+10, 1), "j", uint64(n+1), start.Add(time.Duration(n)*3*24*time.Hour))
			}
		},
		"a large one and some small": func(t *testing.T, s *Store) {
			put(t, s, versions(s, 0, 1000, 1), "j", 1, start)
			for n := range 3 {
				put(t, s, versions(s, n*10, n*10+10, 1), "j", uint64(n+2), start)
			}
		},
		"all have one position": func(t *testing.T, s *Store) {
			put(t, s, versions(s, 0, 10, 1), "j", 1, start)
			for n := range 3 {
				put(t, s, versions(s, n*10, n*10+10, 1), "other", 2, start)
			}
			put(t, s, versions(s, 0, 10, 2), "j", 2, start)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := NewLocal(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			s := opened(t, b, &start, nil)
			fill(t, s)
			before := s.Parts()
			if j := join(t, s); j != (Joined{}) || !slices.Equal(before, s.Parts()) {
				t.Errorf("joined %+v: %+v", j, s.Parts())
			}
		})
	}
}

// TestJoinersAndReaders: two nodes join the same files while both read and archive: no
// row is missing or twice at any moment, and in the end there is one file.
func TestJoinersAndReaders(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		now := time.Now()
		nodes := []*Store{opened(t, b, &now, nil), opened(t, b, &now, nil)}
		for n := range 8 {
			put(t, nodes[0], versions(nodes[0], n*50, n*50+50, 1), "j", uint64(n+1), now)
		}
		stop := make(chan struct{})
		var readers, joiners sync.WaitGroup
		errs := make(chan error, 100)
		for _, s := range nodes {
			if err := s.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			readers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if n := len(stored(t, s, market.KindTrade)); n < 400 || n%50 != 0 {
						errs <- fmt.Errorf("%d rows are read", n)
						return
					}
				}
			})
			joiners.Go(func() {
				for range 4 {
					if _, err := s.Join(t.Context(), nil); err != nil {
						errs <- err
					}
				}
			})
		}
		for n := 8; n < 16; n++ {
			put(t, nodes[0], versions(nodes[0], n*50, n*50+50, 1), "j", uint64(n+1), now)
		}
		joiners.Wait()
		close(stop)
		readers.Wait()
		close(errs)
		for err := range errs {
			t.Error(err)
		}
		join(t, nodes[0])
		s := opened(t, b, &now, nil)
		if rows, files := len(stored(t, s, market.KindTrade)), len(s.Parts()); rows != 800 || files > 3 {
			t.Errorf("%d rows in %d files", rows, files)
		}
	})
}

// TestJoinedFilesLiveAsLongAsTheirRows: retention counts from the youngest of them.
func TestJoinedFilesLiveAsLongAsTheirRows(t *testing.T) {
	b, err := NewLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1_800_000_000, 0)
	now := start
	s := opened(t, b, &now, nil)
	for n := range 4 {
		put(t, s, versions(s, n*10, n*10+10, 1), "j", uint64(n+1), start.Add(time.Duration(n)*24*time.Hour))
	}
	join(t, s)
	const age = 30 * 24 * time.Hour
	for _, c := range []struct {
		after time.Duration
		rows  int64
	}{{age + 50*time.Hour, 0}, {age + 98*time.Hour, 40}} {
		now = start.Add(c.after)
		if rows, err := s.Retain(t.Context(), age); err != nil || rows != c.rows {
			t.Errorf("after %v: %d rows, want %d, %v", c.after, rows, c.rows, err)
		}
	}
}

// TestCountsAreOfKeys: a row that two files have is counted once, before and after they
// are joined.
func TestCountsAreOfKeys(t *testing.T) {
	tier, err := NewTier(DefaultConfig(), t.TempDir(), nil, Surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	if err := tier.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := tier.get()
	if err != nil {
		t.Fatal(err)
	}
	count := func(exact bool) int64 {
		t.Helper()
		st := tier.Stats()
		if st.Exact != exact || len(st.Tables) != 1 {
			t.Errorf("%+v", st)
		}
		return st.Tables[0].Rows
	}
	now := time.Now()
	put(t, s, versions(s, 0, 100, 1), "j", 1, now)
	put(t, s, versions(s, 50, 150, 2), "j", 2, now)
	put(t, s, versions(s, 140, 160, 3), "j", 3, now)
	if n := count(false); n != 220 {
		t.Errorf("%d before keys are compared", n)
	}
	for range 2 {
		if err := tier.Count(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := count(true); n != 160 {
			t.Errorf("%d keys, want 160", n)
		}
	}
	put(t, s, versions(s, 500, 510, 1), "j", 4, now)
	if n := count(false); n != 170 {
		t.Errorf("%d with a file that overlaps none", n)
	}
	r, err := tier.Upkeep(t.Context(), nil)
	if err != nil || r.Joined != 4 || r.Made != 1 || r.Rows != 170 || r.Dropped != 60 {
		t.Errorf("%+v, %v", r, err)
	}
	if n := count(true); n != 170 {
		t.Errorf("%d after the files were joined", n)
	}
	if err := tier.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAdd: rows that did not come out of the hot store are listed at once, the same ones
// twice once, by their day; while the store is away they are refused.
func TestAdd(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		tier, err := NewTier(DefaultConfig(), "", nil, Surroundings{})
		if err != nil {
			t.Fatal(err)
		}
		id := persistencetest.Instruments()[0].ID()
		meta := part.Meta{Kind: market.KindTrade, JournalID: "j", FirstSeq: 3, LastSeq: 9, Created: 7}
		s := open(t, b)
		add := func() error {
			return tier.Add(t.Context(), meta, id, noon, merge(versions(s, 0, 20, 1)))
		}
		if err := add(); !errors.Is(err, persistence.ErrAway) {
			t.Errorf("while it is away: %v", err)
		}
		tier.store, tier.problem = s, nil
		for range 2 {
			if err := add(); err != nil {
				t.Fatal(err)
			}
		}
		parts := s.Parts()
		if len(parts) != 1 || parts[0].Date != "2024-08-08" || parts[0].LastSeq != 9 || parts[0].Rows != 20 {
			t.Errorf("%+v", parts)
		}
		if _, ok := s.Archived(market.KindTrade, 0, "j"); ok {
			t.Error("rows that were added count as a prefix of the journal")
		}
		if err := tier.Add(t.Context(), meta, id, noon, merge()); err != nil || len(s.Parts()) != 1 {
			t.Errorf("no rows: %v, %d files", err, len(s.Parts()))
		}
		again := open(t, b)
		if rows := stored(t, again, market.KindTrade); len(rows) != 20 {
			t.Errorf("%d rows are read", len(rows))
		}
		// A later version of some of them, from an archive.
		put(t, again, versions(again, 10, 30, 2), "j", 12, time.Now())
		if rows := stored(t, again, market.KindTrade); len(rows) != 30 {
			t.Errorf("%d rows with a later version of some", len(rows))
		}
	})
}

var _ scan.Layer = (*Tier)(nil)
