package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// each hands the records of rows to yield, in constant memory. While the records
// of one chunk are handed over, the next chunk is read.
func (f *service) each(ctx context.Context, rows persistence.Rows, yield func(market.Record) error) error {
	this, other := f.batch(), f.batch()
	defer f.recycle(this)
	defer f.recycle(other)
	if n, err := next(ctx, rows, this); err != nil || n == 0 {
		return err
	}
	r := startReader(ctx, rows)
	defer r.stop()
	for {
		r.empty <- other
		for i := range this.Len() {
			if err := yield(this.At(i)); err != nil {
				return err
			}
		}
		found := <-r.full
		if found.panicked != nil {
			panic(found.panicked) // where the server recovers it
		}
		if found.err != nil || found.n == 0 {
			return found.err
		}
		this, other = other, this
	}
}

// next reads a chunk into an empty batch; 0 at the end.
func next(ctx context.Context, rows persistence.Rows, into *market.Batch) (int, error) {
	into.Reset()
	n, err := rows.Next(ctx, into)
	if errors.Is(err, io.EOF) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading records: %w", err)
	}
	return n, nil
}

// reader reads chunks in a goroutine of its own: one for each empty batch it is
// given, until a chunk is the last.
type reader struct {
	empty   chan *market.Batch
	full    chan chunk
	running sync.WaitGroup
}

// chunk is what became of an empty batch.
type chunk struct {
	n        int
	err      error
	panicked any
}

func startReader(ctx context.Context, rows persistence.Rows) *reader {
	r := &reader{empty: make(chan *market.Batch, 1), full: make(chan chunk, 1)}
	r.running.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				r.full <- chunk{panicked: v}
			}
		}()
		for b := range r.empty {
			n, err := next(ctx, rows, b)
			r.full <- chunk{n: n, err: err}
		}
	})
	return r
}

// stop waits until nothing is read any more: the view can be released.
func (r *reader) stop() {
	close(r.empty)
	r.running.Wait()
}
