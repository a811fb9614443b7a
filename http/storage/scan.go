package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// patience is how long the store may look for the next rows of an answer.
const patience = time.Minute

// each hands the records of rows to yield; see chunks.
func (f *service) each(ctx context.Context, rows persistence.Rows, yield func(market.Record) error) error {
	return f.chunks(ctx, rows, func(b *market.Batch) error {
		for i := range b.Len() {
			if err := yield(b.At(i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// chunks hands the records of rows to yield, some at a time, in constant memory. While
// those of one chunk are handed over, the next chunk is read.
func (f *service) chunks(ctx context.Context, rows persistence.Rows, yield func(*market.Batch) error) error {
	this, other := f.batch(), f.batch()
	defer f.recycle(this)
	defer f.recycle(other)
	if n, err := f.next(ctx, rows, this); err != nil || n == 0 {
		return err
	}
	r := f.startReader(ctx, rows)
	defer r.stop()
	for {
		r.empty <- other
		if err := yield(this); err != nil {
			return err
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
func (f *service) next(ctx context.Context, rows persistence.Rows, into *market.Batch) (int, error) {
	defer watchOf(ctx).read(time.Now())
	into.Reset()
	turn, cancel := context.WithTimeoutCause(ctx, f.Patience, errStalled)
	defer cancel()
	n, err := rows.Next(turn, into)
	switch {
	case errors.Is(err, io.EOF):
		return 0, nil
	case err != nil && errors.Is(context.Cause(turn), errStalled):
		return 0, chassis.Unavailable(time.Second, "the store found no further row within %v; ask for a shorter range", f.Patience).
			WithCode("deadline_exceeded").WithCause(fmt.Errorf("reading records: %w: %w", errStalled, err))
	case err != nil:
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

func (f *service) startReader(ctx context.Context, rows persistence.Rows) *reader {
	r := &reader{empty: make(chan *market.Batch, 1), full: make(chan chunk, 1)}
	r.running.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				r.full <- chunk{panicked: v}
			}
		}()
		for b := range r.empty {
			n, err := f.next(ctx, rows, b)
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
