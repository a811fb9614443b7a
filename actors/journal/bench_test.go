package journal_test

import (
	"context"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/journal"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/persistence"
)

// benchRecorder is a recorder over a real server that syncs always.
func benchRecorder(b *testing.B) persistence.Recorder {
	b.Helper()
	server := startServer(b)
	s := defaults()
	opener := journal.NewOpener(server.connect, s.journal, nil)
	h, err := journal.New(journal.Options{Config: s.recorder, Shards: 1, Open: opener.Journal})
	if err != nil {
		b.Fatal(err)
	}
	sys, err := supervise.NewSystem(b.Context(), supervise.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := sys.Start(b.Context(), h.Spec()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.Context()), time.Minute)
		defer cancel()
		if err := sys.Stop(ctx); err != nil {
			b.Error(err)
		}
		opener.Close()
	})
	return h.Recorder(0)
}

// BenchmarkRecordTrades records entries of ten trades as fast as credit allows; an
// operation is one trade, acknowledged.
func BenchmarkRecordTrades(b *testing.B) {
	r := benchRecorder(b)
	const window, each = 4096, 10
	free := make(chan *persistence.Entry, window)
	for i := range window {
		e := trades(i*each, each)
		e.Done = func(e *persistence.Entry, o persistence.Outcome) {
			if o.Err != nil {
				b.Error(o.Err)
			}
			free <- e
		}
		free <- e
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range (b.N + each - 1) / each {
		if err := r.Record(<-free); err != nil {
			b.Fatal(err)
		}
	}
	for range window {
		<-free
	}
}

// BenchmarkRecordIdle records one trade at a time and waits for it: the latency of
// an idle recorder, its fsync included.
func BenchmarkRecordIdle(b *testing.B) {
	r := benchRecorder(b)
	done := make(chan error, 1)
	e := trades(0, 1)
	e.Done = func(_ *persistence.Entry, o persistence.Outcome) { done <- o.Err }
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Record(e); err != nil {
			b.Fatal(err)
		}
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}
