package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/journal"
	"github.com/marketprism/marketprism/persistence"
	wal "github.com/marketprism/marketprism/persistence/journal"
)

// verdict is what Verify answers.
type verdict struct {
	err   atomic.Pointer[error]
	asked atomic.Int64
}

func (v *verdict) set(err error) { v.err.Store(&err) }

func (v *verdict) verify(context.Context, *wal.Journal, int) error {
	v.asked.Add(1)
	return *v.err.Load()
}

func (f *fixture) await(what string, is func(journal.Status) bool) {
	f.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(20 * time.Second); !is(f.status()); <-tick.C {
		if time.Now().After(until) {
			f.Fatalf("%s: %+v", what, f.status())
		}
	}
}

// A journal that is not the store's is not written to, from the first entry on and
// when it turns out later; it is again when it is joined, and not before somebody
// can say so.
func TestForeignJournalIsNotWrittenTo(t *testing.T) {
	foreign := fmt.Errorf("%w: another", persistence.ErrForeign)
	var v verdict
	v.set(foreign)
	s := defaults()
	s.verify = v.verify
	f := run(t, s)
	w := watch(t)
	refused := func() {
		t.Helper()
		if err := f.h.Recorder(0).Record(trades(1, 1)); !errors.Is(err, persistence.ErrForeign) || !errors.Is(err, persistence.ErrRefusing) {
			t.Errorf("Record: %v", err)
		}
		if f.h.Recorder(0).Accepting() || !errors.Is(f.h.Refusing(0), persistence.ErrForeign) {
			t.Errorf("it accepts, refusing %v", f.h.Refusing(0))
		}
	}
	refused()
	v.set(errors.New("the store is away"))
	asked := v.asked.Load()
	f.await("several probes", func(journal.Status) bool { return v.asked.Load() >= asked+3 })
	refused()
	v.set(nil)
	f.await("accepting again", func(s journal.Status) bool { return s.State == "accepting" })
	before := w.want(w.record(f.h.Recorder(0), trades(2, 1)), nil).Seq
	v.set(errors.New("the store is away")) // says nothing about the journal
	w.want(w.record(f.h.Recorder(0), trades(3, 1)), nil)
	v.set(foreign)
	f.await("refusing", func(s journal.Status) bool { return s.State == "refusing" })
	refused()
	v.set(nil)
	f.await("accepting again", func(s journal.Status) bool { return s.State == "accepting" })
	if o := w.want(w.record(f.h.Recorder(0), trades(4, 1)), nil); o.Seq <= before {
		t.Errorf("stored as %d, behind %d", o.Seq, before)
	}
	f.wantCreditBack()
}

// A recorder knows by itself that it writes to an older copy: it is answered with a
// place that was given before.
func TestOlderCopyIsNoticedByItsPlaces(t *testing.T) {
	var v verdict
	v.set(nil)
	s := defaults()
	s.verify = v.verify
	f := run(t, s)
	w := watch(t)
	w.want(w.record(f.h.Recorder(0), trades(1, 1)), nil)
	f.server.stop()
	old := t.TempDir()
	if err := os.CopyFS(old, os.DirFS(f.server.dir)); err != nil {
		t.Fatal(err)
	}
	f.server.start()
	for i := range 5 {
		w.want(w.record(f.h.Recorder(0), trades(2+i, 1)), nil)
	}
	f.server.stop()
	f.server.dir = old
	v.set(fmt.Errorf("%w: an older copy", persistence.ErrForeign))
	f.server.start()
	e := w.record(f.h.Recorder(0), trades(10, 1))
	w.want(e, persistence.ErrForeign)
	if st := f.status(); st.State != "refusing" || st.Reason == "" {
		t.Errorf("%+v", st)
	}
	v.set(nil)
	f.await("accepting again", func(s journal.Status) bool { return s.State == "accepting" })
	w.want(w.record(f.h.Recorder(0), trades(11, 1)), nil)
	f.wantCreditBack()
}
