package cold

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// Day is the UTC day of a ts, as it stands in names.
func Day(ns int64) string { return time.Unix(0, ns).UTC().Format(time.DateOnly) }

// folder is where the files of a stream and day are: partitioned as Hive does it,
// so that DuckDB, Spark and pandas read the columns out of the path.
func folder(kind market.Kind, stream market.StreamID, date string) string {
	return path.Join(streamFolder(kind, stream), "date="+date)
}

func streamFolder(kind market.Kind, stream market.StreamID) string {
	return path.Join(kind.Table(), "exchange="+url.PathEscape(stream.Exchange), "market="+stream.Market.String(), "symbol="+url.PathEscape(stream.Symbol))
}

// Write stores the rows of one stream and one day as one file, and verifies it:
// what is read back has the count, the times and the content of what was written.
// The file counts only once a record lists it. A disk without room for it on its way
// is persistence.ErrAway. Of meta it takes Kind, the journal
// range and Created. Without rows there is no file, and Rows is 0.
//
// The name comes from the content: the same rows give the same file, so that an
// archive that was interrupted runs again to the same result.
func (s *Store) Write(ctx context.Context, meta part.Meta, stream market.StreamID, date string, rows *part.Merge) (Part, error) {
	if err := s.found(ctx); err != nil {
		return Part{}, err
	}
	temp, err := os.CreateTemp(s.scratch, "marketprism-*.parquet")
	if err != nil {
		return Part{}, away(&persistence.IOError{Op: "create part", Path: s.scratch, Err: err})
	}
	defer func() { // it is a copy by now, or of no use
		_ = temp.Close()
		_ = os.Remove(temp.Name())
	}()
	meta.File = "" // it is not known yet, and would change the content
	var written digest
	made, err := s.encode(ctx, temp, meta, stream, rows, &written)
	if err != nil || made.Rows == 0 {
		return Part{}, err
	}
	made.File = s.nameOf(&made, stream, date)
	if err := s.bucket.Put(ctx, made.File, temp, made.Bytes); err != nil {
		return Part{}, away(fmt.Errorf("writing %s: %w", made.File, err))
	}
	if err := s.verify(ctx, &made, written); err != nil {
		return Part{}, away(fmt.Errorf("verifying %s: %w", made.File, err))
	}
	return partOf(made, date), nil
}

// found makes the first record before there is a file, so that files without a manifest
// are known to have lost one.
func (s *Store) found(ctx context.Context) error {
	s.mu.RLock()
	begun := s.record > 0
	s.mu.RUnlock()
	if begun {
		return nil
	}
	return s.Commit(ctx, func() (*Record, error) {
		if s.manifest.state.n > 0 {
			return nil, nil
		}
		return &Record{}, nil
	})
}

// The names of files.
const (
	partPrefix = "part-"
	partSuffix = ".parquet"
)

// nameOf is made of a file's content. A name that was listed once and is about to be
// deleted does not come back: it gets a number.
func (s *Store) nameOf(m *part.Meta, stream market.StreamID, date string) string {
	stem := path.Join(folder(m.Kind, stream, date), fmt.Sprintf("%s%d-%d-%016x", partPrefix, m.MinTime, m.MaxTime, m.Checksum))
	s.mu.RLock()
	defer s.mu.RUnlock()
	name := stem + partSuffix
	for n := 2; ; n++ {
		if _, gone := s.retired[name]; !gone {
			return name
		}
		name = fmt.Sprintf("%s-%d%s", stem, n, partSuffix)
	}
}

func (s *Store) encode(ctx context.Context, to *os.File, meta part.Meta, stream market.StreamID, rows *part.Merge, sum *digest) (part.Meta, error) {
	w := part.NewWriter(to, s.schemas[meta.Kind], s.names, meta)
	w.Begin(stream)
	for {
		span, err := rows.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return part.Meta{}, err
		}
		if err := sum.add(span); err != nil {
			return part.Meta{}, err
		}
		if err := w.Append(span); err != nil {
			return part.Meta{}, away(&persistence.IOError{Op: "write part", Path: to.Name(), Err: err})
		}
	}
	made, err := w.Finish()
	if err != nil {
		return part.Meta{}, away(&persistence.IOError{Op: "write part", Path: to.Name(), Err: err})
	}
	return made, nil
}

// verify reads a file back from the bucket.
func (s *Store) verify(ctx context.Context, m *part.Meta, written digest) error {
	f, from, err := s.open(ctx, m)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read from
	return from.judge(s.compare(ctx, f, m, written))
}

func (s *Store) compare(ctx context.Context, f *part.File, m *part.Meta, written digest) error {
	if err := f.Verify(); err != nil {
		return err
	}
	scan := f.NewScan(nil, part.OneStream, false)
	defer scan.Close()
	r := &m.Ranges[0]
	rows := scan.Source(r, m.MinTime, m.MaxTime+1, 0)
	var read digest
	for rows != nil {
		span, err := rows.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := read.add(span); err != nil {
			return err
		}
	}
	if read.rows != written.rows || read.sum != written.sum {
		return &persistence.CorruptError{Path: s.pathOf(m.File), Reason: fmt.Sprintf(
			"%d rows with sum %016x were written, %d with sum %016x are read", written.rows, written.sum, read.rows, read.sum)}
	}
	return nil
}

// digest sums rows up, whatever their order.
type digest struct {
	rows int64
	sum  uint64

	filler part.Filler
	batch  market.Batch
	json   market.JSON
	text   []byte
}

// add adds rows: the hash of each one's JSON form, which has every field.
func (d *digest) add(s part.Span) error {
	for row := s.Lo; row < s.Hi; row++ {
		d.batch.Reset()
		r, err := d.filler.Fill(s.Block, row, &d.batch)
		if err != nil {
			return err
		}
		d.text = d.json.Append(d.text[:0], r)
		d.rows++
		d.sum += xxhash.Sum64(d.text)
	}
	return nil
}

// makeScratch makes the directory for files on their way, if one is set.
func (s *Store) makeScratch() error {
	if s.scratch == "" {
		return nil
	}
	if err := os.MkdirAll(s.scratch, 0o755); err != nil {
		return &persistence.IOError{Op: "make directory", Path: s.scratch, Err: err}
	}
	// What a crash has left.
	old, err := filepath.Glob(filepath.Join(s.scratch, "marketprism-*.parquet"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return &persistence.IOError{Op: "remove file", Path: name, Err: err}
		}
	}
	return nil
}
