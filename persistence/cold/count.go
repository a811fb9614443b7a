package cold

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strings"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

// repeated is how many rows of each table another file has too, with the later
// position, as of a record of the manifest.
type repeated struct {
	record  uint64
	byTable map[string]int64
}

// Count compares the keys of files whose times overlap, so that counts are of keys.
// What it has compared it remembers; without new files it reads nothing.
func (s *Store) Count(ctx context.Context) error {
	s.mu.RLock()
	record, known := s.record, s.repeats != nil && s.repeats.record == s.record
	s.mu.RUnlock()
	if known {
		return nil
	}
	found := repeated{record: record, byTable: map[string]int64{}}
	for _, kind := range market.Kinds() {
		if kind.Table() == "" {
			continue
		}
		n, err := s.countKind(ctx, kind)
		if err != nil {
			return fmt.Errorf("counting %s of the cold store: %w", kind.Table(), err)
		}
		found.byTable[kind.Table()] = n
	}
	s.mu.Lock()
	s.repeats = &found
	s.mu.Unlock()
	return nil
}

// Repeated returns how many rows of each table are counted twice when the rows of the
// files are summed; exact says that nothing has changed since they were counted.
func (s *Store) Repeated() (byTable map[string]int64, exact bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.repeats == nil {
		return nil, len(s.files) == 0
	}
	return maps.Clone(s.repeats.byTable), s.repeats.record == s.record
}

// countKind counts the rows of a table that another file replaces.
func (s *Store) countKind(ctx context.Context, kind market.Kind) (rows int64, err error) {
	has, err := s.schemas[kind].Project([]string{})
	if err != nil {
		return 0, err
	}
	pinned, err := s.Pin(ctx, scan.Selection{Kind: kind, From: math.MinInt64, To: math.MaxInt64, Has: has})
	if err != nil {
		return 0, err
	}
	defer pinned.Release()
	v := pinned.(*view)
	for _, files := range v.files {
		for _, o := range part.Overlaps(append([]*file(nil), files...), (*file).bounds) {
			n, err := s.countOverlap(ctx, has, o)
			if err != nil {
				return 0, s.Failed(err)
			}
			rows += n
		}
	}
	return rows, nil
}

func (f *file) bounds() (lo, hi int64) { return f.meta.MinTime, f.meta.MaxTime }

func (s *Store) countOverlap(ctx context.Context, has part.Projection, o part.Overlap[*file]) (int64, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%d|%d", o.Lo, o.Hi)
	for _, f := range o.In {
		b.WriteString("|" + f.meta.File)
	}
	name := b.String()
	if n, ok := s.counted.Get(name); ok {
		return n, nil
	}
	// A view of its own: its sources read these files and this time alone.
	v := &view{s: scan.Selection{From: o.Lo, To: o.Hi + 1, Has: has}, released: true}
	defer func() {
		for _, sc := range v.scans {
			sc.Close()
		}
	}()
	var sources []part.Source
	for _, f := range o.In {
		sources = append(sources, &source{view: v, file: f})
	}
	n, err := part.CountDropped(ctx, part.NewMerge(sources, false))
	if err != nil {
		return 0, err
	}
	s.counted.Put(name, n)
	return n, nil
}
