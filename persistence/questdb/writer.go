package questdb

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/memtable"
	"github.com/marketprism/marketprism/persistence/part"
)

// writer sends the rows of one table, one request at a time: a request of one
// table is stored as a whole or not at all.
//
//	records --fill, encode--> request --flush--> taken --(applied by the server)--> shown
//
// The three overlap: while one request is at the server the next is encoded, and
// while one sealed table waits to be shown the next is sent.
type writer struct {
	e    *Engine
	kind market.Kind

	mu        sync.Mutex // one delivery at a time
	filling   *request
	flying    *request // nil: nothing is at the server
	spare     *request
	transport *http.Transport // both requests' connection
	filler    part.Filler

	// Of the delivery under way.
	journal string // with the shard
	mended  bool   // the table was looked at
	stored  int64  // requests that were acknowledged
	refused int    // rows that the server refuses
	rejects map[rejectKey][]part.Source

	// What the server has taken and may not show yet: all of a sealed table, up to
	// one of its transactions.
	takenMu sync.Mutex
	taken   map[*memtable.Table]int64
}

func newWriter(e *Engine, kind market.Kind) *writer {
	return &writer{e: e, kind: kind, filling: newRequest(), spare: newRequest(), taken: map[*memtable.Table]int64{}}
}

// send brings a kind's rows of a sealed table to the server, and waits until it
// shows them. What it has taken once is not sent again.
func (w *writer) send(ctx context.Context, t *memtable.Table) error {
	if err := w.deliver(ctx, t); err != nil {
		return err
	}
	if err := w.visible(ctx, t); err != nil {
		if errors.Is(err, persistence.ErrRewind) {
			w.forgetAll(ctx)
		}
		return err
	}
	w.takenMu.Lock()
	defer w.takenMu.Unlock()
	delete(w.taken, t)
	return nil
}

// has is the transaction up to which the server has taken a sealed table.
func (w *writer) has(t *memtable.Table) (transaction int64, ok bool) {
	w.takenMu.Lock()
	defer w.takenMu.Unlock()
	transaction, ok = w.taken[t]
	return transaction, ok
}

// forgetAll is for a server that has lost what it had taken.
func (w *writer) forgetAll(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.takenMu.Lock()
	clear(w.taken)
	w.takenMu.Unlock()
	w.drop(ctx)
}

// forgetShard forgets what the server has taken of a shard's tables: they are gone.
func (w *writer) forgetShard(shard int) {
	w.takenMu.Lock()
	defer w.takenMu.Unlock()
	for t := range w.taken {
		if t.Shard == shard {
			delete(w.taken, t)
		}
	}
}

// deliver returns when the server has taken every row of a sealed table, or somebody
// else has.
func (w *writer) deliver(ctx context.Context, t *memtable.Table) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.has(t); ok {
		return nil
	}
	transaction, err := w.sendAll(ctx, t)
	for attempt := 1; errors.Is(err, errElsewhere) && attempt < 3; attempt++ {
		w.e.log.Warn("what the server acknowledged went to a table that was dropped; it is sent again", zap.Error(err))
		transaction, err = w.sendAll(ctx, t)
	}
	if err != nil {
		return err
	}
	w.takenMu.Lock()
	defer w.takenMu.Unlock()
	w.taken[t] = transaction
	return nil
}

// sendAll returns the transaction up to which the server has taken the rows.
func (w *writer) sendAll(ctx context.Context, t *memtable.Table) (transaction int64, err error) {
	// A server that was set back must not be written to before that is noticed.
	before, err := w.e.wal(ctx, w.kind.Table())
	if err != nil {
		return 0, err
	}
	w.stored, w.refused, w.mended, w.rejects = 0, 0, false, map[rejectKey][]part.Source{}
	w.journal = placeWord(t.Position.JournalID, t.Shard)
	defer w.ground(ctx)
	if err := w.collect(ctx, t); err != nil {
		return 0, err
	}
	if err := w.flush(ctx); err != nil {
		return 0, err
	}
	if err := w.land(ctx); err != nil {
		return 0, err
	}
	if err := w.reject(ctx, t); err != nil {
		return 0, err
	}
	after, err := w.e.wal(ctx, w.kind.Table())
	if err != nil {
		return 0, err
	}
	if transactions := after.Taken - before.Taken; transactions < w.stored {
		w.drop(ctx)
		return 0, fmt.Errorf("%w: %d requests are acknowledged, in %d transactions", errElsewhere, w.stored, transactions)
	}
	return after.Taken, nil
}

// collect fills requests with rows, and sends those that are full. Rows that the cold
// store lists are left out: nobody would read them here, and those that have left would
// have to be removed, and counted, again.
func (w *writer) collect(ctx context.Context, t *memtable.Table) error {
	rows, err := newTimeline(ctx, t, w.kind)
	if err != nil {
		return err
	}
	archived := w.e.archivedTo(w.kind, w.journal)
	for block, row := rows.next(); block != nil; block, row = rows.next() {
		if t.Seq(block.Order(row)) <= archived { // it comes again, and the cold store has it
			if err := rows.advance(ctx); err != nil {
				return err
			}
			continue
		}
		r := w.filling
		record, err := w.filler.Fill(block, row, &r.batch)
		if err != nil {
			return err
		}
		r.seqs = append(r.seqs, t.Seq(block.Order(row)))
		if err := rows.advance(ctx); err != nil {
			return err
		}
		r.bytes += lineBytes(record)
		if r.batch.Len() >= w.e.cfg.RequestRows || r.bytes >= requestBytes {
			if err := w.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush encodes what is collected, waits until the request before it is answered,
// and sends it.
func (w *writer) flush(ctx context.Context) error {
	r := w.filling
	if r.batch.Len() == 0 {
		return nil
	}
	encoded := w.encode(ctx, r, 0, r.batch.Len())
	if err := w.land(ctx); err != nil {
		return err
	}
	w.flying, w.filling, w.spare = r, w.spare, nil
	r.launch(ctx, encoded)
	return nil
}

// land waits for the answer to the request that is at the server, if there is one.
func (w *writer) land(ctx context.Context) error {
	r := w.flying
	if r == nil {
		return nil
	}
	err := <-r.answer
	w.flying, w.spare = nil, r
	if err := w.settle(ctx, r, 0, r.batch.Len(), err); err != nil {
		return err
	}
	r.clear()
	return nil
}

func (r *request) clear() {
	r.batch.Reset()
	r.seqs, r.bytes = r.seqs[:0], 0
}

// ground ends a delivery, also one that has failed: nothing is at the server any
// more, and no row waits.
func (w *writer) ground(ctx context.Context) {
	if w.flying != nil {
		if err := <-w.flying.answer; err != nil { // the rows are sent again in any case
			w.e.log.Debug("the request that was under way failed too", zap.Error(err))
		}
		w.flying, w.spare = nil, w.flying
	}
	if w.filling.batch.Len() > 0 || w.spare.batch.Len() > 0 {
		w.drop(ctx)
	}
	w.filling.clear()
	w.spare.clear()
}

// settle decides what follows the sending of records [lo, hi) of a request. One that
// the server refuses for one of its rows is halved until that row is found. The
// client has emptied its buffer by then, so every attempt encodes anew.
func (w *writer) settle(ctx context.Context, r *request, lo, hi int, err error) error {
	if err == nil {
		w.stored++
		return nil
	}
	// A buffer that has grown beyond its limit, or was filled in part, stays so.
	w.disconnect(ctx, r)
	if !isBadRow(err) {
		return err
	}
	if isRefused(err) && !w.mended {
		// The table may lack a column, or be gone.
		w.mended = true
		if err := w.e.migrateTable(ctx, w.e.tables[w.kind]); err != nil {
			return w.e.away(err)
		}
		return w.settle(ctx, r, lo, hi, w.attempt(ctx, r, lo, hi))
	}
	if hi-lo > 1 {
		mid := lo + (hi-lo)/2
		if err := w.settle(ctx, r, lo, mid, w.attempt(ctx, r, lo, mid)); err != nil {
			return err
		}
		return w.settle(ctx, r, mid, hi, w.attempt(ctx, r, mid, hi))
	}
	return w.refuse(r.batch.At(lo), err)
}

// drop gives the senders up; their rows are in the batches.
func (w *writer) drop(ctx context.Context) {
	for _, r := range []*request{w.filling, w.spare} {
		w.disconnect(ctx, r)
	}
}

func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(context.Background())
}

// errElsewhere says that rows were taken, and not by the table that there is: just
// after a table was dropped and made again, the server may still write to the old one.
var errElsewhere = errors.New("the server has taken rows, and its table has not")

// errInvisible says that rows were taken and are not shown.
var errInvisible = errors.New("the server has taken the rows and does not show them")

// Pauses between two looks at whether the server shows what it has taken: it has no
// way of telling.
const (
	firstLook = time.Millisecond
	lastLook  = 50 * time.Millisecond
)

// visible waits until the server shows what it has taken of a sealed table, and
// meanwhile delivers the one behind it. Waiting for equality of the two numbers
// would never end under load.
func (w *writer) visible(ctx context.Context, t *memtable.Table) error {
	transaction, ok := w.has(t)
	if !ok {
		return nil // somebody else has seen it
	}
	e, table := w.e, w.kind.Table()
	var ahead error // a failure is met again when the turn of that table comes
	shown, since := int64(-1), e.with.Now()
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		s, err := e.wal(ctx, table)
		if err == nil && s.Shown > shown {
			shown, since = s.Shown, e.with.Now()
		}
		switch {
		case err != nil:
			return err
		case shown >= transaction:
			return nil
		case s.Suspended:
			return fmt.Errorf("%w: table %s is suspended: %s", errInvisible, table, s.reason())
		case e.with.Now().Sub(since) > e.cfg.VisibleWithin:
			return fmt.Errorf("%w: table %s shows no more than transaction %d of %d for %v", errInvisible, table, shown, transaction, e.cfg.VisibleWithin)
		}
		sealed := e.sealing(t.Shard)
		if next := e.memory.After(t); next != nil && ahead == nil && w.wants(next) {
			ahead = w.deliver(ctx, next)
			if errors.Is(ahead, persistence.ErrRewind) {
				return ahead
			}
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-sealed:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// wants says whether a sealed table has rows that the server has not taken.
func (w *writer) wants(t *memtable.Table) bool {
	_, ok := w.has(t)
	return !ok && t.KindRows(w.kind) > 0
}
