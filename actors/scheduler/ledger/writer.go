package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Headers of the messages.
const (
	headerID     = "Ledger-Id"     // fence-number of a batch
	headerChunk  = "Ledger-Chunk"  // number of a piece of a snapshot, from 0
	headerChunks = "Ledger-Chunks" // how many there are
	headerFires  = "Ledger-Fires"  // the last batch of fires that the snapshot holds
	headerDone   = "Ledger-Results"
)

// writer is the [Writer] of JetStream.
type writer struct {
	js      jetstream.JetStream
	fence   uint64
	fires   line
	results line
	written atomic.Int64
}

// line is one of the two subjects. One goroutine at a time uses it.
type line struct {
	subject string
	last    uint64 // sequence of its last message
	n       uint64 // batches of this writer
}

// Fence implements [Writer].
func (w *writer) Fence() uint64 { return w.fence }

// Written implements [Writer].
func (w *writer) Written() int64 { return w.written.Load() }

// Fires implements [Writer].
func (w *writer) Fires(ctx context.Context, fires []Fire) error {
	return w.append(ctx, &w.fires, batch{Version: version, Fence: w.fence, Fires: fires})
}

// Results implements [Writer].
func (w *writer) Results(ctx context.Context, results []Result) error {
	return w.append(ctx, &w.results, batch{Version: version, Fence: w.fence, Results: results})
}

// mark appends an empty batch to both subjects: after it no writer from before
// appends any more, and what is older can be purged.
func (w *writer) mark(ctx context.Context) error {
	for _, l := range []*line{&w.fires, &w.results} {
		if err := w.append(ctx, l, batch{Version: version, Fence: w.fence}); err != nil {
			return err
		}
	}
	return nil
}

// append publishes one batch. The number of the batch changes with its success
// only, so the same batch again has the same id.
func (w *writer) append(ctx context.Context, l *line, b batch) error {
	data, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("encoding a batch: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	id := strconv.FormatUint(w.fence, 10) + "-" + strconv.FormatUint(l.n, 10)
	msg := &nats.Msg{Subject: l.subject, Data: data, Header: nats.Header{headerID: {id}}}
	ack, err := w.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(l.last), jetstream.WithRetryAttempts(0))
	if err == nil {
		l.took(ack.Sequence)
		w.written.Add(int64(len(data)))
		return nil
	}
	return w.doubt(ctx, l, id, len(data), err)
}

func (l *line) took(seq uint64) {
	l.last = seq
	l.n++
}

// doubt looks at the subject's last message to see what became of a batch.
func (w *writer) doubt(ctx context.Context, l *line, id string, size int, cause error) error {
	stream, err := w.js.Stream(ctx, StreamName)
	if err != nil {
		return unavailable("appending", errors.Join(cause, err))
	}
	last, err := stream.GetLastMsgForSubject(ctx, l.subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound) && l.last == 0:
		return unavailable("appending", cause)
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return fmt.Errorf("%w: the last message of %s is gone", ErrDamaged, l.subject)
	case err != nil:
		return unavailable("appending", errors.Join(cause, err))
	case last.Header.Get(headerID) == id:
		l.took(last.Sequence)
		w.written.Add(int64(size))
		return nil
	case last.Sequence != l.last:
		return fmt.Errorf("%w: %w", ErrFenced, cause)
	}
	return unavailable("appending", cause)
}

// Snapshot implements [Writer].
func (w *writer) Snapshot(ctx context.Context, book *Book) (func(context.Context) error, error) {
	if err := w.mark(ctx); err != nil {
		return nil, err
	}
	accounts, fires, results := book.accountsNow(), w.fires.last, w.results.last
	return func(ctx context.Context) error {
		packed, err := pack(accounts)
		if err != nil {
			return err
		}
		first, err := w.writeSnapshot(ctx, packed, fires, results)
		if err != nil {
			return err
		}
		w.written.Store(0)
		stream, err := w.js.Stream(ctx, StreamName)
		if err == nil {
			err = stream.Purge(ctx, jetstream.WithPurgeSequence(min(fires, results, first)))
		}
		if err != nil {
			return unavailable("purging", err)
		}
		return nil
	}, nil
}

func (w *writer) writeSnapshot(ctx context.Context, packed []byte, fires, results uint64) (first uint64, err error) {
	chunks := (len(packed) + chunkBytes - 1) / chunkBytes
	id := strconv.FormatUint(w.fence, 10) + "-" + strconv.FormatUint(fires, 10)
	for i := range chunks {
		piece := packed[i*chunkBytes : min((i+1)*chunkBytes, len(packed))]
		msg := &nats.Msg{Subject: snapshotSubject, Data: piece, Header: nats.Header{
			headerID: {id}, headerChunk: {strconv.Itoa(i)}, headerChunks: {strconv.Itoa(chunks)},
			headerFires: {strconv.FormatUint(fires, 10)}, headerDone: {strconv.FormatUint(results, 10)},
		}}
		one, cancel := context.WithTimeout(ctx, apiTimeout)
		ack, err := w.js.PublishMsg(one, msg, jetstream.WithRetryAttempts(0))
		cancel()
		if err != nil {
			return 0, unavailable("writing a snapshot", err)
		}
		if i == 0 {
			first = ack.Sequence
		}
	}
	return first, nil
}
