package collector

import (
	"context"
	"errors"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
	"github.com/marketprism/marketprism/persistence"
)

// held is what arrives while a stream resumes: records, and the changes of its
// sessions' state between them.
type held struct {
	records market.Batch
	memory  int64 // of records, bytes
	notes   []heldNote
	lost    kindSet
}

type heldNote struct {
	at      int // before the record of that index
	message any
}

// maxHeldNotes bounds the changes of state; a flapping session has said enough.
const maxHeldNotes = 1024

func (h *held) note(message any) {
	if len(h.notes) < maxHeldNotes {
		h.notes = append(h.notes, heldNote{h.records.Len(), message})
	}
}

// hold keeps a record for later, or gives it up and counts it.
func (s *streamActor) hold(r market.Record) {
	h := s.holding()
	if h.records.Len() >= s.opts.Config.HoldRecords || s.opts.backlog.holdFull() {
		s.route.counts.overheld.Add(1)
		h.lost |= kindsOf(r.Kind())
		return
	}
	h.records.Copy(r)
	before := h.memory
	h.memory = h.records.Memory()
	s.route.holds(h.memory - before)
}

// holding is where to hold something.
func (s *streamActor) holding() *held {
	if s.held == nil {
		s.held = &held{}
	}
	return s.held
}

// remembered is what storage knows of the stream.
type remembered struct {
	kinds kindSet // asked for
	last  []lastRecord
	// open are ledger entries without an end, recent all of them, newest first.
	open, recent []market.Gap
	// answered are entries without a beginning, of an earlier run.
	answered []answeredGap
	err      error
	// failed are the kinds of questions that were not answered.
	failed kindSet
}

type lastRecord struct {
	kind market.Kind
	seq  market.OptInt
	time int64
}

// reopenLimit bounds the ledger entries that are read at a start.
const reopenLimit = 4096

// remember asks storage beside the actor for what is stored of the kinds that it
// was not asked for.
func (s *streamActor) remember() {
	kinds := s.unasked
	s.unasked = 0
	if s.opts.Reader == nil {
		s.resume(remembered{kinds: kinds})
		return
	}
	r, o, retry, limit := s.route, s.opts, s.opts.Config.RetryFirst, s.opts.Config.ResumeTimeout
	if s.phase == resuming && s.takeover.orphaned() {
		limit = min(limit, o.Config.TakeoverTimeout)
	}
	s.recall.Start(s.c, func(ctx context.Context) any {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		for pause := retry; ; pause = min(2*pause, recallPause) {
			m, err := r.recall(ctx, kinds)
			if err == nil {
				return m
			}
			select {
			case <-ctx.Done():
				return remembered{kinds: kinds, failed: kinds, err: err}
			case <-time.After(pause):
			}
		}
	})
}

// widen takes kinds up that were not wanted before: what is stored of them is
// looked up first, while the others go on.
func (s *streamActor) widen(kinds kindSet) {
	if s.phase == draining {
		return
	}
	s.awaited |= kinds
	s.unasked |= kinds
	if !s.recall.Busy() && !s.takeover.waits { // else when the question before is answered
		s.remember()
	}
}

// happened takes what concerns channels: what concerns those that are awaited
// waits with their records.
func (s *streamActor) happened(message any) {
	if s.phase == resuming {
		s.holding().note(message)
		s.takeover.offer(s)
		return
	}
	switch m := message.(type) {
	case interruption:
		if later := m.kinds & s.awaited; later != 0 {
			s.holding().note(interruption{later, m.cause, m.time})
			if m.kinds &^= later; m.kinds == 0 {
				return
			}
		}
		s.apply(m)
	case arrival:
		if later := m.kinds & s.awaited; later != 0 {
			s.holding().note(arrival{later})
		}
		s.apply(arrival{m.kinds &^ s.awaited})
	default:
		s.apply(message)
	}
}

// recall reads what is stored, once everything on its way is.
func (r *route) recall(ctx context.Context, kinds kindSet) (m remembered, err error) {
	m.kinds = kinds
	o, id := r.venue.opts, r.instrument.ID()
	if err := r.flight.wait(ctx); err != nil {
		return m, err
	}
	if o.Applied != nil {
		if err := o.Applied(ctx, id); err != nil {
			return m, err
		}
	}
	if m.last, err = r.lastOf(ctx, kinds); err != nil {
		return m, err
	}
	if m.recent, err = r.ledger(ctx); err != nil {
		return m, err
	}
	var boundless []market.Gap
	for _, g := range m.recent {
		switch {
		case stream.Boundless(&g):
			boundless = append(boundless, g)
		case g.Outcome == market.OutcomeOpen && g.ToSeq.OK:
			m.open = append(m.open, g)
		}
	}
	m.answered, err = r.beginnings(ctx, boundless)
	return m, err
}

// recallPause is the longest pause between two questions at a start.
const recallPause = 5 * time.Second

func (r *route) ledger(ctx context.Context) (gaps []market.Gap, err error) {
	id := r.instrument.ID()
	rows, err := r.venue.opts.Reader.Query(ctx, persistence.Query{
		Kind: market.KindGap, Stream: &id, Limit: reopenLimit, Newest: true, Origin: persistence.OriginCollected,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var b market.Batch
	for {
		b.Reset()
		_, err := rows.Next(ctx, &b)
		for g := range market.Rows[market.Gap](&b) {
			own := *g
			own.Instrument = r.instrument
			gaps = append(gaps, own)
		}
		if errors.Is(err, io.EOF) {
			return gaps, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// sequenceOf is the number by which a channel tells what follows.
func sequenceOf(r market.Record) market.OptInt {
	if t, ok := r.(*market.Trade); ok {
		n, numeric := t.Number()
		return market.OptInt{V: n, OK: numeric}
	}
	return r.Head().Seq
}

// resume begins to step the kinds that storage has answered for, or not answered
// in time: after what is stored, through what was held.
func (s *streamActor) resume(m remembered) {
	if s.phase == draining {
		return
	}
	if m.err != nil {
		s.c.Log().Error("storage did not answer: the stream goes on without knowing what is stored, and asks again", zap.Error(m.err))
	}
	// What the ledger has is taken from the first answer: at the start.
	m.kinds, m.failed, m.last = m.kinds|s.known.kinds, m.failed|s.known.failed, append(s.known.last, m.last...)
	if s.known.kinds != 0 {
		m.recent, m.open, m.answered = s.known.recent, s.known.open, s.known.answered
	}
	if s.unasked != 0 {
		s.known = m
		s.remember()
		return
	}
	s.known, s.awaited = remembered{}, 0
	cause := market.CauseRestart
	if s.route.crashed.Swap(false) {
		cause = market.CausePanic
	}
	starting := s.phase == resuming
	s.phase = stepping
	now := s.venue.now()
	s.unknowing(m.failed, cause, now)
	for _, l := range m.last {
		switch {
		case l.time == 0:
		case starting && s.takeover.seamless.has(l.kind) && !s.proven.has(l.kind):
			s.stream.Continue(l.kind, l.seq, l.time)
		case starting && s.takeover.listened && l.kind == market.KindBookDelta && s.proven.has(l.kind):
			s.stream.Join(l.seq, l.time, cause, now, &s.desk.out)
		default:
			s.stream.Resume(l.kind, l.seq, l.time, cause, now, &s.desk.out)
		}
	}
	if starting {
		s.reopen(m, now)
	}
	s.emit()
	s.replayHeld()
	s.arrive(m.kinds, starting)
	s.figure()
}

// reopen takes up the ledger of earlier runs.
func (s *streamActor) reopen(m remembered, now int64) {
	for i := len(m.recent) - 1; i >= 0; i-- {
		s.route.history.gap(&m.recent[i])
	}
	for i := len(m.open) - 1; i >= 0; i-- {
		s.stream.Reopen(&m.open[i], &s.desk.out)
	}
	for i := range m.answered {
		s.settleEntry(&m.answered[i], now)
	}
}

// arrive tells of the kinds that a live session delivers already, at a start of
// all of them.
func (s *streamActor) arrive(kinds kindSet, starting bool) {
	up := kindSet(s.route.up.Load())
	if !starting {
		up &= kinds
	}
	if up != 0 {
		s.apply(arrival{up})
	}
	// The session of a stream that crashed has had its snapshot.
	if s.config.SnapshotsInBand && s.born > 1 && up.has(market.KindBookDelta) {
		s.stream.Subscribed(&s.desk.out)
		s.emit()
	}
}

// replayHeld steps what arrived meanwhile, in order.
func (s *streamActor) replayHeld() {
	s.takeover.expectBook(s)
	h := s.held
	if h == nil {
		return
	}
	for i := range h.records.Len() {
		for len(h.notes) > 0 && h.notes[0].at <= i {
			s.apply(h.notes[0].message)
			h.notes = h.notes[1:]
		}
		s.stream.Step(h.records.At(i), &s.desk.out)
		s.emit()
	}
	for _, n := range h.notes {
		s.apply(n.message)
	}
	if lost := h.lost &^ s.proven; lost != 0 {
		s.apply(interruption{kinds: lost, cause: market.CauseNoCredit, time: s.venue.now()})
	}
	s.held = nil
	s.route.released()
}
