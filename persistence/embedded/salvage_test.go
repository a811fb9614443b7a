package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/persistencetest"
)

// history is a store whose manifest has records of every sort: publications, a merge
// whose sources are unlinked, and publications behind it. The journal has been purged, and
// has a message that is not published. Summed, the log was begun anew before those.
func history(t *testing.T, summed bool) *world {
	w := newWorld(t)
	g := persistencetest.NewGenerator(7)
	publish := func() {
		w.write(g, 40)
		if err := w.publish(); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		publish()
	}
	for range 2 { // merged, and then unlinked
		w.clock.advance(2 * time.Hour)
		if err := w.engine.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if summed {
		if err := w.engine.manifest.Replace(w.engine.manifest.State()); err != nil {
			t.Fatal(err)
		}
	}
	publish()
	publish()
	w.purged = len(w.messages) // but for the last, which is never purged
	if !summed {
		w.purged--
	}
	w.write(g, 40) // and not published
	return w
}

// copied is a world on a copy of the directory, which harm changes before it is opened.
func (w *world) copied(t *testing.T, harm func(manifest string)) *world {
	t.Helper()
	c := &world{t: t, dir: t.TempDir(), clock: w.clock, messages: w.messages, purged: w.purged, model: w.model}
	if err := os.CopyFS(c.dir, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	harm(filepath.Join(c.dir, "MANIFEST"))
	c.open()
	t.Cleanup(func() {
		if err := c.engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// quarantined are the reports of damage.
func (w *world) quarantined() []persistence.Quarantined {
	w.t.Helper()
	stats, err := w.engine.Stats(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return stats.Quarantined
}

// TestLargeSalvage: whichever record of the manifest is damaged, or all of them, the store
// opens with every row, once. The damage is reported until somebody removes the copy.
func TestLargeSalvage(t *testing.T) {
	t.Run("records", func(t *testing.T) { salvage(t, history(t, false), 6) })
	t.Run("a sum and records", func(t *testing.T) { salvage(t, history(t, true), 3) })
}

func salvage(t *testing.T, w *world, records int) {
	log, err := os.ReadFile(filepath.Join(w.dir, "MANIFEST"))
	if err != nil {
		t.Fatal(err)
	}
	var starts []int
	for at := 0; at < len(log); at++ {
		if bytes.HasPrefix(log[at:], []byte("MPM\x01")) {
			starts = append(starts, at)
		}
	}
	if len(starts) < records {
		t.Fatalf("%d records, want %d", len(starts), records)
	}
	write := func(b []byte) func(string) {
		return func(path string) {
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	damages := map[string]func(string){
		"it is missing": func(path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"it is empty":   write(nil),
		"it is garbage": write(bytes.Repeat([]byte("x"), 300)),
		"nothing is left, nor of the one before": func(path string) {
			for _, name := range []string{path, path + ".older"} {
				if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
		},
	}
	for i, at := range starts {
		bad := bytes.Clone(log)
		bad[at+[...]int{2, 20}[i%2]] ^= 0x40 // its heading, or its content
		damages[fmt.Sprintf("record %d of %d", i+1, len(starts))] = write(bad)
	}
	last := fmt.Sprintf("record %d of", len(starts))
	for name, harm := range damages {
		t.Run(name, func(t *testing.T) {
			c := w.copied(t, harm)
			c.replay()
			c.check()
			c.checkFiles()
			if strings.HasPrefix(name, last) { // as a crash leaves it
				if q := c.quarantined(); len(q) != 0 {
					t.Errorf("quarantined %+v", q)
				}
				c.crash()
				c.check()
				return
			}
			for range 2 {
				if q := c.quarantined(); len(q) != 1 || !strings.HasSuffix(q[0].Part.Path, "/MANIFEST") || q[0].Reason == "" {
					t.Fatalf("quarantined %+v, want the manifest", q)
				}
				c.crash()
				c.check()
			}
			// What was read again is published, and everything is lost once more.
			if err := c.publish(); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{filepath.Join(c.dir, "MANIFEST"), filepath.Join(c.dir, "MANIFEST.older")} {
				if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
			c.purged = len(c.messages) - 1
			c.crash()
			c.check()
			if err := os.RemoveAll(filepath.Join(c.dir, "quarantine")); err != nil {
				t.Fatal(err)
			}
			c.crash()
			c.check()
			if q := c.quarantined(); len(q) != 0 {
				t.Errorf("the copy is gone, quarantined is %+v", q)
			}
		})
	}
}

// TestLargeSalvageIsRepeated: the process is killed before every step of salvaging.
func TestLargeSalvageIsRepeated(t *testing.T) {
	w := history(t, false)
	harm := func(path string) { flip(t, path, 30) }
	for n, reached := 0, true; reached; n++ {
		c := &world{t: t, dir: t.TempDir(), clock: w.clock, messages: w.messages, purged: w.purged, model: w.model}
		if err := os.CopyFS(c.dir, os.DirFS(w.dir)); err != nil {
			t.Fatal(err)
		}
		harm(filepath.Join(c.dir, "MANIFEST"))
		was := c.killAt(n)
		e, err := Open(c.dir, DefaultConfig(), Surroundings{Now: c.clock.now, Disk: c.disk()})
		if reached = was(); reached && err == nil {
			t.Fatalf("step %d failed and nobody says so", n)
		}
		if c.engine = e; err != nil {
			c.fail = nil
			c.open()
		}
		c.replay()
		c.check()
		if q := c.quarantined(); len(q) != 1 {
			t.Errorf("step %d: quarantined %+v", n, q)
		}
		if err := c.engine.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLargeSalvageSetsAside: a part of which nothing is known, because its record is damaged
// too, is not served and not deleted.
func TestLargeSalvageSetsAside(t *testing.T) {
	w := history(t, false)
	var bad string
	c := w.copied(t, func(manifest string) {
		if err := os.Remove(manifest); err != nil {
			t.Fatal(err)
		}
		found, err := filepath.Glob(filepath.Join(filepath.Dir(manifest), "trades", "*.parquet"))
		if err != nil || len(found) == 0 {
			t.Fatal(err)
		}
		bad = found[len(found)-1]
		info, err := os.Stat(bad)
		if err != nil {
			t.Fatal(err)
		}
		flip(t, bad, info.Size()-6) // the length of its footer
	})
	var about []string
	for _, q := range c.quarantined() {
		about = append(about, q.Part.Path)
		if _, err := os.Stat(q.Path); err != nil {
			t.Error(err)
		}
	}
	if len(about) != 2 || about[0] != bad {
		t.Errorf("quarantined %q, want %s and the manifest", about, bad)
	}
	c.replay() // brings its rows again, where nothing has been purged
	c.check()
}

// TestMend: a good copy of a damaged part in its place is served from the next start on,
// a bad one stays where it is; a part that is removed from quarantine is forgotten.
func TestMend(t *testing.T) {
	w := damaged(t)
	bad := w.engine.Parts()[0]
	good, err := os.ReadFile(bad.Path)
	if err != nil {
		t.Fatal(err)
	}
	read := func() int {
		texts, _, err := persistencetest.Read(t.Context(), w.engine, persistence.Query{Kind: bad.Kind})
		if err != nil {
			t.Fatal(err)
		}
		return len(texts)
	}
	all := read()
	if err := os.Remove(bad.Path); err != nil {
		t.Fatal(err)
	}
	w.crash()
	w.checkQuarantine(bad)
	put := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(bad.Path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		w.crash()
	}
	put(good[:len(good)-9])
	if _, err := os.Stat(bad.Path); err != nil || len(w.quarantined()) != 1 {
		t.Errorf("a copy that is not whole: %v, quarantined %+v", err, w.quarantined())
	}
	put(good)
	if n := read(); n != all || len(w.quarantined()) != 0 {
		t.Errorf("%d rows of %d with the good copy; quarantined %+v", n, all, w.quarantined())
	}
	if err := os.Remove(bad.Path); err != nil {
		t.Fatal(err)
	}
	w.crash()
	q := w.quarantined()
	if len(q) != 1 {
		t.Fatalf("quarantined %+v", q)
	}
	if err := os.Remove(q[0].Path); err != nil {
		t.Fatal(err)
	}
	w.crash()
	if q := w.quarantined(); len(q) != 0 {
		t.Errorf("forgotten, and still quarantined: %+v", q)
	}
	if err := w.engine.Maintain(t.Context()); err != nil && !errors.Is(err, t.Context().Err()) {
		t.Fatal(err)
	}
}
