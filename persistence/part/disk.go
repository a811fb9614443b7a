package part

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/marketprism/marketprism/persistence"
)

// Step is a step of making something durable.
type Step string

// The steps, in the order in which they happen to a part and then to the manifest;
// a manifest is renamed when its log is replaced, and a part unlinked at its end.
const (
	StepCreate         Step = "create part"
	StepWrite          Step = "write part"
	StepSync           Step = "sync part"
	StepVerify         Step = "verify part"
	StepRename         Step = "rename part"
	StepSyncDir        Step = "sync directory"
	StepManifestWrite  Step = "write manifest"
	StepManifestSync   Step = "sync manifest"
	StepManifestKeep   Step = "keep older manifest"
	StepManifestRename Step = "rename manifest"
	StepUnlink         Step = "unlink part"
)

// Disk does the steps. The zero value does them as they are.
type Disk struct {
	// Before is called ahead of each step; an error is the step's outcome. Tests
	// make a disk fail with it.
	Before func(step Step, path string) error
}

// do runs one step and types its error.
func (d Disk) do(step Step, path string, f func() error) error {
	err := error(nil)
	if d.Before != nil {
		err = d.Before(step, path)
	}
	if err == nil {
		err = f()
	}
	if err == nil {
		return nil
	}
	var io *persistence.IOError
	if errors.As(err, &io) || errors.Is(err, persistence.ErrCorrupt) {
		return err
	}
	return &persistence.IOError{Op: string(step), Path: path, Err: err}
}

// writeFile writes path durably except for its name: created, written, synced,
// closed. On error the file is removed as far as that goes.
func (d Disk) writeFile(path string, write func(io.Writer) error) (err error) {
	var f *os.File
	err = d.do(StepCreate, path, func() (err error) {
		if err = makeDir(filepath.Dir(path)); err != nil {
			return err
		}
		f, err = os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		return err
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeAgain(f), d.Unlink(path))
		}
	}()
	err = d.do(StepWrite, path, func() error {
		buf := bufio.NewWriterSize(f, 256<<10)
		if err := write(buf); err != nil {
			return err
		}
		return buf.Flush()
	})
	if err != nil {
		return err
	}
	if err = d.do(StepSync, path, f.Sync); err != nil {
		return err
	}
	return d.do(StepSync, path, f.Close)
}

// closeAgain closes a file that may be closed already.
func closeAgain(f *os.File) error {
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// makeDir makes a directory, and its name durable, where there is none; the one
// above it must exist.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	above, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	return errors.Join(above.Sync(), above.Close())
}

// Unlink removes a file; one that is gone is no error.
func (d Disk) Unlink(path string) error {
	return d.do(StepUnlink, path, func() error {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	})
}

// syncDir makes the names in a directory durable.
func (d Disk) syncDir(dir string) error {
	return d.do(StepSyncDir, dir, func() error {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// Move renames a file durably.
func (d Disk) Move(from, to string) error {
	return d.do(StepRename, to, func() error {
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(from, to); err != nil {
			return err
		}
		return errors.Join(d.syncDir(filepath.Dir(from)), d.syncDir(filepath.Dir(to)))
	})
}

// Adopt gives a file that is complete a second name, durably: another link to it, or
// where there can be none a copy. The first name stays.
func (d Disk) Adopt(from, to string) error {
	err := d.do(StepRename, to, func() error {
		if err := makeDir(filepath.Dir(to)); err != nil {
			return err
		}
		return os.Link(from, to)
	})
	var link *os.LinkError
	if errors.As(err, &link) && !errors.Is(err, os.ErrExist) && !errors.Is(err, os.ErrNotExist) {
		err = d.duplicate(from, to)
	}
	if err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(to))
}

// duplicate copies a file, durably except for its name.
func (d Disk) duplicate(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return &persistence.IOError{Op: string(StepWrite), Path: from, Err: err}
	}
	defer func() { _ = source.Close() }() // only read from
	return d.writeFile(to, func(w io.Writer) error { _, err := io.Copy(w, source); return err })
}

// Create publishes one file below dir: written under a temporary name, synced,
// opened again and verified, renamed, the directory synced. write gets the
// writer. When it returns without error the file survives a crash; it counts only
// once a manifest lists it. A file without rows is not made, and Rows is 0.
func Create(d Disk, dir string, s *Schema, names *Names, meta Meta, write func(*Writer) error) (Meta, error) {
	final := meta.File
	path := filepath.Join(dir, final)
	var done Meta
	err := d.writeFile(path+".tmp", func(out io.Writer) error {
		w := NewWriter(out, s, names, meta)
		if err := write(w); err != nil {
			return err
		}
		var err error
		done, err = w.Finish()
		return err
	})
	if err != nil {
		return Meta{}, err
	}
	if done.Rows == 0 {
		return done, d.Unlink(path + ".tmp")
	}
	done.File = final + ".tmp"
	err = d.do(StepVerify, path+".tmp", func() error {
		f, err := Open(dir, &done, s, names)
		if err != nil {
			return err
		}
		return errors.Join(f.Verify(), f.Close())
	})
	if err != nil {
		return Meta{}, errors.Join(err, d.Unlink(path+".tmp"))
	}
	done.File = final
	if err := d.do(StepRename, path, func() error { return os.Rename(path+".tmp", path) }); err != nil {
		return Meta{}, err
	}
	return done, d.syncDir(filepath.Dir(path))
}
