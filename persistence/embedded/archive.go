package embedded

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

var _ scan.Hot = (*Engine)(nil)

// tableShard is one table of one shard of a journal.
type tableShard struct {
	kind    market.Kind
	shard   int
	journal string
}

// isArchived reports whether the cold store has a part. e.mu is locked.
func (e *Engine) isArchived(m *part.Meta) bool {
	return m.LastSeq <= e.archived[tableShard{m.Kind, m.Shard, m.JournalID}]
}

// unit is the oldest parts of one table and shard, pinned: every row of a range of
// the journal.
type unit struct {
	e     *Engine
	parts []*stored
	rows  int64
	scans []*part.Scan
}

// unitRows is how many rows a unit has at most, unless its first part has more.
const unitRows = 4_000_000

// Oldest implements [scan.Hot]. The parts of a unit are not merged before it is
// released, so that archiving always ends where a part does.
func (e *Engine) Oldest(_ context.Context, kind market.Kind, shard int, before time.Time) (scan.Unit, error) {
	if err := e.gate.Enter(); err != nil {
		return nil, err
	}
	defer e.gate.Leave()
	u := &unit{e: e}
	e.manifestMu.Lock() // no merge is about to replace what is taken
	defer e.manifestMu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.parts[kind] {
		if p.meta.Shard != shard || e.isArchived(p.meta) {
			continue
		}
		if p.meta.Created >= before.UnixNano() || len(u.parts) > 0 && !u.takes(p) {
			break
		}
		p.pins.Add(1)
		p.archiving++
		u.parts = append(u.parts, p)
		u.rows += p.meta.Rows
	}
	if len(u.parts) == 0 {
		return nil, nil
	}
	return u, nil
}

// takes reports whether a part can follow those of the unit.
func (u *unit) takes(p *stored) bool {
	first := u.parts[0].meta
	return p.meta.JournalID == first.JournalID && u.rows+p.meta.Rows <= unitRows &&
		p.meta.Created-first.Created <= int64(scan.UnitSpan)
}

// Waiting implements [scan.Hot].
func (e *Engine) Waiting(_ context.Context, kind market.Kind, before time.Time) (rows int64, err error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, p := range e.parts[kind] {
		if p.meta.Created < before.UnixNano() && !e.isArchived(p.meta) {
			rows += p.meta.Rows
		}
	}
	return rows, nil
}

// Behind implements [scan.Hot].
func (e *Engine) Behind(kind market.Kind) (rows int64, oldest time.Time) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, p := range e.parts[kind] {
		if e.isArchived(p.meta) {
			continue
		}
		rows += p.meta.Rows
		if at := time.Unix(0, p.meta.Created); oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	return rows, oldest
}

// Meta implements [scan.Unit].
func (u *unit) Meta() part.Meta {
	first, last := u.parts[0].meta, u.parts[len(u.parts)-1].meta
	m := part.Meta{
		Kind: first.Kind, JournalID: last.JournalID, Shard: first.Shard, FirstSeq: first.FirstSeq, LastSeq: last.LastSeq, Created: first.Created,
	}
	for _, p := range u.parts {
		m.Created = min(m.Created, p.meta.Created)
	}
	return m
}

// Rows implements [scan.Unit].
func (u *unit) Rows() int64 { return u.rows }

// Streams implements [scan.Unit].
func (u *unit) Streams() []scan.Extent {
	at := map[market.StreamID]int{}
	var list []scan.Extent
	for _, p := range u.parts {
		for _, r := range p.meta.Ranges {
			i, ok := at[r.Stream]
			if !ok {
				i = len(list)
				at[r.Stream] = i
				list = append(list, scan.Extent{Stream: r.Stream, Min: r.MinTime, Max: r.MaxTime})
			}
			list[i].Min, list[i].Max = min(list[i].Min, r.MinTime), max(list[i].Max, r.MaxTime)
		}
	}
	slices.SortFunc(list, func(a, b scan.Extent) int { return part.CompareStreams(a.Stream, b.Stream) })
	return list
}

// Merge implements [scan.Unit]. One merge of a unit is read at a time.
func (u *unit) Merge(stream market.StreamID, from, to int64) *part.Merge {
	u.closeScans()
	var sources []part.Source
	for _, p := range u.parts {
		r := p.meta.Find(stream)
		if r == nil || r.MaxTime < from || r.MinTime >= to {
			continue
		}
		sources = append(sources, &lateSource{part: p, rng: r, own: true, from: from, to: to, scanOf: func(p *stored) (*part.Scan, error) {
			f, err := p.open(u.e)
			if err != nil {
				return nil, blame(p, err)
			}
			s := f.NewScan(nil, part.OneStream, false)
			u.scans = append(u.scans, s)
			return s, nil
		}})
	}
	return part.NewMerge(sources, false)
}

func (u *unit) closeScans() {
	for _, s := range u.scans {
		s.Close()
	}
	u.scans = nil
}

// Sizes implements [scan.Hot].
func (e *Engine) Sizes(_ context.Context, kind market.Kind) (list []persistence.Size, err error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, p := range e.parts[kind] {
		list = append(list, persistence.Size{Bytes: p.meta.Bytes, Arrived: time.Unix(0, p.meta.Created)})
	}
	return list, nil
}

// Confirm implements [scan.Unit]: parts do not change.
func (u *unit) Confirm(context.Context) error { return nil }

// Release implements [scan.Unit].
func (u *unit) Release() {
	u.closeScans()
	u.e.mu.Lock()
	for _, p := range u.parts {
		p.archiving--
	}
	u.e.mu.Unlock()
	unpin(u.parts)
	u.parts = nil
}

// Archived implements [scan.Hot]: queries meet those rows there alone.
func (e *Engine) Archived(kind market.Kind, shard int, journalID string, seq uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := tableShard{kind, shard, journalID}
	e.archived[at] = max(e.archived[at], seq)
}

// Forget implements [scan.Hot]. The files stay for those who read them.
func (e *Engine) Forget(_ context.Context, kind market.Kind, o persistence.ForgetOptions) (rows int64, err error) {
	if err := e.gate.Enter(); err != nil {
		return 0, err
	}
	defer e.gate.Leave()
	e.manifestMu.Lock()
	defer e.manifestMu.Unlock()
	change := &part.Change{}
	var gone []*stored
	e.mu.RLock()
	for _, p := range e.parts[kind] {
		if p.meta.Created < o.Before.UnixNano() && (o.All || e.isArchived(p.meta)) {
			gone = append(gone, p)
			change.Remove = append(change.Remove, p.meta.File)
			rows += p.meta.Rows
		}
	}
	e.mu.RUnlock()
	if len(gone) == 0 {
		return 0, nil
	}
	r := persistence.Removal{Table: kind.Table(), Rows: rows, Places: change.Remove}
	if err := o.Take(r, func() error { return e.manifest.Append(change) }); err != nil {
		return 0, fmt.Errorf("removing %d parts of %s: %w", len(gone), kind.Table(), err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.parts[kind] = without(e.parts[kind], gone)
	for _, p := range gone {
		p.removed = e.now()
		e.garbage = append(e.garbage, p)
	}
	e.metrics.setParts(kind, e.parts[kind])
	e.log.Info("parts left the hot store", zap.String("table", kind.Table()), zap.Int("parts", len(gone)), zap.Int64("rows", rows), zap.Bool("archived", !o.All))
	return rows, nil
}

// Removed implements [scan.Hot]. All files of a removal leave in one record of the
// manifest, and what is archived is not merged: one of them tells about all.
func (e *Engine) Removed(_ context.Context, r persistence.Removal) (bool, error) {
	kind, ok := market.ParseKind(r.Table)
	if !ok {
		return false, fmt.Errorf("%w: there is no table %q", persistence.ErrQuery, r.Table)
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	return !slices.ContainsFunc(e.parts[kind], func(p *stored) bool { return slices.Contains(r.Places, p.meta.File) }), nil
}
