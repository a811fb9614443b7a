package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
	"github.com/marketprism/marketprism/persistence"
)

// ignorance is what a stream does not know of the time before it began, because
// storage did not answer in time: it goes on, says so, and asks again until it does.
type ignorance struct {
	kinds   kindSet      // of which it is not known what is stored
	entries []market.Gap // of the ledger, that wait for their beginning
	asking  supervise.InFlight
	next    int64 // when to ask again, Unix ns
	pause   time.Duration
	since   int64 // when the incarnation began, Unix ns
}

func (i *ignorance) any() bool { return i.kinds != 0 || len(i.entries) > 0 }

// lessons are what storage knew after all.
type lessons struct {
	remembered
	answered []answeredGap
	err      error
}

// answeredGap is an entry without beginning, and the last record before it; time 0
// is none.
type answeredGap struct {
	gap  market.Gap
	last lastRecord
}

// unknowing makes the stream go on without knowing what is stored.
func (s *streamActor) unknowing(kinds kindSet, cause string, now int64) {
	if kinds == 0 {
		return
	}
	s.unknown.kinds, s.unknown.pause = s.unknown.kinds|kinds, s.opts.Config.RetryFirst
	for _, k := range kinds.list() {
		s.stream.Unknown(k, cause, now)
	}
	s.unknown.next = now + int64(s.unknown.pause)
}

// noteBoundless keeps the entries of the ledger that will have to be settled.
func (s *streamActor) noteBoundless(g *market.Gap) {
	if !stream.Boundless(g) {
		return
	}
	for i := range s.unknown.entries {
		if e := &s.unknown.entries[i]; e.Channel == g.Channel && e.TS == g.TS {
			return // written again after a refusal
		}
	}
	s.unknown.entries = append(s.unknown.entries, *g)
}

// learn asks storage again what was stored before the stream began.
func (s *streamActor) learn() {
	u := &s.unknown
	if s.phase != stepping || !u.any() || s.venue.now() < u.next {
		return
	}
	r, kinds, since := s.route, u.kinds, u.since
	entries := append([]market.Gap(nil), u.entries...)
	timeout := s.opts.Config.ResumeTimeout
	u.asking.Start(s.c, func(ctx context.Context) any {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		l, err := r.lessons(ctx, kinds, entries, since)
		l.err = err
		return l
	})
}

// learned takes what storage answered.
func (s *streamActor) learned(l lessons) {
	u := &s.unknown
	if s.phase != stepping {
		return
	}
	now := s.venue.now()
	if l.err != nil {
		u.pause = min(2*u.pause, s.opts.Config.RetryLast)
		u.next = now + int64(u.pause)
		s.c.Log().Warn("storage still does not answer: what is stored before the start is not known", zap.Error(l.err), zap.Duration("pause", u.pause))
		return
	}
	for i := len(l.recent) - 1; i >= 0; i-- {
		s.route.history.gap(&l.recent[i])
	}
	for i := range l.open {
		s.stream.Reopen(&l.open[i], &s.desk.out)
	}
	for i := range l.answered {
		s.settleEntry(&l.answered[i], now)
	}
	for _, last := range l.last {
		if s.stream.Known(last.kind, last.seq, last.time, market.CauseRestart, now, &s.desk.out) {
			u.kinds &^= kindsOf(last.kind)
		}
	}
	s.emit()
	u.pause = s.opts.Config.RetryFirst
	u.next = now + int64(u.pause)
	if !u.any() {
		s.c.Log().Info("storage answered: what was stored before the start is known, and the ledger has what lies between")
	}
}

// settleEntry gives an entry of the ledger its beginning.
func (s *streamActor) settleEntry(a *answeredGap, now int64) {
	s.stream.Learned(&a.gap, a.last.seq, a.last.time, now, &s.desk.out)
	k, _ := market.ParseKind(a.gap.Channel)
	u := &s.unknown
	for i := range u.entries {
		if e := &u.entries[i]; e.Channel == a.gap.Channel && e.TS == a.gap.TS {
			u.entries = append(u.entries[:i], u.entries[i+1:]...)
			u.kinds &^= kindsOf(k)
			return
		}
	}
}

// lessons reads what was stored before an incarnation that began at since, whose own
// entries without beginning are given.
func (r *route) lessons(ctx context.Context, kinds kindSet, own []market.Gap, since int64) (l lessons, err error) {
	o, id := r.venue.opts, r.instrument.ID()
	if o.Applied != nil {
		if err := o.Applied(ctx, id); err != nil {
			return l, err
		}
	}
	if l.recent, err = r.ledger(ctx); err != nil {
		return l, err
	}
	for i := range l.recent {
		g := &l.recent[i]
		before := g.Epoch != r.epoch || g.ReceiveTime < since
		switch {
		case stream.Boundless(g) && before:
			own = append(own, *g)
		case g.Outcome == market.OutcomeOpen && g.ToSeq.OK && before:
			l.open = append(l.open, *g)
		}
	}
	if l.answered, err = r.beginnings(ctx, own); err != nil {
		return l, err
	}
	for _, g := range own {
		if k, ok := market.ParseKind(g.Channel); ok {
			kinds &^= kindsOf(k)
		}
	}
	l.last, err = r.lastOf(ctx, kinds)
	return l, err
}

// beginnings finds the last record before each of the entries.
func (r *route) beginnings(ctx context.Context, entries []market.Gap) (all []answeredGap, err error) {
	for _, g := range entries {
		k, ok := market.ParseKind(g.Channel)
		if !ok || k.Table() == "" {
			continue
		}
		last, err := r.before(ctx, k, &g)
		if err != nil {
			return nil, err
		}
		all = append(all, answeredGap{g, last})
	}
	return all, nil
}

// before is the last stored record before the end of an entry: by its number, where
// the entry has one, else by its time.
func (r *route) before(ctx context.Context, k market.Kind, g *market.Gap) (last lastRecord, err error) {
	id := r.instrument.ID()
	q := persistence.Query{Kind: k, Stream: &id, Newest: true, Origin: persistence.OriginCollected, To: g.ToTime}
	if g.ToSeq.OK {
		q.To++
	}
	rows, err := r.venue.opts.Reader.Query(ctx, q)
	if err != nil {
		return last, fmt.Errorf("looking for the last %s before %d: %w", k, g.ToTime, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var b market.Batch
	for {
		b.Reset()
		n, err := rows.Next(ctx, &b)
		for rec := range b.All() {
			if seq := sequenceOf(rec); !g.ToSeq.OK || seq.OK && seq.V <= g.ToSeq.V {
				return lastRecord{k, seq, rec.Head().TS}, nil
			}
		}
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			return lastRecord{kind: k}, nil
		}
		if err != nil {
			return last, fmt.Errorf("looking for the last %s before %d: %w", k, g.ToTime, err)
		}
	}
}

// lastOf reads the last record of each kind; time 0 where there is none.
func (r *route) lastOf(ctx context.Context, kinds kindSet) (all []lastRecord, err error) {
	var b market.Batch
	for _, k := range kinds.list() {
		b.Reset()
		rec, ok, err := r.venue.opts.Reader.Last(ctx, k, r.instrument.ID(), persistence.OriginCollected, &b)
		if err != nil {
			return nil, err
		}
		last := lastRecord{kind: k}
		if ok {
			last.seq, last.time = sequenceOf(rec), rec.Head().TS
		}
		all = append(all, last)
	}
	return all, nil
}
