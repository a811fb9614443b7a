package cold

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// examineEvery is how often files that are damaged are looked at again, whether
// somebody has put them right.
const examineEvery = time.Hour

// refreshPatience bounds how long a query that has failed waits for the manifest.
const refreshPatience = 10 * time.Second

// Failed implements [scan.Layer]. A file that is damaged is not read from now on; it
// stays where it is and listed, and [Store.Examine] looks whether it is so.
func (s *Store) Failed(err error) error {
	var corrupt *persistence.CorruptError
	if !errors.As(err, &corrupt) {
		return err
	}
	name, ours := strings.CutPrefix(corrupt.Path, s.bucket.String()+"/")
	if !ours || !s.Lists(name) {
		return err
	}
	// Another node may have replaced it so long ago that it is deleted.
	ctx, cancel := context.WithTimeout(s.life, refreshPatience)
	defer cancel()
	if refreshErr := s.Refresh(ctx); refreshErr != nil {
		return away(errors.Join(err, refreshErr))
	}
	if !s.suspect(name, corrupt.Reason) {
		return away(&replacedError{corrupt.Path})
	}
	return err
}

// replacedError: a file has gone while it was read; what it had is in another one.
type replacedError struct{ path string }

func (e *replacedError) Error() string {
	return e.path + " was replaced while it was read; ask again"
}

// suspect has a file not read any more; false when it is not listed.
func (s *Store) suspect(name, reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[name]
	if f == nil {
		return false
	}
	if s.aside[name] == nil {
		s.log.Error("a file of the cold store is damaged; it stays where it is, and is not read",
			zap.String("file", s.pathOf(name)), zap.String("reason", reason), zap.Int64("rows", f.meta.Rows))
	}
	s.suspects[name] = reason
	s.sift()
	return true
}

// sift sets the files aside that are not to be read, and takes others back. s.mu is
// locked.
func (s *Store) sift() {
	for name, f := range s.aside {
		_, suspected := s.suspects[name]
		_, damaged := s.marked[name]
		if !suspected && !damaged {
			delete(s.aside, name)
			s.show(f)
		}
	}
	put := func(name string) {
		if f := s.files[name]; f != nil && s.aside[name] == nil {
			s.hide(f)
			s.aside[name] = f
		}
	}
	for name := range s.suspects {
		put(name)
	}
	for name := range s.marked {
		put(name)
	}
}

// Examine reads the files that are suspected of damage, and from time to time those
// that are known for it: what is damaged is marked in the manifest, and what is whole,
// perhaps because somebody has put it back, is read again.
func (s *Store) Examine(ctx context.Context) error {
	s.mu.Lock()
	again := s.now().Sub(s.examined) >= examineEvery
	if again {
		s.examined = s.now()
	}
	var names, doubted []string
	for name := range s.aside {
		if _, suspected := s.suspects[name]; suspected || again {
			names = append(names, name)
		}
	}
	if again {
		doubted = slices.Sorted(maps.Keys(s.doubted))
	}
	s.mu.Unlock()
	slices.Sort(names)
	for _, name := range names {
		if err := s.examine(ctx, name); err != nil {
			return err
		}
	}
	if again {
		s.listQuarantine(ctx)
	}
	return s.reconsider(ctx, doubted)
}

// reconsider lists the files that could not be proved and now can, and forgets those that
// somebody has taken away.
func (s *Store) reconsider(ctx context.Context, names []string) error {
	e := newExaminer(s.bucket)
	for _, name := range names {
		found, err := s.bucket.List(ctx, name)
		if err != nil {
			return away(err)
		}
		r := &Record{Deleted: []string{name}}
		if i := slices.IndexFunc(found, func(o Object) bool { return o.Name == name }); i >= 0 {
			p, reason, err := e.prove(ctx, found[i])
			if err != nil {
				return away(err)
			}
			if reason != "" {
				continue
			}
			r = &Record{Add: []Part{p}}
		}
		err = s.Commit(ctx, func() (*Record, error) {
			if _, still := s.manifest.state.doubted[name]; !still || s.Lists(name) {
				return nil, nil
			}
			return r, nil
		})
		if err != nil {
			return err
		}
		s.log.Info("a file of the cold store that was not proved whole is settled", zap.String("file", s.pathOf(name)), zap.Bool("listed", len(r.Add) > 0))
	}
	return nil
}

// examine decides about one file.
func (s *Store) examine(ctx context.Context, name string) error {
	s.mu.Lock()
	f := s.aside[name]
	_, known := s.marked[name]
	busy := f != nil && f.pins.Load() > 0 // nobody new takes what is aside
	s.mu.Unlock()
	if f == nil || busy {
		return nil
	}
	err := s.check(ctx, f)
	var damage *persistence.CorruptError
	switch {
	case errors.As(err, &damage) && !known:
		d := Damaged{File: name, Reason: damage.Reason, At: s.now().UTC()}
		err = s.whileListed(ctx, name, &Record{Damaged: []Damaged{d}})
	case errors.As(err, &damage):
		err = nil
	case err == nil && known:
		err = s.whileListed(ctx, name, &Record{Mended: []string{name}})
	}
	if err != nil {
		return away(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.suspects, name)
	s.sift()
	if damage == nil {
		s.log.Info("a file of the cold store is whole, and is read again", zap.String("file", s.pathOf(name)))
	}
	return nil
}

// whileListed commits a change about a file, if that is listed.
func (s *Store) whileListed(ctx context.Context, name string, r *Record) error {
	return s.Commit(ctx, func() (*Record, error) {
		if !s.Lists(name) {
			return nil, nil
		}
		return r, nil
	})
}

// check reads a whole file as it is now.
func (s *Store) check(ctx context.Context, f *file) error {
	if err := f.close(); err != nil { // it may be of a file that is no longer there
		s.log.Warn("a file that is to be read again does not close", zap.String("file", f.meta.File), zap.Error(err))
	}
	return s.reread(ctx, f.meta)
}

// reread opens the file that m describes anew, and compares all of it.
func (s *Store) reread(ctx context.Context, m *part.Meta) error {
	open, from, err := s.open(ctx, m)
	if err != nil {
		return err
	}
	return errors.Join(from.judge(open.Verify()), open.Close())
}

// unknown counts what could have rows of a kind and stream and is not listed: files that
// are not proved whole, and what a damaged manifest may say. s.mu is locked.
func (s *Store) unknown(kind market.Kind, stream *market.StreamID) (n int64) {
	if s.wound != nil {
		n++
	}
	below := kind.Table() + "/"
	if stream != nil {
		below = streamFolder(kind, *stream) + "/"
	}
	for name := range s.doubted {
		if strings.HasPrefix(name, below) {
			n++
		}
	}
	return n
}

// Damaged lists what is not read because of what is wrong with it, by name, then what
// is or was wrong with the manifest: a record that is being made again, files that it
// may have listed, checkpoints that were passed over, and what lies in quarantine.
func (s *Store) Damaged() []Damaged {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []Damaged
	for name := range s.aside {
		d, ok := s.marked[name]
		if !ok {
			d = Damaged{File: name, Reason: s.suspects[name]}
		}
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b Damaged) int { return strings.Compare(a.File, b.File) })
	if s.wound != nil {
		list = append(list, Damaged{File: strings.TrimPrefix(s.wound.Path, s.bucket.String()+"/"), Reason: s.wound.Reason + "; what it said is being made again from the rest and from the files"})
	}
	for _, name := range slices.Sorted(maps.Keys(s.doubted)) {
		d := s.doubted[name]
		d.Reason += "; no record lists it, and it is left as it is"
		list = append(list, d)
	}
	list = append(list, s.quarantine...)
	for _, c := range s.passedOver {
		list = append(list, Damaged{File: strings.TrimPrefix(c.Path, s.bucket.String()+"/"), Reason: c.Reason + "; the records say the same"})
	}
	return list
}

// asideNames are the listed files that are not read.
func (s *Store) asideNames() map[string]bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := make(map[string]bool, len(s.aside))
	for name := range s.aside {
		names[name] = true
	}
	return names
}

// Verify compares the checksums of files in a directory, from where the last call
// ended, until Config.VerifyBytes are read; it returns of how many.
func (s *Store) Verify(ctx context.Context) (files int, err error) {
	if s.cfg.S3.Used() || s.cfg.VerifyBytes == 0 {
		return 0, nil
	}
	parts := s.Parts()
	s.mu.RLock()
	from := sort.Search(len(parts), func(i int) bool { return parts[i].File > s.verified })
	s.mu.RUnlock()
	for i, left := 0, s.cfg.VerifyBytes; i < len(parts) && left > 0; i++ {
		p := &parts[(from+i)%len(parts)]
		if err := ctx.Err(); err != nil {
			return files, err
		}
		if err := s.verifyPart(ctx, p); err != nil {
			return files, err
		}
		files, left = files+1, left-p.Bytes
		s.mu.Lock()
		s.verified = p.File
		s.mu.Unlock()
	}
	return files, nil
}

// verifyPart sets a file aside when it is damaged.
func (s *Store) verifyPart(ctx context.Context, p *Part) error {
	s.mu.RLock()
	f, aside := s.files[p.File], s.aside[p.File] != nil
	if f != nil {
		f.pins.Add(1)
		defer f.pins.Add(-1)
	}
	s.mu.RUnlock()
	if f == nil || aside {
		return nil
	}
	err := s.reread(ctx, f.meta)
	var damage *persistence.CorruptError
	if errors.As(err, &damage) {
		s.suspect(p.File, damage.Reason)
		return nil
	}
	return err
}

// CloseIdle closes files beyond the number that may stay open, those first that were
// not used for longest.
func (s *Store) CloseIdle() error {
	s.mu.Lock() // nobody pins meanwhile
	defer s.mu.Unlock()
	type idle struct {
		f  *file
		at time.Time
	}
	var opened []idle
	for _, f := range s.files {
		if at, ok := f.lastUsed(); ok {
			opened = append(opened, idle{f, at})
		}
	}
	slices.SortFunc(opened, func(a, b idle) int { return a.at.Compare(b.at) })
	var errs []error
	for i := 0; len(opened)-i > s.cfg.OpenFiles; i++ {
		if f := opened[i].f; f.pins.Load() == 0 {
			errs = append(errs, f.close())
		}
	}
	return errors.Join(errs...)
}

// lastUsed is when the file was opened or used; ok is false when it is closed.
func (f *file) lastUsed() (at time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used, f.open != nil
}
