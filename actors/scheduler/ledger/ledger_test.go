package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/actors/scheduler/ledger/ledgertest"
	"github.com/marketprism/marketprism/actors/supervise"
)

// server runs a broker.
func server(t *testing.T) (*broker.Handle, *supervise.System) {
	t.Helper()
	c := broker.DefaultConfig()
	c.Port, c.StoreDir = 0, t.TempDir()
	h, err := broker.New(c, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := bounded(t)
	if err := sys.Start(ctx, h.Spec()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Stop(context.Background()); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return h, sys
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func store(t *testing.T, h *broker.Handle) *ledger.JetStream {
	s := ledger.NewJetStream(func(ctx context.Context) (*nats.Conn, error) { return h.Connect(ctx, "ledger") }, 64<<20, 1)
	t.Cleanup(s.Close)
	return s
}

func TestMemory(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) ledger.Store { return ledgertest.New() })
}

func TestJetStream(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) ledger.Store {
		h, _ := server(t)
		return store(t, h)
	})
}

// Two processes race for the leadership again and again: what either was told is
// recorded is recorded once, in one order.
func TestRace(t *testing.T) {
	h, _ := server(t)
	var mu sync.Mutex
	acknowledged := map[string]int{}
	var wg sync.WaitGroup
	for who := range 2 {
		wg.Go(func() {
			s := store(t, h)
			for n := 0; n < 15; {
				book := ledger.NewBook(ledger.Retention{Count: 1000, Total: 100_000})
				w, err := s.Lead(bounded(t), book)
				if err != nil {
					t.Error(err)
					return
				}
				for range 5 {
					f := ledger.Fire{Task: fmt.Sprint("task-", who), Nominal: int64(n) * 1000}
					err := w.Fires(bounded(t), []ledger.Fire{f})
					if errors.Is(err, ledger.ErrFenced) {
						n++ // its outcome is known: it is not recorded
						break
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					acknowledged[f.ID()]++
					mu.Unlock()
					n++
				}
			}
		})
	}
	wg.Wait()
	book := ledger.NewBook(ledger.Retention{Count: 1000, Total: 100_000})
	if _, err := store(t, h).Lead(bounded(t), book); err != nil {
		t.Fatal(err)
	}
	recorded := map[string]int{}
	book.Each(func(r ledger.Run) { recorded[r.ID()]++ })
	for id, n := range recorded {
		if n != 1 || acknowledged[id] != 1 {
			t.Errorf("%s: recorded %d times, acknowledged %d times", id, n, acknowledged[id])
		}
	}
	for id := range acknowledged {
		if recorded[id] != 1 {
			t.Errorf("%s was acknowledged and is not recorded", id)
		}
	}
}

// The server is started anew while batches are appended: a batch is repeated until it
// is known, and recorded once.
func TestServerRestarts(t *testing.T) {
	h, sys := server(t)
	s := store(t, h)
	w, _ := leading(t, s)
	done := make(chan struct{})
	const n = 60
	go func() {
		defer close(done)
		for i := range n {
			for {
				err := w.Fires(bounded(t), []ledger.Fire{{Task: "a", Nominal: int64(i+1) * 1000}})
				if err == nil {
					break
				}
				if !errors.Is(err, ledger.ErrUnavailable) {
					t.Errorf("batch %d: %v", i, err)
					return
				}
			}
		}
	}()
	for range 3 {
		if err := sys.RestartChild(bounded(t), "root/broker", "server"); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	_, book := leading(t, s)
	if a := book.Of("a"); a.Runs != n || a.Last != n*1000 {
		t.Errorf("got %+v", a)
	}
}

func leading(t *testing.T, s ledger.Store) (ledger.Writer, *ledger.Book) {
	t.Helper()
	book := ledger.NewBook(ledger.Retention{Count: 1000, Total: 100_000})
	w, err := s.Lead(bounded(t), book)
	if err != nil {
		t.Fatal(err)
	}
	return w, book
}

// A snapshot purges the stream, and one of which pieces are missing counts for
// nothing.
func TestPurge(t *testing.T) {
	h, _ := server(t)
	s := store(t, h)
	w, book := leading(t, s)
	for i := range 200 {
		fires := []ledger.Fire{{Task: "a", Nominal: int64(i+1) * 1000}}
		if err := w.Fires(bounded(t), fires); err != nil {
			t.Fatal(err)
		}
		book.Fired(fires)
	}
	before := w.Written()
	write, err := w.Snapshot(bounded(t), book)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if w.Written() >= before {
		t.Errorf("%d bytes since the snapshot, %d before", w.Written(), before)
	}
	nc, err := h.Connect(bounded(t), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(bounded(t), ledger.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n > 5 {
		t.Errorf("%d messages are left", n)
	}
	half := &nats.Msg{Subject: "scheduler.ledger.snapshot", Data: []byte("half"), Header: nats.Header{
		"Ledger-Id": {"9-9"}, "Ledger-Chunk": {"0"}, "Ledger-Chunks": {"2"}, "Ledger-Fires": {"999999"}, "Ledger-Results": {"999999"},
	}}
	if _, err := js.PublishMsg(bounded(t), half); err != nil {
		t.Fatal(err)
	}
	_, read := leading(t, s)
	if a := read.Of("a"); a.Runs != 200 || len(read.Runs("a")) != 200 {
		t.Errorf("got %+v", a)
	}
	// What is not what it should be is said, not guessed.
	if _, err := js.Publish(bounded(t), "scheduler.ledger.fires", []byte(`{"v":2}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lead(bounded(t), ledger.NewBook(ledger.Retention{Count: 1, Total: 1})); !errors.Is(err, ledger.ErrDamaged) {
		t.Errorf("a batch of another version: %v", err)
	}
}

func TestRetention(t *testing.T) {
	book := ledger.NewBook(ledger.Retention{Count: 10, Total: 1000, Age: time.Hour})
	for i := range 30 {
		at := int64(i) * time.Minute.Milliseconds()
		book.Fired([]ledger.Fire{{Task: "a", Nominal: at}})
		if i != 3 { // that one stays open
			book.Finished([]ledger.Result{{Task: "a", Nominal: at, Outcome: ledger.Failed, Started: at}})
		}
	}
	runs := book.Runs("a")
	if len(runs) != 10 || runs[9].Nominal != 3*time.Minute.Milliseconds() || runs[0].Nominal != 29*time.Minute.Milliseconds() {
		t.Errorf("%d runs, from %v to %v", len(runs), runs[len(runs)-1].Time(), runs[0].Time())
	}
	if a := book.Of("a"); a.Runs != 30 || a.Errors != 29 {
		t.Errorf("got %+v", a)
	}
	book.Fired([]ledger.Fire{{Task: "a", Nominal: (3 * time.Hour).Milliseconds()}})
	if left := book.Runs("a"); len(left) != 2 { // the old open one, and this
		t.Errorf("%d runs are left after two hours", len(left))
	}
	many := ledger.NewBook(ledger.Retention{Count: 100, Total: 1000})
	for task := range 100 {
		for i := range 50 {
			many.Fired([]ledger.Fire{{Task: fmt.Sprint(task), Nominal: int64(i + 1), Skip: ledger.SkipOverlap}})
		}
	}
	if n := len(many.Runs("99")); n != 10 {
		t.Errorf("a task of a hundred keeps %d, want its share of 10", n)
	}
}
