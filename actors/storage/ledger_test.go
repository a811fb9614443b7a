package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// process is a lifecycle of its own on a directory.
func process(t *testing.T, dir string, m *movements) (h *Handle, stop func()) {
	t.Helper()
	h, err := New(Options{
		Config: DefaultConfig(), Engine: filled{}, Tiers: m, Shards: 1, Dir: dir,
		Journal: func(context.Context) (*journal.Journal, error) { return nil, errors.New("none") },
	})
	if err != nil {
		t.Fatal(err)
	}
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	spec := supervise.Spec{Name: "lifecycle", New: func() supervise.Actor { return newLifecycle(h) }, ShutdownTimeout: 10 * time.Second}
	if err := sys.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	actorstest.Eventually(t, "the lifecycle", func() bool { return h.lifecycleAt.Load() != nil })
	return h, func() {
		if err := sys.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func await(t *testing.T, h *Handle, id string) Operation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	o, err := h.Await(ctx, id)
	if err != nil {
		t.Fatalf("operation %s is %+v: %v", id, o, err)
	}
	return o
}

// TestOperationsOutliveTheProcess: what is over is known to the next process with its
// counts; what was stopped goes on under the same id, with the same cutoff and kinds.
func TestOperationsOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	first := &movements{}
	h, stop := process(t, dir, first)
	done, _, err := h.Archive(t.Context(), nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	done = await(t, h, done.ID)
	first.mu.Lock()
	first.gate, first.began = make(chan struct{}), make(chan struct{}, 1)
	first.mu.Unlock()
	cut, _, err := h.Archive(t.Context(), []market.Kind{market.KindTrade}, 30*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	waiting, _, err := h.Cleanup(t.Context(), 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	<-first.began
	stop()
	if o := await(t, h, cut.ID); o.State != OperationInterrupted {
		t.Fatalf("a stopped archive is %s", o.State)
	}

	second := &movements{}
	h, stop = process(t, dir, second)
	defer stop()
	if o, err := h.Operation(done.ID); err != nil || o.State != OperationSucceeded || o.Rows != done.Rows || o.ByTable["trades"] != 5 || o.Resumed != 0 {
		t.Errorf("what was over is %+v, %v", o, err)
	}
	if o := await(t, h, cut.ID); o.State != OperationSucceeded || o.Resumed != 1 || o.Problem != "" || !o.Created.Equal(cut.Created) {
		t.Errorf("what was stopped is %+v", o)
	}
	if o := await(t, h, waiting.ID); o.State != OperationSucceeded || o.Resumed != 1 || o.Rows != 3 {
		t.Errorf("what waited is %+v", o)
	}
	second.mu.Lock()
	defer second.mu.Unlock()
	if n := len(second.archives); n != 1 || len(second.archives[0].Kinds) != 1 || second.archives[0].Kinds[0] != market.KindTrade {
		t.Fatalf("%d archives, %+v", n, second.archives)
	}
	if off := second.archives[0].Before.Sub(cut.Cutoff); off < 0 || off > time.Minute {
		t.Errorf("it goes on up to %v later", off)
	}
	if list := h.Operations(); len(list) != 3 || list[0].ID != waiting.ID || list[2].ID != done.ID {
		t.Errorf("the list: %+v", list)
	}
}

// TestKilledOperation: the file alone tells what a killed process was at; what ends
// every process is given up.
func TestKilledOperation(t *testing.T) {
	dir := t.TempDir()
	m := &movements{gate: make(chan struct{}), began: make(chan struct{}, 1)}
	h, stop := process(t, dir, m)
	o, _, err := h.Archive(t.Context(), nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	<-m.began
	text, err := os.ReadFile(filepath.Join(dir, ledgerName)) // as a kill would leave it
	if err != nil {
		t.Fatal(err)
	}
	stop()
	for n := 1; n <= resumeLimit+1; n++ {
		if err := os.WriteFile(filepath.Join(dir, ledgerName), text, 0o644); err != nil {
			t.Fatal(err)
		}
		m := &movements{gate: make(chan struct{}), began: make(chan struct{}, 1)}
		h, stop = process(t, dir, m)
		if n > resumeLimit {
			if got := await(t, h, o.ID); got.State != OperationInterrupted || got.Problem == "" {
				t.Errorf("the process ended %d times over it, and it is %+v", n, got)
			}
			stop()
			break
		}
		<-m.began
		if got, err := h.Operation(o.ID); err != nil || got.Resumed != n {
			t.Errorf("after %d kills: %+v, %v", n, got, err)
		}
		if text, err = os.ReadFile(filepath.Join(dir, ledgerName)); err != nil {
			t.Fatal(err)
		}
		stop()
	}
}

// TestCountsOutliveAKill: a cleanup that is killed while it removes counts, in the end,
// what was removed: what it knows of, and, by asking the store, what it was at.
func TestCountsOutliveAKill(t *testing.T) {
	for _, removed := range []bool{false, true} {
		dir := t.TempDir()
		file := filepath.Join(dir, ledgerName)
		killed := errors.New("killed")
		var text []byte
		m := &movements{}
		m.remove = func(r persistence.Removal) error {
			if r.Places[0] != "1" {
				return nil
			}
			var err error
			if text, err = os.ReadFile(file); err != nil { // as a kill would leave it
				t.Error(err)
			}
			return killed
		}
		h, stop := process(t, dir, m)
		o, _, err := h.Cleanup(t.Context(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		await(t, h, o.ID)
		stop()
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		m = &movements{removed: removed} // 3 more are there to be removed
		h, stop = process(t, dir, m)
		want := int64(1 + 3)
		if removed {
			want++
		}
		if got := await(t, h, o.ID); got.State != OperationSucceeded || got.Rows != want || got.Resumed != 1 {
			t.Errorf("the row was removed: %v; it is %+v, want %d rows", removed, got, want)
		}
		stop()
		if len(m.asked) != 1 || m.asked[0].Places[0] != "1" {
			t.Errorf("asked about %+v", m.asked)
		}
	}
}

// TestResumedArchiveCountsAll: it tells the store since when, and the total is of all.
func TestResumedArchiveCountsAll(t *testing.T) {
	dir := t.TempDir()
	m := &movements{gate: make(chan struct{}), began: make(chan struct{}, 1)}
	h, stop := process(t, dir, m)
	o, _, err := h.Archive(t.Context(), nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	<-m.began
	if got := m.archives[0]; got.Operation != o.ID || !got.Since.IsZero() {
		t.Errorf("first: %+v", got)
	}
	stop()
	m = &movements{}
	h, stop = process(t, dir, m)
	defer stop()
	await(t, h, o.ID)
	if got := m.archives[0]; got.Operation != o.ID || !got.Since.Equal(o.Created) {
		t.Errorf("then: %+v", got)
	}
}

// TestScheduledIsNotResumed: the schedule does it anyway.
func TestScheduledIsNotResumed(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		o    Operation
		left bool
	}{
		{Operation{Job: JobArchive, State: OperationRunning, Created: now}, true},
		{Operation{Job: JobCleanup, State: OperationInterrupted, Created: now}, true},
		{Operation{Job: JobArchive, State: OperationRunning, Created: now, Scheduled: true}, false},
		{Operation{Job: JobRetention, State: OperationQueued, Created: now}, false},
		{Operation{Job: JobArchive, State: OperationFailed, Created: now}, false},
		{Operation{Job: JobArchive, State: OperationRunning, Created: now.Add(-8 * 24 * time.Hour)}, false},
		{Operation{Job: JobArchive, State: OperationRunning, Created: now, Tables: []string{"dreams"}}, false},
		{Operation{Job: JobArchive, State: OperationRunning, Created: now, Resumed: resumeLimit}, false},
	} {
		r := recalled(tc.o, now)
		if r.left != tc.left || r.now.Over() == tc.left {
			t.Errorf("%+v: taken up again %v, now %s", tc.o, r.left, r.now.State)
		}
	}
}

// TestDamagedLedger: the operations of before are lost, and nothing else.
func TestDamagedLedger(t *testing.T) {
	for _, text := range []string{"", "{", `{"version":99,"operations":[]}`, "null"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, ledgerName), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		h, stop := process(t, dir, &movements{})
		fault := h.operations.health()
		aside, err := os.ReadFile(filepath.Join(dir, ledgerName+".damaged"))
		if fault == nil || !strings.Contains(fault.Error(), ledgerName) || err != nil || string(aside) != text {
			t.Errorf("%q: %v; aside %q, %v", text, fault, aside, err)
		}
		o, _, err := h.Archive(t.Context(), nil, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		await(t, h, o.ID)
		stop()
	}
}

// TestLedgerCannotBeWritten: the operation is done all the same, and the health report
// says that nobody will know of it.
func TestLedgerCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	h, stop := process(t, dir, &movements{})
	defer stop()
	o, _, err := h.Archive(t.Context(), nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if o = await(t, h, o.ID); o.State != OperationSucceeded {
		t.Errorf("it is %s", o.State)
	}
	if h.operations.health() == nil {
		t.Error("nobody is told")
	}
}
