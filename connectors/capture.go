package connectors

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/marketprism/marketprism/internal/market"
)

// CaptureDir says what a record of a capture is.
type CaptureDir string

// The directions.
const (
	// CaptureOpen: a connection was made to URL.
	CaptureOpen CaptureDir = "open"
	// CaptureOut: we sent Body.
	CaptureOut CaptureDir = "out"
	// CaptureIn: the frame Body was received.
	CaptureIn CaptureDir = "in"
	// CaptureHTTP: Body is the response to a GET of URL.
	CaptureHTTP CaptureDir = "http"
)

// CaptureRecord is one line of a capture: recorded traffic as gzip'd NDJSON, in
// order of arrival.
type CaptureRecord struct {
	// Time is the receive time, Unix ns.
	Time int64
	// Conn is the connection's number within the capture; 0 for REST.
	Conn int64
	Dir  CaptureDir
	// URL is set for open, out and http.
	URL string
	// Body is the text of the frame, or its bytes when it was binary.
	Body []byte
	// Line is the record's line, from 1.
	Line int
}

// captureLine is the record as it is written.
type captureLine struct {
	TS   *int64     `json:"ts"`
	Conn int64      `json:"conn"`
	Dir  CaptureDir `json:"dir"`
	URL  string     `json:"url,omitempty"`
	Body *string    `json:"body,omitempty"`
	B64  []byte     `json:"b64,omitempty"`
}

// maxCaptureLine bounds a line: a book of 50,000 levels is 5 MB.
const maxCaptureLine = 64 << 20

// ErrTruncated says that a capture ends in the middle; everything before was
// read.
var ErrTruncated = errors.New("the capture is cut off")

// CaptureError says which line is not one of a capture.
type CaptureError struct {
	Line int
	Err  error
}

// Error names the line.
func (e *CaptureError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap is the cause.
func (e *CaptureError) Unwrap() error { return e.Err }

// CaptureReader reads a capture, compressed or not.
type CaptureReader struct {
	lines *bufio.Reader
	line  int
	buf   []byte
	rec   CaptureRecord
}

// NewCaptureReader begins to read. The error is a *[CaptureError] for line 1 when
// it is no capture at all.
func NewCaptureReader(r io.Reader) (*CaptureReader, error) {
	raw := bufio.NewReaderSize(r, 256<<10)
	magic, err := raw.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return &CaptureReader{lines: raw}, nil
	}
	unzipped, err := gzip.NewReader(raw)
	if err != nil {
		return nil, &CaptureError{1, fmt.Errorf("gzip: %w", err)}
	}
	return &CaptureReader{lines: bufio.NewReaderSize(unzipped, 256<<10)}, nil
}

// Next returns the next record, good until the one after. Errors: io.EOF at the
// end; a *[CaptureError] for a line that is none of a capture; one that matches
// [ErrTruncated] where the file is cut off.
func (r *CaptureReader) Next() (*CaptureRecord, error) {
	line, err := r.readLine()
	if err != nil {
		return nil, err
	}
	var l captureLine
	if err := json.Unmarshal(line, &l); err != nil {
		return nil, &CaptureError{r.line, fmt.Errorf("not a record of a capture: %w", err)}
	}
	r.rec = CaptureRecord{Conn: l.Conn, Dir: l.Dir, URL: l.URL, Line: r.line}
	switch {
	case l.TS == nil:
		return nil, &CaptureError{r.line, errors.New(`not a record of a capture: no "ts"`)}
	case l.Dir != CaptureOpen && l.Dir != CaptureOut && l.Dir != CaptureIn && l.Dir != CaptureHTTP:
		return nil, &CaptureError{r.line, fmt.Errorf(`"dir" is %.20q, not open, out, in or http`, l.Dir)}
	case l.Body != nil:
		r.rec.Body = append(r.buf[:0], *l.Body...)
		r.buf = r.rec.Body
	default:
		r.rec.Body = l.B64
	}
	r.rec.Time = *l.TS
	return &r.rec, nil
}

// readLine returns the next line that is not empty.
func (r *CaptureReader) readLine() ([]byte, error) {
	var long []byte
	for {
		part, err := r.lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if long = append(long, part...); len(long) > maxCaptureLine {
				return nil, &CaptureError{r.line + 1, fmt.Errorf("longer than %d MiB", maxCaptureLine>>20)}
			}
			continue
		case errors.Is(err, io.EOF) && len(long)+len(part) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			// A last line without an end is whole when it is JSON.
			if line := append(long, part...); !json.Valid(line) {
				return nil, &CaptureError{r.line + 1, ErrTruncated}
			}
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, &CaptureError{r.line + 1, ErrTruncated}
		case err != nil:
			return nil, &CaptureError{r.line + 1, err}
		}
		r.line++
		line := part
		if long != nil {
			line = append(long, part...)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
		long = nil
	}
}

// CaptureWriter writes a capture, compressed. It is not safe for concurrent use.
type CaptureWriter struct {
	out *gzip.Writer
	buf []byte
}

// NewCaptureWriter writes to w.
func NewCaptureWriter(w io.Writer) *CaptureWriter {
	return &CaptureWriter{out: gzip.NewWriter(w)}
}

// Write appends a record. Bytes that are not UTF-8 are written in base64.
func (c *CaptureWriter) Write(r *CaptureRecord) error {
	b := append(c.buf[:0], `{"ts":`...)
	b = fmt.Appendf(b, `%d,"conn":%d,"dir":"%s"`, r.Time, r.Conn, r.Dir)
	if r.URL != "" {
		b = market.AppendJSONString(append(b, `,"url":`...), r.URL)
	}
	switch {
	case r.Dir == CaptureOpen:
	case utf8.Valid(r.Body):
		b = market.AppendJSONString(append(b, `,"body":`...), string(r.Body))
	default:
		b = base64.StdEncoding.AppendEncode(append(b, `,"b64":"`...), r.Body)
		b = append(b, '"')
	}
	c.buf = append(b, '}', '\n')
	_, err := c.out.Write(c.buf)
	return err
}

// Flush makes everything written so far readable, also when the file ends there.
func (c *CaptureWriter) Flush() error { return c.out.Flush() }

// Close ends the capture. It does not close what is below.
func (c *CaptureWriter) Close() error { return c.out.Close() }
