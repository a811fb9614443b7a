package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// stagingDir is where files are that are being copied, below the data directory: by
// shard, under the checksum of what they will be, so that an attempt that was cut off
// goes on where it was.
const stagingDir = "incoming"

func (l *pipeline) staging() string {
	return filepath.Join(l.h.options.Dir, stagingDir, strconv.Itoa(l.shard))
}

// staged is where a file is while it is copied.
func (l *pipeline) staged(f persistence.CopyFile) string {
	return filepath.Join(l.staging(), fmt.Sprintf("%s-%s-%s-%d", f.Tier, f.Table, f.Checksum, f.Bytes))
}

// unstage removes what was staged, and is not needed any more.
func (l *pipeline) unstage() error {
	if err := os.RemoveAll(l.staging()); err != nil {
		return &persistence.IOError{Op: "remove copies", Path: l.staging(), Err: err}
	}
	return nil
}

// reject removes staged files when one of them is not what it was said to be: all of it
// is fetched again.
func (l *pipeline) reject(err error, files []persistence.CopyFile) error {
	if !errors.Is(err, persistence.ErrCorrupt) {
		return err
	}
	for _, f := range files {
		if gone := os.Remove(l.staged(f)); gone != nil && !errors.Is(gone, os.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// fetchAll stages files, one after the other.
func (l *pipeline) fetchAll(ctx context.Context, guard journal.DiskGuard, place string, files []persistence.CopyFile) error {
	total := int64(0)
	for _, f := range files {
		total += f.Bytes
	}
	l.p.set(func(p *progress) {
		p.copying.now.FilesTotal += len(files)
		p.copying.now.BytesTotal += total
	})
	if len(files) == 0 {
		return nil
	}
	if err := os.MkdirAll(l.staging(), 0o755); err != nil {
		return &persistence.IOError{Op: "stage copies", Path: l.staging(), Err: err}
	}
	if err := l.room(guard, total); err != nil {
		return err
	}
	for _, f := range files {
		if err := l.fetch(ctx, place, f); err != nil {
			return fmt.Errorf("fetching %s: %w", f.Name, err)
		}
		l.p.set(func(p *progress) { p.copying.now.Files++ })
		l.h.metrics.copied.Inc()
	}
	return nil
}

// roomSpare stays free on the disk that files are copied to.
const roomSpare = 256 << 20

// room refuses to fill the disk.
func (l *pipeline) room(guard journal.DiskGuard, total int64) error {
	free, _, err := guard.Free()
	if err != nil {
		return err
	}
	if free < uint64(total)+roomSpare {
		return fmt.Errorf("%d bytes are to be copied, and the disk has room for %d", total, free)
	}
	return nil
}

// fetch stages one file, from where an attempt before was cut off, and proves it.
func (l *pipeline) fetch(ctx context.Context, place string, f persistence.CopyFile) (err error) {
	path := l.staged(f)
	to, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return &persistence.IOError{Op: "stage", Path: path, Err: err}
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	sum := xxhash.New()
	have, err := io.Copy(sum, io.LimitReader(to, f.Bytes+1))
	if err != nil {
		return &persistence.IOError{Op: "read staged", Path: path, Err: err}
	}
	l.gained(have)
	if have < f.Bytes {
		if err := l.h.options.Peers.Fetch(ctx, place, f, have, &sink{io.MultiWriter(to, sum), l}); err != nil {
			return err
		}
	}
	if got := fmt.Sprintf("%016x", sum.Sum64()); got != f.Checksum {
		bad := &persistence.CorruptError{Path: path, Reason: fmt.Sprintf("its checksum is %s, not %s", got, f.Checksum)}
		return errors.Join(bad, to.Truncate(0))
	}
	if err := to.Sync(); err != nil {
		return &persistence.IOError{Op: "sync staged", Path: path, Err: err}
	}
	return nil
}

func (l *pipeline) gained(n int64) {
	l.p.set(func(p *progress) { p.copying.now.Bytes += n })
}

// sink counts what is fetched.
type sink struct {
	to io.Writer
	l  *pipeline
}

// Write implements io.Writer.
func (s *sink) Write(b []byte) (int, error) {
	n, err := s.to.Write(b)
	s.l.gained(int64(n))
	s.l.h.metrics.copiedBytes.Add(float64(n))
	return n, err
}
