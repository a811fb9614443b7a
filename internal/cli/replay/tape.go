package replay

import (
	"errors"
	"fmt"
	"io"

	"github.com/marketprism/marketprism/connectors"
)

// tape is one capture being read.
type tape struct {
	index  int
	name   string
	file   io.Closer
	reader *connectors.CaptureReader
	head   *connectors.CaptureRecord // nil before the first and after the last
	over   bool
}

func openTape(index int, c Capture) (*tape, error) {
	f, err := c.Open()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", c.Name, err)
	}
	r, err := connectors.NewCaptureReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", c.Name, err), f.Close())
	}
	return &tape{index: index, name: c.Name, file: f, reader: r}, nil
}

// advance reads the next record into head. A cut-off end is an end: the survey
// has reported it.
func (t *tape) advance() error {
	rec, err := t.reader.Next()
	switch {
	case err == nil:
		t.head = rec
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, connectors.ErrTruncated):
		t.head, t.over = nil, true
		return nil
	}
	return fmt.Errorf("%s: %w", t.name, err)
}

// reel is several tapes as one time line.
type reel struct {
	tapes []*tape
	last  *tape // the one whose head was given last
}

func openReel(captures []Capture) (*reel, error) {
	r := &reel{}
	for i, c := range captures {
		t, err := openTape(i, c)
		if err == nil {
			r.tapes = append(r.tapes, t)
			err = t.advance()
		}
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	return r, nil
}

// next is the earliest record of all tapes, good until the next call, and the
// index of its capture; io.EOF at the end of all.
func (r *reel) next() (*connectors.CaptureRecord, int, error) {
	if r.last != nil {
		if err := r.last.advance(); err != nil {
			return nil, 0, err
		}
		r.last = nil
	}
	for _, t := range r.tapes {
		if !t.over && (r.last == nil || t.head.Time < r.last.head.Time) {
			r.last = t
		}
	}
	if r.last == nil {
		return nil, 0, io.EOF
	}
	return r.last.head, r.last.index, nil
}

func (r *reel) close() error {
	var errs []error
	for _, t := range r.tapes {
		errs = append(errs, t.file.Close())
	}
	return errors.Join(errs...)
}
