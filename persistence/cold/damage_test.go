package cold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/persistencetest"
)

// replace puts other bytes in the place of an object, as no store does.
func replace(t *testing.T, b Bucket, name string, data []byte) {
	t.Helper()
	if err := b.Delete(t.Context(), name); err != nil || data == nil {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	f, err := os.CreateTemp(t.TempDir(), "object")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), name, f, int64(len(data))); err != nil {
		t.Fatal(err)
	}
}

// harms are ways to damage a file's bytes; nil bytes take it away.
var harms = map[string]func(whole []byte) []byte{
	"missing": func([]byte) []byte { return nil },
	"cut":     func(b []byte) []byte { return b[:len(b)-7] },
	"a flipped bit of a row group": func(b []byte) []byte {
		bad := bytes.Clone(b)
		bad[len(b)/3] ^= 4
		return bad
	},
	"a wrong length of the footer": func(b []byte) []byte {
		bad := bytes.Clone(b)
		bad[len(b)-6] ^= 1
		return bad
	},
	"a flipped bit of the footer": func(b []byte) []byte {
		bad := bytes.Clone(b)
		bad[len(b)-40] ^= 4
		return bad
	},
}

// TestDamagedFileIsSetAside: a file that is damaged in whatever way is found out by
// the first who reads it, or by the upkeep; it is named and not read, the others are, and
// it is neither deleted nor joined nor forgotten by the next process, until somebody
// puts it right: then it is read again.
func TestDamagedFileIsSetAside(t *testing.T) {
	for name, harm := range harms {
		t.Run(name, func(t *testing.T) {
			buckets(t, func(t *testing.T, b Bucket) { damage(t, b, harm) })
		})
	}
}

func damage(t *testing.T, b Bucket, harm func([]byte) []byte) {
	now := time.Unix(1_800_000_000, 0)
	tierOf := func() *Tier {
		tier, err := NewTier(DefaultConfig(), "", nil, Surroundings{})
		if err != nil {
			t.Fatal(err)
		}
		tier.store, tier.problem = opened(t, b, &now, nil), nil
		return tier
	}
	tier := tierOf()
	s := tier.store
	var parts []Part
	for n := range 4 {
		parts = append(parts, put(t, s, versions(s, n*100, n*100+100, 1), "j", uint64(n+1), now))
	}
	bad := parts[1]
	whole, err := b.Get(t.Context(), bad.File)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, b, bad.File, harm(whole))

	id := persistencetest.Instruments()[0].ID()
	read := func(tier *Tier) (int, persistence.ReadStats, error) {
		ctx, reads := persistence.CountReads(t.Context())
		rows, err := reader(tier.store).Query(ctx, persistence.Query{Kind: market.KindTrade, Stream: &id})
		if err != nil {
			return 0, persistence.ReadStats{}, err
		}
		defer rows.Close()
		n := 0
		for {
			var batch market.Batch
			k, err := rows.Next(ctx, &batch)
			if n += k; err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				return n, reads.Of(persistence.TierCold).Stats(), err
			}
		}
	}
	// Damage that no row is made of is found by the checksum of the whole, if at all.
	if _, _, err := read(tier); err != nil && !errors.Is(err, persistence.ErrCorrupt) {
		t.Fatal(err)
	}
	if _, err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	served := func(tier *Tier, want int, missing int64) {
		t.Helper()
		n, stats, err := read(tier)
		if err != nil || n != want || stats.FilesMissing != missing {
			t.Errorf("%d rows, %+v, %v; want %d rows, %d files missing", n, stats, err, want, missing)
		}
	}
	named := func(tier *Tier, want int) {
		t.Helper()
		st := tier.Stats()
		if len(st.Damaged) != want || want > 0 && (st.Damaged[0].Path != s.pathOf(bad.File) || st.Damaged[0].Reason == "" || st.Damaged[0].Part.Rows != 100) {
			t.Errorf("named are %+v", st.Damaged)
		}
	}
	for range 2 { // suspected, and then marked
		served(tier, 300, 1)
		named(tier, 1)
		if err := tier.Tend(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Streams(market.KindTrade); len(st) != 1 {
		t.Errorf("streams %v", st)
	}
	if list, err := tier.Parts(); err != nil || len(list) != 4 || !list[1].Damaged || list[0].Damaged {
		t.Errorf("%+v, %v", list, err)
	}
	if j := join(t, s); j.Files != 0 { // it stands between the others
		t.Errorf("joined %+v", j)
	}
	others := 300
	if harm(whole) != nil {
		now = now.Add(1000 * 24 * time.Hour)
		if _, err := s.Retain(t.Context(), 24*time.Hour); err != nil || !s.Lists(bad.File) {
			t.Errorf("retention took what is damaged: %v", err)
		}
		others = 0
	}
	now = now.Add(time.Hour)
	if err := tier.Tend(t.Context()); err != nil {
		t.Fatal(err)
	}

	again := tierOf() // the next process knows, without reading
	served(again, others, 1)
	named(again, 1)

	replace(t, b, bad.File, whole)
	if err := again.Tend(t.Context()); err != nil { // the first look of a process
		t.Fatal(err)
	}
	served(again, others+100, 0)
	named(again, 0)
	now = now.Add(2 * examineEvery)
	if err := tier.Tend(t.Context()); err != nil {
		t.Fatal(err)
	}
	served(tier, others+100, 0)
	named(tier, 0)
}

// TestReplacedWhileItIsRead: a file that another node has joined to others so long ago
// that it is deleted is not taken for damage: whoever read it is told to ask again.
func TestReplacedWhileItIsRead(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		now := time.Unix(1_800_000_000, 0)
		mine, other := opened(t, b, &now, nil), opened(t, b, &now, nil)
		for n := range 4 {
			put(t, mine, versions(mine, n*100, n*100+100, 1), "j", uint64(n+1), now)
		}
		id := persistencetest.Instruments()[0].ID()
		v := pin(t, mine, market.KindTrade, id)
		defer v.Release()
		if err := other.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		join(t, other)
		now = now.Add(time.Hour)
		if err := other.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := part.NewMerge(v.Sources(nil, id, part.OneStream), false).Next(t.Context())
		if !errors.Is(err, persistence.ErrCorrupt) {
			t.Fatalf("reading a file that is gone: %v", err)
		}
		if err = mine.Failed(err); !errors.Is(err, persistence.ErrAway) || !strings.Contains(err.Error(), "ask again") {
			t.Errorf("told %v", err)
		}
		if d := mine.Damaged(); len(d) != 0 {
			t.Errorf("damaged are %+v", d)
		}
		if n := len(stored(t, mine, market.KindTrade)); n != 400 {
			t.Errorf("%d rows when asked again", n)
		}
	})
}

// TestDamagedCheckpoint: the one before it and the records say the same. It is named,
// until a new one takes its place.
func TestDamagedCheckpoint(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		now := time.Now()
		every := func(c *Config) { c.CheckpointEvery = 3 }
		s := opened(t, b, &now, every)
		for n := range 7 {
			put(t, s, versions(s, n*10, n*10+10, 1), "j", uint64(n+1), now)
		}
		found, err := b.List(t.Context(), checkpointPrefix)
		if err != nil || len(found) != 2 {
			t.Fatalf("%v, %v", found, err)
		}
		for at := len(found) - 1; at >= 0; at-- { // the newest, then both
			name := found[at].Name
			data, err := b.Get(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)/2] ^= 1
			replace(t, b, name, data)
			s = opened(t, b, &now, every)
			if n := len(stored(t, s, market.KindTrade)); n != 70 {
				t.Errorf("%d rows are read", n)
			}
			if d := s.Damaged(); len(d) != len(found)-at || d[0].File != found[len(found)-1].Name {
				t.Errorf("named are %+v", d)
			}
		}
		put(t, s, versions(s, 70, 80, 1), "j", 8, now)
		if d := s.Damaged(); len(d) != 0 {
			t.Errorf("with a new checkpoint named are %+v", d)
		}
		if s = opened(t, b, &now, every); len(s.Damaged()) != 0 || len(stored(t, s, market.KindTrade)) != 80 {
			t.Errorf("%+v", s.Damaged())
		}
	})
}

// TestSweep: what no record lists goes when it is old enough, through the manifest:
// not what is young, listed, or not the store's. An archiver that lists such a file at
// the last moment writes it under another name.
func TestSweep(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		now := time.Now()
		s := opened(t, b, &now, nil)
		id := persistencetest.Instruments()[0].ID()
		listed := put(t, s, versions(s, 0, 10, 1), "j", 1, now)
		meta := part.Meta{Kind: market.KindTrade, JournalID: "j", FirstSeq: 2, LastSeq: 2}
		write := func() Part {
			t.Helper()
			p, err := s.Write(t.Context(), meta, id, Day(noon), merge(versions(s, 10, 20, 1)))
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		stray := write()
		foreign := folder(market.KindTrade, id, Day(noon)) + "/notes.parquet"
		replace(t, b, foreign, []byte("somebody's"))
		sweep := func() Swept {
			t.Helper()
			out, err := s.Sweep(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Clean(t.Context()); err != nil {
				t.Fatal(err)
			}
			return out
		}
		there := func(name string) bool {
			_, err := b.Get(t.Context(), name)
			return err == nil
		}
		if out := sweep(); out.Files != 0 {
			t.Errorf("young ones: %+v", out)
		}
		now = now.Add(25 * time.Hour)
		if out := sweep(); out.Files != 1 || out.Bytes != stray.Bytes || !there(stray.File) {
			t.Errorf("old ones: %+v", out)
		}
		if out := sweep(); out.Files != 0 {
			t.Errorf("again: %+v", out)
		}
		// Who wrote it before lists it now: too late. Written again it has another name.
		err := s.Commit(t.Context(), func() (*Record, error) { return &Record{Add: []Part{stray}}, nil })
		if !errors.Is(err, errRetired) {
			t.Errorf("listed what is about to be deleted: %v", err)
		}
		anew := write()
		if anew.File == stray.File || anew.Checksum != stray.Checksum {
			t.Errorf("%s is written again as %s", stray.File, anew.File)
		}
		add(t, s, anew)
		now = now.Add(time.Hour)
		sweep()
		if there(stray.File) || !there(anew.File) || !there(listed.File) || !there(foreign) {
			t.Errorf("there are: stray %v, anew %v, listed %v, foreign %v", there(stray.File), there(anew.File), there(listed.File), there(foreign))
		}
		if again := opened(t, b, &now, nil); len(stored(t, again, market.KindTrade)) != 20 {
			t.Error("rows are missing")
		}
	})
}

// TestSweepDoubtsTheManifest: with more strangers than files the manifest may be an
// older copy: nothing is taken away, and somebody is told.
func TestSweepDoubtsTheManifest(t *testing.T) {
	b, err := NewLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s := opened(t, b, &now, nil)
	put(t, s, versions(s, 0, 10, 1), "j", 1, now)
	dir := folder(market.KindTrade, persistencetest.Instruments()[0].ID(), Day(noon))
	for n := range sweepDoubt + 1 {
		replace(t, b, fmt.Sprintf("%s/part-%d.parquet", dir, n), []byte("x"))
	}
	now = now.Add(48 * time.Hour)
	if out, err := s.Sweep(t.Context()); err == nil || out.Files != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestSweepKnowsWhatLeaves: however many files have just left the manifest, they are no
// reason to doubt it.
func TestSweepKnowsWhatLeaves(t *testing.T) {
	b, err := NewLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s := opened(t, b, &now, nil)
	var left []string
	for n := range sweepDoubt + 2 {
		left = append(left, put(t, s, versions(s, n, n+1, 1), "j", uint64(n+1), now).File)
	}
	now = now.Add(48 * time.Hour)
	if err := s.Commit(t.Context(), func() (*Record, error) { return &Record{Remove: left[1:]}, nil }); err != nil {
		t.Fatal(err)
	}
	if out, err := s.Sweep(t.Context()); err != nil || out.Files != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestTidy: temporary files of an interrupted write go, and those under way stay.
func TestTidy(t *testing.T) {
	dir := t.TempDir()
	b, err := NewLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	temp := filepath.Join(dir, "trades", "part-1.parquet.0011"+tempSuffix)
	if err := os.MkdirAll(filepath.Dir(temp), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(temp, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Tidy(t.Context(), time.Now().Add(-time.Hour)); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := b.Tidy(t.Context(), time.Now().Add(time.Hour)); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := os.Stat(temp); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// TestOpenFiles: files that nobody reads are closed beyond a number, those that
// somebody reads are not.
func TestOpenFiles(t *testing.T) {
	b, err := NewLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s := opened(t, b, &now, func(c *Config) { c.OpenFiles = 2 })
	for n := range 6 {
		put(t, s, versions(s, n*10, n*10+10, 1), "j", uint64(n+1), now)
	}
	id := persistencetest.Instruments()[0].ID()
	v := pin(t, s, market.KindTrade, id)
	m := part.NewMerge(v.Sources(nil, id, part.OneStream), false)
	if n := len(lines(t, m)); n != 60 {
		t.Fatalf("%d rows", n)
	}
	openFiles := func() (n int) {
		if err := s.CloseIdle(); err != nil {
			t.Fatal(err)
		}
		for _, f := range s.files {
			if _, ok := f.lastUsed(); ok {
				n++
			}
		}
		return n
	}
	if n := openFiles(); n != 6 {
		t.Errorf("%d of 6 that are read", n)
	}
	v.Release()
	if n := openFiles(); n != 2 {
		t.Errorf("%d, want 2", n)
	}
	if n := len(stored(t, s, market.KindTrade)); n != 60 {
		t.Errorf("%d rows afterwards", n)
	}
}

// TestUnfinishedUploads: pieces of an upload that nobody completed are aborted.
func TestUnfinishedUploads(t *testing.T) {
	b := s3Bucket(t).(*s3)
	core := minio.Core{Client: b.client}
	name := b.key("trades/part-1.parquet")
	upload := func() {
		t.Helper()
		if _, err := core.NewMultipartUpload(context.WithoutCancel(t.Context()), b.bucket, name, minio.PutObjectOptions{}); err != nil {
			t.Fatalf("beginning an upload in pieces: %v", err)
		}
	}
	upload()
	if n, err := b.Tidy(t.Context(), time.Now().Add(-time.Hour)); err != nil || n != 0 {
		t.Errorf("young: %d, %v", n, err)
	}
	if n, err := b.Tidy(t.Context(), time.Now().Add(time.Hour)); err != nil || n != 1 {
		t.Errorf("old: %d, %v", n, err)
	}
	if n, err := b.Tidy(t.Context(), time.Now().Add(time.Hour)); err != nil || n != 0 {
		t.Errorf("again: %d, %v", n, err)
	}
}
