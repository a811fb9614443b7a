package cold

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// file is one listed file.
type file struct {
	store *Store
	part  Part
	meta  *part.Meta
	// pins counts the readers.
	pins    atomic.Int64
	removed time.Time // when it left the manifest

	mu   sync.Mutex
	open *part.File
}

func (f *file) stream() market.StreamID { return f.meta.Ranges[0].Stream }

// get is the open file. The caller has it pinned.
func (f *file) get() (*part.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open != nil {
		return f.open, nil
	}
	s := f.store
	content, size, err := s.bucket.Open(s.life, f.meta.File)
	path := s.bucket.String() + "/" + f.meta.File
	if errors.Is(err, ErrNotFound) {
		return nil, &persistence.CorruptError{Path: path, Reason: "the file is missing"}
	}
	if err != nil {
		return nil, fmt.Errorf("cold store: %w", err)
	}
	open, err := part.OpenContent(content, path, size, f.meta, s.schemas[f.meta.Kind], s.names)
	if err != nil {
		return nil, err
	}
	f.open = open
	return open, nil
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

// View is what one query pins of the store.
type View struct {
	files    map[market.StreamID][]*file
	from, to int64
	has      part.Projection
	desc     bool
	scans    []*part.Scan
	released bool
}

// Pin takes the files that can have rows of a kind with ts in [from, to), of one
// stream, or of all for nil. The caller releases the view.
func (s *Store) Pin(kind market.Kind, stream *market.StreamID, from, to int64, has part.Projection, descending bool) *View {
	v := &View{files: map[market.StreamID][]*file{}, from: from, to: to, has: has, desc: descending}
	s.mu.RLock()
	defer s.mu.RUnlock()
	pin := func(id market.StreamID) {
		for _, f := range s.byKind[kind][id] {
			if f.meta.MaxTime >= from && f.meta.MinTime < to {
				f.pins.Add(1)
				v.files[id] = append(v.files[id], f)
			}
		}
	}
	if stream != nil {
		pin(*stream)
		return v
	}
	for id := range s.byKind[kind] {
		pin(id)
	}
	return v
}

// Streams lists the streams that the view has rows of, in no order.
func (v *View) Streams() []market.StreamID {
	list := make([]market.StreamID, 0, len(v.files))
	for id := range v.files {
		list = append(list, id)
	}
	return list
}

// Sources appends one source of a merge for each file of a stream.
func (v *View) Sources(dst []part.Source, stream market.StreamID) []part.Source {
	for _, f := range v.files[stream] {
		dst = append(dst, &source{view: v, file: f})
	}
	return dst
}

// Release ends the view; it is idempotent.
func (v *View) Release() {
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
	view *View
	file *file
	rows part.Source
}

// Bounds implements [part.Source].
func (s *source) Bounds() (lo, hi int64) {
	return max(s.view.from, s.file.meta.MinTime), min(s.view.to-1, s.file.meta.MaxTime)
}

// Priority implements [part.Source].
func (s *source) Priority() uint64 { return s.file.meta.LastSeq }

// Next implements [part.Source].
func (s *source) Next(ctx context.Context) (part.Span, error) {
	if s.rows == nil {
		f, err := s.file.get()
		if err != nil {
			return part.Span{}, err
		}
		scan := f.NewScan(s.view.has, part.OneStream, s.view.desc)
		s.view.scans = append(s.view.scans, scan)
		if s.rows = scan.Source(&s.file.meta.Ranges[0], s.view.from, s.view.to, s.Priority()); s.rows == nil {
			return part.Span{}, io.EOF
		}
	}
	return s.rows.Next(ctx)
}
