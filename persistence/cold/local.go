package cold

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// local is a bucket in a directory. An object is written beside its name, synced,
// and linked or renamed to it; then its directory is synced.
type local struct{ root string }

// NewLocal is the bucket in a directory, which is made when it is missing.
func NewLocal(root string) (Bucket, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, &persistence.IOError{Op: "open cold store", Path: root, Err: err}
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, &persistence.IOError{Op: "make cold store", Path: root, Err: err}
	}
	return &local{root}, nil
}

func (l *local) String() string { return l.root }

func (l *local) path(name string) string { return filepath.Join(l.root, filepath.FromSlash(name)) }

// tempSuffix marks what is not an object yet.
const tempSuffix = ".tmp"

// Create implements [Bucket]. A link fails where a rename would replace.
func (l *local) Create(_ context.Context, name string, data []byte) error {
	path := l.path(name)
	err := l.write(path, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	}, func(temp string) error {
		if err := os.Link(temp, path); err != nil {
			return err
		}
		return os.Remove(temp)
	})
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	return err
}

// Put implements [Bucket].
func (l *local) Put(ctx context.Context, name string, from *os.File, size int64) error {
	path := l.path(name)
	return l.write(path, func(f *os.File) error {
		_, err := io.Copy(f, &patient{ctx, io.NewSectionReader(from, 0, size)})
		return err
	}, func(temp string) error { return os.Rename(temp, path) })
}

// patient is a reader that ends with its context.
type patient struct {
	ctx context.Context
	io.Reader
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.Reader.Read(b)
}

// write makes an object durable: written under a name of its own, synced, named,
// the directory synced.
func (l *local) write(path string, fill func(*os.File) error, name func(temp string) error) (err error) {
	fail := func(op string, err error) error {
		if err == nil {
			return nil
		}
		return &persistence.IOError{Op: op, Path: path, Err: err}
	}
	dir := filepath.Dir(path)
	if err := l.makeDirs(dir); err != nil {
		return fail("make directory", err)
	}
	var unique [8]byte
	if _, err := rand.Read(unique[:]); err != nil {
		return fail("name file", err)
	}
	temp := path + "." + hex.EncodeToString(unique[:]) + tempSuffix
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fail("create file", err)
	}
	defer func() {
		if err != nil {
			// It may be closed and gone; the error that matters is err.
			_ = f.Close()
			_ = os.Remove(temp)
		}
	}()
	if err := fill(f); err != nil {
		return fail("write file", err)
	}
	if err := f.Sync(); err != nil {
		return fail("sync file", err)
	}
	if err := f.Close(); err != nil {
		return fail("close file", err)
	}
	if err := name(temp); err != nil {
		return fail("name file", err)
	}
	return fail("sync directory", syncDir(dir))
}

// makeDirs makes a directory and the names of all that it makes durable.
func (l *local) makeDirs(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	above := filepath.Dir(dir)
	if len(above) >= len(l.root) {
		if err := l.makeDirs(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(above)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Get implements [Bucket].
func (l *local) Get(_ context.Context, name string) ([]byte, error) {
	data, err := os.ReadFile(l.path(name))
	return data, l.readError(name, err)
}

// Open implements [Bucket].
func (l *local) Open(_ context.Context, name string) (part.Content, int64, error) {
	f, err := os.Open(l.path(name))
	if err != nil {
		return nil, 0, l.readError(name, err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close() // only read from
		return nil, 0, l.readError(name, err)
	}
	return f, info.Size(), nil
}

func (l *local) readError(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return ErrNotFound
	}
	return &persistence.IOError{Op: "read file", Path: l.path(name), Err: err}
}

// List implements [Bucket].
func (l *local) List(ctx context.Context, prefix string) ([]Object, error) {
	var found []Object
	err := l.walk(ctx, prefix, func(o Object) error {
		if !strings.HasSuffix(o.Name, tempSuffix) {
			found = append(found, o)
		}
		return nil
	})
	slices.SortFunc(found, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return found, err
}

// Tidy implements [Bucket]: files under temporary names, which nobody else uses.
func (l *local) Tidy(ctx context.Context, before time.Time) (n int, err error) {
	err = l.walk(ctx, "", func(o Object) error {
		if !strings.HasSuffix(o.Name, tempSuffix) || !o.Modified.Before(before) {
			return nil
		}
		n++
		return l.Delete(ctx, o.Name)
	})
	return n, err
}

// walk meets the files whose names begin with prefix, those under temporary names
// too.
func (l *local) walk(ctx context.Context, prefix string, meet func(Object) error) error {
	dir := l.root
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		dir = l.path(prefix[:i])
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it has just gone, or was never there
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(l.root, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if !d.Type().IsRegular() || !strings.HasPrefix(name, prefix) {
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return meet(Object{Name: name, Size: info.Size(), Modified: info.ModTime()})
	})
	var known *persistence.IOError
	if err != nil && !errors.As(err, &known) {
		err = &persistence.IOError{Op: "list files", Path: dir, Err: err}
	}
	return err
}

// Delete implements [Bucket].
func (l *local) Delete(_ context.Context, name string) error {
	if err := os.Remove(l.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &persistence.IOError{Op: "remove file", Path: l.path(name), Err: err}
	}
	return nil
}
