package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
)

// retention of the suite's books.
var retention = ledger.Retention{Count: 50, Total: 5000, Age: 0}

// Run holds a store against what every one has to do. open is called for an empty
// store.
func Run(t *testing.T, open func(t *testing.T) ledger.Store) {
	for name, check := range map[string]func(*testing.T, ledger.Store){
		"fires and results are read again": readAgain, "the former leader is refused": fenced, "snapshots change nothing": snapshots,
		"documents": documents,
	} {
		t.Run(name, func(t *testing.T) { check(t, open(t)) })
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func lead(t *testing.T, s ledger.Store) (ledger.Writer, *ledger.Book) {
	t.Helper()
	book := ledger.NewBook(retention)
	w, err := s.Lead(within(t), book)
	if err != nil {
		t.Fatal(err)
	}
	return w, book
}

// appended appends n fires of a task and their results, and applies them.
func appended(t *testing.T, w ledger.Writer, book *ledger.Book, task string, from, n int) {
	t.Helper()
	ctx := within(t)
	for i := from; i < from+n; i++ {
		fires := []ledger.Fire{{Task: task, Nominal: int64(i) * 1000}}
		if err := w.Fires(ctx, fires); err != nil {
			t.Fatal(err)
		}
		book.Fired(fires)
		if i%5 == 4 { // one without a result
			continue
		}
		results := []ledger.Result{{Task: task, Nominal: int64(i) * 1000, Outcome: ledger.Succeeded, Started: int64(i)*1000 + 1, Took: 1000, Attempts: 1, Answer: fmt.Sprint(i)}}
		if err := w.Results(ctx, results); err != nil {
			t.Fatal(err)
		}
		book.Finished(results)
	}
}

// same compares what two books say of a task.
func same(t *testing.T, task string, got, want *ledger.Book) {
	t.Helper()
	if g, w := got.Of(task), want.Of(task); !reflect.DeepEqual(g, w) {
		t.Errorf("%s:\n got %+v\nwant %+v", task, g, w)
	}
	if g, w := got.Runs(task), want.Runs(task); !reflect.DeepEqual(g, w) {
		t.Errorf("%s: %d runs, want %d, or other ones", task, len(g), len(w))
	}
	if g, w := got.Unfinished(task), want.Unfinished(task); !reflect.DeepEqual(g, w) {
		t.Errorf("%s: unfinished %+v, want %+v", task, g, w)
	}
}

func readAgain(t *testing.T, s ledger.Store) {
	w, book := lead(t, s)
	appended(t, w, book, "a", 1, 20)
	appended(t, w, book, "b", 1, 3)
	again, read := lead(t, s)
	if again.Fence() <= w.Fence() {
		t.Errorf("fence %d after %d", again.Fence(), w.Fence())
	}
	same(t, "a", read, book)
	same(t, "b", read, book)
	if last := read.Of("a").Last; last != 20_000 {
		t.Errorf("last is %d", last)
	}
}

func fenced(t *testing.T, s ledger.Store) {
	old, _ := lead(t, s)
	next, book := lead(t, s)
	ctx := within(t)
	if err := old.Fires(ctx, []ledger.Fire{{Task: "a", Nominal: 1000}}); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("fires of the former leader: %v", err)
	}
	if err := old.Results(ctx, []ledger.Result{{Task: "a", Nominal: 1000}}); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("results of the former leader: %v", err)
	}
	appended(t, next, book, "a", 1, 2)
	_, read := lead(t, s)
	same(t, "a", read, book)
}

func snapshots(t *testing.T, s ledger.Store) {
	w, book := lead(t, s)
	ctx := within(t)
	for round := range 4 {
		appended(t, w, book, "a", 1+round*10, 10)
		appended(t, w, book, "rare", 1+round, 1)
		write, err := w.Snapshot(ctx, book)
		if err != nil {
			t.Fatal(err)
		}
		appended(t, w, book, "meanwhile", 1+round, 1) // while it is written
		if err := write(ctx); err != nil {
			t.Fatal(err)
		}
		// Purged up to the last message of either subject: appending goes on.
		appended(t, w, book, "b", 1+round*2, 2)
		next, read := lead(t, s)
		for _, task := range []string{"a", "b", "rare", "meanwhile"} {
			same(t, task, read, book)
		}
		w, book = next, read
	}
}

func documents(t *testing.T, s ledger.Store) {
	ctx := within(t)
	first, err := s.Put(ctx, "task.a", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(ctx, "task.a", []byte("2"), 0); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("made twice: %v", err)
	}
	second, err := s.Put(ctx, "task.a", []byte("2"), first)
	if err != nil || second <= first {
		t.Fatalf("changed: %d, %v", second, err)
	}
	if _, err := s.Put(ctx, "task.a", []byte("3"), first); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("an old revision: %v", err)
	}
	if _, err := s.Put(ctx, "task.b", []byte("b"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(ctx, "control.x", []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	if d, ok, err := s.Get(ctx, "task.a"); err != nil || !ok || string(d.Value) != "2" || d.Revision != second {
		t.Errorf("got %+v, %v, %v", d, ok, err)
	}
	if _, ok, err := s.Get(ctx, "task.none"); ok || err != nil {
		t.Errorf("what is not there: %v, %v", ok, err)
	}
	if err := s.Remove(ctx, "task.a", first); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("removed at an old revision: %v", err)
	}
	if err := s.Remove(ctx, "task.a", second); err != nil {
		t.Fatal(err)
	}
	all, err := s.Load(ctx, "task.")
	if err != nil || len(all) != 1 || all[0].Key != "task.b" || string(all[0].Value) != "b" || all[0].Revision == 0 {
		t.Errorf("got %+v, %v", all, err)
	}
	if _, err := s.Put(ctx, "task.a", []byte("again"), 0); err != nil {
		t.Errorf("made anew: %v", err)
	}
}
