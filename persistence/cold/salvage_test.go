package cold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/persistencetest"
	"github.com/marketprism/marketprism/persistence/scan"
)

// objects are all of a bucket, by name.
func objects(t *testing.T, b Bucket) map[string]string {
	t.Helper()
	found, err := b.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, o := range found {
		data, err := b.Get(t.Context(), o.Name)
		if err != nil {
			t.Fatal(err)
		}
		all[o.Name] = string(data)
	}
	return all
}

// past is a store with a history: files that were joined, some of which are deleted, and
// checkpoints every so many records.
func past(t *testing.T, b Bucket, r *rand.Rand, now *time.Time, change func(*Config)) *Store {
	t.Helper()
	s := opened(t, b, now, change)
	for n := 1; n <= 14; n++ {
		from := r.IntN(80)
		put(t, s, versions(s, from, from+20, n), "j", uint64(n), *now)
		if r.IntN(4) == 0 {
			join(t, s)
		}
		if *now = now.Add(10 * time.Minute); r.IntN(5) == 0 {
			if err := s.Clean(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

// TestSalvage: whichever pieces of a manifest are damaged or gone, the store opens; the
// first that refreshes or commits makes the manifest whole again, and every row is read
// once, in its last version, by it, by those who had the store open before, and by those
// who open it later. The damage is named until somebody removes the copies from
// quarantine, and no object has been changed or deleted.
func TestSalvage(t *testing.T) {
	mended := 0
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 12))
		b, err := NewLocal(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1_800_000_000, 0)
		change := func(c *Config) { c.JoinFiles, c.CheckpointEvery = 2+r.IntN(3), 4+r.IntN(20) }
		before := past(t, b, r, &now, change)
		want, archived := prices(t, before), before.archive[tableShard{"trades", 0, "j"}].Seq
		harm(t, b, r)
		was := objects(t, b)

		s := opened(t, b, &now, change)
		wounded := s.wound != nil
		if wounded {
			mended++
		}
		if wounded && len(s.Damaged()) == 0 {
			t.Errorf("seed %d: nobody says that it is damaged", seed)
		}
		if _, err := tryPrices(t, s); err != nil { // no row twice; a file may have left by a record that is lost
			if err = s.Failed(err); !errors.Is(err, persistence.ErrAway) {
				t.Errorf("seed %d: who meets it is told %v", seed, err)
			}
		}
		if err := s.Refresh(t.Context()); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		check := func(s *Store, who string) {
			t.Helper()
			if got := prices(t, s); !maps.Equal(got, want) {
				t.Fatalf("seed %d: %s reads %d rows, want %d", seed, who, len(got), len(want))
			}
			if seq := s.archive[tableShard{"trades", 0, "j"}].Seq; seq > archived {
				t.Fatalf("seed %d: archived up to %d, it was %d", seed, seq, archived)
			}
		}
		check(s, "who has mended it")
		for name, data := range was {
			if got, err := b.Get(t.Context(), name); err != nil || string(got) != data {
				t.Errorf("seed %d: %s was changed: %v", seed, name, err)
			}
		}
		if err := before.Refresh(t.Context()); err != nil {
			t.Fatalf("seed %d: who had it open: %v", seed, err)
		}
		check(before, "who had it open")
		put(t, before, versions(before, 500, 501, 1), "j", 50, now)
		want["500"], archived = "1", 50
		put(t, s, versions(s, 501, 502, 1), "j", 51, now)
		want["501"], archived = "1", 51
		after := opened(t, b, &now, change)
		check(after, "who opens it later")
		if d := diagnose(t, b, now); !d.Whole {
			t.Errorf("seed %d: it is not whole: %+v", seed, d.Broken)
		}
		inQuarantine := 0
		for _, x := range after.Damaged() {
			if strings.HasPrefix(x.File, quarantinePrefix) {
				inQuarantine++
				replace(t, b, x.File, nil)
			}
		}
		if wounded != (inQuarantine > 0) {
			t.Errorf("seed %d: %d pieces in quarantine: %+v", seed, inQuarantine, after.Damaged())
		}
		now = now.Add(2 * examineEvery)
		if err := after.Examine(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, x := range after.Damaged() {
			if strings.HasPrefix(x.File, quarantinePrefix) {
				t.Errorf("seed %d: %s is named, and gone", seed, x.File)
			}
		}
	}
	if mended < 2 {
		t.Errorf("only %d stores were broken", mended)
	}
}

// mortal is a bucket of a process that is killed before its nth change.
type mortal struct {
	Bucket
	left int
}

var errKilled = errors.New("killed")

func (m *mortal) step() error {
	if m.left--; m.left < 0 {
		return errKilled
	}
	return nil
}

// Create implements [Bucket].
func (m *mortal) Create(ctx context.Context, name string, data []byte) error {
	if err := m.step(); err != nil {
		return err
	}
	return m.Bucket.Create(ctx, name, data)
}

// Delete implements [Bucket].
func (m *mortal) Delete(ctx context.Context, name string) error {
	if err := m.step(); err != nil {
		return err
	}
	return m.Bucket.Delete(ctx, name)
}

// Put implements [Bucket].
func (m *mortal) Put(ctx context.Context, name string, from *os.File, size int64) error {
	if err := m.step(); err != nil {
		return err
	}
	return m.Bucket.Put(ctx, name, from, size)
}

// TestSalvageIsRepeated: the process that mends a manifest is killed before every step;
// the next one does it again, and it is done once.
func TestSalvageIsRepeated(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	change := func(c *Config) { c.JoinFiles, c.CheckpointEvery = 3, 1000 }
	damaged := t.TempDir()
	b, err := NewLocal(damaged)
	if err != nil {
		t.Fatal(err)
	}
	want := prices(t, past(t, b, rand.New(rand.NewPCG(1, 2)), &now, change))
	replace(t, b, recordName(4), []byte("dust"))
	replace(t, b, recordName(9), nil)
	for n, killed := 0, true; killed; n++ {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(damaged)); err != nil {
			t.Fatal(err)
		}
		b, err := NewLocal(dir)
		if err != nil {
			t.Fatal(err)
		}
		dying := &mortal{b, n}
		err = opened(t, dying, &now, change).Refresh(t.Context())
		if killed = dying.left < 0; n < 3 && !errors.Is(err, errKilled) {
			t.Fatalf("killed before step %d: %v", n, err)
		}
		s := opened(t, b, &now, change)
		if err := s.Refresh(t.Context()); err != nil {
			t.Fatalf("after step %d: %v", n, err)
		}
		if got := prices(t, s); !maps.Equal(got, want) {
			t.Errorf("after step %d: %d rows, want %d", n, len(got), len(want))
		}
		anew, copies := 0, 0
		for name, data := range objects(t, b) {
			if strings.HasPrefix(name, recordPrefix) && strings.Contains(data, `"anew":true`) {
				anew++
			}
			if strings.HasPrefix(name, quarantinePrefix) {
				copies++
			}
		}
		if anew != 1 || copies != 2 {
			t.Errorf("after step %d: begun anew %d times, %d copies in quarantine", n, anew, copies)
		}
	}
}

// TestSalvagersAtOnce: many open a damaged store at once, and write to it: one of them
// mends it, and nothing is lost or read twice.
func TestSalvagersAtOnce(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		now := time.Unix(1_800_000_000, 0)
		change := func(c *Config) { c.JoinFiles = 0 }
		s := opened(t, b, &now, change)
		want := map[string]string{}
		for n := range 6 {
			put(t, s, versions(s, n*10, n*10+10, 1), "j", uint64(n+1), now)
		}
		replace(t, b, recordName(3), []byte("dust"))
		replace(t, b, recordName(5), nil)
		const writers, each = 3, 2
		for id := range 60 + writers*each {
			want[fmt.Sprint(id)] = "1"
		}
		var stores []*Store
		for range writers - 1 {
			stores = append(stores, opened(t, b, &now, change))
		}
		stores = append(stores, s) // knows what the others have to find out
		var all sync.WaitGroup
		for w, s := range stores {
			all.Go(func() {
				for n := range each {
					id := 60 + w*each + n
					if _, err := tryPut(t.Context(), s, versions(s, id, id+1, 1), "j", uint64(100+id), now); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		anew := 0
		for name, data := range objects(t, b) {
			if strings.HasPrefix(name, recordPrefix) && strings.Contains(data, `"anew":true`) {
				anew++
			}
		}
		if anew != 1 {
			t.Errorf("begun anew %d times", anew)
		}
		for _, s := range append(stores, opened(t, b, &now, change)) {
			if err := s.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := prices(t, s); !maps.Equal(got, want) {
				t.Errorf("%d rows, want %d", len(got), len(want))
			}
		}
	})
}

// TestLostRemovals: the record that removed files is lost. Those that are still there are
// read as before, each key once; those that are deleted are missed only when nothing has
// taken their place, and no longer than they would have been kept.
func TestLostRemovals(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	type outcome struct{ rows, named int }
	for name, tc := range map[string]struct {
		remove  func(*testing.T, *Store)
		deleted bool // before the record was lost, and before that was noted
		want    outcome
		later   outcome // after the next retention
	}{
		"of a join, files there":        {func(t *testing.T, s *Store) { join(t, s) }, false, outcome{40, 0}, outcome{0, 0}},
		"of a join, files deleted":      {func(t *testing.T, s *Store) { join(t, s) }, true, outcome{40, 0}, outcome{0, 0}},
		"of a retention, files there":   {expire, false, outcome{40, 0}, outcome{0, 0}},
		"of a retention, files deleted": {expire, true, outcome{0, 4}, outcome{0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := NewLocal(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			now := start
			s := opened(t, b, &now, nil)
			var parts []Part
			for n := range 4 {
				parts = append(parts, put(t, s, versions(s, n*10, n*10+10, 1), "j", uint64(n+1), now))
			}
			tc.remove(t, s)
			removal := s.record
			if s.Lists(parts[0].File) {
				t.Fatal("nothing was removed")
			}
			if tc.deleted { // by a process that is killed before it says so
				for _, p := range parts {
					replace(t, b, p.File, nil)
				}
			}
			put(t, s, versions(s, 100, 101, 1), "other", 9, now.Add(10000*time.Hour)) // so that it is not the last
			replace(t, b, recordName(removal), []byte("dust"))

			s = opened(t, b, &now, nil)
			look := func(want outcome, when string) {
				t.Helper()
				if got := prices(t, s); len(got) != want.rows+1 {
					t.Errorf("%s: %d rows, want %d", when, len(got)-1, want.rows)
				}
				missing := 0
				for _, d := range s.Damaged() {
					if d.Reason == fileMissing {
						missing++
					}
				}
				if missing != want.named {
					t.Errorf("%s: %d files are missed, want %d: %+v", when, missing, want.named, s.Damaged())
				}
			}
			if err := s.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			look(tc.want, "mended")
			expire(t, s)
			look(tc.later, "after a retention")
		})
	}
}

// expire removes what arrived before it is called.
func expire(t *testing.T, s *Store) {
	t.Helper()
	now := s.now
	s.now = func() time.Time { return now().Add(100 * 24 * time.Hour) }
	defer func() { s.now = now }()
	if _, err := s.Retain(t.Context(), 24*time.Hour); err != nil {
		t.Fatal(err)
	}
}

// TestRewrittenFile: the records that say that a file was deleted, and then listed again,
// are lost. It is read, and not deleted for having left once.
func TestRewrittenFile(t *testing.T) {
	b, err := NewLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(-time.Hour)
	s := opened(t, b, &now, func(c *Config) { c.Grace = 0 })
	put(t, s, versions(s, 100, 101, 1), "j", 1, now)
	p := put(t, s, versions(s, 0, 10, 1), "j", 2, now)
	if err := s.Commit(t.Context(), func() (*Record, error) { return &Record{Remove: []string{p.File}}, nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	deleted := s.record
	if again := put(t, s, versions(s, 0, 10, 1), "j", 2, now); again.File != p.File {
		t.Fatalf("the same rows are %s, and then %s", p.File, again.File)
	}
	listed := s.record
	put(t, s, versions(s, 101, 102, 1), "j", 3, now)
	replace(t, b, recordName(deleted), nil)
	replace(t, b, recordName(listed), nil)
	now = time.Now().Add(time.Hour)
	s = opened(t, b, &now, nil)
	for range 2 {
		if err := s.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := prices(t, s); len(got) != 12 {
			t.Fatalf("%d rows, want 12", len(got))
		}
	}
}

// TestDoubtedFile: a file that a lost record has listed and that is damaged is named,
// counted as missing by those who read its stream, and neither read nor swept. Put right
// it is listed; taken away it is forgotten.
func TestDoubtedFile(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		now := time.Now()
		s := opened(t, b, &now, nil)
		var parts []Part
		for n := range 3 {
			parts = append(parts, put(t, s, versions(s, n*10, n*10+10, 1), "j", uint64(n+1), now))
		}
		harmed := map[int][]byte{}
		for _, n := range []int{0, 1} {
			whole, err := b.Get(t.Context(), parts[n].File)
			if err != nil {
				t.Fatal(err)
			}
			bad := bytes.Clone(whole)
			bad[len(bad)/3] ^= 4
			harmed[n] = whole
			replace(t, b, parts[n].File, bad)
		}
		replace(t, b, recordName(2), nil)
		replace(t, b, recordName(3), nil)
		s = opened(t, b, &now, nil)
		if err := s.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		look := func(rows int, missing int64) {
			t.Helper()
			if got := prices(t, s); len(got) != rows {
				t.Errorf("%d rows, want %d", len(got), rows)
			}
			id, other := persistencetest.Instruments()[0].ID(), persistencetest.Instruments()[1].ID()
			for stream, want := range map[*market.StreamID]int64{&id: missing, &other: 0, nil: missing} {
				ctx, reads := persistence.CountReads(t.Context())
				v, err := s.Pin(ctx, scan.Selection{Kind: market.KindTrade, Stream: stream, Reads: reads})
				if err != nil {
					t.Fatal(err)
				}
				v.Release()
				if got := reads.Of(persistence.TierCold).Stats().FilesMissing; got != want {
					t.Errorf("%d files are missing of %v, want %d", got, stream, want)
				}
			}
		}
		look(10, 2)
		if got := names(s.Damaged())[:2]; got[0] != parts[0].File || got[1] != parts[1].File {
			t.Errorf("named are %v", got)
		}
		now = now.Add(100 * 24 * time.Hour)
		for range 2 {
			if _, err := s.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Hour)
			if err := s.Clean(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.manifest.checkpoint(t.Context()); err != nil { // remembers it too
			t.Fatal(err)
		}
		s = opened(t, b, &now, nil)
		look(10, 2)
		replace(t, b, parts[0].File, harmed[0])
		replace(t, b, parts[1].File, nil)
		if err := s.Examine(t.Context()); err != nil {
			t.Fatal(err)
		}
		look(20, 0)
	})
}

// TestTierServesWhatIsListed: a store whose manifest is damaged is open at once, with what
// can be read of it; every answer says that something may be missing, and the hot store
// is not told to leave anything out before it is whole.
func TestTierServesWhatIsListed(t *testing.T) {
	dir := t.TempDir()
	b, err := NewLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	s := opened(t, b, &now, nil)
	for n := range 3 {
		put(t, s, versions(s, n*10, n*10+10, 1), "j", uint64(n+1), now)
	}
	replace(t, b, recordName(3), []byte("dust"))
	hot := &told{marks: map[string]uint64{}}
	tier, err := NewTier(DefaultConfig(), dir, hot, Surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	defer tier.Close()
	if err := tier.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	missing := func() int64 {
		t.Helper()
		ctx, reads := persistence.CountReads(t.Context())
		v, err := tier.Pin(ctx, scan.Selection{Kind: market.KindTrade, Reads: reads})
		if err != nil {
			t.Fatal(err)
		}
		v.Release()
		return reads.Of(persistence.TierCold).Stats().FilesMissing
	}
	if st := tier.Stats(); !st.Open || len(st.Damaged) != 1 || !strings.HasSuffix(st.Damaged[0].Path, "/"+recordName(3)) || len(prices(t, tier.store)) != 20 {
		t.Errorf("open with %d rows: %+v", len(prices(t, tier.store)), st)
	}
	if n := missing(); n != 1 || len(hot.marks) != 0 {
		t.Errorf("%d files missing, the hot store was told %v", n, hot.marks)
	}
	if err := tier.Tend(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := tier.Stats()
	if len(st.Damaged) != 1 || !strings.HasSuffix(st.Damaged[0].Path, "/quarantine/manifest-000000000003") || len(prices(t, tier.store)) != 30 {
		t.Errorf("mended: %d rows, %+v", len(prices(t, tier.store)), st)
	}
	if n := missing(); n != 0 || hot.marks["trades j"] != 3 {
		t.Errorf("%d files missing, the hot store was told %v", n, hot.marks)
	}
}

// TestForeignObject: what somebody puts beside the records is nobody's damage.
func TestForeignObject(t *testing.T) {
	b, err := NewLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s := opened(t, b, &now, nil)
	put(t, s, versions(s, 0, 10, 1), "j", 1, now)
	for _, prefix := range []string{recordPrefix, checkpointPrefix} {
		replace(t, b, prefix+"README", []byte("ours"))
	}
	put(t, s, versions(s, 10, 20, 1), "j", 2, now)
	s = opened(t, b, &now, nil)
	if got := prices(t, s); len(got) != 20 || s.wound != nil {
		t.Errorf("%d rows, %v", len(got), s.wound)
	}
}

// TestWoundWhileRunning: a store that is open meets a damaged record of another writer.
// Until it can be mended what was read before is served, the damage is named, and nothing
// is written.
func TestWoundWhileRunning(t *testing.T) {
	b, err := NewLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	weak := &mortal{b, 1000}
	s, other := opened(t, weak, &now, nil), opened(t, b, &now, nil)
	put(t, s, versions(s, 0, 10, 1), "j", 1, now)
	for n := 1; n < 3; n++ {
		put(t, other, versions(other, n*10, n*10+10, 1), "j", uint64(n+1), now)
	}
	replace(t, b, recordName(3), []byte("dust"))
	weak.left = 0
	for range 2 {
		if err := s.Refresh(t.Context()); !errors.Is(err, errKilled) || !errors.Is(err, persistence.ErrAway) {
			t.Fatalf("a store that cannot be mended: %v", err)
		}
		if got := prices(t, s); len(got) != 10 {
			t.Errorf("%d rows, want those of before", len(got))
		}
		if d := s.Damaged(); len(d) != 1 || d[0].File != recordName(3) || !strings.Contains(d[0].Reason, "made again") {
			t.Errorf("named are %+v", d)
		}
	}
	weak.left = 1000
	put(t, s, versions(s, 30, 40, 1), "j", 4, now)
	if got := prices(t, s); len(got) != 40 {
		t.Errorf("%d rows when it is mended, want 40", len(got))
	}
	if err := other.Refresh(t.Context()); err != nil || len(prices(t, other)) != 40 {
		t.Errorf("the other writer: %v", err)
	}
}
