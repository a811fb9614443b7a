package cold

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/scan"
)

// ArchiveOptions say what to archive.
type ArchiveOptions struct {
	// Kinds are the tables; none means all.
	Kinds []market.Kind
	// Before is the instant that rows must have arrived before: age counts from
	// arrival, never from event time.
	Before time.Time
	// Shards of the journal.
	Shards int
	// Progress is told what is done so far, after each file and at least once; nil
	// is not.
	Progress func(ArchiveReport)
}

// ArchiveReport says what an archive did.
type ArchiveReport struct {
	// Rows were listed here, in Files, of Bytes.
	Rows  int64 `json:"rows"`
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// ByTable counts the rows by table.
	ByTable map[string]int64 `json:"by_table"`
}

// Archive copies what is old enough, unit by unit. Each unit's files are listed in
// one record, together with the position that they reach to. It may be ended at any
// moment, and goes on from there the next time; the report says what was listed.
func (s *Store) Archive(ctx context.Context, hot scan.Hot, o ArchiveOptions) (ArchiveReport, error) {
	report := ArchiveReport{ByTable: map[string]int64{}}
	kinds := o.Kinds
	if len(kinds) == 0 {
		kinds = market.Kinds()
	}
	tell := func() {
		if o.Progress != nil {
			o.Progress(report)
		}
	}
	tell()
	for _, kind := range kinds {
		if kind.Table() == "" {
			continue
		}
		for shard := range o.Shards {
			if err := s.archiveShard(ctx, hot, kind, shard, o.Before, &report, tell); err != nil {
				return report, fmt.Errorf("archiving %s: %w", kind.Table(), err)
			}
		}
	}
	return report, nil
}

func (s *Store) archiveShard(ctx context.Context, hot scan.Hot, kind market.Kind, shard int, before time.Time, report *ArchiveReport, tell func()) error {
	for ctx.Err() == nil {
		have, ok := s.Archived(kind, shard)
		if id := hot.JournalID(shard); ok && id != "" && id != have.JournalID {
			return fmt.Errorf("the cold store was filled from journal %s, this is %s", have.JournalID, id)
		}
		unit, err := hot.Oldest(ctx, kind, shard, have.Seq, before)
		if err != nil || unit == nil {
			return err
		}
		err = s.archiveUnit(ctx, unit, report, tell)
		seq := unit.Meta().LastSeq
		unit.Release()
		if err != nil {
			return err
		}
		hot.Archived(kind, shard, seq)
	}
	return ctx.Err()
}

// archiveUnit writes a unit's files, and lists them with its position.
func (s *Store) archiveUnit(ctx context.Context, unit scan.Unit, report *ArchiveReport, tell func()) error {
	meta := unit.Meta()
	var parts []Part
	done := *report
	for _, x := range unit.Streams() {
		for day := startOfDay(x.Min); day <= x.Max; day = nextDay(day) {
			p, err := s.Write(ctx, meta, x.Stream, Day(day), unit.Merge(x.Stream, day, nextDay(day)))
			if err != nil {
				return err
			}
			if p.Rows == 0 {
				continue
			}
			parts = append(parts, p)
			done.Rows, done.Files, done.Bytes = done.Rows+p.Rows, done.Files+1, done.Bytes+p.Bytes
			tell()
		}
	}
	reach := Archived{Table: meta.Kind.Table(), Shard: meta.Shard, JournalID: meta.JournalID, Seq: meta.LastSeq}
	err := s.Commit(ctx, func() (*Record, error) {
		r := &Record{Archived: []Archived{reach}}
		if have, ok := s.Archived(meta.Kind, meta.Shard); ok && have.JournalID == reach.JournalID && have.Seq >= reach.Seq {
			return nil, nil // another archiver was first, with the same rows
		}
		for _, p := range parts {
			if !s.Lists(p.File) {
				r.Add = append(r.Add, p)
			}
		}
		return r, nil
	})
	if err != nil {
		return err
	}
	report.Rows, report.Files, report.Bytes = done.Rows, done.Files, done.Bytes
	for _, p := range parts {
		report.ByTable[p.Table] += p.Rows
	}
	tell()
	s.log.Info("archived", zap.String("table", reach.Table), zap.Int("shard", reach.Shard), zap.Uint64("seq", reach.Seq), zap.Int("files", len(parts)))
	return nil
}

func startOfDay(ns int64) int64 {
	t := time.Unix(0, ns).UTC()
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).UnixNano()
}

func nextDay(ns int64) int64 { return ns + int64(24*time.Hour) }

// Keep is how the store tells a hot store what it has, when both are opened.
func (s *Store) Keep(hot scan.Hot) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, a := range s.archive {
		if kind, ok := market.ParseKind(a.Table); ok && (hot.JournalID(a.Shard) == "" || hot.JournalID(a.Shard) == a.JournalID) {
			hot.Archived(kind, a.Shard, a.Seq)
		}
	}
}

// Retain removes the files whose newest row's day is over for longer than age, and
// that arrived as long ago; it returns the rows removed. The files stay until
// [Store.Clean] finds that their time has come.
func (s *Store) Retain(ctx context.Context, age time.Duration) (rows int64, err error) {
	limit := s.now().Add(-age).UnixNano()
	err = s.Commit(ctx, func() (*Record, error) {
		rows = 0
		r := &Record{}
		for _, p := range s.Parts() {
			// Age counts from arrival: a replay of 2021 is as young as its replay.
			if p.Created < limit && p.MaxTime < limit {
				r.Remove = append(r.Remove, p.File)
				rows += p.Rows
			}
		}
		if len(r.Remove) == 0 {
			return nil, nil
		}
		return r, nil
	})
	return rows, err
}
