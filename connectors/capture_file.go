package connectors

import (
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// CaptureFileOptions are how a capture is written.
type CaptureFileOptions struct {
	// FlushEvery bounds what a kill can lose, and how far behind the file may be.
	// 0 is one second.
	FlushEvery time.Duration
	// RotateBytes begins another file once this one has that many compressed
	// bytes; 0 never.
	RotateBytes int64
	// RotateEvery begins another file after that time; 0 never.
	RotateEvery time.Duration
}

// CaptureFile is a capture on disk that grows while it is recorded. What it has flushed is a whole gzip member, so
// that a kill leaves a file that reads to its end, or up to the piece of a
// member that was being written. It is safe for concurrent use.
type CaptureFile struct {
	path string
	opts CaptureFileOptions

	mu      sync.Mutex
	file    *os.File
	z       *gzip.Writer
	pending bool // something has been written to z since its last header
	size    int64
	opened  time.Time
	files   []string
	buf     []byte
	err     error
	closed  bool

	stop chan struct{}
	done chan struct{}
}

// CreateCapture makes a new file and starts to write; an existing file is an
// error. The second file of a rotation is path with ".1" before ".ndjson.gz".
func CreateCapture(path string, opts CaptureFileOptions) (*CaptureFile, error) {
	if opts.FlushEvery <= 0 {
		opts.FlushEvery = time.Second
	}
	w := &CaptureFile{path: path, opts: opts, stop: make(chan struct{}), done: make(chan struct{})}
	if err := w.next(); err != nil {
		return nil, err
	}
	go w.flushLoop()
	return w, nil
}

// countingFile counts what reaches the file.
type countingFile struct{ w *CaptureFile }

// Write implements [io.Writer].
func (c countingFile) Write(p []byte) (int, error) {
	n, err := c.w.file.Write(p)
	c.w.size += int64(n)
	return n, err
}

// next opens the next file; mu is held, or nobody else knows w yet.
func (w *CaptureFile) next() error {
	name := w.path
	if n := len(w.files); n > 0 {
		stem, ok := strings.CutSuffix(name, ".ndjson.gz")
		if ok {
			name = fmt.Sprintf("%s.%d.ndjson.gz", stem, n)
		} else {
			name = fmt.Sprintf("%s.%d", name, n)
		}
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("create capture: %w", err)
	}
	w.file, w.size, w.opened = f, 0, time.Now()
	w.files = append(w.files, name)
	w.z = gzip.NewWriter(countingFile{w})
	return nil
}

// Write appends a record. After an error every call gives it again.
func (w *CaptureFile) Write(rec *CaptureRecord) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errors.New("write to a closed capture")
	}
	if w.err != nil {
		return w.err
	}
	if w.err = w.rotate(); w.err != nil {
		return w.err
	}
	w.buf = rec.appendLine(w.buf[:0])
	w.pending = true
	if _, err := w.z.Write(w.buf); err != nil {
		w.err = fmt.Errorf("write capture: %w", err)
	}
	return w.err
}

func (w *CaptureFile) rotate() error {
	full := w.opts.RotateBytes > 0 && w.size >= w.opts.RotateBytes
	old := w.opts.RotateEvery > 0 && time.Since(w.opened) >= w.opts.RotateEvery
	if !full && !old {
		return nil
	}
	if err := w.finish(); err != nil {
		return err
	}
	return w.next()
}

// flush ends the gzip member, if there is anything in it; mu is held.
func (w *CaptureFile) flush() error {
	if !w.pending {
		return nil
	}
	w.pending = false
	if err := w.z.Close(); err != nil {
		return fmt.Errorf("flush capture: %w", err)
	}
	w.z.Reset(countingFile{w})
	return nil
}

// finish flushes and closes the file; mu is held.
func (w *CaptureFile) finish() error {
	err := w.flush()
	if err == nil && w.size == 0 {
		// Not one record: a file without a header would not be a capture at all.
		err = w.z.Close()
	}
	return errors.Join(err, w.file.Close())
}

func (w *CaptureFile) flushLoop() {
	defer close(w.done)
	tick := time.NewTicker(w.opts.FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
			w.mu.Lock()
			if w.err == nil {
				w.err = w.flush()
			}
			w.mu.Unlock()
		}
	}
}

// Files lists the files written so far.
func (w *CaptureFile) Files() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.files...)
}

// Close flushes and closes the file, and gives the first error of all. It may
// be called again.
func (w *CaptureFile) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return w.err
	}
	w.closed = true
	close(w.stop)
	if err := w.finish(); w.err == nil {
		w.err = err
	}
	w.mu.Unlock()
	<-w.done
	w.mu.Lock()
	return w.err
}
