package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// CopyOffer lists the positions and the parts, at one moment, and the ranges of those
// that are damaged.
func (e *Engine) CopyOffer() (o persistence.Offer, err error) {
	if err := e.gate.Enter(); err != nil {
		return o, err
	}
	defer e.gate.Leave()
	e.manifestMu.Lock() // positions and parts change together
	defer e.manifestMu.Unlock()
	s := e.manifest.State()
	for _, p := range s.Positions {
		o.Positions = append(o.Positions, p.Clone())
	}
	for _, m := range s.Parts {
		o.Files = append(o.Files, copyOf(m))
	}
	for _, d := range s.Quarantined {
		o.Damaged = append(o.Damaged, copyOf(d.Meta))
	}
	return o, nil
}

func copyOf(m *part.Meta) persistence.CopyFile {
	return persistence.CopyFile{
		Tier: persistence.CopyHot, Table: m.Kind.Table(), Name: m.File, Bytes: m.Bytes, Checksum: fmt.Sprintf("%016x", m.Checksum),
		JournalID: m.JournalID, Shard: m.Shard, FirstSeq: m.FirstSeq, LastSeq: m.LastSeq,
	}
}

// OpenCopy opens a part that is listed, or was a moment ago.
func (e *Engine) OpenCopy(name string) (persistence.CopyContent, int64, error) {
	if err := e.gate.Enter(); err != nil {
		return nil, 0, err
	}
	defer e.gate.Leave()
	e.mu.RLock()
	defer e.mu.RUnlock()
	is := func(p *stored) bool { return p.meta.File == name }
	known := slices.ContainsFunc(e.garbage, is)
	for _, parts := range e.parts {
		known = known || slices.ContainsFunc(parts, is)
	}
	if !known {
		return nil, 0, fmt.Errorf("%w: %s", persistence.ErrNoCopy, name)
	}
	path := filepath.Join(e.dir, name)
	f, err := os.Open(path) // whoever has it open reads on when it is unlinked
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, fmt.Errorf("%w: %s", persistence.ErrNoCopy, name)
	}
	if err != nil {
		return nil, 0, &persistence.IOError{Op: "open part", Path: path, Err: err}
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(&persistence.IOError{Op: "stat part", Path: path, Err: err}, f.Close())
	}
	return f, info.Size(), nil
}

// LacksCopy are the parts of an offer with rows of a shard behind its position, but for
// those that the cold store has.
func (e *Engine) LacksCopy(o *persistence.Offer, shard int) (files []persistence.CopyFile, err error) {
	have := e.memory.Position(shard)
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, f := range o.Files {
		if f.Tier != persistence.CopyHot || f.Shard != shard || f.JournalID == have.JournalID && f.LastSeq <= have.Seq {
			continue
		}
		kind, ok := market.ParseKind(f.Table)
		if !ok || e.schemas[kind] == nil {
			return nil, fmt.Errorf("a file of the table %q is offered, which this program does not know", f.Table)
		}
		if f.LastSeq > e.archived[tableShard{kind, shard, f.JournalID}] {
			files = append(files, f)
		}
	}
	return files, nil
}

// TakeCopy lists copied parts, and makes the position theirs, in one record of the
// manifest. They may reach back behind the position before: rows that both have are one
// by their keys.
func (e *Engine) TakeCopy(_ context.Context, to persistence.Position, files []persistence.CopyFile, at func(persistence.CopyFile) string) (err error) {
	if err := e.gate.Enter(); err != nil {
		return err
	}
	defer e.gate.Leave()
	change := &part.Change{Positions: []persistence.Position{to}}
	listed := false
	defer func() {
		if listed {
			return
		}
		for _, m := range change.Add { // else the next start removes them
			err = errors.Join(err, e.disk.Unlink(e.path(m)))
		}
	}()
	for _, f := range files {
		kind, ok := market.ParseKind(f.Table)
		if !ok {
			return fmt.Errorf("there is no table %q", f.Table)
		}
		name := e.fileName(kind, f.Shard, f.FirstSeq, f.LastSeq)
		if err := e.disk.Adopt(at(f), filepath.Join(e.dir, name)); err != nil {
			return err
		}
		change.Add = append(change.Add, &part.Meta{File: name})
		m, err := e.prove(name)
		if err != nil {
			return err
		}
		if got := copyOf(m); got.Table != f.Table || got.Bytes != f.Bytes || got.Checksum != f.Checksum || got.JournalID != f.JournalID ||
			got.Shard != f.Shard || got.FirstSeq != f.FirstSeq || got.LastSeq != f.LastSeq {
			return &persistence.CorruptError{Path: at(f), Reason: "it is another file than " + f.Name}
		}
		change.Add[len(change.Add)-1] = m
	}
	e.manifestMu.Lock()
	defer e.manifestMu.Unlock()
	// After a failure here the files stay: the record may be on the disk.
	listed = true
	if err := e.manifest.Append(change); err != nil {
		return err
	}
	e.install(change.Add)
	now := e.manifest.State().Positions[to.Shard]
	e.metrics.Queue.Sub(float64(e.memory.Reset(now))) // after the parts are listed: they have those rows
	e.log.Info("parts were copied from another store", zap.Int("shard", to.Shard), zap.Uint64("seq", to.Seq), zap.Int("parts", len(files)))
	return nil
}
