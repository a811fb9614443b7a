package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// parcels is how many decoded messages may be on their way to the engine.
const parcels = 3

// closeTimeout bounds the removal of a consumer at the broker.
const closeTimeout = time.Second

// parcel is one decoded message on its way from the pump to the applier.
type parcel struct {
	seq   uint64
	batch market.Batch
	// position is the reader's, behind the message.
	position persistence.Position
	stored   time.Time
	pending  uint64
}

// pipeline brings one shard of the journal into the engine: pump, applier and
// publisher, see doc.go. It is used once.
type pipeline struct {
	h      *Handle
	p      *progress
	c      *supervise.Context
	engine persistence.Engine
	shard  int

	stopped context.Context // ends with finish, and with the incarnation
	finish  func()          // asks to read no more, and to end once all is published
	filled  chan *parcel    // closed by the pump
	empty   chan *parcel
	pumpErr error // why the pump ended; set before filled is closed

	publisher *publisher
	share     share                // nil: the store is this process's alone
	position  persistence.Position // behind what was applied last; the applier's
}

func newPipeline(h *Handle, p *progress, c *supervise.Context) *pipeline {
	l := &pipeline{
		h: h, p: p, c: c, engine: h.options.Engine, shard: p.shard,
		filled: make(chan *parcel, parcels), empty: make(chan *parcel, parcels),
	}
	l.stopped, l.finish = context.WithCancel(c.Ctx())
	for range parcels {
		l.empty <- &parcel{}
	}
	return l
}

// fault is what cannot be cured by trying again.
type fault struct{ err error }

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func isFault(err error) bool {
	var f *fault
	var j *journal.Fault
	return errors.As(err, &f) || errors.As(err, &j)
}

// run reads until it is told to finish, ctx ends, or it can read no more. After
// finish its error says that not everything was published.
func (l *pipeline) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer l.finish()
	defer l.yield()
	reading, err := l.open(ctx)
	if err != nil {
		return err
	}
	ends := make(chan struct{}, 3)
	defer func() { // the others end with ctx; when the incarnation ends, it waits for them
		cancel()
		for range 3 {
			select {
			case <-ends:
			case <-l.c.Ctx().Done():
			}
		}
	}()
	l.c.Go(func(context.Context) {
		defer func() { ends <- struct{}{} }()
		l.pump(ctx, reading)
	})
	l.c.Go(func(context.Context) {
		defer func() { ends <- struct{}{} }()
		l.publisher.run(ctx)
	})
	l.c.Go(func(context.Context) {
		defer func() { ends <- struct{}{} }()
		l.beat(ctx)
	})
	l.c.After(0, begun{})
	return l.apply(ctx)
}

// open registers the store with the journal, and makes a reader behind what is
// durable.
func (l *pipeline) open(run context.Context) (*journal.Reader, error) {
	ctx, cancel := context.WithCancel(run)
	defer cancel()
	defer context.AfterFunc(l.stopped, cancel)()
	j, err := l.h.options.Journal(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case before := <-l.p.rewind:
		l.c.Log().Debug("the reader has begun again already", zap.Error(before))
	default:
	}
	l.engine.Rewind(l.shard)
	if l.h.options.Share != nil {
		return l.openShared(ctx, run, j)
	}
	from := l.engine.Position(l.shard)
	if from.JournalID != "" && from.JournalID != j.ID() {
		return nil, &fault{fmt.Errorf("%w: the store was filled from %s, this is %s", journal.ErrOtherJournal, from.JournalID, j.ID())}
	}
	registry, err := j.Registry(ctx)
	if err != nil {
		return nil, err
	}
	if from, err = l.complete(ctx, j, registry, from); err != nil {
		return nil, err
	}
	if from.JournalID == "" { // nothing was ever published
		if from, err = j.Start(ctx, l.shard); err != nil {
			return nil, err
		}
	}
	o := l.h.options
	registration, err := registry.Register(ctx, o.ReaderID, o.FullCopy, l.shard, from.Seq)
	if err != nil {
		return nil, err
	}
	return l.read(run, j, registry, registration, from)
}

// read makes a reader that begins at from.
func (l *pipeline) read(run context.Context, j *journal.Journal, registry *journal.Registry, registration registration, from persistence.Position) (*journal.Reader, error) {
	l.p.set(func(p *progress) { p.registered = from.Seq })
	l.publisher = newPublisher(l, registry, registration, j.Config())
	var err error
	var reading *journal.Reader
	reading, err = j.NewReader(from, journal.ReaderOptions{
		OnRetry: func(err error) { l.p.set(func(p *progress) { p.retry, p.retryAt = err, time.Now() }) },
		// The repeat's sequence may be the one that a recorder was answered with.
		OnRepeat: func(seq uint64) { l.send(run, seq, reading.Position()) },
		OnCut:    l.cut,
	})
	if err != nil {
		return nil, &fault{err}
	}
	return reading, nil
}

// cut is told that the broker found the end of the journal unreadable. What was
// behind it is gone, so reading goes on; but somebody must know.
func (l *pipeline) cut(bytes uint64) {
	known := false
	l.p.set(func(p *progress) { known, p.cut = p.cut == bytes, bytes })
	if !known {
		l.c.Log().Error("the broker cut an unreadable end off the journal: acknowledged batches may be lost", zap.Uint64("bytes", bytes))
	}
}

// pump reads and decodes until it is told to stop.
func (l *pipeline) pump(ctx context.Context, reading *journal.Reader) {
	defer close(l.filled)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.stopped, cancel)()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		reading.Close(ctx)
	}()
	decoder := journal.NewDecoder()
	for {
		m, err := reading.Next(ctx)
		if err != nil {
			l.pumpErr = err
			return
		}
		into, err := l.take(ctx)
		if err != nil {
			l.pumpErr = err
			return
		}
		rows, err := decoder.Decode(m.Payload, &into.batch)
		if err == nil && rows != m.Rows {
			err = fmt.Errorf("%w: %d records, the heading says %d", journal.ErrCorrupt, rows, m.Rows)
		}
		if err != nil {
			l.pumpErr = &journal.Fault{Shard: l.shard, Seq: m.Seq, Err: err}
			return
		}
		into.seq, into.position, into.stored, into.pending = m.Seq, reading.Position(), m.Time, m.Pending
		l.filled <- into // there are as many places as parcels
	}
}

func (l *pipeline) take(ctx context.Context) (*parcel, error) {
	select {
	case into := <-l.empty:
		into.batch.Reset()
		return into, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// send passes on a message without records of its own.
func (l *pipeline) send(ctx context.Context, seq uint64, position persistence.Position) {
	into, err := l.take(ctx)
	if err != nil {
		return // the pump learns of it
	}
	into.seq, into.position, into.stored, into.pending = seq, position, time.Time{}, 0
	l.filled <- into
}

// apply takes parcels into the engine and seals what is due, until the pump has
// ended; then it publishes the rest if that is what ended it.
func (l *pipeline) apply(ctx context.Context) error {
	tick := time.NewTicker(l.h.options.Config.SealInterval)
	defer tick.Stop()
	l.publisher.poke() // what an incarnation before may have left sealed
	for {
		select {
		case next, ok := <-l.filled:
			if !ok {
				return l.ended(ctx)
			}
			if err := l.applyOne(ctx, next); err != nil {
				return err
			}
			l.empty <- next
		case <-tick.C:
		case <-l.publisher.progressed:
		case <-l.p.flush:
			if _, err := l.seal(); err != nil && !errors.Is(err, persistence.ErrBacklog) {
				return err
			}
			l.publisher.poke()
		case err := <-l.publisher.failed:
			return err
		case err := <-l.p.rewind:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		if l.engine.Due(l.shard) {
			if _, err := l.seal(); err != nil && !errors.Is(err, persistence.ErrBacklog) {
				return err
			}
		}
	}
}

// applyOne makes a parcel visible. While the engine's backlog is full it waits.
func (l *pipeline) applyOne(ctx context.Context, next *parcel) error {
	if next.seq <= l.engine.Applied(l.shard) { // before the reader's restart
		l.position = next.position
		return nil
	}
	for {
		err := l.engine.Apply(l.shard, next.seq, &next.batch)
		switch {
		case err == nil:
			l.position = next.position
			l.observe(next)
			return nil
		case errors.Is(err, persistence.ErrBacklog):
			if err := l.relieve(ctx); err != nil {
				return err
			}
		case errors.Is(err, persistence.ErrClosed), errors.Is(err, persistence.ErrRewind):
			return err
		default:
			return &fault{fmt.Errorf("message %d of shard %d: %w", next.seq, l.shard, err)}
		}
	}
}

func (l *pipeline) observe(next *parcel) {
	l.p.set(func(p *progress) {
		p.last, p.retry = Read{Seq: next.seq, Stored: next.stored, Pending: next.pending}, nil
	})
	l.h.metrics.applied(l.shard, next)
}

// relieve makes room in the engine's backlog, or waits for the publisher to.
func (l *pipeline) relieve(ctx context.Context) error {
	sealed, err := l.seal()
	if sealed || err != nil && !errors.Is(err, persistence.ErrBacklog) {
		return err
	}
	began := time.Now()
	l.p.set(func(p *progress) { p.waiting = true })
	defer func() {
		l.p.set(func(p *progress) { p.waiting = false })
		l.h.metrics.waited(l.shard, time.Since(began))
	}()
	select {
	case <-l.publisher.progressed:
		return nil
	case err := <-l.publisher.failed:
		return err
	case err := <-l.p.rewind:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// seal freezes what has been applied, and has it published. A reader that has not
// reached yet what was applied before its restart has no position for it.
func (l *pipeline) seal() (sealed bool, err error) {
	applied := l.engine.Applied(l.shard)
	if applied == 0 || l.position.Seq != applied {
		return false, nil
	}
	err = l.engine.Seal(l.position.Clone())
	if err == nil || errors.Is(err, persistence.ErrBacklog) {
		l.publisher.poke()
	}
	return err == nil, err
}

// ended follows the end of the pump. When it was asked to end, everything that has
// been applied is published. So it is when the journal cannot be read on: what was
// read is right, and the journal that it came from may be gone.
func (l *pipeline) ended(ctx context.Context) error {
	if isFault(l.pumpErr) {
		if err := l.publishApplied(ctx); err != nil {
			l.c.Log().Error("not everything that was read of the journal is published", zap.Error(err))
		}
		return l.pumpErr
	}
	if l.stopped.Err() == nil {
		return l.pumpErr
	}
	return l.publishApplied(ctx)
}

func (l *pipeline) publishApplied(ctx context.Context) error {
	for {
		_, err := l.seal()
		if err == nil {
			break
		}
		if !errors.Is(err, persistence.ErrBacklog) {
			return err
		}
		if err := l.relieve(ctx); err != nil {
			return err
		}
	}
	if err := l.publisher.last(ctx); err != nil {
		return err
	}
	if at, applied := l.engine.Published(l.shard), l.engine.Applied(l.shard); at < applied {
		return fmt.Errorf("shard %d is published up to %d, and applied up to %d", l.shard, at, applied)
	}
	l.c.Log().Info("everything that was applied is published", zap.Uint64("seq", l.engine.Applied(l.shard)))
	return nil
}
