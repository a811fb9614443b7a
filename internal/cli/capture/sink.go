package capture

import (
	"context"
	"errors"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// sink follows one session, to know what has to be asked for by REST.
type sink struct {
	*recording
	subs []connectors.Subscription
	live bool // the session's goroutine only
}

// Deliver implements [connectors.Sink].
func (k *sink) Deliver(d *connectors.Delivery) bool {
	k.mu.Lock()
	for rec := range d.Batch.All() {
		if !k.chosen[rec.Head().Instrument] {
			continue // of a topic that serves several instruments
		}
		s := k.stream(rec.Head().Instrument)
		s.Step(rec, &k.out)
		k.after(s)
	}
	k.mu.Unlock()
	d.Release()
	return true
}

// Report implements [connectors.Sink].
func (k *sink) Report(e connectors.Event) {
	switch {
	case e.Kind == connectors.StateChanged && e.State == connectors.Live:
		k.each(func(s *stream.Stream, books bool, _ []market.Kind) {
			if books {
				s.Subscribed(&k.out)
			}
		})
		if !k.live {
			k.live = true
			if k.waiting.Add(-1) == 0 && k.Live != nil {
				k.Live()
			}
		}
	case e.Kind == connectors.Disconnected && !e.Replaced && e.Cause != nil && !errors.Is(e.Cause, context.Canceled):
		k.each(func(s *stream.Stream, _ bool, kinds []market.Kind) {
			s.Interrupted(market.CauseDisconnect, e.Time.UnixNano(), &k.out, kinds...)
		})
	}
}

// each visits the session's streams with the kinds that the session gives.
func (k *sink) each(visit func(s *stream.Stream, books bool, kinds []market.Kind)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	kinds := map[*market.Instrument][]market.Kind{}
	books := map[*market.Instrument]bool{}
	var order []*market.Instrument
	for _, sub := range k.subs {
		c := &k.Venue.Channels[sub.Channel]
		if kinds[sub.Instrument] == nil {
			order = append(order, sub.Instrument)
		}
		kinds[sub.Instrument] = append(kinds[sub.Instrument], c.Kinds...)
		books[sub.Instrument] = books[sub.Instrument] || c.Snapshot == connectors.SnapshotByREST
	}
	for _, i := range order {
		s := k.stream(i)
		visit(s, books[i], kinds[i])
		k.after(s)
	}
}

// after carries out what a step asks for; the lock is held.
func (r *recording) after(s *stream.Stream) {
	for _, q := range r.out.Requests {
		e := errand{why: q, need: connectors.Need{Instrument: s.Instrument(), FromID: q.From, ToID: q.To}}
		switch q.Kind {
		case stream.RequestSnapshot:
			e.need.Kind = connectors.NeedSnapshot
		case stream.RequestTrades:
			e.need.Kind = connectors.NeedTradesFrom
		case stream.RequestResubscribe:
			r.renew(s.Instrument())
			continue
		}
		if !r.send(e) && q.Kind == stream.RequestSnapshot {
			s.SnapshotFailed()
		}
	}
	r.out.Reset()
}

// renew has a book subscribed anew, for the snapshot that it begins with.
func (r *recording) renew(i *market.Instrument) {
	for ch := range r.Venue.Channels {
		if r.Venue.Channels[ch].Snapshot != connectors.SnapshotInStream {
			continue
		}
		for _, s := range r.sessions { // those without it leave it alone
			s.Resubscribe(connectors.Subscription{Channel: ch, Instrument: i})
		}
	}
}

// A call that may succeed later is made again, after a pause that doubles.
const (
	attempts   = 3
	retryPause = time.Second
)

// call makes the calls, one after another, until ctx ends.
func (r *recording) call(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-r.errands:
			r.carryOut(ctx, e)
		}
	}
}

// carryOut makes the calls of an errand and gives the stream what it asked for;
// the tap records the responses.
func (r *recording) carryOut(ctx context.Context, e errand) {
	if e.need.Kind == connectors.NeedTradesFrom {
		r.trades(ctx, e)
		return
	}
	var batch market.Batch
	err := r.fetch(ctx, e.need, &batch)
	if e.need.Kind != connectors.NeedSnapshot {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stream(e.need.Instrument)
	if err != nil {
		s.SnapshotFailed()
		return
	}
	for d := range market.Rows[market.BookDelta](&batch) {
		s.Snapshot(d, &r.out)
	}
	r.after(s)
}

// trades fetches a range of trades page by page. Where the exchange refuses to go
// back by id, the newest ones have to do.
func (r *recording) trades(ctx context.Context, e errand) {
	for done := false; !done && ctx.Err() == nil; {
		var batch market.Batch
		err := r.fetch(ctx, e.need, &batch)
		last := int64(-1)
		for t := range market.Rows[market.Trade](&batch) {
			if id, ok := t.Number(); ok {
				last = max(last, id)
			}
		}
		switch {
		case err != nil && !temporary(err) && e.need.Kind == connectors.NeedTradesFrom:
			e.need.Kind = connectors.NeedRecentTrades
			continue
		case err != nil, e.need.Kind == connectors.NeedRecentTrades:
			done = true
		default:
			done = last < e.need.FromID || last >= e.need.ToID
		}
		e.need.FromID = last + 1
		r.mu.Lock()
		s := r.stream(e.need.Instrument)
		s.Backfilled(e.why, &batch, done, time.Now().UnixNano(), &r.out)
		r.after(s)
		r.mu.Unlock()
	}
}

// fetch makes a call, several times if need be.
func (r *recording) fetch(ctx context.Context, need connectors.Need, batch *market.Batch) error {
	req, err := r.Venue.REST.Request(need)
	if err != nil {
		r.failed.Add(1)
		return err
	}
	for n := range attempts {
		if err = r.client.Fetch(ctx, req, batch); err == nil || !temporary(err) {
			break
		}
		if n+1 < attempts && wait(ctx, retryPause<<n) != nil {
			break
		}
	}
	if err != nil && ctx.Err() == nil {
		r.failed.Add(1)
	}
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// temporary reports whether the same call may succeed later.
func temporary(err error) bool {
	var status *connectors.StatusError
	if errors.As(err, &status) {
		return status.Temporary()
	}
	var frame *connectors.FrameError
	return !errors.As(err, &frame)
}
