// Package sse reads server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
package sse

import (
	"bufio"
	"bytes"
	"io"
)

// Reader reads events as they come.
type Reader struct {
	lines *bufio.Reader
}

// NewReader reads from a body, which stays the caller's to close.
func NewReader(body io.Reader) *Reader {
	return &Reader{lines: bufio.NewReaderSize(body, 256<<10)}
}

// Next is the next event that has data: its name, empty for one without, and its data.
// Whatever else comes (comments, ids) is passed over; came, unless nil, is told of every
// line. The error is that of the body, io.EOF at its end; an event that is cut off is
// none.
func (r *Reader) Next(came func()) (name string, data []byte, err error) {
	for {
		line, err := r.lines.ReadBytes('\n')
		if err != nil {
			return "", nil, err
		}
		if came != nil {
			came()
		}
		line = bytes.TrimRight(line, "\r\n")
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(line) == 0 && data != nil:
			return name, data, nil
		case len(line) == 0:
			name = ""
		case string(field) == "event":
			name = string(value)
		case string(field) == "data" && data != nil:
			data = append(append(data, '\n'), value...)
		case string(field) == "data":
			data = value
		}
	}
}

// Waiting says that nothing more has come yet.
func (r *Reader) Waiting() bool { return r.lines.Buffered() == 0 }
