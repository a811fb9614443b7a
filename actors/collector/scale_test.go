package collector_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"
)

// many is how many streams one process is to carry.
const many = 2000

// TestManyStreams starts two thousand streams of three channels each in one
// process, books included, and tells how long it takes and what one costs.
// MARKETPRISM_HEAP_PROFILE names a file for a profile of the heap.
func TestManyStreams(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("it measures memory: neither with -short nor with -race")
	}
	w := newInBandWorld(t)
	w.exchange.list(many)
	w.symbols, w.perConnection = []string{"*-USDT"}, 1000
	w.ledger.forget = true
	before := heap()
	begin := time.Now()
	w.start()
	stored := func() bool { return w.exchange.begun() == 3*many }
	w.await(t, "all subscriptions", stored)
	subscribed := time.Since(begin)
	w.await(t, "all books", func() bool { return w.ledger.books() >= many })
	took := time.Since(begin)
	w.exchange.change("X0USDT", false)
	w.exchange.change("X1999USDT", false)
	w.sameBook("X1999USDT")
	for done := false; !done; {
		select {
		case <-t.Context().Done():
			t.Fatal("not all streams turned live")
		case <-time.After(100 * time.Millisecond):
			done = w.stats().LiveStreams == many
		}
	}
	s := w.stats()
	after := heap()
	if file := os.Getenv("MARKETPRISM_HEAP_PROFILE"); file != "" {
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := pprof.Lookup("heap").WriteTo(f, 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	each := float64(after-before) / many
	t.Logf("%d streams: subscribed in %v, all books in %v, on %d sessions; %.1f KB a stream with a book of 60 levels",
		s.Streams, subscribed.Round(time.Millisecond), took.Round(time.Millisecond), len(s.Sessions), each/1024)
	for _, k := range s.Sessions {
		if k.Subscriptions > w.perConnection {
			t.Errorf("%s has %d subscriptions", k.Name, k.Subscriptions)
		}
	}
	// Its book takes some 3.5 KB of it; what it remembers in time comes on top, see
	// TestAllocTape.
	if each > 20<<10 {
		t.Errorf("a stream takes %.1f KB", each/1024)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// list makes the exchange list n instruments, each with a book of 60 levels, in
// place of its own.
func (x *exchange) list(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.pairs, x.order = map[string]*pair{}, nil
	for i := range n {
		x.add(fmt.Sprintf("X%d", i), float64(n-i))
	}
}
