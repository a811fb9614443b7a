package cold

import (
	"context"
	"fmt"
	"path"
	"strings"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
)

// Swept says what a sweep took away.
type Swept struct {
	// Files are on their way out, of Bytes; Leftovers of interrupted writes are gone.
	Files     int
	Bytes     int64
	Leftovers int
}

// sweepDoubt is how many files a sweep takes without asking itself whether the
// manifest may be the wrong one.
const sweepDoubt = 100

// Sweep compares the bucket with the manifest. Files that no record lists, and that
// are older than Config.SweepAfter, leave as removed files do: a record names them, and
// [Store.Clean] deletes them after the grace. So an archiver that is about to list
// such a file learns of it, and writes it under another name. Listed files that are
// missing, or have another size, are set aside.
func (s *Store) Sweep(ctx context.Context) (Swept, error) {
	var out Swept
	before := s.now().Add(-s.cfg.SweepAfter)
	expected := map[string]int64{} // as of before the look, so that all of it can be found
	for _, p := range s.Parts() {
		expected[p.File] = p.Bytes
	}
	stray, wrong := map[string]int64{}, map[string]string{}
	for _, kind := range market.Kinds() {
		if kind.Table() == "" {
			continue
		}
		found, err := s.bucket.List(ctx, kind.Table()+"/")
		if err != nil {
			return out, away(err)
		}
		for _, o := range found {
			size, listed := expected[o.Name]
			delete(expected, o.Name)
			switch {
			case listed && size != o.Size:
				wrong[o.Name] = fmt.Sprintf("it has %d bytes, the manifest says %d", o.Size, size)
			case !listed && o.Modified.Before(before) && isPart(o.Name):
				stray[o.Name] = o.Size
			}
		}
	}
	for name := range expected {
		wrong[name] = fileMissing
	}
	s.mu.RLock()
	for name := range s.retired { // they go by themselves, and prove that the manifest knows them
		delete(stray, name)
	}
	for name := range s.doubted { // nobody knows what they are
		delete(stray, name)
	}
	s.mu.RUnlock()
	if err := s.suspectAll(ctx, wrong); err != nil {
		return out, err
	}
	if listed := len(s.Parts()); len(stray) > max(sweepDoubt, listed) {
		return out, fmt.Errorf("%d files of the cold store are in no manifest record, more than the %d that are: is the manifest an older one? They are left", len(stray), listed)
	}
	if err := s.sweep(ctx, stray, &out); err != nil {
		return out, err
	}
	var err error
	out.Leftovers, err = s.bucket.Tidy(ctx, before)
	return out, away(err)
}

// suspectAll sets files aside that are still listed: another node may have replaced
// them meanwhile.
func (s *Store) suspectAll(ctx context.Context, wrong map[string]string) error {
	if len(wrong) == 0 {
		return nil
	}
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	for name, reason := range wrong {
		s.suspect(name, reason)
	}
	return nil
}

// sweep names what nobody has listed meanwhile.
func (s *Store) sweep(ctx context.Context, stray map[string]int64, out *Swept) error {
	if len(stray) == 0 {
		return nil
	}
	err := s.Commit(ctx, func() (*Record, error) {
		r := &Record{}
		*out = Swept{}
		for name, size := range stray {
			_, leaving := s.manifest.state.removed[name]
			_, doubted := s.manifest.state.doubted[name]
			if leaving || doubted || s.Lists(name) {
				continue
			}
			r.Swept = append(r.Swept, name)
			out.Files, out.Bytes = out.Files+1, out.Bytes+size
		}
		if len(r.Swept) == 0 {
			return nil, nil
		}
		return r, nil
	})
	if err == nil && out.Files > 0 {
		s.log.Info("files that no record lists leave the cold store", zap.Int("files", out.Files), zap.Int64("bytes", out.Bytes))
	}
	return err
}

// isPart reports whether a name is one that this store gives to files.
func isPart(name string) bool {
	base := path.Base(name)
	return strings.HasPrefix(base, partPrefix) && strings.HasSuffix(base, partSuffix)
}
