package part

import (
	"context"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// Access says how the instruments of a file are read.
type Access uint8

// The ways of access.
const (
	// OneStream: only one source is made of the scan.
	OneStream Access = iota
	// InOrder: one source after the other, in the order of the file.
	InOrder
	// Interleaved: several sources take turns.
	Interleaved
)

// interleavedRows is how many rows a source copies out of a page that others
// share.
const interleavedRows = 256

// Scan reads one file for one query. It belongs to one goroutine.
type Scan struct {
	file   *File
	want   []bool // by leaf
	has    Projection
	access Access
	desc   bool

	group   int // row group of readers; -1 for none
	readers []parquet.Pages
	codes   []dictionaryCodes
	block   *Block
	page    int // page that block holds; -1 for none
	levels  []byte
	// lean: key columns are left out until they are needed.
	lean bool

	count *readCount // nil while nobody counts
}

// dictionaryCodes translates the indexes of one chunk's dictionary.
type dictionaryCodes struct {
	of    parquet.Dictionary
	codes []uint32
}

// NewScan returns a scan of a file; nil projection reads every column.
func (f *File) NewScan(p Projection, access Access, descending bool) *Scan {
	s := &Scan{
		file: f, has: p, access: access, desc: descending, group: -1, page: -1,
		want:    make([]bool, len(f.schema.leaves)),
		readers: make([]parquet.Pages, len(f.schema.leaves)),
		codes:   make([]dictionaryCodes, len(f.schema.leaves)),
		block:   NewBlock(f.schema, f.names),
	}
	for i, l := range f.schema.leaves {
		switch l.role {
		case roleMicros, roleExchange, roleMarket, roleSymbol, roleBest:
		default:
			s.want[i] = p.has(l.col)
		}
	}
	for _, col := range f.schema.orderCols() {
		s.lean = s.lean || !p.has(col)
	}
	return s
}

// Close releases what the scan holds of its file.
func (s *Scan) Close() {
	for i, r := range s.readers {
		if r != nil {
			_ = r.Close() // only read from
			s.readers[i] = nil
		}
		s.codes[i].of = nil // its memory may become another chunk's dictionary
	}
	s.group = -1
}

// Free is Close for a scan that is not read again: it gives back its page as well.
func (s *Scan) Free() {
	s.Close()
	s.block, s.codes, s.readers, s.levels = nil, nil, nil, nil
}

// Source returns the rows of one instrument with ts in [from, to); nil when there
// can be none. priority is the merge's.
func (s *Scan) Source(r *Range, from, to int64, priority uint64) Source {
	lo, hi := s.file.pageRange(r.First, r.First+r.Rows, from, to)
	if lo >= hi || r.MaxTime < from || r.MinTime >= to {
		return nil
	}
	s.count.want(lo, hi)
	src := &fileSource{scan: s, r: r, from: from, to: to, lo: lo, hi: hi, priority: priority}
	if s.access == Interleaved {
		src.own = NewBlock(s.file.schema, s.file.names)
	}
	return src
}

type fileSource struct {
	scan     *Scan
	r        *Range
	from, to int64
	lo, hi   int // pages to read
	priority uint64
	// own is the source's copy of rows of a shared page; done says how many rows
	// of the next page have been copied.
	own  *Block
	done int
}

func (f *fileSource) Bounds() (lo, hi int64) {
	return max(f.from, f.r.MinTime), min(f.to-1, f.r.MaxTime)
}

func (f *fileSource) Priority() uint64 { return f.priority }

func (f *fileSource) Next(ctx context.Context) (Span, error) {
	for f.lo < f.hi {
		if err := ctx.Err(); err != nil {
			return Span{}, err
		}
		page := f.lo
		if f.scan.desc {
			page = f.hi - 1
		}
		span, err := f.scan.read(page, f.r)
		if err != nil {
			return Span{}, err
		}
		span.Lo = span.Block.TimesFrom(f.from, span.Lo, span.Hi)
		span.Hi = span.Block.TimesFrom(f.to, span.Lo, span.Hi)
		if f.own != nil {
			span = f.copy(span)
		}
		if f.own == nil || span.Lo >= span.Hi {
			f.done = 0
			if f.scan.desc {
				f.hi--
			} else {
				f.lo++
			}
		}
		if span.Lo < span.Hi {
			return span, nil
		}
	}
	return Span{}, io.EOF
}

// copy takes the next rows out of a shared page.
func (f *fileSource) copy(span Span) Span {
	if f.scan.desc {
		span.Hi -= f.done
		span.Lo = max(span.Lo, span.Hi-interleavedRows)
	} else {
		span.Lo += f.done
		span.Hi = min(span.Hi, span.Lo+interleavedRows)
	}
	if span.Lo >= span.Hi {
		return Span{}
	}
	n := span.Hi - span.Lo
	f.done += n
	f.own.Reset()
	f.own.has = span.Block.has
	f.own.AppendRows(span.Block, span.Lo, span.Hi)
	return Span{f.own, 0, n}
}

// read returns the rows of r in a page. Where the page is not shared only they
// are decoded.
func (s *Scan) read(page int, r *Range) (Span, error) {
	p := &s.file.pages[page]
	lo, hi := max(r.First, p.first)-p.first, min(r.First+r.Rows, p.first+p.rows)-p.first
	if s.access == OneStream {
		if err := s.decode(p, lo, hi); err != nil {
			return Span{}, err
		}
		return Span{s.block, 0, int(hi - lo)}, nil
	}
	if s.page != page {
		s.page = -1
		if err := s.decode(p, 0, p.rows); err != nil {
			return Span{}, err
		}
		s.page = page
	}
	return Span{s.block, int(lo), int(hi)}, nil
}

// decode puts rows [lo, hi) of a page into the scan's block.
func (s *Scan) decode(p *pageRef, lo, hi int64) (err error) {
	defer s.file.guard(&err)
	if s.group != p.group {
		s.Close()
		s.group = p.group
	}
	s.count.read(p)
	s.block.Reset()
	s.block.has = s.has
	s.block.n = int(hi - lo)
	for i := range s.file.schema.leaves {
		if !s.want[i] {
			continue
		}
		if err := s.decodeLeaf(i, p, int(lo), int(hi)); err != nil {
			return err
		}
	}
	if s.lean {
		s.block.keys = func() error { return s.decodeKeys(p, int(lo), int(hi)) }
	}
	return nil
}

// decodeKeys reads the key columns of the page in the block that were left out.
func (s *Scan) decodeKeys(p *pageRef, lo, hi int) (err error) {
	defer s.file.guard(&err)
	for i, l := range s.file.schema.leaves {
		if s.want[i] || s.has.has(l.col) || !slices.Contains(s.file.schema.orderCols(), l.col) {
			continue
		}
		switch l.role {
		case roleMicros, roleExchange, roleMarket, roleSymbol, roleBest:
			continue
		}
		if err := s.decodeLeaf(i, p, lo, hi); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scan) decodeLeaf(at int, p *pageRef, lo, hi int) error {
	l := &s.file.schema.leaves[at]
	chunk := s.file.pq.RowGroups()[p.group].ColumnChunks()[at]
	c := column{scan: s, at: at, leaf: l, v: &s.block.cols[l.col], lo: lo, hi: hi, ref: p}
	if l.optional {
		bounds, err := chunk.ColumnIndex()
		if err != nil {
			return s.file.corrupt("column %s: %v", l.name, err)
		}
		if bounds.NullPage(p.index) {
			return c.fill(nil, make0(hi-lo, &s.levels))
		}
	}
	if s.readers[at] == nil {
		s.readers[at] = chunk.Pages()
	}
	if err := s.readers[at].SeekToRow(p.local); err != nil {
		return s.file.corrupt("column %s, row %d: %v", l.name, p.first, err)
	}
	page, err := s.readers[at].ReadPage()
	if err != nil {
		return s.file.corrupt("column %s, row %d: %v", l.name, p.first, err)
	}
	defer parquet.Release(page)
	if s.count != nil {
		offsets, err := chunk.OffsetIndex()
		if err != nil {
			return s.file.corrupt("column %s: %v", l.name, err)
		}
		s.count.column(offsets.CompressedPageSize(p.index))
	}
	if page.NumRows() != p.rows {
		return s.file.corrupt("column %s, row %d: a page of %d rows, want %d", l.name, p.first, page.NumRows(), p.rows)
	}
	return c.fill(page, page.DefinitionLevels())
}

func make0(n int, buf *[]byte) []byte {
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	return (*buf)[:n]
}
