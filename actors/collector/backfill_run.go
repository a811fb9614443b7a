package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/feed"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
	"github.com/marketprism/marketprism/persistence"
)

// pastRun carries one operation out, on a goroutine of its own. What is stored is its
// only memory: it asks for what is not there, so that one that was ended in any way
// goes on where it was when it is asked for again.
type pastRun struct {
	*backfill
	instrument *market.Instrument
	id         market.StreamID
	config     stream.Config
	step       *stream.Stream // stamps what has no numbers
	recorder   persistence.Recorder
	pacers     map[string]*connectors.Pacer // by history
	part       int                          // of status.Parts
	pages      []float64                    // of each part, about: what it weighs
}

func newPastRun(b *backfill) *pastRun {
	v, i := b.venue, b.status.Instrument
	r := &pastRun{backfill: b, instrument: i, id: i.ID(), pacers: map[string]*connectors.Pacer{}, pages: []float64{1}}
	r.config = feed.StreamConfig(v.table(), i, feed.Options{Epoch: v.opts.Epoch})
	r.step = stream.New(r.config)
	r.recorder = v.opts.Recorder(r.id)
	for _, h := range v.table().HistoriesOf() {
		r.pacers[h.Label()] = connectors.NewPacer(h.Pace)
	}
	return r
}

func (r *pastRun) run(ctx context.Context) error {
	if err := r.applied(ctx); err != nil {
		return err
	}
	if r.status.Gaps {
		r.begins(0)
		from, to := bound(r.status.From), bound(r.status.To)
		if r.trades {
			if err := r.gaps(ctx, from, to); err != nil {
				return err
			}
		}
		if err := r.timedGaps(ctx, from, to); err != nil {
			return err
		}
		return r.applied(ctx)
	}
	from, to := r.status.From.UnixNano(), r.status.To.UnixNano()
	r.pages = make([]float64, len(r.histories))
	for n, h := range r.histories {
		r.pages[n] = 1
		if h.Every > 0 {
			r.pages[n] += float64(to-from) / (float64(h.Every) * float64(h.Page))
		}
	}
	for n, h := range r.histories {
		r.begins(n)
		do := func() error { return r.times(ctx, h, from, to) }
		if h.Kind == market.KindTrade {
			do = func() error { return r.tradesOf(ctx, from, to) }
		}
		if err := do(); err != nil {
			return fmt.Errorf("%s: %w", h.Label(), err)
		}
	}
	if err := r.applied(ctx); err != nil {
		return err
	}
	if err := r.timedGaps(ctx, from, to); err != nil {
		return err
	}
	return r.applied(ctx)
}

// bound is a time in Unix ns; 0 for none.
func bound(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// applied waits until what the journal has can be read.
func (r *pastRun) applied(ctx context.Context) error {
	if r.venue.opts.Applied == nil {
		return ctx.Err()
	}
	if err := r.venue.opts.Applied(ctx, r.id); err != nil {
		return fmt.Errorf("waiting for the store: %w", err)
	}
	return nil
}

// begins says which part is under way.
func (r *pastRun) begins(part int) {
	r.part = part
	r.note(func(s *BackfillStatus) { s.Doing = s.Parts[part] })
	r.progress(0)
}

// progress says how much of the part is done, 0 to 1.
func (r *pastRun) progress(share float64) {
	before, all := 0.0, 0.0
	for n, pages := range r.pages {
		if all += pages; n < r.part {
			before += pages
		}
	}
	r.note(func(s *BackfillStatus) {
		s.Progress = (before + min(1, max(0, share))*r.pages[r.part]) / all
	})
}

// waits says what the operation waits for, "" for nothing.
func (r *pastRun) waits(what string) { r.note(func(s *BackfillStatus) { s.Problem = what }) }

// brought counts records that the journal has now.
func (r *pastRun) brought(n int) {
	r.venue.backfills.records.Add(int64(n))
	r.note(func(s *BackfillStatus) { s.Records += int64(n) })
}

// fetch asks the exchange when nothing live wants to, within the share of the budget,
// and again while that may help.
func (r *pastRun) fetch(ctx context.Context, h connectors.History, n connectors.Need, into *market.Batch) error {
	return r.ask(ctx, h, n, func(req connectors.Request) error {
		into.Reset()
		return r.venue.made.Load().client.Fetch(ctx, req, into)
	})
}

func (r *pastRun) ask(ctx context.Context, h connectors.History, n connectors.Need, call func(connectors.Request) error) error {
	v, begun := r.venue, r.venue.opts.Now()
	n.Instrument = r.instrument
	req, err := v.table().REST.Request(n)
	if err != nil {
		return fmt.Errorf("asking for %s: %w", n.Kind, err)
	}
	for try := 0; ; try++ {
		if err := v.precedence.wait(ctx); err != nil {
			return err
		}
		pacer := r.pacers[h.Label()]
		pacer.SetSharers(v.sharing())
		if err := pacer.Wait(ctx); err != nil {
			return err
		}
		if left, ok := v.made.Load().client.Remaining(); ok && left < 1-v.opts.Config.BackfillShare {
			r.waits("waiting for the rate limit")
		}
		if err := v.made.Load().client.Spare(ctx, req.Weight, v.opts.Config.BackfillShare); err != nil {
			return err
		}
		v.backfills.calls.Add(1)
		r.note(func(s *BackfillStatus) { s.Calls++ })
		r.stepped()
		err := call(req)
		switch {
		case err == nil:
			r.waits("")
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case final(err), v.opts.Now().Sub(begun) > v.opts.Config.BackfillPatience:
			return err
		}
		r.waits("trying again: " + err.Error())
		if err := r.pause(ctx, try); err != nil {
			return err
		}
	}
}

// pause waits before try n+1, a moment longer each time.
func (r *pastRun) pause(ctx context.Context, n int) error {
	c := r.venue.opts.Config
	t := time.NewTimer(supervise.Backoff{Base: c.RetryFirst, Cap: c.RetryLast, Jitter: .2}.Delay(n, r.venue.opts.jitter()))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// record hands records over and waits until the journal has them. One that refuses is
// asked again for as long as the operation lives: every record has a key, so that
// those of a doubtful outcome replace themselves.
func (r *pastRun) record(ctx context.Context, records []market.Record) error {
	if len(records) == 0 {
		return nil
	}
	for try := 0; ; try++ {
		err := r.recordOnce(ctx, records)
		switch {
		case err == nil:
			r.waits("")
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, persistence.ErrStopped), errors.Is(err, persistence.ErrTooLarge):
			return fmt.Errorf("recording: %w", err)
		}
		r.waits("the journal does not take what was fetched: " + err.Error())
		if err := r.pause(ctx, try); err != nil {
			return err
		}
	}
}

func (r *pastRun) recordOnce(ctx context.Context, records []market.Record) error {
	settled := make(chan error, 1)
	e := &persistence.Entry{Done: func(_ *persistence.Entry, o persistence.Outcome) { settled <- o.Err }}
	for _, rec := range records {
		e.Batch.Copy(rec)
	}
	if err := r.recorder.Record(e); err != nil {
		return err
	}
	select {
	case err := <-settled:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stored reads what is stored of a kind in a time, oldest first; columns nil reads all.
func (r *pastRun) stored(ctx context.Context, k market.Kind, from, to int64, columns []string, each func(market.Record) error) (err error) {
	rows, err := r.venue.opts.Reader.Query(ctx, persistence.Query{
		Kind: k, Stream: &r.id, From: from, To: to, Origin: persistence.OriginCollected, Columns: columns,
	})
	if err != nil {
		return fmt.Errorf("reading the stored %s records: %w", k, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var b market.Batch
	for {
		b.Reset()
		n, err := rows.Next(ctx, &b)
		for rec := range b.All() {
			if err := each(rec); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the stored %s records: %w", k, err)
		}
	}
}
