package questdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"sync"
	"time"

	qdb "github.com/questdb/go-questdb-client/v3"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/memtable"
	"github.com/marketprism/marketprism/persistence/part"
)

// writer sends the rows of one table, one request at a time: a request of one
// table is stored as a whole or not at all.
type writer struct {
	e    *Engine
	kind market.Kind

	mu      sync.Mutex
	sender  qdb.LineSender // nil: none
	encoder *Encoder
	filler  part.Filler
	batch   market.Batch
	refused int // rows of the sealed table under way
}

// maxRefused is how many rows of one sealed table may be refused for what they
// are. More are a fault of the table or of the server, not of rows.
const maxRefused = 100

// send sends a kind's rows of a sealed table, and waits until the server shows
// them.
func (w *writer) send(ctx context.Context, t *memtable.Table) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused = 0
	for _, stream := range t.Streams(w.kind) {
		rows, _ := t.Merge(w.kind, stream, math.MinInt64, math.MaxInt64)
		if err := w.sendRows(ctx, t, stream, rows); err != nil {
			return fmt.Errorf("table %s: %w", w.kind.Table(), err)
		}
	}
	if err := w.flush(ctx, t); err != nil {
		return fmt.Errorf("table %s: %w", w.kind.Table(), err)
	}
	return w.visible(ctx)
}

// sendRows collects rows into the batch, and sends it when it is full.
func (w *writer) sendRows(ctx context.Context, t *memtable.Table, stream market.StreamID, rows *part.Merge) error {
	for {
		span, err := rows.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for row := span.Lo; row < span.Hi; row++ {
			if _, err := w.filler.Fill(span.Block, row, &w.batch); err != nil {
				return err
			}
			if w.batch.Len() >= w.e.cfg.RequestRows {
				if err := w.flush(ctx, t); err != nil {
					return err
				}
			}
		}
	}
}

// flush sends the batch. What the server refuses for what it is goes the way of
// rejects.
func (w *writer) flush(ctx context.Context, t *memtable.Table) error {
	defer w.batch.Reset()
	return w.sendRange(ctx, t, 0, w.batch.Len())
}

// sendRange sends records [lo, hi) of the batch. A request that the server refuses
// for one of its rows is halved until that row is found. The client has emptied its
// buffer by then, so every attempt encodes anew.
func (w *writer) sendRange(ctx context.Context, t *memtable.Table, lo, hi int) error {
	if lo >= hi {
		return nil
	}
	err := w.request(ctx, lo, hi)
	switch {
	case err == nil:
		return nil
	case !isBadRow(err):
		return err
	case hi-lo > 1:
		mid := lo + (hi-lo)/2
		if err := w.sendRange(ctx, t, lo, mid); err != nil {
			return err
		}
		return w.sendRange(ctx, t, mid, hi)
	}
	if w.refused++; w.refused > maxRefused {
		return fmt.Errorf("more than %d rows are refused, the last because of: %w", maxRefused, err)
	}
	return w.reject(ctx, t, w.batch.At(lo), err)
}

// badRow says that a row cannot be a row of the server's, whoever sends it.
type badRow struct{ err error }

func (b *badRow) Error() string { return b.err.Error() }
func (b *badRow) Unwrap() error { return b.err }

// isBadRow classifies an error: the server's 400 is about what was sent. All else
// may pass: a server that is away, busy or full, a table that is being made, a
// password that is being changed.
func isBadRow(err error) bool {
	var bad *badRow
	var answer *qdb.HttpError
	return errors.As(err, &bad) || errors.As(err, &answer) && answer.HttpStatus() == http.StatusBadRequest
}

func (w *writer) request(ctx context.Context, lo, hi int) error {
	if w.sender == nil {
		if err := w.connect(ctx); err != nil {
			return err
		}
	}
	for i := lo; i < hi; i++ {
		if err := w.encoder.Encode(ctx, w.batch.At(i)); err != nil {
			w.drop(ctx) // with what it holds
			return &badRow{err}
		}
	}
	if err := w.sender.Flush(ctx); err != nil {
		// A buffer that grew beyond its limit stays so: the sender is given up.
		w.drop(ctx)
		return err
	}
	return nil
}

// connect makes a sender. The client's own retries do not obey ctx, and are kept
// short; ours are the publisher's.
func (w *writer) connect(ctx context.Context) error {
	c := w.e.cfg
	opts := []qdb.LineSenderOption{
		qdb.WithHttp(), qdb.WithAddress(c.HTTP), qdb.WithAutoFlushDisabled(), qdb.WithRetryTimeout(time.Second),
		qdb.WithRequestTimeout(c.RequestTimeout), qdb.WithInitBufferSize(1 << 20),
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
	w.sender, w.encoder = sender, NewEncoder(sender)
	return nil
}

// drop gives the sender up; its rows are in the batch.
func (w *writer) drop(ctx context.Context) {
	if w.sender != nil {
		_ = w.sender.Close(context.WithoutCancel(ctx)) // it holds nothing that is not sent again
		w.sender, w.encoder = nil, nil
	}
}

func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(context.Background())
}

// reject hands a row that the server refuses to whoever takes it.
func (w *writer) reject(ctx context.Context, t *memtable.Table, r market.Record, why error) error {
	e := w.e
	e.metrics.Dropped.WithLabelValues("rejected").Inc()
	e.log.Error("the server refuses a row for what it is; it goes to the cold store",
		zap.String("table", w.kind.Table()), zap.String("stream", r.Head().Instrument.ID().String()), zap.Error(why))
	if e.with.Rejects == nil {
		return fmt.Errorf("a row is refused, and there is no other place for it: %w", why)
	}
	b := part.NewBlock(e.schemas[w.kind], e.with.Names)
	b.Append(r, e.with.Names.InstrumentCode(r.Head().Instrument), 1)
	rows := part.NewMerge([]part.Source{part.NewBlockSource(b, 0, 1, 0)}, false)
	if err := e.with.Rejects(ctx, w.kind, r.Head().Instrument.ID(), t, rows); err != nil {
		return fmt.Errorf("keeping a refused row elsewhere: %w", err)
	}
	return nil
}

// errInvisible says that rows were taken and are not shown.
var errInvisible = errors.New("the server has taken the rows and does not show them")

// visible waits until the server shows what it has taken. Waiting for equality of
// the two numbers would never end under load.
func (w *writer) visible(ctx context.Context) error {
	e := w.e
	table := w.kind.Table()
	_, _, taken, err := e.wal(ctx, table)
	if err != nil {
		return err
	}
	deadline := e.with.Now().Add(e.cfg.VisibleWithin)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		suspended, shown, _, err := e.wal(ctx, table)
		switch {
		case err != nil:
			return err
		case shown >= taken:
			return nil
		case suspended:
			return fmt.Errorf("%w: table %s is suspended", errInvisible, table)
		case e.with.Now().After(deadline):
			return fmt.Errorf("%w: table %s after %v", errInvisible, table, e.cfg.VisibleWithin)
		}
		timer := time.NewTimer(pause) // the server has no way of telling
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
