package journal

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/marketprism/marketprism/persistence"
)

// read reads to the end and returns the payloads and the position.
func read(t testing.TB, j *Journal, from persistence.Position, n int) (payloads []string, at persistence.Position) {
	t.Helper()
	r := newReader(t, j, from)
	for range n {
		payloads = append(payloads, string(next(t, r).Payload))
	}
	return payloads, r.Position()
}

func TestCompare(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	rec := newRecorder(t, j)
	record(t, rec, []byte("one"))
	old := b.copyStore()
	record(t, rec, []byte("two"))
	_, at := read(t, j, start(t, j), 2)
	compare := func(name string, j *Journal, pos persistence.Position, applied uint64, want error) {
		t.Helper()
		if _, err := j.Compare(testContext(t), pos, applied); !errors.Is(err, want) || IsForeign(err) != (want != nil && !errors.Is(want, ErrPurged)) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	compare("the same", j, at, at.Seq, nil)
	compare("a store that never published", j, persistence.Position{}, 0, nil)
	compare("applied beyond the end", j, at, at.Seq+1, ErrRolledBack)
	other := at
	other.JournalID = "0123"
	compare("another", j, other, at.Seq, ErrOtherJournal)

	b.stop()
	b.dir = old
	b.start()
	j = b.openJournal(testConfig())
	compare("an older copy", j, at, at.Seq, ErrRolledBack)
	record(t, newRecorder(t, j), []byte("three"))
	compare("an older copy that was written to", j, at, at.Seq, ErrForked)
	wantFault(t, newReader(t, j, at), at.Seq, ErrForked)
	for range 2 {
		record(t, rec, []byte("more"))
	}
	purge(t, j)
	compare("a journal that has forgotten", j, persistence.Position{JournalID: j.ID(), Seq: 1}, 1, ErrPurged)
}

// TestAdoptOlderCopy: an older copy of the journal is written to; what the store has
// not read is taken out, the journal goes on behind the store's position, and what
// was taken out is read once, in order, before and after a restart of the broker.
func TestAdoptOlderCopy(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	rec := newRecorder(t, j)
	record(t, rec, []byte("one"))
	old := b.copyStore()
	for _, s := range []string{"two", "three", "four"} {
		record(t, rec, []byte(s))
	}
	_, at := read(t, j, start(t, j), 4)
	record(t, rec, []byte("lost"))

	b.stop()
	b.dir = old
	b.start()
	j = b.openJournal(testConfig())
	late := newRecorder(t, j)
	record(t, late, []byte("five"))
	record(t, rec, []byte("six")) // by the one that went on: number 6, of which the store has 4

	file := filepath.Join(t.TempDir(), "rescue")
	rescue, err := CreateRescue(file)
	if err != nil {
		t.Fatal(err)
	}
	u, err := j.FindUnread(testContext(t), at, rescue.Add)
	if err == nil {
		err = rescue.Close()
	}
	if err != nil || u.Messages != 2 || u.Rows != 2 || u.Damaged != 0 || u.Last != 3 {
		t.Fatalf("%+v, %v", u, err)
	}
	to := max(at.Seq, u.Last) + 1
	if err := j.SkipTo(testContext(t), 0, to); err != nil {
		t.Fatal(err)
	}
	joined := persistence.Position{JournalID: j.ID(), Seq: to, Recorders: u.Recorders}
	adopter := newRecorder(t, j)
	if err := ReadRescue(file, func(raw []byte) error {
		return adopter.Replay(testContext(t), raw)
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Compare(testContext(t), joined, to); err != nil {
		t.Errorf("after it was joined: %v", err)
	}
	// Those who wrote go on, and a restart changes nothing.
	record(t, rec, []byte("seven"))
	b.stop()
	b.start()
	record(t, late, []byte("eight"))
	got, _ := read(t, j, joined, 4)
	if want := []string{"five", "six", "seven", "eight"}; !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}

func TestReadRescueRefusesHalfAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rescue")
	r, err := CreateRescue(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{"one", "two"} {
		if err := r.Add([]byte(raw)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	keep := func(raw []byte) error { got.Write(raw); return nil }
	if err := ReadRescue(file, keep); err != nil || got.String() != "onetwo" {
		t.Errorf("%q, %v", got.String(), err)
	}
	var io *persistence.IOError
	if err := ReadRescue(file+".tmp", keep); !errors.As(err, &io) {
		t.Errorf("a file that is not there: %v", err)
	}
}
