package cold

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

// Archive copies what is old enough, unit by unit. Each unit's files are listed in
// one record, together with the position that they reach to. It may be ended at any
// moment, and goes on from there the next time; the report says what was listed.
func (s *Store) Archive(ctx context.Context, hot scan.Hot, shards int, o persistence.ArchiveOptions) (persistence.ArchiveReport, error) {
	a := &archive{s: s, hot: hot, before: o.Before, operation: o.Operation, progress: o.Progress, report: persistence.ArchiveReport{ByTable: map[string]int64{}}}
	if o.Operation != "" && !o.Since.IsZero() {
		if err := a.recall(ctx, o.Since); err != nil {
			return a.report, fmt.Errorf("looking for what the archive has listed before: %w", err)
		}
	}
	kinds := o.Kinds
	if len(kinds) == 0 {
		kinds = market.Kinds()
	}
	a.tell(a.report)
	for _, kind := range kinds {
		if kind.Table() == "" {
			continue
		}
		for shard := range shards {
			if err := a.shard(ctx, kind, shard); err != nil {
				return a.report, fmt.Errorf("archiving %s: %w", kind.Table(), err)
			}
		}
	}
	return a.report, nil
}

// archive is one under way.
type archive struct {
	s         *Store
	hot       scan.Hot
	before    time.Time
	operation string
	progress  func(persistence.ArchiveReport)
	report    persistence.ArchiveReport
}

// recallMargin is how far the clocks of those who write records may be apart.
const recallMargin = time.Hour

// recall begins the report with what the archive has listed since it began, in other
// processes. Records stay, whatever is done with the files.
func (a *archive) recall(ctx context.Context, since time.Time) error {
	a.s.commit.Lock()
	defer a.s.commit.Unlock()
	if err := a.s.catchUp(ctx); err != nil {
		return err
	}
	a.s.adopt()
	for n := a.s.manifest.state.n; n > 0; n-- {
		r, err := a.s.manifest.read(ctx, recordName(n))
		if errors.Is(err, ErrNotFound) || errors.Is(err, persistence.ErrCorrupt) && !errors.Is(err, errVersion) {
			continue // what it listed cannot be counted
		}
		if err != nil {
			return away(err)
		}
		if r.Time.Before(since.Add(-recallMargin)) {
			return nil
		}
		if r.Operation == a.operation {
			a.add(r.Add)
		}
	}
	return nil
}

// add counts files that were listed.
func (a *archive) add(listed []Part) {
	for _, p := range listed {
		a.report.Rows, a.report.Files, a.report.Bytes = a.report.Rows+p.Rows, a.report.Files+1, a.report.Bytes+p.Bytes
		a.report.ByTable[p.Table] += p.Rows
	}
}

// tell passes on what is done; the receiver keeps what it gets.
func (a *archive) tell(r persistence.ArchiveReport) {
	if a.progress != nil {
		r.ByTable = maps.Clone(r.ByTable)
		a.progress(r)
	}
}

func (a *archive) shard(ctx context.Context, kind market.Kind, shard int) error {
	for ctx.Err() == nil {
		a.s.keep(a.hot, func(to Archived) bool { return to.Table == kind.Table() && to.Shard == shard })
		unit, err := a.hot.Oldest(ctx, kind, shard, a.before)
		if err != nil || unit == nil {
			return err
		}
		meta := unit.Meta()
		for tries := 0; ; tries++ {
			if err = a.unit(ctx, unit, meta); tries == 2 || !errors.Is(err, errRetired) {
				break
			}
		}
		unit.Release()
		if err != nil {
			return err
		}
		a.hot.Archived(kind, shard, meta.JournalID, meta.LastSeq)
	}
	return ctx.Err()
}

// unit writes a unit's files, and lists them with its position.
func (a *archive) unit(ctx context.Context, unit scan.Unit, meta part.Meta) error {
	var parts []Part
	done := a.report
	for _, x := range unit.Streams() {
		for day := startOfDay(x.Min); day <= x.Max; day = nextDay(day) {
			p, err := a.s.Write(ctx, meta, x.Stream, Day(day), unit.Merge(x.Stream, day, nextDay(day)))
			if err != nil {
				return err
			}
			if p.Rows == 0 {
				continue
			}
			parts = append(parts, p)
			done.Rows, done.Files, done.Bytes = done.Rows+p.Rows, done.Files+1, done.Bytes+p.Bytes
			a.tell(done)
		}
	}
	if err := unit.Confirm(ctx); err != nil {
		return err
	}
	reach := Archived{Table: meta.Kind.Table(), Shard: meta.Shard, JournalID: meta.JournalID, Seq: meta.LastSeq}
	var listed []Part
	err := a.s.Commit(ctx, func() (*Record, error) {
		listed = nil
		if have, ok := a.s.Archived(meta.Kind, meta.Shard, meta.JournalID); ok && have >= reach.Seq {
			return nil, nil // another archiver was first, with the same rows
		}
		for _, p := range parts {
			if !a.s.Lists(p.File) {
				listed = append(listed, p)
			}
		}
		return &Record{Archived: []Archived{reach}, Add: listed, Operation: a.operation}, nil
	})
	if err != nil {
		return err
	}
	a.add(listed)
	a.tell(a.report)
	a.s.log.Info("archived", zap.String("table", reach.Table), zap.Int("shard", reach.Shard), zap.Uint64("seq", reach.Seq), zap.Int("files", len(listed)))
	return nil
}

func startOfDay(ns int64) int64 {
	t := time.Unix(0, ns).UTC()
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).UnixNano()
}

func nextDay(ns int64) int64 { return ns + int64(24*time.Hour) }

// Keep is how the store tells a hot store what it has, when both are opened.
func (s *Store) Keep(hot scan.Hot) { s.keep(hot, func(Archived) bool { return true }) }

func (s *Store) keep(hot scan.Hot, wanted func(Archived) bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.wound != nil { // not all of that can be read here yet
		return
	}
	for _, a := range s.archive {
		if kind, ok := market.ParseKind(a.Table); ok && wanted(a) {
			hot.Archived(kind, a.Shard, a.JournalID, a.Seq)
		}
	}
}

// arrivalSpan is the longest time between the arrivals of two rows of a file: that
// of two parts of a unit, and the hour that a part may have been merged of.
const arrivalSpan = int64(scan.UnitSpan + time.Hour)

// Retain removes the files of which every row is of a time, and has arrived, longer
// ago than age; it returns the rows removed. The files stay until [Store.Clean]
// finds that their time has come.
func (s *Store) Retain(ctx context.Context, age time.Duration) (rows int64, err error) {
	limit := s.now().Add(-age).UnixNano()
	err = s.Commit(ctx, func() (*Record, error) {
		rows = 0
		r := &Record{}
		for _, p := range s.Parts() {
			// Age counts from arrival: a replay of 2021 is as young as its replay. The
			// last row of a file may have arrived that much later than the first.
			if p.arrived() >= limit || p.MaxTime >= limit {
				continue
			}
			if _, damaged := s.manifest.state.damaged[p.File]; damaged {
				gone, err := s.gone(ctx, p.File)
				if err != nil {
					return nil, err
				}
				if gone { // perhaps for its age, by a record that was lost
					r.Remove = append(r.Remove, p.File)
				}
				continue // else it is somebody's to look at
			}
			r.Remove = append(r.Remove, p.File)
			rows += p.Rows
		}
		if len(r.Remove) == 0 {
			return nil, nil
		}
		return r, nil
	})
	return rows, err
}

// gone reports whether there is no such file.
func (s *Store) gone(ctx context.Context, name string) (bool, error) {
	content, _, err := s.bucket.Open(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, away(err)
	}
	return false, content.Close()
}
