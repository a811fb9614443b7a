package questdb

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	qdb "github.com/questdb/go-questdb-client/v3"

	"github.com/marketprism/marketprism/internal/market"
)

// request is rows of one table that travel together. A writer has two: one is
// filled and encoded while the other is at the server.
type request struct {
	batch   market.Batch
	seqs    []uint64 // of the journal's messages that brought the records
	bytes   int      // estimate of the batch
	sender  qdb.LineSender
	encoder *Encoder
	answer  chan error // of capacity 1: what became of it
}

func newRequest() *request { return &request{answer: make(chan error, 1)} }

// requestBytes is the size of a request, more or less: far below what the client's
// buffer may grow to, because a buffer that has grown beyond it stays useless.
const requestBytes = 8 << 20

// slowest is the least that a server takes, in bytes a second: a request has so much
// more time than the timeout of an empty one.
const slowest = 1 << 20

// lineBytes estimates a record's line.
func lineBytes(r market.Record) int {
	const fields, level = 400, 32
	switch r := r.(type) {
	case *market.BookDelta:
		return fields + level*(len(r.Bids)+len(r.Asks))
	case *market.BookSnapshot:
		return fields + level*(len(r.Bids)+len(r.Asks))
	}
	return fields
}

// encode fills the sender's buffer with records [lo, hi) of the batch.
func (w *writer) encode(ctx context.Context, r *request, lo, hi int) error {
	if r.sender == nil {
		if err := w.connect(ctx, r); err != nil {
			return err
		}
	}
	for i := lo; i < hi; i++ {
		r.encoder.From(Place{w.journal, r.seqs[i]})
		if err := r.encoder.Encode(ctx, r.batch.At(i)); err != nil {
			return &badRow{err}
		}
	}
	return nil
}

// launch sends what is encoded, or fails as the encoding did; the answer comes by
// the channel.
func (r *request) launch(ctx context.Context, encoded error) {
	if encoded != nil {
		r.answer <- encoded
		return
	}
	go func() { r.answer <- r.sender.Flush(ctx) }()
}

// attempt encodes and sends records [lo, hi) of the batch, and waits.
func (w *writer) attempt(ctx context.Context, r *request, lo, hi int) error {
	if err := w.encode(ctx, r, lo, hi); err != nil {
		return err
	}
	return r.sender.Flush(ctx)
}

// connect makes a sender. The client's own retries do not obey ctx, and are kept
// short; ours are the publisher's.
func (w *writer) connect(ctx context.Context, r *request) error {
	c := w.e.cfg
	if w.transport == nil {
		w.transport = &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}
	}
	opts := []qdb.LineSenderOption{
		qdb.WithHttpTransport(w.transport),
		qdb.WithHttp(), qdb.WithAddress(c.HTTP), qdb.WithAutoFlushDisabled(), qdb.WithRetryTimeout(time.Second),
		qdb.WithRequestTimeout(c.RequestTimeout), qdb.WithMinThroughput(slowest),
		qdb.WithInitBufferSize(min(1<<20, w.e.maxBuffer)), qdb.WithMaxBufferSize(w.e.maxBuffer),
	}
	if c.TLS {
		opts = append(opts, qdb.WithTls())
	}
	if c.Password != "" {
		opts = append(opts, qdb.WithBasicAuth(c.User, c.Password))
	}
	sender, err := qdb.NewLineSender(ctx, opts...)
	if err != nil {
		return fmt.Errorf("making a sender: %w", err)
	}
	r.sender, r.encoder = sender, NewEncoder(sender)
	return nil
}

// disconnect gives up the sender, with what it holds, and the connection: the server
// goes on writing to a table that is gone, and acknowledges it, on one that knew it.
func (w *writer) disconnect(ctx context.Context, r *request) {
	if r.sender != nil {
		_ = r.sender.Close(context.WithoutCancel(ctx)) // it holds nothing that is not sent again
		r.sender, r.encoder = nil, nil
	}
	if w.transport != nil {
		w.transport.CloseIdleConnections()
	}
}

// badRow says that a row cannot be a row of the server's, whoever sends it.
type badRow struct{ err error }

func (b *badRow) Error() string { return b.err.Error() }
func (b *badRow) Unwrap() error { return b.err }

// isBadRow classifies an error: it is about what was sent. All else may pass: a
// server that is away, busy or full, a password that is being changed.
func isBadRow(err error) bool {
	var bad *badRow
	return errors.As(err, &bad) || isRefused(err) || statusOf(err) == http.StatusRequestEntityTooLarge
}

// isRefused says that the server cannot take one of the rows.
func isRefused(err error) bool { return statusOf(err) == http.StatusBadRequest }

// statusOf is the server's answer; 0 when it has not answered.
func statusOf(err error) int {
	var answer *qdb.HttpError
	if errors.As(err, &answer) {
		return answer.HttpStatus()
	}
	return 0
}
