package storage_test

import (
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// BenchmarkJournalToParts is the way from the journal to published parts: read,
// decoded, applied, sealed, written and committed, alone and while another
// goroutine reads the newest trades of the stream again and again.
func BenchmarkJournalToParts(b *testing.B) {
	const entries, rows = 400, 2000
	for name, reading := range map[string]bool{"alone": false, "with-reader": true} {
		b.Run(name, func(b *testing.B) {
			var took time.Duration
			for b.Loop() {
				took += journalToParts(b, entries, rows, reading)
			}
			b.ReportMetric(float64(entries*rows*b.N)/took.Seconds(), "rows/s")
		})
	}
}

func journalToParts(b *testing.B, entries, rows int, reading bool) time.Duration {
	s := defaults(b)
	s.engine.PublishRows = 200_000
	gate := make(chan struct{})
	s.wrap = hook(&engineHook{onApply: func(uint64) { <-gate }})
	n := start(b, s)
	last := fill(n, entries, rows)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	if reading {
		readers.Go(func() { readNewest(n, stop) })
	}
	begin := time.Now()
	close(gate)
	n.eventually("all of the journal in the store", func() bool { return n.engine.Applied(0) >= last })
	close(stop)
	readers.Wait()
	n.stop() // publishes the rest
	return time.Since(begin)
}

// fill puts entries into the journal and returns the sequence of the last.
func fill(n *node, entries, rows int) (last uint64) {
	n.Helper()
	done := make(chan persistence.Outcome, entries)
	for i := range entries {
		e := &persistence.Entry{Batch: *trades(1+i*rows, rows), Done: func(_ *persistence.Entry, o persistence.Outcome) { done <- o }}
		n.eventually("credit", func() bool { return n.rec.Record(e) == nil })
	}
	for range entries {
		o := <-done
		if o.Err != nil {
			n.Fatal(o.Err)
		}
		last = max(last, o.Seq)
	}
	return last
}

func readNewest(n *node, stop chan struct{}) {
	id := instrument.ID()
	var batch market.Batch
	for {
		select {
		case <-stop:
			return
		default:
		}
		rows, err := n.engine.Query(n.Context(), persistence.Query{Kind: market.KindTrade, Stream: &id, Newest: true, Limit: 1000})
		if err != nil {
			n.Error(err)
			return
		}
		for err == nil {
			batch.Reset()
			_, err = rows.Next(n.Context(), &batch)
		}
		if closing := rows.Close(); closing != nil {
			n.Error(closing)
		}
		if !errors.Is(err, io.EOF) {
			n.Error(err)
			return
		}
	}
}
