package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// The router's messages. Each carries the asker's ctx, which ends the work when the
// asker has left.
type (
	query struct {
		ctx    context.Context
		q      persistence.Query
		ticket *ticket
	}
	candles struct {
		ctx    context.Context
		q      persistence.CandleQuery
		ticket *ticket
	}
	last struct {
		ctx    context.Context
		kind   market.Kind
		stream market.StreamID
		origin persistence.OriginFilter
	}
	lastFound struct{ record market.Record }
	stats     struct{ ctx context.Context }
	parts     struct{ ctx context.Context }
	streams   struct {
		ctx  context.Context
		kind market.Kind
	}
	statusRequest struct{ ctx context.Context }
	write         struct {
		ctx   context.Context
		batch *market.Batch
	}
)

// router answers every request on a goroutine of its own, and so never waits.
type router struct {
	h        *Handle
	requests chan struct{} // a place for each under way
	writes   chan struct{}
}

func newRouter(h *Handle) *router {
	c := h.options.Config
	return &router{h: h, requests: make(chan struct{}, c.MaxRequests), writes: make(chan struct{}, c.MaxWrites)}
}

// Receive handles one message.
func (r *router) Receive(c *supervise.Context) {
	engine := r.h.options.Engine
	switch m := c.Message().(type) {
	case *actor.Started:
		r.h.router.Store(&ref{c.System(), c.Self()})
	case query:
		r.lease(m.ctx, c, m.ticket, "query", func(ctx context.Context) (persistence.Rows, error) { return engine.Query(ctx, m.q) })
	case candles:
		r.lease(m.ctx, c, m.ticket, "candles", func(ctx context.Context) (persistence.Rows, error) { return engine.Candles(ctx, m.q) })
	case last:
		r.answer(m.ctx, c, r.requests, "last", func(ctx context.Context) (any, error) {
			record, ok, err := engine.Last(ctx, m.kind, m.stream, m.origin, &market.Batch{})
			if !ok {
				record = nil
			}
			return lastFound{record}, err
		})
	case stats:
		r.answer(m.ctx, c, r.requests, "stats", func(ctx context.Context) (any, error) { return engine.Stats(ctx) })
	case parts:
		r.answer(m.ctx, c, r.requests, "parts", func(context.Context) (any, error) { return engine.Parts(), nil })
	case streams:
		r.answer(m.ctx, c, r.requests, "streams", func(ctx context.Context) (any, error) { return engine.Streams(ctx, m.kind) })
	case statusRequest:
		r.answer(m.ctx, c, r.requests, "status", func(ctx context.Context) (any, error) { return r.h.status(ctx) })
	case resumeTable:
		r.answer(m.ctx, c, r.requests, "resume", func(ctx context.Context) (any, error) { return r.h.resume(ctx, m.kind) })
	case write:
		r.answer(m.ctx, c, r.writes, "write", func(ctx context.Context) (any, error) { return r.h.write(ctx, m.batch) })
	}
}

// answer runs fn beside the actor, in one of the places, and sends what it returns
// to the asker.
func (r *router) answer(asker context.Context, c *supervise.Context, places chan struct{}, what string, fn func(ctx context.Context) (any, error)) {
	sender, began := c.Sender(), time.Now()
	select {
	case places <- struct{}{}:
	default:
		r.h.metrics.request(what, ErrBusy, began)
		c.Respond(ErrBusy)
		return
	}
	root := c.System().Actors().Root
	c.Go(func(life context.Context) {
		defer func() { <-places }()
		ctx, cancel := context.WithCancel(asker)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		value, err := fn(ctx)
		r.h.metrics.request(what, err, began)
		if err != nil {
			value = err
		}
		root.Send(sender, value)
	})
}

// lease opens rows beside the actor and hands them to the asker, or closes them
// when he has left.
func (r *router) lease(asker context.Context, c *supervise.Context, t *ticket, what string, open func(ctx context.Context) (persistence.Rows, error)) {
	sender, began := c.Sender(), time.Now()
	select {
	case r.h.leases <- struct{}{}:
	default:
		r.h.metrics.request(what, ErrBusy, began)
		c.Respond(ErrBusy)
		return
	}
	root := c.System().Actors().Root
	// What the engine opens may live as long as its context: that of the lease.
	ctx, cancel := context.WithCancel(context.WithoutCancel(asker))
	l := &leased{release: func() { cancel(); <-r.h.leases }}
	c.Go(func(life context.Context) {
		left, ended := context.AfterFunc(asker, cancel), context.AfterFunc(life, cancel)
		opened := false
		defer func() { // also when open panics
			if !opened {
				l.release()
			}
		}()
		rows, err := open(ctx)
		left() // from here on the lease lives until it is closed
		ended()
		r.h.metrics.request(what, err, began)
		if err != nil {
			root.Send(sender, err)
			return
		}
		l.Rows, opened = rows, true
		if t.hand(l) {
			root.Send(sender, persistence.Rows(l))
		} else if err := l.Close(); err != nil {
			c.Log().Warn("rows that nobody waits for do not close", zap.Error(err))
		}
	})
}

// write stores a client's records.
func (h *Handle) write(ctx context.Context, batch *market.Batch) (Written, error) {
	if h.options.Recorder == nil {
		return Written{}, ErrReadOnly
	}
	if err := external(batch); err != nil {
		return Written{}, err
	}
	if err := h.unreadable(); err != nil {
		return Written{}, err
	}
	rows := batch.Len()
	outcome := make(chan persistence.Outcome, 1)
	entry := &persistence.Entry{Batch: *batch, Done: func(_ *persistence.Entry, o persistence.Outcome) { outcome <- o }}
	if err := h.options.Recorder.Record(entry); err != nil {
		return Written{}, refusal(err)
	}
	select {
	case o := <-outcome:
		if o.Err != nil {
			return Written{}, refusal(o.Err)
		}
		w := Written{Stored: rows, Shard: o.Shard, Seq: o.Seq}
		w.Visible = h.visible(ctx, o.Shard, o.Seq)
		return w, nil
	case <-ctx.Done():
		return Written{}, fmt.Errorf("waiting for the journal: %w", ctx.Err())
	}
}

// external checks the records of a client and fixes their time in the store.
func external(b *market.Batch) error {
	if b == nil || b.Len() == 0 {
		return fmt.Errorf("%w: no records", ErrInvalidWrite)
	}
	i := 0
	for r := range b.All() {
		h := r.Head()
		switch {
		case h.Instrument == nil:
			return fmt.Errorf("%w: record %d has no instrument", ErrInvalidWrite, i)
		case h.Origin != market.External:
			return fmt.Errorf("%w: record %d is not external", ErrInvalidWrite, i)
		case r.Kind().Table() == "":
			return fmt.Errorf("%w: record %d, a %s, is never stored", ErrInvalidWrite, i, r.Kind())
		}
		market.Stamp(r)
		i++
	}
	return nil
}

// visible waits until queries see a journal message.
func (h *Handle) visible(ctx context.Context, shard int, seq uint64) bool {
	if shard >= len(h.shards) || h.shards[shard].faulted() != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, h.options.Config.VisibleTimeout)
	defer cancel()
	if h.shards[shard].standby() != "" {
		return h.reached(ctx, shard, seq) == nil
	}
	return h.options.Engine.WaitApplied(ctx, shard, seq) == nil
}

// unreadable refuses what the journal would take and nobody could ever read: what
// is written to an older copy of the journal gets numbers that the store has read
// already, and what is written to another journal belongs to no position.
func (h *Handle) unreadable() error {
	err := h.shards[0].faulted()
	if journal.IsForeign(err) {
		return &UnavailableError{Err: fmt.Errorf("%w: %w", persistence.ErrRefusing, err), RetryAfter: unreadableRetry}
	}
	return nil
}

// unreadableRetry is when a client may ask again whether somebody has helped.
const unreadableRetry = 30 * time.Second

// refusal says of a write that the recorder did not store when to try again.
func refusal(err error) error {
	after := 5 * time.Second
	switch {
	case errors.Is(err, persistence.ErrTooLarge), errors.Is(err, persistence.ErrRecord):
		return err
	case errors.Is(err, persistence.ErrNoCredit):
		after = time.Second
	case errors.Is(err, persistence.ErrJournalFull):
		after = 10 * time.Second
	case errors.Is(err, persistence.ErrDiskFull):
		after = 30 * time.Second
	}
	return &UnavailableError{Err: err, RetryAfter: after}
}
