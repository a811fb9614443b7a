package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/persistencetest"
)

// copies is a store that has everything, one that the journal has left behind, and what
// the one offers the other, fetched.
type copies struct {
	peer, behind *world
	offer        persistence.Offer
	files        []persistence.CopyFile
	staged       map[string]string
}

// newCopies makes the peer's first part one that reaches back behind the position of the
// other: neither has cut the journal where the other did.
func newCopies(t *testing.T, seed uint64) *copies {
	t.Helper()
	c := &copies{peer: newWorld(t), behind: newWorld(t), staged: map[string]string{}}
	g := persistencetest.NewGenerator(seed)
	for range 4 {
		c.peer.write(g, 15)
	}
	if err := c.peer.publish(); err != nil {
		t.Fatal(err)
	}
	b := c.behind
	b.messages, b.model = c.peer.messages, c.peer.model
	for i := range 3 {
		apply(t, b.engine, uint64(i+1), b.messages[i])
		if i == 1 {
			publish(t, b.engine) // the third is applied, and not published
		}
	}
	b.purged = len(b.messages)
	var err error
	if c.offer, err = c.peer.engine.CopyOffer(); err != nil {
		t.Fatal(err)
	}
	if c.files, err = b.engine.LacksCopy(&c.offer, 0); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i, f := range c.files {
		c.staged[f.Name] = filepath.Join(dir, fmt.Sprint(i))
		content, size, err := c.peer.engine.OpenCopy(f.Name)
		if err != nil || size != f.Bytes {
			t.Fatalf("%s: %d bytes, %v, want %d", f.Name, size, err, f.Bytes)
		}
		all, err := io.ReadAll(io.NewSectionReader(content, 0, size))
		if err := errors.Join(err, content.Close(), os.WriteFile(c.staged[f.Name], all, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *copies) take(t *testing.T) error {
	t.Helper()
	to, ok := c.offer.Position(0)
	if !ok {
		t.Fatal("nothing is offered")
	}
	return c.behind.engine.TakeCopy(t.Context(), to, c.files, func(f persistence.CopyFile) string { return c.staged[f.Name] })
}

// TestCopyKilledAtEachStep kills the process before every disk step of taking copied
// parts: all of them are there afterwards or none, and it can be done again.
func TestCopyKilledAtEachStep(t *testing.T) {
	for n := 0; ; n++ {
		reached := false
		t.Run(fmt.Sprintf("step %d", n), func(t *testing.T) {
			c := newCopies(t, uint64(n))
			w := c.behind
			at := w.killAt(n)
			err := c.take(t)
			if reached = at(); reached != (err != nil) || reached && !errors.Is(err, errKilled) {
				t.Fatalf("step reached: %v, error: %v", reached, err)
			}
			w.fail = nil
			if err := w.engine.Close(); err != nil {
				t.Fatal(err)
			}
			w.open()
			w.checkFiles()
			if w.engine.Position(0).Seq < uint64(w.purged) {
				if !reached {
					t.Fatal("taken, and forgotten")
				}
				if err := c.take(t); err != nil {
					t.Fatal(err)
				}
			}
			w.replay()
			w.check()
			g := persistencetest.NewGenerator(uint64(n) + 1000)
			w.write(g, 15) // it goes on from there
			if err := w.publish(); err != nil {
				t.Fatal(err)
			}
			w.checkAcrossCrash()
		})
		if !reached || t.Failed() {
			if n < 3 {
				t.Errorf("only %d steps", n)
			}
			return
		}
	}
}

// TestCopiedIsVisibleAtOnce: what was applied and not published is there once, and so is
// what both stores had.
func TestCopiedIsVisibleAtOnce(t *testing.T) {
	c := newCopies(t, 7)
	if err := c.take(t); err != nil {
		t.Fatal(err)
	}
	c.behind.check()
	if got, want := c.behind.engine.Applied(0), uint64(len(c.behind.messages)); got != want {
		t.Errorf("applied up to %d, want %d", got, want)
	}
	// A manifest that is lost is made again from the footers, those of copied parts too.
	w := c.behind
	if err := w.engine.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"MANIFEST", "MANIFEST.older"} {
		if err := os.Remove(filepath.Join(w.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	w.open()
	w.check()
	if got := len(w.engine.damaged); got > 0 {
		t.Errorf("%d parts are taken for damaged", got)
	}
}

func TestCopyIsProven(t *testing.T) {
	c := newCopies(t, 8)
	flip(t, c.staged[c.files[0].Name], 1000)
	if err := c.take(t); !errors.Is(err, persistence.ErrCorrupt) {
		t.Fatalf("a damaged copy: %v", err)
	}
	c.behind.checkFiles()
	flip(t, c.staged[c.files[0].Name], 1000)
	c.files[0].LastSeq++
	if err := c.take(t); !errors.Is(err, persistence.ErrCorrupt) {
		t.Fatalf("a copy that is another file: %v", err)
	}
	c.files[0].LastSeq--
	if _, _, err := c.peer.engine.OpenCopy("../MANIFEST"); !errors.Is(err, persistence.ErrNoCopy) {
		t.Errorf("what is no part: %v", err)
	}
	if err := c.take(t); err != nil {
		t.Fatal(err)
	}
	c.behind.check()
}
