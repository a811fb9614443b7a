package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// Maintain implements [persistence.Engine]: it verifies the checksums of parts
// that this process has neither written nor verified, merges the parts of hours
// that are over, unlinks files that left the manifest, and closes files that were
// not read for longest.
func (e *Engine) Maintain(ctx context.Context) error {
	if err := e.gate.Enter(); err != nil {
		return err
	}
	defer e.gate.Leave()
	e.maintain.Lock()
	defer e.maintain.Unlock()
	return errors.Join(e.verify(ctx), e.mergeAll(ctx), e.unlink(), e.closeIdle())
}

// pinned returns the listed parts of a kind, pinned.
func (e *Engine) pinned(kind market.Kind, want func(*stored) bool) []*stored {
	e.mu.RLock()
	defer e.mu.RUnlock()
	var list []*stored
	for _, p := range e.parts[kind] {
		if want(p) {
			p.pins.Add(1)
			list = append(list, p)
		}
	}
	return list
}

func unpin(parts []*stored) {
	for _, p := range parts {
		p.pins.Add(-1)
	}
}

func (e *Engine) verify(ctx context.Context) error {
	for kind := range e.parts {
		parts := e.pinned(market.Kind(kind), func(p *stored) bool { return !p.verified.Load() })
		for _, p := range parts {
			if ctx.Err() != nil {
				break
			}
			f, err := p.open(e)
			if err == nil {
				err = f.Verify()
			}
			if err == nil {
				p.verified.Store(true)
				continue
			}
			if err := e.report(p, err); err != nil {
				unpin(parts)
				return fmt.Errorf("verifying parts: %w", err)
			}
		}
		unpin(parts)
	}
	return ctx.Err()
}

// report quarantines a part that err says is damaged; any other error is returned.
func (e *Engine) report(p *stored, err error) error {
	var corrupt *persistence.CorruptError
	if !errors.As(err, &corrupt) {
		return err
	}
	if e.readOnly {
		return nil
	}
	return e.quarantine(p, corrupt.Reason)
}

// quarantine moves a damaged part aside and takes it off the manifest. A part that
// was quarantined, or merged away, meanwhile is left.
func (e *Engine) quarantine(p *stored, reason string) error {
	e.manifestMu.Lock()
	defer e.manifestMu.Unlock()
	e.mu.RLock()
	listed := slices.Contains(e.parts[p.meta.Kind], p)
	e.mu.RUnlock()
	if !listed {
		return nil
	}
	moved := filepath.Join(part.QuarantineDir, p.meta.File)
	if err := e.moveAside(p.meta, moved, reason); err != nil {
		return err
	}
	damaged := part.Damaged{Meta: p.meta, Moved: moved, Reason: reason}
	if err := e.manifest.Append(&part.Change{Remove: []string{p.meta.File}, Quarantine: []part.Damaged{damaged}}); err != nil {
		return err
	}
	e.log.Error("a damaged part was moved aside; its rows are not served any more",
		zap.String("file", p.meta.File), zap.String("moved_to", moved), zap.String("reason", reason), zap.Int64("rows", p.meta.Rows))
	e.mu.Lock()
	defer e.mu.Unlock()
	kind := p.meta.Kind
	e.parts[kind] = without(e.parts[kind], []*stored{p})
	e.damaged = append(e.damaged[:len(e.damaged):len(e.damaged)], damaged)
	p.removed = e.now()
	e.garbage = append(e.garbage, p)
	e.metrics.setParts(kind, e.parts[kind])
	e.metrics.quarantined.Set(float64(len(e.damaged)))
	return nil
}

// moveAside moves a part's file into quarantine; where there is none, a note takes its
// place.
func (e *Engine) moveAside(m *part.Meta, moved, reason string) error {
	_, err := os.Stat(e.path(m))
	if errors.Is(err, os.ErrNotExist) {
		return e.disk.SetAside(filepath.Join(e.dir, moved), []byte(reason+"\n"))
	}
	if err != nil {
		return &persistence.IOError{Op: "stat part", Path: e.path(m), Err: err}
	}
	return e.disk.Move(e.path(m), filepath.Join(e.dir, moved))
}

// mergeAll merges what is due, one group after the other.
func (e *Engine) mergeAll(ctx context.Context) error {
	for kind := range e.parts {
		for {
			group := e.mergeable(market.Kind(kind))
			if len(group) == 0 {
				break
			}
			err := e.mergeGroup(ctx, group)
			unpin(group)
			if err != nil {
				return fmt.Errorf("merging %d parts of %s: %w", len(group), market.Kind(kind).Table(), err)
			}
		}
	}
	return nil
}

func hour(p *stored) int64 { return p.meta.Created / int64(time.Hour) }

// mergeable returns the first group of parts to be merged, pinned: neighbours in
// journal order, of one shard and one hour that is over, not too large together.
func (e *Engine) mergeable(kind market.Kind) []*stored {
	current := e.now().Add(-e.cfg.PublishInterval).UnixNano() / int64(time.Hour)
	e.mu.RLock()
	defer e.mu.RUnlock()
	var group []*stored
	rows := int64(0)
	for _, p := range e.parts[kind] {
		if !e.mayMerge(p) {
			if len(group) > 1 {
				break
			}
			group, rows = nil, 0
			continue
		}
		if len(group) > 0 {
			last := group[len(group)-1]
			if last.meta.Shard == p.meta.Shard && last.meta.JournalID == p.meta.JournalID && hour(last) == hour(p) && rows+p.meta.Rows <= e.cfg.MergedRows {
				group, rows = append(group, p), rows+p.meta.Rows
				continue
			}
			if len(group) > 1 {
				break
			}
		}
		group, rows = nil, 0
		if hour(p) < current {
			group, rows = []*stored{p}, p.meta.Rows
		}
	}
	if len(group) < 2 {
		return nil
	}
	for _, p := range group {
		p.pins.Add(1)
	}
	return group
}

// mergeGroup replaces neighbours by one part, in one manifest record. A damaged
// part is quarantined instead, and the rest is merged the next time.
func (e *Engine) mergeGroup(ctx context.Context, group []*stored) error {
	began := e.now()
	made, err := e.writeMerged(ctx, group)
	var bad *damagedPart
	if errors.As(err, &bad) {
		return e.report(bad.part, bad.err)
	}
	if err != nil {
		return err
	}
	e.manifestMu.Lock()
	defer e.manifestMu.Unlock()
	change := &part.Change{Add: []*part.Meta{made}}
	for _, p := range group {
		change.Remove = append(change.Remove, p.meta.File)
	}
	if !e.listed(group) { // one was quarantined, or archived, meanwhile
		return e.disk.Unlink(e.path(made))
	}
	// After a failure here the merged file stays: the record may be on the disk.
	if err := e.manifest.Append(change); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.parts[made.Kind] = without(e.parts[made.Kind], group)
	for _, p := range group {
		p.removed = e.now()
		e.garbage = append(e.garbage, p)
	}
	merged := e.newStored(made)
	merged.verified.Store(true)
	e.addPart(merged)
	e.metrics.merge.Observe(e.now().Sub(began).Seconds())
	return nil
}

// mayMerge reports whether a part may become part of another: not one that is
// being archived, so that an archive ends where a part does, nor one that the cold
// store has, which is about to go. e.mu is locked.
func (e *Engine) mayMerge(p *stored) bool {
	return p.archiving == 0 && !e.isArchived(p.meta)
}

// listed reports whether a group may still be replaced.
func (e *Engine) listed(group []*stored) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, p := range group {
		if !e.mayMerge(p) || !slices.Contains(e.parts[p.meta.Kind], p) {
			return false
		}
	}
	return true
}

// damagedPart says which part an error is about.
type damagedPart struct {
	part *stored
	err  error
}

func (d *damagedPart) Error() string { return d.err.Error() }
func (d *damagedPart) Unwrap() error { return d.err }

// unlink removes files that left the manifest long enough ago and that nobody
// reads.
func (e *Engine) unlink() error {
	e.mu.Lock()
	var due []*stored
	e.garbage = slices.DeleteFunc(e.garbage, func(p *stored) bool {
		ready := p.pins.Load() == 0 && e.now().Sub(p.removed) >= e.cfg.UnlinkAfter
		if ready {
			due = append(due, p)
		}
		return ready
	})
	e.mu.Unlock()
	var errs []error
	for _, p := range due {
		err := errors.Join(p.closeFile(), e.disk.Unlink(e.path(p.meta)))
		if err != nil {
			errs = append(errs, err)
			e.mu.Lock()
			e.garbage = append(e.garbage, p)
			e.mu.Unlock()
		}
	}
	return errors.Join(errs...)
}

// closeIdle closes files beyond the number that may stay open.
func (e *Engine) closeIdle() error {
	e.mu.Lock() // nobody pins meanwhile
	defer e.mu.Unlock()
	type idle struct {
		p  *stored
		at time.Time
	}
	var opened []idle
	for _, parts := range e.parts {
		for _, p := range parts {
			if at, ok := p.lastUsed(); ok {
				opened = append(opened, idle{p, at})
			}
		}
	}
	slices.SortFunc(opened, func(a, b idle) int { return a.at.Compare(b.at) })
	var errs []error
	for i := 0; len(opened)-i > e.cfg.OpenParts; i++ {
		if opened[i].p.pins.Load() == 0 {
			errs = append(errs, opened[i].p.closeFile())
		}
	}
	return errors.Join(errs...)
}
