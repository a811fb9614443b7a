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
	"github.com/marketprism/marketprism/persistence"
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
	bytes   int  // estimate of the batch
	mended  bool // the table was looked at, for the sealed table under way
	// transport has the connections, which end with the sender: the server goes on
	// writing to a table that is gone, and acknowledges it, on one that knew it.
	transport *http.Transport
	requests  int64 // acknowledged ones of the sealed table under way

	refused int // rows of the sealed table under way that the server refuses
	rejects map[rejectKey][]part.Source

	// What the server has taken and may not show yet: all of a sealed table, up to
	// one of its transactions.
	acknowledged *memtable.Table
	transaction  int64
}

// rejectKey says where refused rows go together.
type rejectKey struct {
	stream market.StreamID
	day    int64 // since 1970, UTC
}

// maxRefused is how many rows of one sealed table the server or its client may
// refuse for what they are. More are a fault of the table or of the server, not of
// rows. Those of which it is known that the server has no form for them do not count.
const maxRefused = 100

// requestBytes is the size of a request, more or less: far below what the client's
// buffer may grow to, because a buffer that has grown beyond it stays useless.
const requestBytes = 8 << 20

// send sends a kind's rows of a sealed table, and waits until the server shows
// them. What it has taken once is not sent again.
func (w *writer) send(ctx context.Context, t *memtable.Table) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.acknowledged != t {
		err := w.sendAll(ctx, t)
		for attempt := 1; errors.Is(err, errElsewhere) && attempt < 3; attempt++ {
			w.e.log.Warn("what the server acknowledged went to a table that was dropped; it is sent again", zap.Error(err))
			err = w.sendAll(ctx, t)
		}
		if err != nil {
			return err
		}
	}
	if err := w.visible(ctx); err != nil {
		if errors.Is(err, persistence.ErrRewind) {
			w.acknowledged = nil
			w.drop(ctx)
		}
		return err
	}
	w.acknowledged = nil
	return nil
}

// sendAll returns when the server has taken every row, or somebody else has.
func (w *writer) sendAll(ctx context.Context, t *memtable.Table) error {
	// A server that was set back must not be written to before that is noticed.
	_, _, before, err := w.e.wal(ctx, w.kind.Table())
	if err != nil {
		return err
	}
	w.requests = 0
	w.refused, w.mended, w.rejects = 0, false, map[rejectKey][]part.Source{}
	defer func() {
		if w.batch.Len() > 0 { // after an error or a panic
			w.batch.Reset()
			w.bytes = 0
			w.drop(ctx)
		}
	}()
	for _, stream := range t.Streams(w.kind) {
		rows, _ := t.Merge(w.kind, stream, math.MinInt64, math.MaxInt64)
		if err := w.sendRows(ctx, rows); err != nil {
			return err
		}
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	if err := w.reject(ctx, t); err != nil {
		return err
	}
	_, _, taken, err := w.e.wal(ctx, w.kind.Table())
	if err != nil {
		return err
	}
	if taken-before < w.requests {
		w.drop(ctx)
		return fmt.Errorf("%w: %d requests are acknowledged, in %d transactions", errElsewhere, w.requests, taken-before)
	}
	w.acknowledged, w.transaction = t, taken
	return nil
}

// sendRows collects rows into the batch, and sends it when it is full.
func (w *writer) sendRows(ctx context.Context, rows *part.Merge) error {
	for {
		span, err := rows.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for row := span.Lo; row < span.Hi; row++ {
			r, err := w.filler.Fill(span.Block, row, &w.batch)
			if err != nil {
				return err
			}
			w.bytes += lineBytes(r)
			if w.batch.Len() >= w.e.cfg.RequestRows || w.bytes >= requestBytes {
				if err := w.flush(ctx); err != nil {
					return err
				}
			}
		}
	}
}

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

// flush sends the batch. What the server refuses for what it is goes to rejects.
func (w *writer) flush(ctx context.Context) error {
	if err := w.sendRange(ctx, 0, w.batch.Len()); err != nil {
		return err
	}
	w.batch.Reset()
	w.bytes = 0
	return nil
}

// sendRange sends records [lo, hi) of the batch. A request that the server refuses
// for one of its rows is halved until that row is found. The client has emptied its
// buffer by then, so every attempt encodes anew.
func (w *writer) sendRange(ctx context.Context, lo, hi int) error {
	if lo >= hi {
		return nil
	}
	err := w.request(ctx, lo, hi)
	if err == nil || !isBadRow(err) {
		return err
	}
	if isRefused(err) && !w.mended {
		// The table may lack a column, or be gone.
		w.mended = true
		if err := w.e.migrateTable(ctx, w.e.tables[w.kind]); err != nil {
			return w.e.away(err)
		}
		return w.sendRange(ctx, lo, hi)
	}
	if hi-lo > 1 {
		mid := lo + (hi-lo)/2
		if err := w.sendRange(ctx, lo, mid); err != nil {
			return err
		}
		return w.sendRange(ctx, mid, hi)
	}
	return w.refuse(w.batch.At(lo), err)
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
	w.requests++
	return nil
}

// connect makes a sender. The client's own retries do not obey ctx, and are kept
// short; ours are the publisher's.
func (w *writer) connect(ctx context.Context) error {
	c := w.e.cfg
	w.transport = &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}
	opts := []qdb.LineSenderOption{
		qdb.WithHttpTransport(w.transport),
		qdb.WithHttp(), qdb.WithAddress(c.HTTP), qdb.WithAutoFlushDisabled(), qdb.WithRetryTimeout(time.Second),
		qdb.WithRequestTimeout(c.RequestTimeout), qdb.WithInitBufferSize(min(1<<20, w.e.maxBuffer)), qdb.WithMaxBufferSize(w.e.maxBuffer),
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
		w.transport.CloseIdleConnections()
	}
}

func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(context.Background())
}

// refuse sets a row aside that can never be a row of the server's.
func (w *writer) refuse(r market.Record, why error) error {
	e, h := w.e, r.Head()
	if !errors.Is(why, errNoForm) {
		if w.refused++; w.refused > maxRefused {
			return fmt.Errorf("more than %d rows are refused, the last because of: %w", maxRefused, why)
		}
	}
	if e.with.Rejects == nil {
		return fmt.Errorf("a row is refused, and there is no other place for it: %w", why)
	}
	e.log.Error("the server has no form for a row; it goes to the cold store",
		zap.String("table", w.kind.Table()), zap.String("stream", h.Instrument.ID().String()), zap.Int64("ts", h.TS), zap.Error(why))
	b := part.NewBlock(e.schemas[w.kind], e.with.Names)
	b.Append(r, e.with.Names.InstrumentCode(h.Instrument), 1)
	key := rejectKey{h.Instrument.ID(), floorDay(h.TS)}
	w.rejects[key] = append(w.rejects[key], part.NewBlockSource(b, 0, 1, 0))
	return nil
}

const day = int64(24 * time.Hour)

// floorDay counts days since 1970; before that they are negative.
func floorDay(ns int64) int64 {
	if ns < 0 {
		return (ns+1)/day - 1
	}
	return ns / day
}

// reject hands the refused rows to whoever takes them.
func (w *writer) reject(ctx context.Context, t *memtable.Table) error {
	e := w.e
	for key, rows := range w.rejects {
		meta := part.Meta{
			Kind: w.kind, JournalID: t.Position.JournalID, Shard: t.Shard,
			FirstSeq: e.memory.Position(t.Shard).Seq + 1, LastSeq: t.Position.Seq, Created: e.with.Now().UnixNano(),
		}
		err := e.with.Rejects(ctx, Rejected{Meta: meta, Stream: key.stream, Day: key.day * day, Rows: part.NewMerge(rows, false)})
		if err != nil {
			return fmt.Errorf("keeping %d refused rows elsewhere: %w", len(rows), err)
		}
		e.metrics.Dropped.WithLabelValues("rejected").Add(float64(len(rows)))
	}
	return nil
}

// errElsewhere says that rows were taken, and not by the table that there is: just
// after a table was dropped and made again, the server may still write to the old one.
var errElsewhere = errors.New("the server has taken rows, and its table has not")

// errInvisible says that rows were taken and are not shown.
var errInvisible = errors.New("the server has taken the rows and does not show them")

// visible waits until the server shows what it has taken. Waiting for equality of
// the two numbers would never end under load.
func (w *writer) visible(ctx context.Context) error {
	e := w.e
	table := w.kind.Table()
	deadline := e.with.Now().Add(e.cfg.VisibleWithin)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		suspended, shown, _, err := e.wal(ctx, table)
		switch {
		case err != nil:
			return err
		case shown >= w.transaction:
			return nil
		case suspended:
			e.suspend(table)
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
