package collector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	documents "github.com/marketprism/marketprism/actors/bucket"
)

const (
	// lookForLeft is how often a node looks for operations whose node is gone, though the
	// same nodes live as when it looked last: one may have failed to take them.
	lookForLeft = time.Minute
	// lookAgain is the pause after it could not be found out.
	lookAgain = 5 * time.Second
	// keepLeft is for how long what is over is known of a node that does not come back.
	keepLeft = 7 * 24 * time.Hour
)

// backfillsTaken are operations of nodes that live no more, which are this node's now.
type backfillsTaken struct {
	list []*backfill
	err  error
}

// left looks, whenever other nodes live than before, for operations that were left by
// nodes that live no more. Each is one document, and taken by writing it at the revision
// that was read: of all nodes that try, one has it. Whoever had it before finds that out
// when it writes the next time, and lets it be; what both have fetched is stored once.
func (f *backfiller) left() {
	v := f.venue
	if v.opts.Backfills == nil || v.opts.Alive == nil || !v.enabled() || v.instruments() == nil || !v.backfills.isRecalled() {
		return
	}
	alive, known := v.opts.Alive()
	now := v.opts.Now()
	if !known || slices.Equal(alive, f.alive) && now.Sub(f.looked) < lookForLeft {
		return
	}
	if f.taking.Start(f.c, func(ctx context.Context) any {
		list, err := v.take(ctx, alive)
		return backfillsTaken{list, err}
	}) {
		f.alive, f.looked = slices.Clone(alive), now
	}
}

func (f *backfiller) taken(m backfillsTaken) {
	if m.err != nil {
		f.looked = f.venue.opts.Now().Add(lookAgain - lookForLeft)
		f.c.Log().Warn("what nodes that are gone have left to fetch is not known", zap.Error(m.err))
	}
	f.venue.backfills.append(m.list)
	for _, b := range m.list {
		f.c.Log().Info("a backfill that another node has left goes on here", zap.String("backfill", b.read().ID))
	}
}

// take takes the operations over that nodes have left that are not alive.
func (v *venue) take(ctx context.Context, alive []string) (list []*backfill, err error) {
	found, err := v.opts.Backfills.Load(ctx, v.backfillPrefix())
	if err != nil {
		return nil, fmt.Errorf("looking for backfills of %s that were left: %w", v.name, err)
	}
	var errs []error
	for _, d := range found {
		doc, err := documentOf(d)
		if err != nil || doc.Node == "" || doc.Node == v.opts.Node || slices.Contains(alive, doc.Node) {
			continue
		}
		if doc.State.Over() {
			if v.opts.Now().Sub(time.Unix(0, doc.Finished)) > keepLeft {
				errs = append(errs, unlessConflict(v.opts.Backfills.Remove(ctx, d.Key, d.Revision)))
			}
			continue
		}
		b := v.restored(d, doc)
		b.changed = true
		switch err := b.claim(ctx, d); {
		case err == nil:
			list = append(list, b)
		default:
			errs = append(errs, unlessConflict(err))
		}
	}
	slices.SortFunc(list, byAge)
	return list, errors.Join(errs...)
}

// unlessConflict is nil where another was faster, whose it is then.
func unlessConflict(err error) error {
	if errors.Is(err, documents.ErrConflict) {
		return nil
	}
	return err
}

// claim writes an operation as this node's, if it is as it was read.
func (b *backfill) claim(ctx context.Context, d documents.Document) error {
	b.keeping.Lock()
	defer b.keeping.Unlock()
	b.mu.Lock()
	value, err := b.written()
	b.mu.Unlock()
	if err != nil {
		return err
	}
	next, err := b.venue.opts.Backfills.Put(ctx, d.Key, value, d.Revision)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		return err
	}
	b.revision, b.changed = next, false
	return nil
}

// lose ends an operation here: it is another node's now.
func (b *backfill) lose() {
	b.mu.Lock()
	b.lost = true
	if b.cancel != nil {
		b.cancel()
	}
	b.mu.Unlock()
	b.venue.backfills.remove(b)
}

func (b *backfill) isLost() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lost
}

// append puts operations behind those that there are.
func (l *backfills) append(list []*backfill) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range list {
		if !slices.ContainsFunc(l.list, func(o *backfill) bool { return o.status.ID == b.status.ID }) {
			l.list = append(l.list, b)
		}
	}
	l.forget()
}
