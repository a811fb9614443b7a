package cold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/persistencetest"
	"github.com/marketprism/marketprism/persistence/scan"
)

// buckets runs a test on every kind of bucket.
func buckets(t *testing.T, test func(*testing.T, Bucket)) {
	t.Run("directory", func(t *testing.T) {
		b, err := NewLocal(filepath.Join(t.TempDir(), "cold"))
		if err != nil {
			t.Fatal(err)
		}
		test(t, b)
	})
	t.Run("s3", func(t *testing.T) { test(t, s3Bucket(t)) })
}

func open(t *testing.T, b Bucket) *Store {
	t.Helper()
	s, err := Open(t.Context(), b, DefaultConfig(), Surroundings{Scratch: filepath.Join(t.TempDir(), "scratch")})
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

// block makes random rows of a kind and one instrument, sorted and without equal
// keys.
func block(t *testing.T, s *Store, kind market.Kind, seed uint64, rows int) *part.Block {
	t.Helper()
	g := persistencetest.NewGenerator(seed)
	g.Instruments, g.Times = g.Instruments[:1], 1<<20
	var b market.Batch
	for range rows {
		g.Add(&b, kind)
	}
	var sources []part.Source
	for i := range b.Len() {
		one := part.NewBlock(s.schemas[kind], s.names)
		r := b.At(i)
		one.Append(r, s.names.InstrumentCode(r.Head().Instrument), uint64(i+1))
		sources = append(sources, part.NewBlockSource(one, 0, 1, 0))
	}
	out := part.NewBlock(s.schemas[kind], s.names)
	for m := part.NewMerge(sources, false); ; {
		span, err := m.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out.AppendRows(span.Block, span.Lo, span.Hi)
	}
}

func merge(blocks ...*part.Block) *part.Merge {
	var sources []part.Source
	for i, b := range blocks {
		sources = append(sources, part.NewBlockSource(b, 0, b.Len(), uint64(i)))
	}
	return part.NewMerge(sources, false)
}

// lines are the rows of a merge as JSON.
func lines(t *testing.T, m *part.Merge) []string {
	t.Helper()
	var out []string
	var filler part.Filler
	var j market.JSON
	for {
		span, err := m.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		for row := span.Lo; row < span.Hi; row++ {
			var b market.Batch
			r, err := filler.Fill(span.Block, row, &b)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(j.Append(nil, r)))
		}
	}
}

// store writes rows as one file of the first instrument and lists it.
func store(t *testing.T, s *Store, kind market.Kind, b *part.Block, first, last uint64) Part {
	t.Helper()
	meta := part.Meta{Kind: kind, JournalID: "j", FirstSeq: first, LastSeq: last, Created: 7}
	p, err := s.Write(t.Context(), meta, persistencetest.Instruments()[0].ID(), Day(b.TS(0)), merge(b))
	if err != nil {
		t.Fatal(err)
	}
	add(t, s, p)
	return p
}

func add(t *testing.T, s *Store, p Part) {
	t.Helper()
	err := s.Commit(t.Context(), func() (*Record, error) {
		if s.Lists(p.File) {
			return nil, nil
		}
		return &Record{Add: []Part{p}, Archived: []Archived{{Table: p.Table, JournalID: "j", Seq: p.LastSeq}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func stored(t *testing.T, s *Store, kind market.Kind) []string {
	t.Helper()
	id := persistencetest.Instruments()[0].ID()
	v := pin(t, s, kind, id)
	defer v.Release()
	return lines(t, part.NewMerge(v.Sources(nil, id, part.OneStream), false))
}

func pin(t *testing.T, s *Store, kind market.Kind, id market.StreamID) scan.View {
	t.Helper()
	v, err := s.Pin(t.Context(), scan.Selection{Kind: kind, Stream: &id, From: math.MinInt64, To: math.MaxInt64})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestEveryKindIsStoredAndFoundAgain writes random rows of every kind, and reads
// them in a store that is opened anew.
func TestEveryKindIsStoredAndFoundAgain(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		s := open(t, b)
		want := map[market.Kind][]string{}
		for _, kind := range persistencetest.StoredKinds() {
			rows := block(t, s, kind, uint64(kind), 300)
			want[kind] = lines(t, merge(rows))
			p := store(t, s, kind, rows, 1, 9)
			if p.Rows != int64(len(want[kind])) || !strings.HasPrefix(p.File, kind.Table()+"/exchange=binance/market=spot/symbol=BTC-USDT/date=2024-08-08/part-") {
				t.Errorf("%v: %+v", kind, p)
			}
		}
		again := open(t, b)
		for kind, rows := range want {
			if got := stored(t, again, kind); !slices.Equal(got, rows) {
				t.Errorf("%v: %d rows are read, %d were written", kind, len(got), len(rows))
			}
			if seq, ok := again.Archived(kind, 0, "j"); !ok || seq != 9 {
				t.Errorf("%v: archived up to %d, %v", kind, seq, ok)
			}
			if seq, ok := again.Archived(kind, 0, "another"); ok {
				t.Errorf("%v: of another journal archived up to %d", kind, seq)
			}
		}
	})
}

// TestTheSameRowsAreTheSameFile: an archive that runs twice makes one file.
func TestTheSameRowsAreTheSameFile(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		s := open(t, b)
		rows := block(t, s, market.KindTrade, 3, 100)
		one, two := store(t, s, market.KindTrade, rows, 1, 5), store(t, s, market.KindTrade, rows, 1, 5)
		if one != two {
			t.Errorf("%+v and %+v", one, two)
		}
		if parts := s.Parts(); len(parts) != 1 {
			t.Errorf("%d files", len(parts))
		}
	})
}

// TestWritersDoNotOverwriteEachOther: several writers commit at once, and every
// change is in the manifest once, whoever reads it.
func TestWritersDoNotOverwriteEachOther(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		const writers, each = 4, 5
		var all sync.WaitGroup
		errs := make(chan error, writers*each)
		for w := range writers {
			s := open(t, b)
			all.Go(func() {
				for i := range each {
					p := Part{Table: "trades", Market: "spot", Exchange: "x", Symbol: "y", Checksum: "0", File: fmt.Sprintf("trades/%d-%d", w, i)}
					errs <- s.Commit(t.Context(), func() (*Record, error) { return &Record{Add: []Part{p}}, nil })
				}
			})
		}
		all.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				t.Error(err)
			}
		}
		s := open(t, b)
		if n := len(s.Parts()); n != writers*each || s.manifest.state.n != writers*each {
			t.Errorf("%d files in %d records, want %d", n, s.manifest.state.n, writers*each)
		}
	})
}

// forgetful loses the answer of a write that succeeded, or fails it, at random.
type forgetful struct {
	Bucket
	mu   sync.Mutex
	rand *rand.Rand
}

var errLost = errors.New("the answer was lost")

func (f *forgetful) Create(ctx context.Context, name string, data []byte) error {
	f.mu.Lock()
	dice := f.rand.IntN(3)
	f.mu.Unlock()
	switch dice {
	case 0:
		return errLost // before
	case 1:
		if err := f.Bucket.Create(ctx, name, data); err != nil {
			return err
		}
		return errLost // after
	}
	return f.Bucket.Create(ctx, name, data)
}

// TestLostAnswers: with answers lost at random each change is made exactly once.
func TestLostAnswers(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		s := open(t, &forgetful{Bucket: b, rand: rand.New(rand.NewPCG(1, 2))})
		for i := range 20 {
			p := Part{Table: "trades", Market: "spot", Checksum: "0", File: fmt.Sprintf("trades/%d", i)}
			for tries := 0; ; tries++ {
				err := s.Commit(t.Context(), func() (*Record, error) {
					if s.Lists(p.File) {
						return nil, nil
					}
					return &Record{Add: []Part{p}}, nil
				})
				if err == nil {
					break
				}
				if !errors.Is(err, errLost) || tries == 50 {
					t.Fatal(err)
				}
			}
		}
		if s := open(t, b); len(s.Parts()) != 20 || s.manifest.state.n != 20 {
			t.Errorf("%d files in %d records", len(s.Parts()), s.manifest.state.n)
		}
	})
}

// TestCheckpoint: a store opens from the newest checkpoint and what follows it.
func TestCheckpoint(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		cfg := DefaultConfig()
		cfg.CheckpointEvery = 4
		s, err := Open(t.Context(), b, cfg, Surroundings{})
		if err != nil {
			t.Fatal(err)
		}
		name := func(i int) string { return fmt.Sprintf("trades/%d", i) }
		for i := range 10 {
			r := &Record{Add: []Part{{Table: "trades", Market: "spot", Checksum: "0", File: name(i)}}}
			if i > 0 {
				r.Remove = []string{name(i - 1)}
			}
			if err := s.Commit(t.Context(), func() (*Record, error) { return r, nil }); err != nil {
				t.Fatal(err)
			}
		}
		if names, err := b.List(t.Context(), checkpointPrefix); err != nil || len(names) != 2 {
			t.Errorf("checkpoints %v, %v", names, err)
		}
		for n := range 8 { // what a checkpoint includes is not needed any more
			if err := b.Delete(t.Context(), recordName(uint64(n+1))); err != nil {
				t.Fatal(err)
			}
		}
		if parts := open(t, b).Parts(); len(parts) != 1 || parts[0].File != name(9) {
			t.Errorf("%+v", parts)
		}
	})
}

// TestDamage: every damage of the manifest and of a file is noticed and said.
func TestDamage(t *testing.T) {
	newBucket := func(t *testing.T) (*local, Part) {
		b, err := NewLocal(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, b)
		first := store(t, s, market.KindTrade, block(t, s, market.KindTrade, 1, 50), 1, 1)
		store(t, s, market.KindTrade, block(t, s, market.KindTrade, 2, 50), 2, 2)
		return b.(*local), first
	}
	named := func(t *testing.T, b Bucket, about string) {
		t.Helper()
		if d := open(t, b).Damaged(); len(d) != 1 || d[0].File != about || d[0].Reason == "" {
			t.Errorf("named are %+v, want %s", d, about)
		}
	}
	t.Run("a bit of a record", func(t *testing.T) {
		b, _ := newBucket(t)
		path := b.path(recordName(1))
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range data {
			bad := bytes.Clone(data)
			bad[i] ^= 4
			if err := os.WriteFile(path, bad, 0o644); err != nil {
				t.Fatal(err)
			}
			named(t, b, recordName(1))
		}
	})
	t.Run("a record is missing", func(t *testing.T) {
		b, _ := newBucket(t)
		if err := os.Remove(b.path(recordName(1))); err != nil {
			t.Fatal(err)
		}
		named(t, b, recordName(1))
	})
	for name, harm := range map[string]func(path string) error{
		"a file is missing": os.Remove,
		"a file is shorter": func(path string) error { return os.Truncate(path, 1000) },
		"a file is other": func(path string) error {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for i := 4; i < len(data)/2; i += 3 {
				data[i] ^= 0xff
			}
			return os.WriteFile(path, data, 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, first := newBucket(t)
			if err := harm(b.path(first.File)); err != nil {
				t.Fatal(err)
			}
			s := open(t, b)
			id := persistencetest.Instruments()[0].ID()
			v := pin(t, s, market.KindTrade, id)
			defer v.Release()
			m := part.NewMerge(v.Sources(nil, id, part.OneStream), false)
			var err error
			for err == nil {
				_, err = m.Next(t.Context())
			}
			if !errors.Is(err, persistence.ErrCorrupt) {
				t.Errorf("reading ends with %v", err)
			}
		})
	}
}

// TestClean: a file that has left the manifest stays until nobody reads it and the
// grace has passed.
func TestClean(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		now := time.Unix(1e9, 0)
		s, err := Open(t.Context(), b, DefaultConfig(), Surroundings{Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		p := store(t, s, market.KindTrade, block(t, s, market.KindTrade, 1, 50), 1, 1)
		id := persistencetest.Instruments()[0].ID()
		v := pin(t, s, market.KindTrade, id)
		if err := s.Commit(t.Context(), func() (*Record, error) { return &Record{Remove: []string{p.File}}, nil }); err != nil {
			t.Fatal(err)
		}
		there := func() bool {
			if err := s.Clean(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, err := b.Get(t.Context(), p.File)
			return err == nil
		}
		now = now.Add(time.Hour)
		if !there() {
			t.Error("it is gone while it is read")
		}
		if n := len(lines(t, part.NewMerge(v.Sources(nil, id, part.OneStream), false))); n != int(p.Rows) {
			t.Errorf("%d rows of a removed file are read, want %d", n, p.Rows)
		}
		v.Release()
		if there() {
			t.Error("it stays for ever")
		}
	})
}
