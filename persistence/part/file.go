package part

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"

	"github.com/cespare/xxhash/v2"
	"github.com/parquet-go/parquet-go"

	"github.com/marketprism/marketprism/persistence"
)

const readBuffer = 16 << 10

// File is an open file of records. It is safe for concurrent use.
type File struct {
	Meta   *Meta
	path   string
	schema *Schema
	names  *Names
	f      Content
	pq     *parquet.File
	pages  []pageRef
}

// Content is what a file's bytes are read from.
type Content interface {
	io.ReaderAt
	io.Closer
}

// pageRef is one page, the same in every column.
type pageRef struct {
	group, index int
	// first is the row in the file, local the row in the row group.
	first, local, rows int64
	minTime, maxTime   int64
}

// Open opens the file that meta describes, below dir. Damage that shows here is a
// [*persistence.CorruptError]; what does not is found by the pages' checksums
// when they are read.
func Open(dir string, meta *Meta, s *Schema, names *Names) (*File, error) {
	path := filepath.Join(dir, meta.File)
	content, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &persistence.CorruptError{Path: path, Reason: "the file is missing"}
	}
	if err != nil {
		return nil, &persistence.IOError{Op: "open part", Path: path, Err: err}
	}
	info, err := content.Stat()
	if err != nil {
		_ = content.Close() // only read from
		return nil, &persistence.IOError{Op: "stat part", Path: path, Err: err}
	}
	return OpenContent(content, path, info.Size(), meta, s, names)
}

// OpenContent is [Open] for bytes from elsewhere, size of them; path names them in
// errors. The content is the file's, and closed when it cannot be opened.
func OpenContent(content Content, path string, size int64, meta *Meta, s *Schema, names *Names) (*File, error) {
	f := &File{Meta: meta, path: path, schema: s, names: names, f: content}
	if err := f.open(size); err != nil {
		_ = content.Close() // only read from
		return nil, err
	}
	return f, nil
}

func (f *File) corrupt(format string, args ...any) error {
	return &persistence.CorruptError{Path: f.path, Reason: fmt.Sprintf(format, args...)}
}

func (f *File) open(size int64) (err error) {
	if size != f.Meta.Bytes {
		return f.corrupt("it has %d bytes, the manifest says %d", size, f.Meta.Bytes)
	}
	defer f.guard(&err)
	f.pq, err = parquet.OpenFile(f.f, size, parquet.SkipBloomFilters(true), parquet.ReadBufferSize(readBuffer))
	if err != nil {
		return f.corrupt("footer: %v", err)
	}
	if f.pq.NumRows() != f.Meta.Rows {
		return f.corrupt("it has %d rows, the manifest says %d", f.pq.NumRows(), f.Meta.Rows)
	}
	if got, want := len(f.pq.Metadata().Schema), len(f.schema.parquet.Columns())+1; got != want {
		return f.corrupt("it has %d columns, table %s has %d", got-1, f.schema.Kind.Table(), want-1)
	}
	return f.indexPages()
}

// guard turns a panic of the decoder on damaged bytes into an error.
func (f *File) guard(err *error) {
	if r := recover(); r != nil {
		*err = f.corrupt("undecodable: %v", r)
	}
}

// indexPages reads where pages begin and what times they hold.
func (f *File) indexPages() error {
	leaf := f.schema.leafOf(f.schema.tsCol, roleNanos)
	first := int64(0)
	for g, group := range f.pq.RowGroups() {
		chunk := group.ColumnChunks()[leaf]
		offsets, err := chunk.OffsetIndex()
		if err != nil {
			return f.corrupt("offset index: %v", err)
		}
		bounds, err := chunk.ColumnIndex()
		if err != nil {
			return f.corrupt("column index: %v", err)
		}
		for i := range offsets.NumPages() {
			local := offsets.FirstRowIndex(i)
			end := group.NumRows()
			if i+1 < offsets.NumPages() {
				end = offsets.FirstRowIndex(i + 1)
			}
			f.pages = append(f.pages, pageRef{
				group: g, index: i, first: first + local, local: local, rows: end - local,
				minTime: bounds.MinValue(i).Int64(), maxTime: bounds.MaxValue(i).Int64(),
			})
		}
		first += group.NumRows()
	}
	return nil
}

// Close releases the file. Nobody may be reading.
func (f *File) Close() error { return f.f.Close() }

// Verify reads the whole file and compares its checksum, rows and times with what
// Meta says. It returns a [*persistence.CorruptError] where they differ.
func (f *File) Verify() error {
	sum := xxhash.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f.f, 0, f.Meta.Bytes)); err != nil {
		return &persistence.IOError{Op: "read part", Path: f.path, Err: err}
	}
	if got := sum.Sum64(); got != f.Meta.Checksum {
		return f.corrupt("checksum is %016x, the manifest says %016x", got, f.Meta.Checksum)
	}
	rows, minTime, maxTime := int64(0), f.Meta.MaxTime, f.Meta.MinTime
	for _, p := range f.pages {
		rows += p.rows
		minTime, maxTime = min(minTime, p.minTime), max(maxTime, p.maxTime)
	}
	if rows != f.Meta.Rows || minTime != f.Meta.MinTime || maxTime != f.Meta.MaxTime {
		return f.corrupt("page index says %d rows from %d to %d, the manifest %d from %d to %d",
			rows, minTime, maxTime, f.Meta.Rows, f.Meta.MinTime, f.Meta.MaxTime)
	}
	return nil
}

// ReadMeta returns the description in a file's own footer, without size and
// checksum: what a lost manifest is rebuilt from.
func ReadMeta(r io.ReaderAt, size int64) (m Meta, err error) {
	defer func() { // the decoder, on damaged bytes
		if r := recover(); r != nil {
			err = fmt.Errorf("part footer: undecodable: %v", r)
		}
	}()
	pq, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return Meta{}, fmt.Errorf("part footer: %w", err)
	}
	text, ok := pq.Lookup(metaKey)
	if !ok {
		return Meta{}, errors.New("part footer: no " + metaKey)
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return Meta{}, fmt.Errorf("part footer: %w", err)
	}
	d := decoder{b: raw}
	m = d.meta()
	return m, d.err
}

// pageRange returns the indexes of the pages that can hold rows [first, end) with
// ts in [from, to).
func (f *File) pageRange(first, end, from, to int64) (lo, hi int) {
	lo = sort.Search(len(f.pages), func(i int) bool { return f.pages[i].first+f.pages[i].rows > first })
	hi = sort.Search(len(f.pages), func(i int) bool { return f.pages[i].first >= end })
	for lo < hi && f.pages[lo].maxTime < from {
		lo++
	}
	for lo < hi && f.pages[hi-1].minTime >= to {
		hi--
	}
	return lo, hi
}
