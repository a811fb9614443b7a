package questdb

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	qdb "github.com/questdb/go-questdb-client/v3"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// rowsOfLoad is how many trades one run of a benchmark stores.
const rowsOfLoad = 300_000

func load(run int) []*market.Batch {
	i := instrument(fmt.Sprintf("LOAD%d-USDT", run))
	var all []*market.Batch
	for first := 0; first < rowsOfLoad; first += 1000 {
		all = append(all, trades(i, first, 1000))
	}
	return all
}

// BenchmarkIngest compares trades through the engine with a loader that does nothing
// but encode and send the same rows to the same table; both end when the server shows
// all of them.
func BenchmarkIngest(b *testing.B) {
	f := newFixture(b)
	run := 0
	rate := func(b *testing.B, store func(all []*market.Batch)) {
		for b.Loop() {
			b.StopTimer()
			run++
			all := load(run)
			b.StartTimer()
			store(all)
		}
		b.ReportMetric(float64(rowsOfLoad)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	}
	b.Run("bare", func(b *testing.B) {
		rate(b, func(all []*market.Batch) {
			ctx := context.Background()
			sender, err := qdb.LineSenderFromConf(ctx, "http::addr="+f.server.HTTP+";auto_flush=off;")
			if err != nil {
				b.Fatal(err)
			}
			defer sender.Close(ctx)
			e := NewEncoder(sender)
			for k, batch := range all {
				for r := range batch.All() {
					if err := e.Encode(ctx, r); err != nil {
						b.Fatal(err)
					}
				}
				if k%10 == 9 || k == len(all)-1 {
					if err := sender.Flush(ctx); err != nil {
						b.Fatal(err)
					}
				}
			}
			_, _, taken, err := f.engine.wal(ctx, "trades")
			for shown := int64(0); err == nil && shown < taken; {
				if _, shown, _, err = f.engine.wal(ctx, "trades"); shown < taken {
					<-time.After(time.Millisecond) // the server has no way of telling
				}
			}
			if err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("engine", func(b *testing.B) {
		rate(b, func(all []*market.Batch) {
			sealed, published := make(chan struct{}, 1), make(chan error, 1)
			go func() { // as the reader's publisher does
				var err error
				for range sealed {
					if err == nil {
						err = f.engine.Publish(context.Background(), 0)
					}
				}
				published <- err
			}()
			seal := func() {
				err := f.engine.Seal(persistence.Position{JournalID: "j", Seq: f.seq})
				if err != nil && !errors.Is(err, persistence.ErrBacklog) {
					b.Fatal(err)
				}
				select {
				case sealed <- struct{}{}:
				default:
				}
			}
			for _, batch := range all {
				f.seq++
				for errors.Is(f.engine.Apply(0, f.seq, batch), persistence.ErrBacklog) {
					f.seq--
					seal()
					f.seq++
					<-time.After(time.Millisecond) // the reader is woken by its publisher
				}
				if f.engine.Due(0) {
					seal()
				}
			}
			seal()
			close(sealed)
			if err := errors.Join(<-published, f.publish()); err != nil {
				b.Fatal(err)
			}
		})
	})
}
