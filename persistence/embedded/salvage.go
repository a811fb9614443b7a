package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// complete implements [part.Complete]: a file that no readable record lists is listed,
// when its name, footer and times agree, and is moved aside when not. It was listed by a
// record that is lost, or made by a publication that did not come to its record: then
// the journal brings the same rows again, under the same keys. Files that were merged
// into another that is there leave the list.
func (e *Engine) complete(s *part.State, left map[string]bool) error {
	listed := map[string]bool{}
	for _, m := range s.Parts {
		listed[m.File] = true
	}
	for _, name := range e.partFiles() {
		if listed[name] || left[name] {
			continue
		}
		meta, err := e.prove(name)
		var damage *persistence.CorruptError
		switch {
		case errors.As(err, &damage):
			bad, err := e.setAsideUnproven(name, damage.Reason)
			if err != nil {
				return err
			}
			s.Quarantined = append(s.Quarantined[:len(s.Quarantined):len(s.Quarantined)], bad)
		case err != nil:
			return err
		default:
			e.log.Warn("a part that no readable record of the manifest lists is listed again", zap.String("file", name), zap.Int64("rows", meta.Rows))
			s.Parts = append(s.Parts[:len(s.Parts):len(s.Parts)], meta)
		}
	}
	s.Parts = e.withoutMerged(s.Parts)
	return nil
}

// partFiles are the part files of the directory.
func (e *Engine) partFiles() (names []string) {
	for _, schema := range e.schemas {
		if schema == nil {
			continue
		}
		table := schema.Kind.Table()
		// The pattern is constant and right, which is all that Glob complains of.
		found, _ := filepath.Glob(filepath.Join(e.dir, table, "*.parquet"))
		for _, path := range found {
			names = append(names, filepath.Join(table, filepath.Base(path)))
		}
	}
	return names
}

// prove describes a part by its own footer. A [*persistence.CorruptError] says why it
// is not what it says.
func (e *Engine) prove(name string) (*part.Meta, error) {
	path := filepath.Join(e.dir, name)
	f, err := os.Open(path)
	if err != nil {
		return nil, &persistence.IOError{Op: "open part", Path: path, Err: err}
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, &persistence.IOError{Op: "stat part", Path: path, Err: err}
	}
	m, err := part.ReadMeta(f, info.Size())
	if err != nil {
		return nil, &persistence.CorruptError{Path: path, Reason: err.Error()}
	}
	// The last number is the store's own: a part that was copied has got another one.
	if unnumbered(m.File) != unnumbered(name) || m.Kind.Table() != filepath.Dir(name) {
		return nil, &persistence.CorruptError{Path: path, Reason: "its footer is that of " + m.File}
	}
	m.File = name
	sum := xxhash.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, info.Size())); err != nil {
		return nil, &persistence.IOError{Op: "read part", Path: path, Err: err}
	}
	m.Bytes, m.Checksum = info.Size(), sum.Sum64()
	return &m, e.whole(&m)
}

// unnumbered is the name of a part without what only tells it from others of its store:
// table, shard and journal range.
func unnumbered(file string) string { return file[:strings.LastIndexByte(file, '-')+1] }

// whole reads a part, and compares it with its description.
func (e *Engine) whole(m *part.Meta) error {
	f, err := part.Open(e.dir, m, e.schemas[m.Kind], e.names)
	if err != nil {
		return err
	}
	return errors.Join(f.Verify(), f.Close())
}

// setAsideUnproven moves a file into quarantine of which nothing is known but its name.
func (e *Engine) setAsideUnproven(name, reason string) (part.Damaged, error) {
	kind, ok := market.ParseKind(filepath.Dir(name))
	if !ok {
		return part.Damaged{}, fmt.Errorf("there is no table %s", filepath.Dir(name))
	}
	bad := part.Damaged{Meta: &part.Meta{Kind: kind, File: name}, Moved: filepath.Join(part.QuarantineDir, name), Reason: reason}
	e.log.Error("a part that no readable record of the manifest lists is damaged, and was moved aside",
		zap.String("file", name), zap.String("moved_to", bad.Moved), zap.String("reason", reason))
	return bad, e.moveAside(bad.Meta, bad.Moved, reason)
}

// withoutMerged leaves out the parts whose part of the journal another one covers, which
// is there: a merge whose record is lost has made it of them.
func (e *Engine) withoutMerged(parts []*part.Meta) []*part.Meta {
	there := map[string]bool{}
	for _, name := range e.partFiles() {
		there[name] = true
	}
	return slices.DeleteFunc(slices.Clone(parts), func(m *part.Meta) bool {
		return slices.ContainsFunc(parts, func(by *part.Meta) bool {
			return there[by.File] && by.Kind == m.Kind && by.Shard == m.Shard && by.JournalID == m.JournalID &&
				by.FirstSeq <= m.FirstSeq && m.LastSeq <= by.LastSeq && by.LastSeq-by.FirstSeq > m.LastSeq-m.FirstSeq
		})
	})
}

// mend goes through what was set aside before: a part that is in its place again, whole,
// is listed again, and what somebody has removed from quarantine is forgotten. It returns
// the files that stay, listed or not: a copy that is not whole may be somebody's only one.
func (e *Engine) mend() (keep map[string]bool, err error) {
	keep = map[string]bool{}
	s := e.manifest.State()
	var still []part.Damaged
	for _, bad := range s.Quarantined {
		_, err := os.Stat(e.path(bad.Meta))
		if err == nil {
			keep[bad.Meta.File] = true
			err = e.whole(bad.Meta)
		}
		var damage *persistence.CorruptError
		switch {
		case err == nil:
			e.log.Info("a part that was damaged is whole again", zap.String("file", bad.Meta.File), zap.Int64("rows", bad.Meta.Rows))
			s.Parts = append(s.Parts[:len(s.Parts):len(s.Parts)], bad.Meta)
			continue
		case errors.As(err, &damage):
			e.log.Warn("a file in the place of a damaged part is not that part", zap.String("file", bad.Meta.File), zap.String("reason", damage.Reason))
		case !errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("looking for the part %s: %w", bad.Meta.File, err)
		}
		if _, err := os.Stat(filepath.Join(e.dir, bad.Moved)); errors.Is(err, os.ErrNotExist) {
			e.log.Warn("a damaged part was removed from quarantine, and is forgotten", zap.String("file", bad.Meta.File), zap.Int64("rows", bad.Meta.Rows))
			continue
		}
		still = append(still, bad)
	}
	if len(still) == len(s.Quarantined) {
		return keep, nil
	}
	s.Quarantined = still
	return keep, e.manifest.Replace(s)
}
