package questdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	qdb "github.com/questdb/go-questdb-client/v3"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// rowsOfLoad is how many trades one run of a benchmark stores.
const rowsOfLoad = 300_000

// load is a run's trades, a millisecond apart, of some instruments in turn, on a day
// of their own: no run finds rows of another in its partitions.
func load(run, streams int) []*market.Batch {
	const rows = 1000
	var all []*market.Batch
	for first := 0; first < rowsOfLoad; first += rows {
		b := trades(nil, first, rows)
		for k := range b.Len() {
			h := b.At(k).Head()
			h.Instrument = instrument(fmt.Sprintf("LOAD%d-USDT", (first+k)%streams))
			h.TS += int64(run) * day
		}
		all = append(all, b)
	}
	return all
}

// BenchmarkIngest compares trades through the engine with a loader that does nothing
// but encode and send the same rows to the same table of the same server, in turn;
// both end when the server shows all of them.
func BenchmarkIngest(b *testing.B) {
	for _, streams := range []int{1, 20} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) { compareIngest(b, streams) })
	}
}

func compareIngest(b *testing.B, streams int) {
	f := newFixture(b)
	ways := []func(all []*market.Batch) error{f.bareLoad, f.engineLoad}
	var took [2]time.Duration
	run := 0
	turn := func(way int) time.Duration {
		run++
		all := load(run, streams)
		begin := time.Now()
		if err := ways[way](all); err != nil {
			b.Fatal(err)
		}
		return time.Since(begin)
	}
	turn(0) // the server compiles what runs often
	turn(1)
	var ratios []float64
	for pair := 0; b.Loop(); pair++ {
		var now [2]time.Duration
		for _, way := range []int{pair % 2, 1 - pair%2} {
			now[way] = turn(way)
			took[way] += now[way]
		}
		ratios = append(ratios, 100*now[0].Seconds()/now[1].Seconds())
	}
	slices.Sort(ratios)
	rate := func(way int) float64 { return rowsOfLoad * float64(b.N) / took[way].Seconds() }
	b.ReportMetric(0, "ns/op") // the sum says nothing
	b.ReportMetric(rate(0), "bare-rows/s")
	b.ReportMetric(rate(1), "engine-rows/s")
	b.ReportMetric(ratios[len(ratios)/2], "%-of-bare-median")
}

// bareLoad sends ten thousand rows a request.
func (f *fixture) bareLoad(all []*market.Batch) error {
	ctx := context.Background()
	sender, err := qdb.LineSenderFromConf(ctx, "http::addr="+f.server.HTTP+";auto_flush=off;")
	if err != nil {
		return err
	}
	defer sender.Close(ctx)
	e := NewEncoder(sender)
	for k, batch := range all {
		e.From(Place{placeWord("j", 0), uint64(k + 1)}) // so that the rows are as long
		for r := range batch.All() {
			if err := e.Encode(ctx, r); err != nil {
				return err
			}
		}
		if k%10 == 9 || k == len(all)-1 {
			if err := sender.Flush(ctx); err != nil {
				return err
			}
		}
	}
	last, err := f.engine.wal(ctx, "trades")
	for s := last; err == nil && s.Shown < last.Taken; {
		<-time.After(time.Millisecond) // the server has no way of telling
		s, err = f.engine.wal(ctx, "trades")
	}
	return err
}

// engineLoad applies, seals and publishes as a reader does.
func (f *fixture) engineLoad(all []*market.Batch) error {
	sealed, progressed := make(chan struct{}, 1), make(chan struct{}, 1)
	published := make(chan error, 1)
	go func() {
		for range sealed {
			for _, ok := f.engine.Sealed(0); ok; _, ok = f.engine.Sealed(0) {
				err := f.engine.Write(context.Background(), 0, market.KindTrade)
				if err == nil {
					err = f.engine.Commit(context.Background(), 0)
				}
				if err != nil {
					published <- err
					return
				}
				poke(progressed)
			}
		}
		published <- nil
	}()
	seal := func() error {
		err := f.engine.Seal(persistence.Position{JournalID: "j", Seq: f.seq})
		poke(sealed)
		if errors.Is(err, persistence.ErrBacklog) {
			return nil
		}
		return err
	}
	for _, batch := range all {
		for {
			err := f.engine.Apply(0, f.seq+1, batch)
			if err == nil {
				f.seq++
				break
			}
			if !errors.Is(err, persistence.ErrBacklog) {
				return err
			}
			if err := seal(); err != nil {
				return err
			}
			select {
			case <-progressed:
			case err := <-published:
				return err
			}
		}
		if f.engine.Due(0) {
			if err := seal(); err != nil {
				return err
			}
		}
	}
	close(sealed)
	return errors.Join(<-published, f.publish())
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
