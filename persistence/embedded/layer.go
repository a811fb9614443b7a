package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

// partsLayer is the published records of an engine.
type partsLayer Engine

// view is what one query pins of the parts.
type view struct {
	e     *Engine // nil once released
	parts []*stored
	s     scan.Selection
	// scans are shared by the streams that take turns.
	scans  []*part.Scan
	shared map[*stored]*part.Scan
}

// Pin implements [scan.Layer].
func (l *partsLayer) Pin(_ context.Context, s scan.Selection) (scan.View, error) {
	return (*Engine)(l).pin(s, false), nil
}

// pin takes the parts that can have the wanted rows: those that the cold store does
// not have, or all.
func (e *Engine) pin(s scan.Selection, all bool) *view {
	v := &view{e: e, s: s, shared: map[*stored]*part.Scan{}}
	e.mu.RLock()
	defer e.mu.RUnlock()
	reads := s.Reads.Of(persistence.TierHot)
	for _, p := range e.parts[s.Kind] {
		if !all && e.isArchived(p.meta) {
			continue // the cold store has it
		}
		if p.meta.MaxTime < s.From || p.meta.MinTime >= s.To || s.Stream != nil && p.meta.Find(*s.Stream) == nil {
			reads.Add(persistence.ReadStats{FilesPruned: 1})
			continue
		}
		p.pins.Add(1)
		v.parts = append(v.parts, p)
	}
	for _, d := range e.damaged {
		if m := d.Meta; m.Kind == s.Kind && m.MaxTime >= s.From && m.MinTime < s.To && (s.Stream == nil || m.Find(*s.Stream) != nil) {
			reads.Add(persistence.ReadStats{FilesMissing: 1})
		}
	}
	return v
}

// Release implements [scan.View].
func (v *view) Release() {
	if v.e == nil {
		return
	}
	for _, s := range v.scans {
		s.Close()
	}
	unpin(v.parts)
	v.e = nil
}

// Streams implements [scan.View].
func (v *view) Streams() []market.StreamID {
	var list []market.StreamID
	for _, p := range v.parts {
		for i := range p.meta.Ranges {
			list = append(list, p.meta.Ranges[i].Stream)
		}
	}
	return list
}

// Sources implements [scan.View]. A part's file is opened only when the merge
// reaches its rows.
func (v *view) Sources(dst []part.Source, stream market.StreamID, access part.Access) []part.Source {
	for _, p := range v.parts {
		r := p.meta.Find(stream)
		if r == nil || r.MaxTime < v.s.From || r.MinTime >= v.s.To {
			continue
		}
		dst = append(dst, &lateSource{part: p, rng: r, scanOf: v.scanner(access), own: access == part.OneStream, from: v.s.From, to: v.s.To})
	}
	return dst
}

// scanner returns a part's scan: one for each source, or one that all share.
func (v *view) scanner(access part.Access) scanner {
	return func(p *stored) (*part.Scan, error) {
		if s := v.shared[p]; s != nil && access != part.OneStream {
			return s, nil
		}
		f, err := p.open(v.e)
		if err != nil {
			return nil, blame(p, err)
		}
		s := f.NewScan(v.s.Has, access, v.s.Newest)
		s.Count(v.s.Reads.Of(persistence.TierHot))
		v.scans = append(v.scans, s)
		if access != part.OneStream {
			v.shared[p] = s
		}
		return s, nil
	}
}

// HasCollected implements [scan.Layer].
func (l *partsLayer) HasCollected(_ context.Context, kind market.Kind, stream market.StreamID) (bool, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, p := range l.parts[kind] {
		if r := p.meta.Find(stream); r != nil && r.Collected > 0 {
			return true, nil
		}
	}
	return false, nil
}

// Failed implements [scan.Layer]: it quarantines the part that an error is about.
func (l *partsLayer) Failed(err error) error { return (*Engine)(l).failed(err) }

// failed quarantines the part that an error is about, and returns the error. What
// goes wrong with that joins it.
func (e *Engine) failed(err error) error {
	var bad *damagedPart
	if !errors.As(err, &bad) {
		return err
	}
	if q := e.report(bad.part, bad.err); q != nil {
		return errors.Join(bad.err, fmt.Errorf("moving it aside: %w", q))
	}
	return bad.err
}

// blame names the part that damage was found in.
func blame(p *stored, err error) error {
	if err != nil && errors.Is(err, persistence.ErrCorrupt) {
		return &damagedPart{p, err}
	}
	return err
}

// scanner returns the scan that a source of a part reads.
type scanner func(*stored) (*part.Scan, error)

// lateSource is one instrument's rows in a part that may not be open yet.
type lateSource struct {
	part     *stored
	rng      *part.Range
	scanOf   scanner
	from, to int64
	// own: nobody else reads the scan.
	own    bool
	scan   *part.Scan
	source part.Source
	done   bool
}

// Bounds implements [part.Source].
func (s *lateSource) Bounds() (lo, hi int64) {
	return max(s.from, s.rng.MinTime), min(s.to-1, s.rng.MaxTime)
}

// Priority implements [part.Source].
func (s *lateSource) Priority() uint64 { return s.part.priority() }

// Next implements [part.Source]. Its errors name the part.
func (s *lateSource) Next(ctx context.Context) (part.Span, error) {
	if s.done {
		return part.Span{}, io.EOF
	}
	if s.source == nil {
		var err error
		if s.scan, err = s.scanOf(s.part); err != nil {
			return part.Span{}, err
		}
		if s.source = s.scan.Source(s.rng, s.from, s.to, s.Priority()); s.source == nil {
			return part.Span{}, io.EOF
		}
	}
	span, err := s.source.Next(ctx)
	if errors.Is(err, io.EOF) && s.own { // a query over many parts keeps a page of a few
		s.scan.Free()
		s.scan, s.source, s.done = nil, nil, true
	}
	return span, blame(s.part, err)
}
