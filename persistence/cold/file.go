package cold

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

// file is one listed file.
type file struct {
	store *Store
	part  Part
	meta  *part.Meta
	// pins counts the readers.
	pins atomic.Int64
	// removed is when it left the manifest.
	removed time.Time

	mu      sync.Mutex
	open    *part.File
	content *watched // of open
	used    time.Time
}

// priority is that of its rows, among those of equal keys.
func (f *file) priority() uint64 {
	return f.store.names.Generations().Priority(f.meta.JournalID, f.meta.LastSeq)
}

func (f *file) stream() market.StreamID { return f.meta.Ranges[0].Stream }

// get is the open file. The caller has it pinned.
func (f *file) get() (*part.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used = f.store.now()
	if f.open != nil {
		return f.open, nil
	}
	var err error
	f.open, f.content, err = f.store.open(f.store.life, f.meta)
	return f.open, err
}

// open opens the file that m describes.
func (s *Store) open(ctx context.Context, m *part.Meta) (*part.File, *watched, error) {
	path := s.pathOf(m.File)
	content, size, err := s.bucket.Open(ctx, m.File)
	if errors.Is(err, ErrNotFound) {
		return nil, nil, missing(path)
	}
	if err != nil {
		return nil, nil, away(err)
	}
	from := &watched{Content: content, path: path}
	f, err := part.OpenContent(from, path, size, m, s.schemas[m.Kind], s.names)
	if err != nil {
		return nil, nil, from.judge(err)
	}
	return f, from, nil
}

// pathOf is what a file is called outside of the bucket.
func (s *Store) pathOf(name string) string { return s.bucket.String() + "/" + name }

func missing(path string) error {
	return &persistence.CorruptError{Path: path, Reason: fileMissing}
}

const fileMissing = "the file is missing"

// watched is content that remembers whether the medium has failed, which the
// decoder of files takes for damage.
type watched struct {
	part.Content
	path   string
	failed atomic.Pointer[error]
}

// ReadAt implements io.ReaderAt.
func (w *watched) ReadAt(b []byte, at int64) (int, error) {
	if at < 0 { // a wrong length in the file, and not the medium's fault
		return 0, errBefore
	}
	n, err := w.Content.ReadAt(b, at)
	if err != nil && !errors.Is(err, io.EOF) {
		w.failed.Store(&err)
	}
	return n, err
}

var errBefore = errors.New("a place before the file's beginning")

// judge says what an error of the decoder is: damage, or the medium's.
func (w *watched) judge(err error) error {
	cause := w.failed.Swap(nil)
	if err == nil || cause == nil || errors.Is(err, io.EOF) {
		return err
	}
	if errors.Is(*cause, ErrNotFound) {
		return missing(w.path)
	}
	return away(*cause)
}

func (f *file) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		return nil
	}
	open := f.open
	f.open = nil
	return open.Close()
}

// view is what one query pins of the store.
type view struct {
	files    map[market.StreamID][]*file
	s        scan.Selection
	scans    []*part.Scan
	released bool
}

// Pin implements [scan.Layer].
func (s *Store) Pin(_ context.Context, sel scan.Selection) (scan.View, error) {
	v := &view{files: map[market.StreamID][]*file{}, s: sel}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, persistence.ErrClosed
	}
	pruned := s.listed[sel.Kind]
	pin := func(id market.StreamID) {
		for _, f := range s.byKind[sel.Kind][id] {
			if f.meta.MaxTime >= sel.From && f.meta.MinTime < sel.To {
				f.pins.Add(1)
				v.files[id] = append(v.files[id], f)
				pruned--
			}
		}
	}
	if sel.Stream != nil {
		pin(*sel.Stream)
	} else {
		for id := range s.byKind[sel.Kind] {
			pin(id)
		}
	}
	lacking := int64(0)
	for _, f := range s.aside {
		if f.meta.Kind == sel.Kind && f.meta.MaxTime >= sel.From && f.meta.MinTime < sel.To && (sel.Stream == nil || *sel.Stream == f.stream()) {
			lacking++
		}
	}
	lacking += s.unknown(sel.Kind, sel.Stream)
	sel.Reads.Of(persistence.TierCold).Add(persistence.ReadStats{FilesPruned: pruned, FilesMissing: lacking})
	return v, nil
}

// HasCollected implements [scan.Layer].
func (s *Store) HasCollected(_ context.Context, kind market.Kind, stream market.StreamID) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, f := range s.aside { // so that damage changes no filter
		if f.meta.Kind == kind && f.stream() == stream && f.part.Collected > 0 {
			return true, nil
		}
	}
	return slices.ContainsFunc(s.byKind[kind][stream], func(f *file) bool { return f.part.Collected > 0 }), nil
}

// Streams implements [scan.View].
func (v *view) Streams() []market.StreamID {
	list := make([]market.StreamID, 0, len(v.files))
	for id := range v.files {
		list = append(list, id)
	}
	return list
}

// Sources implements [scan.View].
func (v *view) Sources(dst []part.Source, stream market.StreamID, _ part.Access) []part.Source {
	for _, f := range v.files[stream] {
		dst = append(dst, &source{view: v, file: f})
	}
	return dst
}

// Release implements [scan.View].
func (v *view) Release() {
	if v.released {
		return
	}
	v.released = true
	for _, s := range v.scans {
		s.Close()
	}
	for _, files := range v.files {
		for _, f := range files {
			f.pins.Add(-1)
		}
	}
}

// source is the rows of one file, which is opened when they are reached.
type source struct {
	view *view
	file *file
	scan *part.Scan
	rows part.Source
	done bool
}

// Bounds implements [part.Source].
func (s *source) Bounds() (lo, hi int64) {
	return max(s.view.s.From, s.file.meta.MinTime), min(s.view.s.To-1, s.file.meta.MaxTime)
}

// Priority implements [part.Source].
func (s *source) Priority() uint64 { return s.file.priority() }

// Next implements [part.Source].
func (s *source) Next(ctx context.Context) (part.Span, error) {
	if s.done {
		return part.Span{}, io.EOF
	}
	if s.rows == nil {
		f, err := s.file.get()
		if err != nil {
			return part.Span{}, err
		}
		s.scan = f.NewScan(s.view.s.Has, part.OneStream, s.view.s.Newest)
		s.scan.Count(s.view.s.Reads.Of(persistence.TierCold))
		s.view.scans = append(s.view.scans, s.scan)
		if s.rows = s.scan.Source(&s.file.meta.Ranges[0], s.view.s.From, s.view.s.To, s.Priority()); s.rows == nil {
			return part.Span{}, io.EOF
		}
	}
	span, err := s.rows.Next(ctx)
	if errors.Is(err, io.EOF) { // a query over many files keeps a page of a few
		s.scan.Free()
		s.scan, s.rows, s.done = nil, nil, true
	}
	return span, s.file.content.judge(err)
}
