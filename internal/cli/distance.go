package cli

import (
	"io"
	"os"
)

// distance tells how far a capture has been read. It is read twice: to learn where it is
// from and of which instruments, then for its records.
type distance struct {
	opened, size, read int64
	// moved is called after each read; nil for nobody.
	moved func()
}

// share is how much was read of what records are made of, 0 to 1.
func (d *distance) share() float64 {
	if d.opened < 2 || d.size == 0 {
		return 0
	}
	return min(1, float64(d.read)/float64(d.size))
}

// both is how much was read of both times, 0 to 1.
func (d *distance) both() float64 {
	if d.opened == 0 || d.size == 0 {
		return 0
	}
	return min(1, (float64(d.opened-1)+min(1, float64(d.read)/float64(d.size)))/2)
}

// of counts what is read.
func (d *distance) of(open func() (io.ReadCloser, error)) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		f, err := open()
		if err != nil {
			return nil, err
		}
		d.opened++
		d.read = 0
		if file, ok := f.(*os.File); ok {
			if info, err := file.Stat(); err == nil {
				d.size = info.Size()
			}
		}
		return &metered{f, d}, nil
	}
}

type metered struct {
	io.ReadCloser
	d *distance
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	m.d.read += int64(n)
	if m.d.moved != nil {
		m.d.moved()
	}
	return n, err
}
