package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/memtable"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/persistencetest"
)

// world is a journal, a store that fails where it is told, and the truth.
type world struct {
	t        *testing.T
	dir      string
	clock    *clock
	engine   *Engine
	messages []*market.Batch
	// purged is how many of the messages the journal does not have any more.
	purged int
	model  *persistencetest.Model
	// fail is asked before every step of the disk.
	fail func(step part.Step, path string) error
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), clock: newClock(), model: persistencetest.NewModel()}
	w.open()
	t.Cleanup(func() {
		if err := w.engine.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

func (w *world) open() {
	w.t.Helper()
	e, err := Open(w.dir, DefaultConfig(), Surroundings{Now: w.clock.now, Disk: w.disk()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.engine = e
}

// disk fails where the world is told to.
func (w *world) disk() part.Disk {
	return part.Disk{Before: func(step part.Step, path string) error {
		if w.fail == nil {
			return nil
		}
		return w.fail(step, path)
	}}
}

// crash throws the process away, opens the store and replays the journal.
func (w *world) crash() {
	w.t.Helper()
	w.fail = nil
	if err := w.engine.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
	w.replay()
}

// replay applies what the journal has behind the position; without one, all that it has.
func (w *world) replay() {
	w.t.Helper()
	from := int(w.engine.Position(0).Seq)
	if w.engine.Position(0).JournalID == "" {
		from = w.purged
	}
	if from < w.purged {
		w.t.Fatalf("the store is at %d, and the journal is purged up to %d", from, w.purged)
	}
	for i := from; i < len(w.messages); i++ {
		apply(w.t, w.engine, uint64(i+1), w.messages[i])
	}
}

func (w *world) write(g *persistencetest.Generator, rows int) {
	w.t.Helper()
	b := &market.Batch{}
	for range rows {
		g.Add(b, []market.Kind{market.KindTrade, market.KindBookDelta, market.KindTicker}[g.IntN(3)])
	}
	w.messages = append(w.messages, b)
	apply(w.t, w.engine, uint64(len(w.messages)), b)
	w.model.Apply(b)
}

func (w *world) publish() error {
	w.t.Helper()
	if err := w.engine.Seal(persistence.Position{JournalID: "j", Seq: uint64(len(w.messages))}); err != nil {
		return err
	}
	return w.engine.Publish(w.t.Context(), 0)
}

// check compares the store with the truth.
func (w *world) check() {
	w.t.Helper()
	stats, err := w.engine.Stats(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for i, kind := range persistencetest.StoredKinds() {
		q := persistence.Query{Kind: kind}
		got, _, err := persistencetest.Read(w.t.Context(), w.engine, q)
		if err != nil {
			w.t.Fatal(err)
		}
		if want := w.model.Select(q); !slices.Equal(got, want) {
			w.t.Fatalf("%v: read %d records, want %d", kind, len(got), len(want))
		}
		if stats.Tables[i].Rows != w.model.Count(kind) {
			w.t.Fatalf("%v: counted %d rows, want %d", kind, stats.Tables[i].Rows, w.model.Count(kind))
		}
	}
}

// checkAcrossCrash compares the store with the truth before and after a crash.
func (w *world) checkAcrossCrash() {
	w.t.Helper()
	w.check()
	w.crash()
	w.check()
	w.checkFiles()
}

// checkFiles holds the directory to the manifest.
func (w *world) checkFiles() {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "*", "*.parquet*"))
	if err != nil {
		w.t.Fatal(err)
	}
	var listed []string
	for _, p := range w.engine.Parts() {
		listed = append(listed, p.Path)
	}
	slices.Sort(listed)
	slices.Sort(found)
	if !slices.Equal(found, listed) {
		w.t.Fatalf("files %v, listed %v", found, listed)
	}
}

var errKilled = errors.New("killed")

// killAt makes the n-th disk step from now and all after it fail, and says
// whether that step was reached.
func (w *world) killAt(n int) (reached func() bool) {
	count := 0
	w.fail = func(part.Step, string) error {
		count++
		if count > n {
			return errKilled
		}
		return nil
	}
	return func() bool { return count > n }
}

// TestCrashWhilePublishing kills the process before every single disk step of a
// publication; the same records are there afterwards, each once.
func TestCrashWhilePublishing(t *testing.T) {
	for n := 0; ; n++ {
		reached := false
		t.Run(fmt.Sprintf("step %d", n), func(t *testing.T) {
			w := newWorld(t)
			g := persistencetest.NewGenerator(uint64(n))
			w.write(g, 100)
			if err := w.publish(); err != nil {
				t.Fatal(err)
			}
			w.write(g, 100)
			at := w.killAt(n)
			err := w.publish()
			if reached = at(); reached != (err != nil) {
				t.Fatalf("step reached: %v, error: %v", reached, err)
			}
			if reached && !errors.Is(err, errKilled) {
				t.Fatalf("unexpected error %v", err)
			}
			w.checkAcrossCrash() // the survivor still serves everything
			if err := w.publish(); err != nil {
				t.Fatal(err)
			}
			w.checkAcrossCrash()
		})
		if !reached || t.Failed() {
			if n != 3*7+2 {
				t.Errorf("a publication of three tables has %d disk steps", n)
			}
			return
		}
	}
}

// TestRetryAfterFailure lets every disk step of a publication fail once; the
// next Publish succeeds in the same process.
func TestRetryAfterFailure(t *testing.T) {
	for n := 0; ; n++ {
		reached := false
		t.Run(fmt.Sprintf("step %d", n), func(t *testing.T) {
			w := newWorld(t)
			g := persistencetest.NewGenerator(uint64(n))
			w.write(g, 100)
			count := 0
			w.fail = func(part.Step, string) error {
				count++
				if count-1 == n {
					return syscall.ENOSPC
				}
				return nil
			}
			err := w.publish()
			if reached = count > n; !reached {
				return
			}
			var io *persistence.IOError
			if !errors.As(err, &io) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("a full disk is %v", err)
			}
			if stats, err := w.engine.Stats(t.Context()); err != nil || stats.PublishFailures != 1 {
				t.Fatalf("stats %+v, %v", stats, err)
			}
			w.check()
			w.write(g, 20)
			w.check()
			if err := w.engine.Publish(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			if got := w.engine.Position(0).Seq; got != 1 {
				t.Fatalf("position %d after the retry, want 1", got)
			}
			if err := w.publish(); err != nil {
				t.Fatal(err)
			}
			w.checkAcrossCrash()
		})
		if !reached || t.Failed() {
			return
		}
	}
}

// TestCrashWhileMerging kills the process before every disk step of a merge, and
// of the unlinking after it.
func TestLargeCrashWhileMerging(t *testing.T) {
	for n := 0; ; n++ {
		reached := false
		t.Run(fmt.Sprintf("step %d", n), func(t *testing.T) {
			w := newWorld(t)
			g := persistencetest.NewGenerator(uint64(n))
			for range 3 {
				w.write(g, 60)
				if err := w.publish(); err != nil {
					t.Fatal(err)
				}
			}
			w.clock.advance(2 * time.Hour)
			at := w.killAt(n)
			err := w.engine.Maintain(t.Context())
			w.clock.advance(time.Hour)
			err = errors.Join(err, w.engine.Maintain(t.Context()))
			if reached = at(); reached != (err != nil) {
				t.Fatalf("step reached: %v, error: %v", reached, err)
			}
			w.checkAcrossCrash()
			if err := w.engine.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := len(w.engine.Parts()); got != 3 { // one a table
				t.Errorf("%d parts after merging, want 3", got)
			}
			w.check()
		})
		if !reached || t.Failed() {
			return
		}
	}
}

func TestBacklog(t *testing.T) {
	cfg := DefaultConfig()
	cfg.PublishRows = 10
	c := newClock()
	e, err := Open(t.TempDir(), cfg, Surroundings{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	g := persistencetest.NewGenerator(1)
	seq := uint64(0)
	next := func() error {
		b := &market.Batch{}
		for range 10 {
			g.Add(b, market.KindTrade)
		}
		seq++
		err := e.Apply(0, seq, b)
		if err != nil {
			seq--
		}
		return err
	}
	for i := range memtable.MaxSealed {
		if err := next(); err != nil {
			t.Fatal(err)
		}
		if !e.Due(0) {
			t.Fatal("not due with enough rows")
		}
		if err := e.Seal(persistence.Position{Seq: seq}); err != nil {
			t.Fatalf("seal %d: %v", i, err)
		}
	}
	for range memtable.BacklogFactor {
		if err := next(); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Seal(persistence.Position{Seq: seq}); !errors.Is(err, persistence.ErrBacklog) {
		t.Errorf("sealing beyond the backlog: %v", err)
	}
	if err := next(); !errors.Is(err, persistence.ErrBacklog) {
		t.Errorf("applying beyond the backlog: %v", err)
	}
	if got := e.Applied(0); got != seq {
		t.Errorf("applied %d, want %d", got, seq)
	}
	if err := e.Publish(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if got := e.Position(0).Seq; got != memtable.MaxSealed {
		t.Errorf("published up to %d, want everything sealed, %d", got, memtable.MaxSealed)
	}
	if err := e.Seal(persistence.Position{Seq: seq}); err != nil {
		t.Errorf("sealing after publishing: %v", err)
	}
	if err := next(); err != nil {
		t.Errorf("applying after publishing: %v", err)
	}
}

func TestDueByAge(t *testing.T) {
	c := newClock()
	e := openTest(t, t.TempDir(), c)
	if e.Due(0) {
		t.Error("an empty store is due")
	}
	apply(t, e, 1, &market.Batch{})
	c.advance(29 * time.Second)
	if e.Due(0) {
		t.Error("due before the interval")
	}
	c.advance(time.Second)
	if !e.Due(0) {
		t.Error("not due after the interval")
	}
	publish(t, e)
	if e.Due(0) || e.Position(0).Seq != 1 || len(e.Parts()) != 0 {
		t.Error("messages without records were not published as a position")
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(dir, DefaultConfig(), Surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, DefaultConfig(), Surroundings{}); !errors.Is(err, persistence.ErrLocked) {
		t.Errorf("a second one opened it: %v", err)
	}
	rows, err := e.Query(t.Context(), persistence.Query{Kind: market.KindTrade})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := rows.Next(t.Context(), &market.Batch{}); !errors.Is(err, persistence.ErrClosed) {
		t.Errorf("reading on after Close: %v", err)
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	if err := e.Apply(0, 1, &market.Batch{}); !errors.Is(err, persistence.ErrClosed) {
		t.Errorf("Apply after Close: %v", err)
	}
	if _, err := e.Query(t.Context(), persistence.Query{Kind: market.KindTrade}); !errors.Is(err, persistence.ErrClosed) {
		t.Errorf("Query after Close: %v", err)
	}
	if err := e.Publish(t.Context(), 0); !errors.Is(err, persistence.ErrClosed) {
		t.Errorf("Publish after Close: %v", err)
	}
	again, err := Open(dir, DefaultConfig(), Surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "LOCK")); err != nil {
		t.Error(err)
	}
}

// TestPublicationSteps: the order in which a publication becomes durable is the
// promise itself; no file system of a test loses what was not synced.
func TestPublicationSteps(t *testing.T) {
	w := newWorld(t)
	b := &market.Batch{}
	r := market.Add[market.Trade](b)
	r.Instrument, r.TS = btc, persistencetest.Base
	apply(t, w.engine, 1, b)
	w.messages = append(w.messages, b)
	var steps []part.Step
	w.fail = func(step part.Step, path string) error {
		dir, tmp := filepath.Dir(path), filepath.Ext(path) == ".tmp"
		early := step == part.StepCreate || step == part.StepWrite || step == part.StepSync || step == part.StepVerify
		if early != tmp || step == part.StepSyncDir && path != filepath.Join(w.dir, "trades") || step == part.StepRename && dir != filepath.Join(w.dir, "trades") {
			t.Errorf("%s of %s", step, path)
		}
		if got := w.engine.Position(0).Seq; got != 0 {
			t.Errorf("%s: the position counts already", step)
		}
		steps = append(steps, step)
		return nil
	}
	if err := w.publish(); err != nil {
		t.Fatal(err)
	}
	want := []part.Step{
		part.StepCreate, part.StepWrite, part.StepSync, part.StepSync /* close */, part.StepVerify, part.StepRename, part.StepSyncDir,
		part.StepManifestWrite, part.StepManifestSync,
	}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %q\nwant  %q", steps, want)
	}
}
