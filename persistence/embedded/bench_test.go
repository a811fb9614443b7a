package embedded

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// BenchmarkIngest applies and publishes captured trades, with and without a
// reader that asks for the last 1000 again and again.
func BenchmarkIngest(b *testing.B) {
	for _, bc := range []struct {
		name   string
		reader bool
	}{{"alone", false}, {"reader", true}} {
		b.Run(bc.name, func(b *testing.B) {
			e := openTest(b, b.TempDir(), newClock())
			tp := newTape(capturedTrades(b, usdmCapture))
			batches := make([]market.Batch, 64)
			stop, done := make(chan struct{}), make(chan struct{})
			var queries atomic.Int64
			go func() {
				defer close(done)
				for bc.reader {
					select {
					case <-stop:
						return
					default:
						readAll(b, e, persistence.Query{Kind: market.KindTrade, Stream: stream(), Newest: true, Limit: 1000})
						queries.Add(1)
					}
				}
			}()
			const rows = 4000
			seq, pending := uint64(0), make(chan error, 1)
			pending <- nil
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				batch := &batches[i%len(batches)]
				b.StopTimer()
				batch.Reset()
				tp.fill(batch, rows)
				b.StartTimer()
				seq++
				err := e.Apply(0, seq, batch)
				if errors.Is(err, persistence.ErrBacklog) {
					if err := <-pending; err != nil {
						b.Fatal(err)
					}
					pending <- e.Publish(context.Background(), 0)
					err = e.Apply(0, seq, batch)
				}
				if err != nil {
					b.Fatal(err)
				}
				if e.Due(0) || i == b.N-1 {
					if err := <-pending; err != nil {
						b.Fatal(err)
					}
					if err := e.Seal(persistence.Position{JournalID: "j", Seq: seq}); err != nil {
						b.Fatal(err)
					}
					go func() { pending <- e.Publish(context.Background(), 0) }()
				}
			}
			if err := <-pending; err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			close(stop)
			<-done
			b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(queries.Load())/b.Elapsed().Seconds(), "queries/s")
		})
	}
}

func stream() *market.StreamID {
	id := btc.ID()
	return &id
}

func readAll(b testing.TB, e *Engine, q persistence.Query) int {
	rows, err := e.Query(context.Background(), q)
	if err != nil {
		b.Error(err)
		return 0
	}
	return drainRows(b, rows)
}

func drainRows(b testing.TB, rows persistence.Rows) int {
	defer rows.Close()
	var batch market.Batch
	total := 0
	for {
		batch.Reset()
		n, err := rows.Next(context.Background(), &batch)
		if errors.Is(err, io.EOF) {
			return total
		}
		if err != nil {
			b.Error(err)
			return total
		}
		total += n
	}
}

// stocked is a store with so many trades, in memory or in parts.
func stocked(b *testing.B, trades int, published bool) *Engine {
	e := openTest(b, b.TempDir(), newClock())
	tp := newTape(capturedTrades(b, usdmCapture))
	var batch market.Batch
	for seq := uint64(1); trades > 0; seq++ {
		batch.Reset()
		tp.fill(&batch, 5000)
		trades -= 5000
		apply(b, e, seq, &batch)
		if published && (seq%40 == 0 || trades <= 0) {
			publish(b, e)
		}
	}
	return e
}

func BenchmarkRead(b *testing.B) {
	for _, where := range []string{"memory", "parts"} {
		e := stocked(b, 500_000, where == "parts")
		b.Run("last1000/"+where, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if n := readAll(b, e, persistence.Query{Kind: market.KindTrade, Stream: stream(), Newest: true, Limit: 1000}); n != 1000 {
					b.Fatal(n)
				}
			}
		})
		b.Run("range100k/"+where, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if n := readAll(b, e, persistence.Query{Kind: market.KindTrade, Stream: stream(), Limit: 100_000}); n != 100_000 {
					b.Fatal(n)
				}
			}
		})
		b.Run("candles250k/"+where, func(b *testing.B) {
			from, to := e.timeOf(b, 250_000)
			b.ReportAllocs()
			for b.Loop() {
				rows, err := e.Candles(context.Background(), persistence.CandleQuery{Stream: *stream(), Interval: "1m", From: from, To: to})
				if err != nil {
					b.Fatal(err)
				}
				if n := drainRows(b, rows); n < 60 {
					b.Fatal(n)
				}
			}
		})
	}
}

// timeOf returns a range of time that holds n trades.
func (e *Engine) timeOf(b *testing.B, n int) (from, to int64) {
	rows, err := e.Query(context.Background(), persistence.Query{Kind: market.KindTrade, Stream: stream(), Limit: n})
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	var batch market.Batch
	for {
		batch.Reset()
		if _, err := rows.Next(context.Background(), &batch); err != nil {
			return from, to
		}
		if from == 0 {
			from = batch.At(0).Head().TS
		}
		to = batch.At(batch.Len() - 1).Head().TS
	}
}
