package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/marketprism/marketprism/persistence"
)

// Rescue is a file of batches on their way from a journal that is being joined to a
// store: each as it was written, behind its length (4 bytes, little endian). A batch
// has a checksum of its own.
type Rescue struct {
	path string
	file *os.File
	out  *bufio.Writer
}

// CreateRescue makes the file, under another name until Close.
func CreateRescue(path string) (*Rescue, error) {
	f, err := os.Create(path + ".tmp")
	if err != nil {
		return nil, &persistence.IOError{Op: "create", Path: path, Err: err}
	}
	return &Rescue{path: path, file: f, out: bufio.NewWriterSize(f, 1<<20)}, nil
}

// Add appends one batch.
func (r *Rescue) Add(raw []byte) error {
	var size [4]byte
	binary.LittleEndian.PutUint32(size[:], uint32(len(raw)))
	_, err := r.out.Write(size[:])
	if err == nil {
		_, err = r.out.Write(raw)
	}
	if err != nil {
		return &persistence.IOError{Op: "write", Path: r.path, Err: err}
	}
	return nil
}

// Close makes the file durable under its name.
func (r *Rescue) Close() error {
	err := errors.Join(r.out.Flush(), r.file.Sync(), r.file.Close())
	if err == nil {
		err = os.Rename(r.path+".tmp", r.path)
	}
	if err == nil {
		err = syncDirectory(filepath.Dir(r.path))
	}
	if err != nil {
		return &persistence.IOError{Op: "write", Path: r.path, Err: err}
	}
	return nil
}

// Discard leaves no file behind.
func (r *Rescue) Discard() error { return errors.Join(r.file.Close(), os.Remove(r.path+".tmp")) }

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ReadRescue hands every batch of a rescue file to yield.
func ReadRescue(path string, yield func(raw []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return &persistence.IOError{Op: "open", Path: path, Err: err}
	}
	defer f.Close() //nolint:errcheck // it was only read
	in := bufio.NewReaderSize(f, 1<<20)
	for {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return &persistence.IOError{Op: "read", Path: path, Err: err}
		}
		n := binary.LittleEndian.Uint32(size[:])
		if n > MaxMessage {
			return fmt.Errorf("%w: %s has a batch of %d bytes", ErrCorrupt, path, n)
		}
		raw := make([]byte, n)
		if _, err := io.ReadFull(in, raw); err != nil {
			return &persistence.IOError{Op: "read", Path: path, Err: err}
		}
		if err := yield(raw); err != nil {
			return err
		}
	}
}
