package part

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

func someMeta(file string, last uint64) *Meta {
	return &Meta{
		Kind: market.KindTrade, File: file, Rows: 3, Bytes: 1000, Checksum: 1 << 63, MinTime: -5, MaxTime: 70, JournalID: "j",
		Shard: 2, FirstSeq: last - 1, LastSeq: last, Created: 99,
		Ranges: []Range{
			{Stream: market.StreamID{Exchange: "a", Symbol: "X"}, Rows: 1, MinTime: -5, MaxTime: -5},
			{Stream: market.StreamID{Exchange: "b", Market: market.Option, Symbol: "Y"}, First: 1, Rows: 2, MinTime: 0, MaxTime: 70, Collected: 1},
		},
	}
}

func someChange() *Change {
	return &Change{
		Add: []*Meta{someMeta("trades/b", 7)}, Remove: []string{"trades/a"},
		Positions: []persistence.Position{{
			JournalID: "j", Shard: 2, Seq: 7, Epochs: map[string]int64{"a/spot/X": 4},
			Recorders: map[persistence.Incarnation]persistence.RecorderBatch{{1, 2}: {N: 3, Seq: 6, Sum: 0xffffffff}},
		}},
		Quarantine: []Damaged{{Meta: someMeta("trades/q", 3), Moved: "quarantine/trades/q", Reason: "why"}},
	}
}

func TestChangeRoundTrip(t *testing.T) {
	want := someChange()
	got, err := DecodeChange(encodeChange(nil, want, nil))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func FuzzDecodeChange(f *testing.F) {
	f.Add(encodeChange(nil, someChange(), nil))
	f.Add(encodeChange(nil, &Change{Checkpoint: true}, nil))
	f.Add([]byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := DecodeChange(payload)
		if err != nil {
			return
		}
		again, err := DecodeChange(encodeChange(nil, c, nil))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%+v came back as %+v, %v", c, again, err)
		}
	})
}

func FuzzManifest(f *testing.F) {
	whole := appendFrame(nil, encodeChange(nil, &Change{Checkpoint: true, Add: []*Meta{someMeta("trades/a", 3)}}, nil))
	whole = appendFrame(whole, encodeChange(nil, someChange(), nil))
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte(frameMagic))
	f.Fuzz(func(t *testing.T, log []byte) {
		m := &Manifest{state: State{}}
		good, err := m.replay(log)
		if err == nil && (good <= 0 || good > len(log)) {
			t.Fatalf("%d good bytes of %d", good, len(log))
		}
	})
}

// TestManifestDamage: whatever single byte of a log is damaged, either it is
// found, or only the last record is lost; and so for every cut.
func TestManifestDamage(t *testing.T) {
	first := appendFrame(nil, encodeChange(nil, &Change{Checkpoint: true, Add: []*Meta{someMeta("trades/a", 3)}}, nil))
	log := appendFrame(bytes.Clone(first), encodeChange(nil, someChange(), nil))
	for at := range log {
		damaged := bytes.Clone(log)
		damaged[at] ^= 0x10
		m := &Manifest{}
		good, err := m.replay(damaged)
		switch {
		case at < len(first) && err == nil:
			t.Errorf("damage at byte %d of the first record was not noticed", at)
		case at >= len(first) && (err != nil || good != len(first)):
			t.Errorf("damage at byte %d of the last record: %d, %v", at, good, err)
		}
	}
	for n := len(first); n < len(log); n++ {
		m := &Manifest{}
		if good, err := m.replay(log[:n]); err != nil || good != len(first) {
			t.Errorf("cut at %d: %d, %v", n, good, err)
		}
	}
}

func TestManifest(t *testing.T) {
	dir := t.TempDir()
	m, err := OpenManifest(Disk{}, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	reopen := func() {
		t.Helper()
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if m, err = OpenManifest(Disk{}, dir, nil); err != nil {
			t.Fatal(err)
		}
	}
	add := func(c *Change) {
		t.Helper()
		if err := m.Append(c); err != nil {
			t.Fatal(err)
		}
	}
	add(&Change{Add: []*Meta{someMeta("trades/a", 3)}, Positions: []persistence.Position{{Shard: 2, Seq: 3, Epochs: map[string]int64{"a": 1, "b": 2}}}})
	add(someChange())
	for _, bad := range []*Change{
		{Remove: []string{"trades/a"}},
		{Add: []*Meta{someMeta("trades/b", 9)}},
		{Positions: []persistence.Position{{Shard: 2, Seq: 6}}},
	} {
		if err := m.Append(bad); err == nil {
			t.Errorf("a change that does not fit was taken: %+v", bad)
		}
	}
	for range 2 {
		reopen()
		s := m.State()
		if len(s.Parts) != 1 || !reflect.DeepEqual(s.Parts[0], someMeta("trades/b", 7)) || len(s.Quarantined) != 1 {
			t.Fatalf("state %+v", s)
		}
		p := s.Positions[2]
		if p.Seq != 7 || p.Epochs["a"] != 1 || p.Epochs["b"] != 2 || p.Epochs["a/spot/X"] != 4 || len(p.Recorders) != 1 {
			t.Fatalf("position %+v", p)
		}
		if err := m.rewrite(); err != nil {
			t.Fatal(err)
		}
	}
	reopen()
}

// TestManifestCheckpoint: the log does not grow for ever.
func TestManifestCheckpoint(t *testing.T) {
	dir := t.TempDir()
	m, err := OpenManifest(Disk{}, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	name := string(bytes.Repeat([]byte("x"), 100_000))
	rewritten := false
	for i := range 100 {
		was := m.size
		c := &Change{Positions: []persistence.Position{{Seq: uint64(i), JournalID: name}}}
		if err := m.Append(c); err != nil {
			t.Fatal(err)
		}
		rewritten = rewritten || m.size < was
	}
	info, err := os.Stat(filepath.Join(dir, manifestName))
	if err != nil || !rewritten || info.Size() > checkpointSize+1_000_000 || info.Size() != m.size {
		t.Errorf("the log has %v, %v; rewritten: %v", info.Size(), err, rewritten)
	}
}

// TestManifestAfterFailure: whatever step fails, the state is as before, and the
// same change can be appended again.
func TestManifestAfterFailure(t *testing.T) {
	for _, step := range []Step{StepManifestWrite, StepManifestSync} {
		dir := t.TempDir()
		fail := false
		disk := Disk{Before: func(s Step, _ string) error {
			if fail && s == step {
				return errors.New("no")
			}
			return nil
		}}
		m, err := OpenManifest(disk, dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		fail = true
		c := &Change{Add: []*Meta{someMeta("trades/a", 3)}}
		for range 2 { // the second attempt is a rewrite
			var io *persistence.IOError
			if err := m.Append(c); !errors.As(err, &io) {
				t.Fatalf("%s: %v", step, err)
			}
			if len(m.State().Parts) != 0 {
				t.Fatalf("%s: a failed change took effect", step)
			}
		}
		fail = false
		if err := m.Append(c); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if m, err = OpenManifest(Disk{}, dir, nil); err != nil || len(m.State().Parts) != 1 {
			t.Fatalf("%s: after reopening %+v, %v", step, m, err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
