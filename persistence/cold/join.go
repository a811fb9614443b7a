package cold

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// Joined says what joining did.
type Joined struct {
	// Files became Made ones, with Rows rows of Bytes; Dropped rows had the key of a
	// later one.
	Files, Made int
	Rows        int64
	Bytes       int64
	Dropped     int64
}

// Limits of one join.
const (
	// joinFiles is how many files are joined at once: each is read page by page.
	joinFiles = 64
	// joinSpan is the longest time between the arrivals of what is joined: age counts
	// from the youngest row.
	joinSpan = 7 * 24 * time.Hour
)

// Join makes one file of several small ones of a stream and day, in one record, until
// there are no more or ctx ends. Files that are read stay until nobody reads them and
// the grace has passed. told is told of each join.
func (s *Store) Join(ctx context.Context, told func(Joined)) (all Joined, err error) {
	if s.cfg.JoinFiles == 0 {
		return all, nil
	}
	for {
		groups := s.joinable()
		if len(groups) == 0 {
			return all, nil
		}
		moved := false
		for _, g := range groups {
			if err := ctx.Err(); err != nil {
				return all, err
			}
			one, err := s.joinGroup(ctx, g)
			if err != nil {
				if err = s.Failed(err); errors.Is(err, persistence.ErrCorrupt) {
					continue // it is set aside, and joins nothing
				}
				return all, fmt.Errorf("joining %d files of %s: %w", len(g), g[0].meta.File, err)
			}
			moved = moved || one.Made > 0
			all.Files, all.Made, all.Rows = all.Files+one.Files, all.Made+one.Made, all.Rows+one.Rows
			all.Bytes, all.Dropped = all.Bytes+one.Bytes, all.Dropped+one.Dropped
			if told != nil {
				told(all)
			}
		}
		if !moved {
			return all, nil
		}
	}
}

// joinable returns groups of files to be joined, at most one of a stream and day.
func (s *Store) joinable() [][]*file {
	s.mu.RLock()
	defer s.mu.RUnlock()
	type place struct {
		kind   market.Kind
		stream market.StreamID
		date   string
	}
	at := map[place][]*file{}
	for _, f := range s.files {
		p := place{f.meta.Kind, f.stream(), f.part.Date}
		at[p] = append(at[p], f)
	}
	var groups [][]*file
	for _, files := range at {
		if len(files) < s.cfg.JoinFiles {
			continue
		}
		// The later journal wins where keys are equal, then the later position: only
		// neighbours in that order can be one.
		slices.SortFunc(files, func(a, b *file) int {
			return cmp.Or(cmp.Compare(a.priority(), b.priority()), strings.Compare(a.meta.JournalID, b.meta.JournalID), strings.Compare(a.meta.File, b.meta.File))
		})
		if g := s.group(files); g != nil {
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, func(a, b []*file) int { return strings.Compare(a[0].meta.File, b[0].meta.File) })
	return groups
}

// group finds neighbours that are worth joining: enough of them, and none larger than
// the others together, so that no row is written again for the sake of a few. s.mu is
// locked.
func (s *Store) group(files []*file) []*file {
	for lo := range files {
		if !s.mayJoin(files, lo, lo) {
			continue
		}
		var rows, most int64
		best := 0
		oldest, youngest := int64(math.MaxInt64), int64(math.MinInt64)
		for hi := lo; hi < len(files) && hi-lo < joinFiles && s.mayJoin(files, lo, hi); hi++ {
			p := &files[hi].part
			rows, most = rows+p.Rows, max(most, p.Rows)
			oldest, youngest = min(oldest, p.Created), max(youngest, p.Created, p.Youngest)
			if rows > s.cfg.JoinRows || youngest-oldest > int64(joinSpan) {
				break
			}
			if n := hi - lo + 1; n >= s.cfg.JoinFiles && 2*most <= rows && !tied(files, hi) {
				best = n
			}
		}
		if best > 0 {
			return files[lo : lo+best]
		}
	}
	return nil
}

// mayJoin reports whether file hi may be in a group that begins with lo: it is read,
// came by the same shard of the same journal, and nothing of that journal before it is
// still to come. s.mu is locked.
func (s *Store) mayJoin(files []*file, lo, hi int) bool {
	a, b := files[lo].meta, files[hi].meta
	reach := s.archive[tableShard{b.Kind.Table(), b.Shard, b.JournalID}]
	return s.aside[b.File] == nil && a.JournalID == b.JournalID && a.Shard == b.Shard && b.LastSeq <= reach.Seq &&
		(hi > lo || lo == 0 || !tied(files, lo-1))
}

// tied reports whether a file and the next one have the same last position: nobody can
// say which of them wins.
func tied(files []*file, i int) bool {
	return i+1 < len(files) && files[i].priority() == files[i+1].priority()
}

// hold pins the files of a group; false when one is not read any more.
func (s *Store) hold(group []*file) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, f := range group {
		if s.files[f.meta.File] != f || s.aside[f.meta.File] != nil {
			return false
		}
	}
	for _, f := range group {
		f.pins.Add(1)
	}
	return true
}

// joinGroup writes one file with the rows of a group, and lists it in their place.
func (s *Store) joinGroup(ctx context.Context, group []*file) (Joined, error) {
	for tries := 0; ; tries++ {
		if !s.hold(group) {
			return Joined{}, nil
		}
		out, err := s.joinHeld(ctx, group)
		for _, f := range group {
			f.pins.Add(-1)
		}
		if tries == 2 || !errors.Is(err, errRetired) {
			return out, err
		}
	}
}

func (s *Store) joinHeld(ctx context.Context, group []*file) (Joined, error) {
	first := group[0]
	meta := part.Meta{Kind: first.meta.Kind, JournalID: first.meta.JournalID, Shard: first.meta.Shard, FirstSeq: math.MaxUint64, Created: math.MaxInt64}
	youngest, rows := int64(0), int64(0)
	for _, f := range group {
		meta.FirstSeq, meta.LastSeq = min(meta.FirstSeq, f.meta.FirstSeq), max(meta.LastSeq, f.meta.LastSeq)
		meta.Created, youngest = min(meta.Created, f.meta.Created), max(youngest, f.part.Created, f.part.Youngest)
		rows += f.meta.Rows
	}
	merge, release, err := s.mergeOf(group)
	defer release()
	if err != nil {
		return Joined{}, err
	}
	made, err := s.Write(ctx, meta, first.stream(), first.part.Date, merge)
	if err != nil {
		return Joined{}, err
	}
	if made.Rows+merge.Dropped != rows {
		return Joined{}, fmt.Errorf("%d files of %d rows made one of %d, with %d of equal keys", len(group), rows, made.Rows, merge.Dropped)
	}
	made.Youngest = youngest
	listed := false
	err = s.Commit(ctx, func() (*Record, error) {
		if listed = s.stillJoin(group, made.File); !listed {
			return nil, nil
		}
		r := &Record{Add: []Part{made}}
		for _, f := range group {
			r.Remove = append(r.Remove, f.meta.File)
		}
		return r, nil
	})
	if err != nil || !listed { // what was written is swept, unless another writer lists it
		return Joined{}, err
	}
	s.log.Debug("files of the cold store were joined", zap.String("file", made.File), zap.Int("files", len(group)),
		zap.Int64("rows", made.Rows), zap.Int64("dropped", merge.Dropped))
	return Joined{Files: len(group), Made: 1, Rows: made.Rows, Bytes: made.Bytes, Dropped: merge.Dropped}, nil
}

// mergeOf reads the rows of files that are held, each key once. What the medium says
// stays an error of the medium.
func (s *Store) mergeOf(group []*file) (*part.Merge, func(), error) {
	var scans []*part.Scan
	release := func() {
		for _, scan := range scans {
			scan.Close()
		}
	}
	var sources []part.Source
	for _, f := range group {
		open, err := f.get()
		if err != nil {
			return nil, release, err
		}
		scan := open.NewScan(nil, part.OneStream, false)
		scans = append(scans, scan)
		if rows := scan.Source(&f.meta.Ranges[0], math.MinInt64, math.MaxInt64, f.priority()); rows != nil {
			sources = append(sources, judged{rows, f.content})
		}
	}
	return part.NewMerge(sources, false), release, nil
}

// judged is a source whose errors are the medium's where they are.
type judged struct {
	part.Source
	from *watched
}

// Next implements [part.Source].
func (j judged) Next(ctx context.Context) (part.Span, error) {
	span, err := j.Source.Next(ctx)
	return span, j.from.judge(err)
}

// stillJoin reports whether a group may still be replaced: every file of it is listed
// and whole, and no other of its stream and day has come between them.
func (s *Store) stillJoin(group []*file, made string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	first, last := group[0].priority(), group[len(group)-1].priority()
	for _, f := range group {
		if s.files[f.meta.File] != f || s.aside[f.meta.File] != nil {
			return false
		}
	}
	for _, f := range s.files {
		if f.meta.Kind == group[0].meta.Kind && f.stream() == group[0].stream() && f.part.Date == group[0].part.Date &&
			f.priority() >= first && f.priority() <= last && !slices.Contains(group, f) {
			return false
		}
	}
	return s.files[made] == nil
}
