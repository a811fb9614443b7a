package cold

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// Surroundings are what a store needs of its process. Every field may be left out.
type Surroundings struct {
	// Now is the clock; time.Now.
	Now func() time.Time
	// Log gets what operators must know; nothing by default.
	Log *zap.Logger
	// Names are shared with the stores whose rows are merged with these.
	Names *part.Names
	// Scratch is the directory for files that are not in the bucket yet; the
	// system's by default.
	Scratch string
}

// Store is one open cold store. It is safe for concurrent use.
type Store struct {
	bucket  Bucket
	cfg     Config
	now     func() time.Time
	log     *zap.Logger
	names   *part.Names
	scratch string
	schemas [market.NumKinds]*part.Schema

	life context.Context // of open files
	end  context.CancelFunc

	commit   sync.Mutex // one change at a time; before mu
	manifest *manifest

	mu      sync.RWMutex
	closed  bool
	files   map[string]*file
	byKind  [market.NumKinds]map[market.StreamID][]*file // by lowest ts
	listed  [market.NumKinds]int64                       // files in byKind
	removed []*file
	archive map[tableShard]Archived
	record  uint64 // of the manifest, that the lists are of
	// repeats is what the files have twice, when it was counted.
	repeats *repeated
	counted part.Counted
	// retired are names that are about to be deleted and never listed again.
	retired map[string]time.Time
	// suspects are listed files that something has failed to read, and why: they are
	// not read until they have been examined.
	suspects map[string]string
	marked   map[string]Damaged // by the manifest
	aside    map[string]*file   // suspects and marked files
	examined time.Time          // when those were examined last
	verified string             // the file whose checksum was compared last
	// passedOver are damaged checkpoints that were not needed.
	passedOver []*persistence.CorruptError
	// wound is damage of the manifest that is being mended; nil without any.
	wound *persistence.CorruptError
	// doubted are files that are not listed and perhaps should be.
	doubted map[string]Damaged
	// quarantine are the copies of damaged records that nobody has removed.
	quarantine []Damaged
}

// Open opens the store in a bucket; an empty bucket is an empty store. Of a damaged
// manifest it takes what can be read; [Store.Damaged] names it, and [Store.Refresh] and
// [Store.Commit] mend it. Errors: the bucket's, and one for a manifest of a later
// version.
func Open(ctx context.Context, b Bucket, cfg Config, with Surroundings) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("cold store configuration: %w", err)
	}
	s := &Store{
		bucket: b, cfg: cfg, now: with.Now, log: with.Log, names: with.Names, scratch: with.Scratch,
		files: map[string]*file{}, archive: map[tableShard]Archived{}, suspects: map[string]string{}, aside: map[string]*file{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.names == nil {
		s.names = part.NewNames()
	}
	var err error
	for _, kind := range market.Kinds() {
		s.byKind[kind] = map[market.StreamID][]*file{}
		if kind.Table() == "" {
			continue
		}
		if s.schemas[kind], err = part.NewSchema(kind); err != nil {
			return nil, err
		}
	}
	if err := s.makeScratch(); err != nil {
		return nil, err
	}
	s.manifest, err = openManifest(ctx, b, s.now)
	if s.manifest != nil && s.manifest.wound != nil && errors.Is(err, persistence.ErrCorrupt) {
		s.tellWound(s.manifest.wound.damage)
		err = s.manifest.glean(ctx)
	}
	if err != nil {
		return nil, away(err)
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.adopt()
	s.listQuarantine(ctx)
	return s, nil
}

// Refresh reads what other writers have committed since.
func (s *Store) Refresh(ctx context.Context) error {
	s.commit.Lock()
	defer s.commit.Unlock()
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	s.adopt()
	return nil
}

// adopt brings the lists in line with the manifest; s.commit is locked, or nobody
// else has the store yet.
func (s *Store) adopt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for journal, at := range s.manifest.state.began {
		s.names.Generations().Note(journal, at)
	}
	for name, f := range s.files {
		if _, listed := s.manifest.state.parts[name]; listed {
			continue
		}
		delete(s.files, name)
		delete(s.suspects, name)
		s.hide(f)
		delete(s.aside, name)
		f.removed = now
		s.removed = append(s.removed, f)
	}
	for name, p := range s.manifest.state.parts {
		if s.files[name] != nil {
			continue
		}
		m, err := p.meta()
		if err != nil { // it was checked when the record was read, or made here
			s.log.Error("a listed file cannot be read", zap.String("file", name), zap.Error(err))
			continue
		}
		f := &file{store: s, part: p, meta: m}
		s.files[name] = f
		s.show(f)
	}
	s.marked, s.passedOver = maps.Clone(s.manifest.state.damaged), slices.Clone(s.manifest.damaged)
	s.doubted, s.wound = maps.Clone(s.manifest.state.doubted), nil
	if s.manifest.wound != nil {
		s.wound = s.manifest.wound.damage
	}
	s.sift()
	s.record = s.manifest.state.n
	s.retired = maps.Clone(s.manifest.state.removed)
	s.archive = make(map[tableShard]Archived, len(s.manifest.state.archived))
	for k, v := range s.manifest.state.archived {
		s.archive[k] = v
	}
}

// show has a file read, hide does not any more. s.mu is locked.
func (s *Store) show(f *file) {
	streams, id := s.byKind[f.meta.Kind], f.stream()
	list := append(slices.Clone(streams[id]), f)
	slices.SortFunc(list, func(a, b *file) int {
		return cmp.Or(cmp.Compare(a.meta.MinTime, b.meta.MinTime), strings.Compare(a.meta.File, b.meta.File))
	})
	streams[id] = list
	s.listed[f.meta.Kind]++
}

func (s *Store) hide(f *file) {
	streams, id := s.byKind[f.meta.Kind], f.stream()
	if !slices.Contains(streams[id], f) {
		return
	}
	streams[id] = slices.DeleteFunc(slices.Clone(streams[id]), func(o *file) bool { return o == f })
	if len(streams[id]) == 0 {
		delete(streams, id)
	}
	s.listed[f.meta.Kind]--
}

// Archived is the position of a journal up to which the store has a table of a
// shard; false when it has nothing of it.
func (s *Store) Archived(kind market.Kind, shard int, journalID string) (seq uint64, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, ok := s.archive[tableShard{kind.Table(), shard, journalID}]
	return a.Seq, ok
}

// Parts lists the files, by table and name.
func (s *Store) Parts() []Part {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Part, 0, len(s.files))
	for _, f := range s.files {
		list = append(list, f.part)
	}
	slices.SortFunc(list, func(a, b Part) int { return strings.Compare(a.File, b.File) })
	return list
}

// Streams lists the streams that have rows of a kind.
func (s *Store) Streams(kind market.Kind) []market.StreamID {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]market.StreamID, 0, len(s.byKind[kind]))
	for id := range s.byKind[kind] {
		list = append(list, id)
	}
	for _, f := range s.aside {
		if f.meta.Kind == kind {
			list = append(list, f.stream())
		}
	}
	slices.SortFunc(list, part.CompareStreams)
	return slices.Compact(list)
}

// away marks an error of the medium: what is stored is there, and cannot be had.
func away(err error) error {
	if err == nil || errors.Is(err, persistence.ErrCorrupt) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", persistence.ErrAway, err)
}

// String names where the store is.
func (s *Store) String() string { return s.bucket.String() }

// errRetired: a file has a name that is about to be deleted. It is to be written under
// another one.
var errRetired = errors.New("a file of that name has left the manifest, and is about to be deleted")

// Commit makes a change that plan proposes for the present manifest. When another
// writer was first, plan is asked again. A nil record changes nothing. After an
// error the change may yet be found in the manifest; [Store.Refresh] tells.
func (s *Store) Commit(ctx context.Context, plan func() (*Record, error)) error {
	s.commit.Lock()
	defer s.commit.Unlock()
	for {
		if err := s.catchUp(ctx); err != nil {
			return err
		}
		s.adopt()
		r, err := plan()
		if err != nil || r == nil {
			return err
		}
		for _, p := range r.Add {
			if _, gone := s.manifest.state.removed[p.File]; gone {
				return errRetired
			}
		}
		err = s.manifest.append(ctx, r)
		s.adopt()
		if errors.Is(err, errBehind) {
			continue
		}
		if err != nil {
			return away(err)
		}
		if s.manifest.since >= s.cfg.CheckpointEvery {
			if err := s.manifest.checkpoint(ctx); err != nil {
				s.log.Warn("the manifest could not be summed up; it is tried again", zap.Error(err))
			}
			s.adopt()
		}
		return nil
	}
}

// Lists reports whether a file is in the manifest. It may be called by a plan.
func (s *Store) Lists(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.files[name] != nil
}

// Clean deletes the files that have left the manifest, once nobody reads them here
// and the grace has passed, and notes that in the manifest: a file that was removed
// before a crash is deleted after it.
func (s *Store) Clean(ctx context.Context) error {
	var due []string
	s.mu.Lock()
	reading := map[string]bool{}
	s.removed = slices.DeleteFunc(s.removed, func(f *file) bool {
		if f.pins.Load() > 0 {
			reading[f.meta.File] = true
			return false
		}
		if err := f.close(); err != nil {
			s.log.Warn("a file that is not used any more does not close", zap.String("file", f.meta.File), zap.Error(err))
		}
		return true
	})
	s.mu.Unlock()
	s.commit.Lock()
	for name, since := range s.manifest.state.removed {
		if !reading[name] && s.now().Sub(since) >= s.cfg.Grace {
			due = append(due, name)
		}
	}
	s.commit.Unlock()
	slices.Sort(due)
	var errs []error
	var gone []string
	for _, name := range due {
		if s.Lists(name) { // it was written again meanwhile
			continue
		}
		if err := s.bucket.Delete(ctx, name); err != nil {
			errs = append(errs, away(err))
			continue
		}
		gone = append(gone, name)
	}
	if len(gone) > 0 {
		errs = append(errs, s.Commit(ctx, func() (*Record, error) { return &Record{Deleted: gone}, nil }))
	}
	return errors.Join(errs...)
}

// Close releases the files. Nobody may be reading.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.close())
	}
	for _, f := range s.removed {
		errs = append(errs, f.close())
	}
	s.end()
	return errors.Join(errs...)
}
