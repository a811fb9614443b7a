package cold

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// CopyOffer lists the files, and up to where they reach. Of a store on S3, which the
// nodes share, it only says where it is.
func (t *Tier) CopyOffer() (files, damaged []persistence.CopyFile, archived []persistence.ArchivedTo, shared string, err error) {
	if t.cfg.S3.Used() {
		return nil, nil, nil, t.place, nil
	}
	s, err := t.get()
	if err != nil {
		return nil, nil, nil, "", err
	}
	s.mu.RLock()
	for _, a := range s.archive {
		archived = append(archived, a)
	}
	s.mu.RUnlock()
	aside := s.asideNames()
	for _, p := range s.Parts() {
		entry, err := json.Marshal(p)
		if err != nil {
			return nil, nil, nil, "", fmt.Errorf("describing %s: %w", p.File, err)
		}
		f := persistence.CopyFile{
			Tier: persistence.CopyCold, Table: p.Table, Name: p.File, Bytes: p.Bytes, Checksum: p.Checksum,
			JournalID: p.JournalID, Shard: p.Shard, FirstSeq: p.FirstSeq, LastSeq: p.LastSeq, Entry: entry,
		}
		if aside[p.File] {
			damaged = append(damaged, f)
			continue
		}
		files = append(files, f)
	}
	return files, damaged, archived, "", nil
}

// OpenCopy opens a listed file.
func (t *Tier) OpenCopy(ctx context.Context, name string) (persistence.CopyContent, int64, error) {
	s, err := t.get()
	if err != nil {
		return nil, 0, err
	}
	if !s.Lists(name) {
		return nil, 0, fmt.Errorf("%w: %s", persistence.ErrNoCopy, name)
	}
	content, size, err := s.bucket.Open(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return nil, 0, fmt.Errorf("%w: %s", persistence.ErrNoCopy, name)
	}
	if err != nil {
		return nil, 0, away(err)
	}
	return content, size, nil
}

// LacksCopy are the files of an offer with rows of a shard behind what is archived here.
// A store that is shared there has to be the one that is shared here.
func (t *Tier) LacksCopy(o *persistence.Offer, shard int) (files []persistence.CopyFile, err error) {
	own := ""
	if t.cfg.S3.Used() {
		own = t.place
	}
	if o.Shared != own {
		return nil, fmt.Errorf("the cold store of %s is not where this one's is: %q, %q", o.Reader, o.Shared, own)
	}
	if own != "" {
		return nil, nil
	}
	s, err := t.get()
	if err != nil {
		return nil, err
	}
	for _, f := range o.Files {
		if f.Tier != persistence.CopyCold || f.Shard != shard || s.Lists(f.Name) {
			continue
		}
		kind, ok := market.ParseKind(f.Table)
		if !ok || s.schemas[kind] == nil {
			return nil, fmt.Errorf("a file of the table %q is offered, which this program does not know", f.Table)
		}
		if have, _ := s.Archived(kind, shard, f.JournalID); f.LastSeq > have {
			files = append(files, f)
		}
	}
	return files, nil
}

// TakeCopy stores copied files, and lists them in one record, together with the
// positions of the shard that they reach to.
func (t *Tier) TakeCopy(ctx context.Context, o *persistence.Offer, shard int, files []persistence.CopyFile, at func(persistence.CopyFile) string) error {
	if t.cfg.S3.Used() {
		return nil
	}
	s, err := t.get()
	if err != nil {
		return err
	}
	parts := make([]Part, len(files))
	for i, f := range files {
		if err := json.Unmarshal(f.Entry, &parts[i]); err != nil || parts[i].File != f.Name || !isPart(f.Name) || !filepath.IsLocal(filepath.FromSlash(f.Name)) {
			return fmt.Errorf("the description of %s is none", f.Name)
		}
		if err := s.store(ctx, &parts[i], at(f)); err != nil {
			return err
		}
	}
	err = s.Commit(ctx, func() (*Record, error) {
		r := &Record{}
		for _, p := range parts {
			if !s.Lists(p.File) {
				r.Add = append(r.Add, p)
			}
		}
		for _, a := range o.Archived {
			if kind, ok := market.ParseKind(a.Table); ok && a.Shard == shard {
				if have, _ := s.Archived(kind, shard, a.JournalID); a.Seq > have {
					r.Archived = append(r.Archived, a)
				}
			}
		}
		if len(r.Add) == 0 && len(r.Archived) == 0 {
			return nil, nil
		}
		return r, nil
	})
	t.note(err)
	if err != nil {
		return fmt.Errorf("listing copied files: %w", err)
	}
	if t.hot != nil {
		s.Keep(t.hot)
	}
	s.log.Info("files were copied from another cold store", zap.Int("shard", shard), zap.Int("files", len(parts)))
	return nil
}

// store puts a copied file in its place, and reads it back.
func (s *Store) store(ctx context.Context, p *Part, path string) error {
	from, err := os.Open(path)
	if err != nil {
		return &persistence.IOError{Op: "open copy", Path: path, Err: err}
	}
	defer func() { _ = from.Close() }() // only read from
	if err := s.bucket.Put(ctx, p.File, from, p.Bytes); err != nil {
		return away(err)
	}
	reason, err := newExaminer(s.bucket).compare(ctx, p)
	if err != nil {
		return away(err)
	}
	if reason != "" {
		return &persistence.CorruptError{Path: path, Reason: reason}
	}
	return nil
}
