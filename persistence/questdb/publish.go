package questdb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/memtable"
)

// shard returns a shard's progress.
func (e *Engine) shard(number int) (*progress, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.shards[number]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("questdb: shard %d is not one of the %d of the journal", number, e.with.Shards)
}

// Publish implements [persistence.Writer]: the tables are sent at once, each by
// its own writer.
func (e *Engine) Publish(ctx context.Context, shard int) error {
	p, err := e.shard(shard)
	if err != nil {
		return err
	}
	for {
		sealed, ok := p.writing.Sealed()
		if !ok {
			break
		}
		var all sync.WaitGroup
		errs := make([]error, len(sealed.Left))
		for i, kind := range sealed.Left {
			all.Go(func() { errs[i] = e.Write(ctx, shard, kind) })
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		if err := e.Commit(ctx, shard); err != nil {
			return err
		}
	}
	if err := e.gate.Enter(); err != nil {
		return err
	}
	defer e.gate.Leave()
	return e.save(ctx, p, e.cfg.Trail)
}

// Sealed implements [persistence.Publisher].
func (e *Engine) Sealed(shard int) (persistence.Sealed, bool) {
	p, err := e.shard(shard)
	if err != nil {
		return persistence.Sealed{}, false
	}
	return p.writing.Sealed()
}

// Write implements [persistence.Publisher]: it sends a kind's records, and returns
// when the server shows them.
func (e *Engine) Write(ctx context.Context, shard int, kind market.Kind) error {
	if err := e.gate.Enter(); err != nil {
		return err
	}
	defer e.gate.Leave()
	p, err := e.shard(shard)
	if err != nil {
		return err
	}
	if e.lost(shard) {
		return persistence.ErrRewind
	}
	err = p.writing.Write(kind, func(t *memtable.Table, _ time.Time) (struct{}, error) {
		if err := e.prepare(ctx); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, e.writers[kind].send(ctx, t)
	})
	if err != nil {
		e.failures.Add(1)
		e.metrics.Retries.Inc()
		return fmt.Errorf("sending %s of shard %d: %w", kind.Table(), shard, err)
	}
	return nil
}

// Commit implements [persistence.Publisher]: every row is visible in its table, and
// leaves memory. The position follows later.
func (e *Engine) Commit(ctx context.Context, shard int) error {
	if err := e.gate.Enter(); err != nil {
		return err
	}
	defer e.gate.Leave()
	p, err := e.shard(shard)
	if err != nil {
		return err
	}
	err = p.writing.Commit(func(t *memtable.Table, began time.Time, _ map[market.Kind]struct{}) error {
		e.metrics.BatchRows.Observe(float64(t.Rows()))
		e.metrics.Flush.Observe(e.with.Now().Sub(began).Seconds())
		e.metrics.Queue.Sub(float64(t.Rows()))
		before := e.memory.Position(shard).Seq
		e.memory.Drop(t)
		e.mu.Lock()
		defer e.mu.Unlock()
		p.note(t.Position, e.with.Now(), e.cfg.Trail)
		e.stored(t, before)
		return nil
	})
	if err != nil {
		return err
	}
	e.failures.Store(0)
	return e.save(ctx, p, e.cfg.Trail)
}

// save saves the newest position that was sent long enough ago.
func (e *Engine) save(ctx context.Context, p *progress, trail time.Duration) error {
	p.settle.Lock()
	defer p.settle.Unlock()
	e.mu.Lock()
	if p.lost {
		e.mu.Unlock()
		return persistence.ErrRewind
	}
	n := 0
	for n < len(p.sent) && e.with.Now().Sub(p.sent[n].at) >= trail {
		n++
	}
	var due persistence.Position
	if n > 0 {
		due = p.sent[n-1].position
	}
	e.mu.Unlock()
	if n == 0 {
		return nil
	}
	if err := e.with.Positions.Save(ctx, due); err != nil {
		return fmt.Errorf("saving the position of shard %d: %w", due.Shard, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	p.saved = due.Clone()
	for len(p.sent) > 0 && p.sent[0].position.Seq <= due.Seq {
		p.sent = p.sent[1:]
	}
	return nil
}

// Settle implements [persistence.Publisher].
func (e *Engine) Settle(ctx context.Context, shard int) error {
	if err := e.gate.Enter(); err != nil {
		return err
	}
	defer e.gate.Leave()
	p, err := e.shard(shard)
	if err != nil {
		return err
	}
	return e.save(ctx, p, 0)
}

// setBack marks every shard as one that is to be read again: a table holds fewer
// transactions than the server had taken.
func (e *Engine) setBack(table string, had, has int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.taken[table] = has
	e.prepared.Store(false)
	for _, p := range e.shards {
		p.lost = true
	}
	e.log.Error("the server was set back: it has lost what it had taken; the journal is read again from the saved position",
		zap.String("table", table), zap.Int64("had", had), zap.Int64("has", has))
	return fmt.Errorf("%w: table %s had %d transactions and has %d", persistence.ErrRewind, table, had, has)
}

// Rewind implements [persistence.Publisher].
func (e *Engine) Rewind(shard int) {
	p, err := e.shard(shard)
	if err != nil {
		return
	}
	p.settle.Lock()
	defer p.settle.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !p.lost {
		return
	}
	p.lost, p.sent = false, nil
	e.metrics.Queue.Sub(float64(e.memory.Reset(p.saved)))
}

// Begin implements [persistence.Shared]. What another process has sent since is on the
// server; what this one had applied, and not sent, is in the journal.
func (e *Engine) Begin(ctx context.Context, shard int) error {
	if err := e.gate.Enter(); err != nil {
		return err
	}
	defer e.gate.Leave()
	p, err := e.shard(shard)
	if err != nil {
		return err
	}
	p.settle.Lock()
	defer p.settle.Unlock()
	saved, err := e.with.Positions.Load(ctx, shard)
	if err != nil {
		return fmt.Errorf("questdb: loading the position of shard %d: %w", shard, err)
	}
	saved.Shard = shard
	e.mu.Lock()
	defer e.mu.Unlock()
	p.saved, p.lost, p.sent = saved, false, nil
	e.metrics.Queue.Sub(float64(e.memory.Reset(saved)))
	if saved.Seq > 0 {
		e.arrived(placeWord(saved.JournalID, shard), saved.Seq)
	}
	for _, w := range e.writers {
		if w != nil {
			w.forgetShard(shard)
		}
	}
	return nil
}

// Maintain implements [persistence.Engine]: it makes the tables if they are still
// missing, looks for suspended ones, resumes them, notes when rows arrived, and saves
// the positions that are due.
func (e *Engine) Maintain(ctx context.Context) error {
	if err := e.gate.Enter(); err != nil {
		return err
	}
	defer e.gate.Leave()
	err := e.prepare(ctx)
	if err == nil {
		err = errors.Join(e.lookAfter(ctx), e.look(ctx), e.keepArrivals(ctx))
	}
	errs := []error{err}
	for shard := range e.with.Shards {
		p, err := e.shard(shard)
		if err == nil {
			err = e.save(ctx, p, e.cfg.Trail)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
