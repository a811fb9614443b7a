package persistence

import (
	"context"
	"sync/atomic"
)

// ReadStats says what was read of the files of one tier, and what their lists and
// statistics made it needless to read. What a limit, or the end of the caller, left
// unread is in neither.
type ReadStats struct {
	// Files were opened; FilesPruned are those of the same table that have, as the
	// manifest says, none of the rows.
	Files       int64 `json:"files"`
	FilesPruned int64 `json:"files_pruned"`
	// FilesMissing could have had rows and were not read, because they are damaged and
	// set aside: the answer may lack what they held.
	FilesMissing int64 `json:"files_missing"`
	// RowGroups and Pages were decoded; a page counts once, whatever the number of its
	// columns. Pruned are those of opened files that cannot have the rows.
	RowGroups       int64 `json:"row_groups"`
	RowGroupsPruned int64 `json:"row_groups_pruned"`
	Pages           int64 `json:"pages"`
	PagesPruned     int64 `json:"pages_pruned"`
	// Bytes is the size in the files of the columns of those pages that were read.
	Bytes int64 `json:"bytes"`
}

// ReadCounter counts what is read. It is safe for concurrent use; a nil one counts
// nothing.
type ReadCounter struct {
	files, filesPruned, filesMissing atomic.Int64
	rowGroups, rowGroupsPruned       atomic.Int64
	pages, pagesPruned               atomic.Int64
	bytes                            atomic.Int64
}

// Add adds what was read, and takes off what is negative.
func (c *ReadCounter) Add(s ReadStats) {
	if c == nil {
		return
	}
	for _, n := range [...]struct {
		to *atomic.Int64
		by int64
	}{
		{&c.files, s.Files}, {&c.filesPruned, s.FilesPruned}, {&c.filesMissing, s.FilesMissing},
		{&c.rowGroups, s.RowGroups}, {&c.rowGroupsPruned, s.RowGroupsPruned},
		{&c.pages, s.Pages}, {&c.pagesPruned, s.PagesPruned}, {&c.bytes, s.Bytes},
	} {
		if n.by != 0 {
			n.to.Add(n.by)
		}
	}
}

// Stats is what was counted so far.
func (c *ReadCounter) Stats() ReadStats {
	if c == nil {
		return ReadStats{}
	}
	return ReadStats{
		Files: c.files.Load(), FilesPruned: c.filesPruned.Load(), FilesMissing: c.filesMissing.Load(),
		RowGroups: c.rowGroups.Load(), RowGroupsPruned: c.rowGroupsPruned.Load(),
		Pages: c.pages.Load(), PagesPruned: c.pagesPruned.Load(), Bytes: c.bytes.Load(),
	}
}

// Reads counts what a query reads, by tier. Rows that are in memory, or that a
// server answers with, are in no file and not counted.
type Reads struct{ hot, cold ReadCounter }

// Of is the counter of TierHot or TierCold; nil of nil.
func (r *Reads) Of(t Tier) *ReadCounter {
	switch {
	case r == nil:
		return nil
	case t == TierCold:
		return &r.cold
	}
	return &r.hot
}

type readsKey struct{}

// CountReads returns a context in which Reader.Query and Reader.Candles count what
// they and their Rows read. The counts grow while the Rows are read.
func CountReads(ctx context.Context) (context.Context, *Reads) {
	r := &Reads{}
	return context.WithValue(ctx, readsKey{}, r), r
}

// ReadsOf is what a context counts with; nil when it does not.
func ReadsOf(ctx context.Context) *Reads {
	r, _ := ctx.Value(readsKey{}).(*Reads)
	return r
}
