package part

import (
	"encoding/hex"
	"errors"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/parquet-go/parquet-go"

	"github.com/marketprism/marketprism/internal/market"
)

// Sizes of a file's pages and row groups.
const (
	// PageRows is the number of rows in a page, unless text fills it before.
	PageRows = 4096
	// GroupRows is the number of rows after which a row group ends.
	GroupRows = 32 * PageRows

	pageTextBytes  = 1 << 20
	groupTextBytes = 64 << 20
)

// metaKey is the key of the footer's metadata that holds the encoded Meta,
// hexadecimal.
const metaKey = "marketprism.part"

// Writer writes one file: for each instrument in the order of CompareStreams one
// Begin, then its rows in reading order without equal keys.
type Writer struct {
	schema *Schema
	out    *countingWriter
	pages  *pageWriter
	meta   Meta
}

type countingWriter struct {
	w   io.Writer
	sum *xxhash.Digest
	n   int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	if _, e := c.sum.Write(p[:n]); e != nil {
		return n, errors.Join(err, e)
	}
	return n, err
}

// NewWriter writes to w. Of meta it takes Kind, File, the journal range and
// Created; it finds out the rest.
func NewWriter(w io.Writer, s *Schema, names *Names, meta Meta) *Writer {
	out := &countingWriter{w: w, sum: xxhash.New()}
	meta.Ranges = nil
	sorted := parquet.SortingColumns(
		parquet.Ascending("exchange"), parquet.Ascending("market"), parquet.Ascending("symbol"), parquet.Ascending("ts_ns"))
	return &Writer{schema: s, out: out, pages: newPageWriter(out, s, names, s.allLeaves(), sorted), meta: meta}
}

// Begin starts the rows of an instrument.
func (w *Writer) Begin(stream market.StreamID) {
	w.endRange()
	w.meta.Ranges = append(w.meta.Ranges, Range{Stream: stream, First: w.meta.Rows})
}

// endRange drops a range that got no rows.
func (w *Writer) endRange() {
	if n := len(w.meta.Ranges); n > 0 && w.meta.Ranges[n-1].Rows == 0 {
		w.meta.Ranges = w.meta.Ranges[:n-1]
	}
}

// Append takes rows of the instrument that Begin named.
func (w *Writer) Append(s Span) error {
	w.account(s)
	for lo := s.Lo; lo < s.Hi; {
		page := w.pages.page
		hi := min(s.Hi, lo+PageRows-page.n)
		if s.Block.hasText() { // page by page of text
			hi = min(hi, lo+max(1, (pageTextBytes-page.TextBytes())/(1+s.Block.TextBytes()/s.Block.n)))
		}
		page.AppendRows(s.Block, lo, hi)
		lo = hi
		if err := w.pages.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

func (b *Block) hasText() bool {
	for i := range b.cols {
		if len(b.cols[i].data) > 0 {
			return true
		}
	}
	return false
}

// account adds rows to the range and the file.
func (w *Writer) account(s Span) {
	r := &w.meta.Ranges[len(w.meta.Ranges)-1]
	first, last := s.Block.TS(s.Lo), s.Block.TS(s.Hi-1)
	if r.Rows == 0 {
		r.MinTime, r.MaxTime = first, last
	}
	r.MinTime, r.MaxTime = min(r.MinTime, first), max(r.MaxTime, last)
	if w.meta.Rows == 0 {
		w.meta.MinTime, w.meta.MaxTime = first, last
	}
	w.meta.MinTime, w.meta.MaxTime = min(w.meta.MinTime, first), max(w.meta.MaxTime, last)
	n := int64(s.Hi - s.Lo)
	r.Rows += n
	w.meta.Rows += n
	for _, origin := range s.Block.cols[w.schema.originCol].u8[s.Lo:s.Hi] {
		if market.Origin(origin) == market.Collected {
			r.Collected++
		}
	}
}

// Finish ends the file and returns its description.
func (w *Writer) Finish() (Meta, error) {
	w.endRange()
	if err := w.pages.close(map[string]string{metaKey: hex.EncodeToString(appendMeta(nil, &w.meta))}); err != nil {
		return Meta{}, err
	}
	w.meta.Bytes, w.meta.Checksum = w.out.n, w.out.sum.Sum64()
	return w.meta, nil
}
