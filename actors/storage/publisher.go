package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// registration is how the journal is told up to where the store is durable.
type registration interface {
	Advance(ctx context.Context, position uint64) error
	Flush(ctx context.Context, position uint64) error
	Position() uint64
}

// publisher makes durable what the applier has sealed, tells the journal how far
// that is, and purges it.
type publisher struct {
	l            *pipeline
	registry     *journal.Registry
	registration registration
	cfg          journal.Config

	poked      chan struct{}   // something may be sealed
	final      chan chan error // publish, register at once, and answer
	progressed chan struct{}   // a Publish has succeeded
	failed     chan error      // a fault
	purged     time.Time
}

func newPublisher(l *pipeline, registry *journal.Registry, registration registration, cfg journal.Config) *publisher {
	return &publisher{
		l: l, registry: registry, registration: registration, cfg: cfg,
		poked: make(chan struct{}, 1), final: make(chan chan error), progressed: make(chan struct{}, 1), failed: make(chan error, 1),
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func signalError(ch chan error, err error) {
	select {
	case ch <- err:
	default: // one is enough
	}
}

// poke asks for a Publish.
func (u *publisher) poke() { signal(u.poked) }

// last publishes what is sealed and brings the registration up to date.
func (u *publisher) last(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case u.final <- answer:
	case err := <-u.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run serves until ctx ends.
func (u *publisher) run(ctx context.Context) {
	beat := time.NewTicker(min(max(u.cfg.RegisterInterval, time.Second), u.cfg.PurgeInterval))
	defer beat.Stop()
	for {
		select {
		case <-u.poked:
			if u.publish(ctx) == nil {
				u.register(ctx, u.registration.Advance)
			}
		case <-beat.C:
			u.register(ctx, u.registration.Advance)
			u.purge(ctx)
		case answer := <-u.final:
			err := u.publish(ctx)
			if err == nil {
				u.register(ctx, u.registration.Flush)
			}
			answer <- err
		case <-ctx.Done():
			return
		}
	}
}

// publish has everything written that is sealed, and commits it, until nothing is
// sealed, ctx ends, or the store is closed.
func (u *publisher) publish(ctx context.Context) error {
	for pause := firstPause; ; {
		sealed, ok := u.l.engine.Sealed(u.l.shard)
		if !ok {
			return nil
		}
		if err := u.write(ctx, sealed); err != nil {
			return err
		}
		err := u.commit(ctx)
		if err == nil {
			pause = firstPause
			continue
		}
		if u.isFinal(ctx, err) {
			return err
		}
		u.l.c.Log().Error("publishing fails, it will be repeated", zap.Error(err), zap.Duration("pause", pause))
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(jitter(pause)):
		}
		pause = min(2*pause, u.l.h.options.Config.PublishRetry)
	}
}

// write asks the writers, which repeat what fails, and waits until nothing is left
// of what is sealed.
func (u *publisher) write(ctx context.Context, sealed persistence.Sealed) error {
	for _, kind := range sealed.Left {
		u.l.p.tables[kind].poke()
	}
	for len(sealed.Left) > 0 {
		select {
		case <-u.l.p.written:
		case <-ctx.Done():
			return ctx.Err()
		}
		now, ok := u.l.engine.Sealed(u.l.shard)
		if !ok || now.Seq != sealed.Seq {
			return nil
		}
		sealed = now
	}
	return nil
}

// commit tries once.
func (u *publisher) commit(ctx context.Context) error {
	err := u.l.engine.Commit(ctx, u.l.shard)
	if err == nil {
		u.l.p.set(func(p *progress) {
			p.publish, p.failures, p.publishedAt = nil, 0, time.Now()
			close(p.published)
			p.published = make(chan struct{})
		})
		signal(u.progressed)
		return nil
	}
	if ctx.Err() == nil && !errors.Is(err, persistence.ErrClosed) {
		u.l.p.set(func(p *progress) {
			p.publish = err
			p.failures++
		})
		u.l.h.metrics.publishFailures.WithLabelValues(journal.StreamName(u.l.shard)).Inc()
	}
	return err
}

// isFinal says that trying again does not help, and tells who must know.
func (u *publisher) isFinal(ctx context.Context, err error) bool {
	switch {
	case ctx.Err() != nil || errors.Is(err, persistence.ErrClosed):
	case errors.Is(err, persistence.ErrRewind):
		signalError(u.l.p.rewind, err)
	case errors.Is(err, journal.ErrReaderTaken):
		signalError(u.failed, u.l.final(err))
	default:
		return false
	}
	return true
}

// register tells the journal up to where the store is durable. A registration that
// is lost is a fault: what follows may be purged.
func (u *publisher) register(ctx context.Context, tell func(ctx context.Context, position uint64) error) {
	position := u.l.engine.Position(u.l.shard).Seq
	err := tell(ctx, position)
	switch {
	case err == nil:
		at := u.registration.Position()
		u.l.p.set(func(p *progress) { p.registered = at })
	case errors.Is(err, journal.ErrUnregistered), errors.Is(err, journal.ErrReaderTaken):
		signalError(u.failed, u.l.final(err))
	case ctx.Err() == nil:
		u.l.c.Log().Warn("the journal does not take the reader's position", zap.Error(err))
	}
}

func (u *publisher) purge(ctx context.Context) {
	if time.Since(u.purged) < u.cfg.PurgeInterval {
		return
	}
	u.purged = time.Now()
	done, err := u.registry.Purge(ctx, u.l.shard)
	switch {
	case err != nil && ctx.Err() == nil:
		u.l.c.Log().Warn("the journal is not purged", zap.Error(err))
	case len(done.Unregistered) > 0:
		u.l.c.Log().Warn("readers fell far behind and were unregistered", zap.Strings("readers", done.Unregistered))
	}
}
