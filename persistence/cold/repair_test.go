package cold

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func diagnose(t *testing.T, b Bucket, now time.Time) *Diagnosis {
	t.Helper()
	d, err := Diagnose(t.Context(), b, DiagnosisOptions{Checksums: true, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestRepair: whichever records and checkpoints of a manifest are damaged or gone, what
// is repaired opens, and every row is read as before, in its last version; it claims
// nothing to be archived that was not.
func TestRepair(t *testing.T) {
	repaired := 0
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 11))
		b, err := NewLocal(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1_800_000_000, 0)
		change := func(c *Config) { c.JoinFiles, c.CheckpointEvery = 2+r.IntN(3), 4+r.IntN(20) }
		s := opened(t, b, &now, change)
		for n := 1; n <= 20; n++ {
			from := r.IntN(80)
			put(t, s, versions(s, from, from+20, n), "j", uint64(n), now)
			if r.IntN(4) == 0 {
				join(t, s)
			}
			if now = now.Add(10 * time.Minute); r.IntN(6) == 0 {
				if err := s.Clean(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		want, archived := prices(t, s), s.archive[tableShard{"trades", 0, "j"}].Seq
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if d := diagnose(t, b, now); !d.Whole || len(d.Broken)+len(d.Lacking) > 0 || !errors.Is(d.Repair(t.Context()), ErrWhole) {
			t.Fatalf("a store that is well: %+v", d)
		}
		harm(t, b, r)
		d := diagnose(t, b, now)
		if !d.Whole {
			repaired++
			if s := opened(t, b, &now, change); s.wound == nil || len(s.Damaged()) == 0 {
				t.Fatalf("seed %d: it opens as if nothing were, and is said to be broken: %+v", seed, d.Broken)
			}
			if err := d.Repair(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range []*Store{opened(t, b, &now, change), opened(t, b, &now, change)} {
			if got := prices(t, s); !maps.Equal(got, want) {
				t.Fatalf("seed %d: %d rows, want %d: %+v", seed, len(got), len(want), d.Broken)
			}
			if seq := s.archive[tableShard{"trades", 0, "j"}].Seq; seq > archived {
				t.Fatalf("seed %d: archived up to %d, it was %d", seed, seq, archived)
			}
		}
		s = opened(t, b, &now, change) // it goes on
		put(t, s, versions(s, 500, 501, 1), "j", 50, now)
		if d := diagnose(t, b, now); !d.Whole {
			t.Fatalf("seed %d: after the repair: %+v", seed, d.Broken)
		}
	}
	if repaired < 3 {
		t.Errorf("only %d stores were broken", repaired)
	}
}

// harm damages or takes away some of the manifest, or all of it.
func harm(t *testing.T, b Bucket, r *rand.Rand) {
	t.Helper()
	share := []int{8, 3, 1}[r.IntN(3)]
	for _, prefix := range []string{recordPrefix, checkpointPrefix} {
		list, err := b.List(t.Context(), prefix)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range list {
			if r.IntN(share) > 0 || share > 1 && i == len(list)-1 { // the last of them cannot be missed
				continue
			}
			var bad []byte
			if r.IntN(2) == 0 && share > 1 {
				whole, err := b.Get(t.Context(), o.Name)
				if err != nil {
					t.Fatal(err)
				}
				bad = bytes.Clone(whole)
				bad[r.IntN(len(bad))] ^= 1
			}
			replace(t, b, o.Name, bad)
		}
	}
}

// TestRepairProvesFiles: what no record lists any more is listed again when it is what
// its name says, and left alone when it is not; a listed file that is gone is marked,
// and the rest is served.
func TestRepairProvesFiles(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		now := time.Unix(1_800_000_000, 0)
		s := opened(t, b, &now, func(c *Config) { c.CheckpointEvery = 1000 })
		var parts []Part
		for n := range 5 {
			parts = append(parts, put(t, s, versions(s, n*10, n*10+10, 1), "j", uint64(n+1), now))
		}
		whole, err := b.Get(t.Context(), parts[3].File)
		if err != nil {
			t.Fatal(err)
		}
		bent := bytes.Clone(whole)
		bent[len(bent)/3] ^= 4
		replace(t, b, parts[3].File, bent)               // listed by the record that is lost
		replace(t, b, parts[4].File, nil)                // listed
		replace(t, b, recordName(4), []byte("nonsense")) // the first has no files
		replace(t, b, recordName(5), nil)
		misplaced := strings.Replace(parts[0].File, "date=2024-08-08", "date=2024-08-09", 1)
		first, err := b.Get(t.Context(), parts[0].File)
		if err != nil {
			t.Fatal(err)
		}
		replace(t, b, misplaced, first)

		d := diagnose(t, b, now)
		if d.Whole || len(d.Broken) != 2 || len(d.Found) != 1 || d.Found[0].File != parts[2].File || d.Listed != 4 || d.Rows != 40 {
			t.Errorf("%+v", d)
		}
		if f := d.Found[0]; f.Rows != 10 || f.Checksum != parts[2].Checksum || f.JournalID != "j" || f.LastSeq != 3 || f.Created != parts[2].Created || f.Youngest == 0 {
			t.Errorf("found %+v, it was %+v", f, parts[2])
		}
		if got := fmt.Sprint(names(d.Unproven)); got != fmt.Sprint([]string{parts[3].File, misplaced}) {
			t.Errorf("not proven: %v", d.Unproven)
		}
		if got := names(d.Lacking); len(got) != 1 || got[0] != parts[4].File {
			t.Errorf("lacking: %v", d.Lacking)
		}
		if err := d.Repair(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := d.Repair(t.Context()); !errors.Is(err, ErrExists) {
			t.Errorf("two repairs at once: %v", err)
		}
		s = opened(t, b, &now, nil)
		if got := prices(t, s); len(got) != 30 {
			t.Errorf("%d rows are read, want those of three files", len(got))
		}
		want := []string{parts[4].File, parts[3].File, misplaced, "quarantine/manifest-000000000004", "quarantine/manifest-000000000005"}
		if got := names(s.Damaged()); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("named are %v, want %v", got, want)
		}
	})
}

func names(list []Damaged) (all []string) {
	for _, d := range list {
		all = append(all, d.File)
	}
	return all
}

// TestRepairRefusesALaterVersion: nobody takes a record for damaged that a newer program
// has written.
func TestRepairRefusesALaterVersion(t *testing.T) {
	b, err := NewLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	data, err := (&Record{Version: recordVersion + 1, N: 1}).encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Create(t.Context(), recordName(1), data); err != nil {
		t.Fatal(err)
	}
	if _, err := Diagnose(t.Context(), b, DiagnosisOptions{}); !errors.Is(err, errVersion) {
		t.Errorf("%v", err)
	}
}
