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
	"strconv"
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

// CaptureReader reads a capture, compressed or not. It is not safe for
// concurrent use.
type CaptureReader struct {
	lines *bufio.Reader
	line  int
	long  []byte // a line that is longer than the buffer of lines
	body  []byte
	s     Scanner
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
	if err := r.parse(line); err != nil {
		return nil, &CaptureError{r.line, fmt.Errorf("not a record of a capture: %w", err)}
	}
	return &r.rec, nil
}

// parse reads {"ts":…,"conn":…,"dir":"…","url":"…","body":"…"}, or "b64" for what
// was not text.
func (r *CaptureReader) parse(line []byte) error {
	s, rec := &r.s, CaptureRecord{Line: r.line}
	hasTime := false
	r.body = r.body[:0]
	s.Reset(line, 0)
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "ts":
			rec.Time, hasTime = r.unixNanos(), true
		case "conn":
			rec.Conn = s.Int()
		case "dir":
			rec.Dir = captureDir(s.String())
		case "url":
			rec.URL = string(s.String())
		case "body":
			r.body = append(r.body, s.String()...)
			rec.Body = r.body
		case "b64":
			var err error
			if r.body, err = base64.StdEncoding.AppendDecode(r.body, s.String()); err != nil {
				return fmt.Errorf(`"b64": %w`, err)
			}
			rec.Body = r.body
		default:
			s.Skip()
		}
	}
	s.End()
	switch {
	case s.Err() != nil:
		return s.Err()
	case !hasTime:
		return errors.New(`no "ts"`)
	case rec.Dir == "":
		return errors.New(`"dir" is not open, out, in or http`)
	}
	r.rec = rec
	return nil
}

// unixNanos reads a time of up to 19 digits.
func (r *CaptureReader) unixNanos() int64 {
	text := r.s.Decimal().String()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		r.s.Fail(`"ts" is no Unix time in ns`)
	}
	return n
}

func captureDir(word []byte) CaptureDir {
	for _, d := range []CaptureDir{CaptureIn, CaptureHTTP, CaptureOut, CaptureOpen} {
		if string(word) == string(d) {
			return d
		}
	}
	return ""
}

// readLine returns the next line that is not empty.
func (r *CaptureReader) readLine() ([]byte, error) {
	r.long = r.long[:0]
	for {
		part, err := r.lines.ReadSlice('\n')
		line := part
		if len(r.long) > 0 || errors.Is(err, bufio.ErrBufferFull) {
			r.long = append(r.long, part...)
			line = r.long
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if len(r.long) > maxCaptureLine {
				return nil, &CaptureError{r.line + 1, fmt.Errorf("longer than %d MiB", maxCaptureLine>>20)}
			}
			continue
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			// A last line without an end is whole when it is JSON.
			if !json.Valid(line) {
				return nil, &CaptureError{r.line + 1, ErrTruncated}
			}
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, &CaptureError{r.line + 1, ErrTruncated}
		case err != nil:
			return nil, &CaptureError{r.line + 1, err}
		}
		r.line++
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
		r.long = r.long[:0]
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
	c.buf = r.appendLine(c.buf[:0])
	_, err := c.out.Write(c.buf)
	return err
}

// appendLine appends the record as a line of a capture.
func (r *CaptureRecord) appendLine(b []byte) []byte {
	b = append(b, `{"ts":`...)
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
	return append(b, '}', '\n')
}

// Flush makes everything written so far readable, also when the file ends there.
func (c *CaptureWriter) Flush() error { return c.out.Flush() }

// Close ends the capture. It does not close what is below.
func (c *CaptureWriter) Close() error { return c.out.Close() }
