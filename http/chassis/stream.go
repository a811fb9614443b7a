package chassis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// streamBuffer is what a stream collects before it writes: until then an error
// is still answered as a problem.
const streamBuffer = 128 << 10

// Stream writes an answer of any length in constant memory: JSON values one a
// line, or as the elements of an array inside an object. It stops when the
// client has left, or takes longer than Config.WriteTimeout over one buffer.
// One goroutine uses it. From the second full buffer on another one writes, so
// that rows are made while those before them are on their way; Flush, Close and
// Release wait for it.
//
//	s := chassis.NewLines(w, r)
//	defer s.Release()
//	for … { if err := s.Write(row); err != nil { return err } }
//	return s.Close(nil)
type Stream struct {
	w       http.ResponseWriter
	r       *http.Request
	conn    *http.ResponseController
	timeout time.Duration
	now     func() time.Time
	buf     *bytes.Buffer
	array   bool
	rows    int
	media   []string
	err     error // sticky

	begun   bool               // the header is out
	full    chan *bytes.Buffer // to the writing goroutine; nil while there is none
	failed  chan struct{}      // closed when it has met an error
	written chan struct{}      // closed when it has ended
	fault   error              // its error, to be read after failed or written
}

// NewLines starts an NDJSON answer.
func NewLines(w http.ResponseWriter, r *http.Request) *Stream {
	return newStream(w, r, []string{MediaNDJSON})
}

// NewText starts an answer of lines of any text, such as CSV, whose rows are written
// by WriteRaw or WriteFunc, without their line ends; or of any bytes, which go through
// Writer.
func NewText(w http.ResponseWriter, r *http.Request, media string) *Stream {
	return newStream(w, r, []string{media})
}

// NewArray starts an answer that is one JSON object: the members of head (nil,
// a struct or a map), then the member name with the rows as an array, then the
// members of Close's tail.
func NewArray(w http.ResponseWriter, r *http.Request, head any, name string) (*Stream, error) {
	s := newStream(w, r, headerJSON)
	s.array = true
	members, err := membersOf(head)
	if err != nil {
		s.Release()
		return nil, err
	}
	s.buf.WriteByte('{')
	s.buf.Write(members)
	if len(members) > 0 {
		s.buf.WriteByte(',')
	}
	quoted, err := json.Marshal(name)
	if err != nil {
		s.Release()
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	s.buf.Write(quoted)
	s.buf.WriteString(":[")
	return s, nil
}

func newStream(w http.ResponseWriter, r *http.Request, media []string) *Stream {
	s := &Stream{w: w, r: r, conn: http.NewResponseController(w), now: time.Now, timeout: DefaultConfig().WriteTimeout,
		buf: buffers.Get().(*bytes.Buffer), media: media}
	if c := callFrom(r.Context()); c != nil {
		s.timeout, s.now = c.server.config.WriteTimeout, c.server.now
	}
	return s
}

// Write adds one row.
func (s *Stream) Write(row any) error {
	if s.err != nil {
		return s.err
	}
	s.separate()
	if err := encode(s.buf, row); err != nil {
		s.err = err
		return err
	}
	if s.array { // without the encoder's newline
		s.buf.Truncate(s.buf.Len() - 1)
	}
	return s.added()
}

// WriteRaw adds one row that is JSON text on one line already.
func (s *Stream) WriteRaw(row []byte) error {
	if s.err != nil {
		return s.err
	}
	s.separate()
	s.buf.Write(row)
	if !s.array {
		s.buf.WriteByte('\n')
	}
	return s.added()
}

// WriteFunc adds one row that appendTo appends as JSON text on one line,
// without a copy.
func (s *Stream) WriteFunc(appendTo func([]byte) ([]byte, error)) error {
	if s.err != nil {
		return s.err
	}
	s.separate()
	row, err := appendTo(s.buf.AvailableBuffer())
	if err != nil {
		s.err = err
		return err
	}
	s.buf.Write(row)
	if !s.array {
		s.buf.WriteByte('\n')
	}
	return s.added()
}

// Rows is the number of rows added.
func (s *Stream) Rows() int { return s.rows }

// Writer takes bytes of the answer from what writes to an io.Writer. They are no rows.
func (s *Stream) Writer() io.Writer { return (*streamWriter)(s) }

type streamWriter Stream

// Write implements io.Writer.
func (w *streamWriter) Write(p []byte) (n int, err error) {
	s := (*Stream)(w)
	for n < len(p) && s.err == nil {
		room := max(1, streamBuffer-s.buf.Len())
		k, _ := s.buf.Write(p[n:min(len(p), n+room)]) // a buffer takes everything
		n += k
		if s.buf.Len() >= streamBuffer {
			err = s.send()
		}
	}
	return n, errors.Join(err, s.err)
}

// Late sets a header of the answer: a header while those are not out yet, else a
// trailer. It is called before Close.
func (s *Stream) Late(name, value string) {
	s.join()
	if s.begun {
		name = http.TrailerPrefix + name
	}
	s.w.Header().Set(name, value)
}

// Trailer sets a trailer of the answer, which a client gets only when it has got
// everything before. It is called before Close.
func (s *Stream) Trailer(name, value string) {
	s.join()
	s.w.Header().Set(http.TrailerPrefix+name, value)
}

func (s *Stream) separate() {
	if s.array && s.rows > 0 {
		s.buf.WriteByte(',')
	}
}

func (s *Stream) added() error {
	s.rows++
	if s.buf.Len() >= streamBuffer {
		return s.send()
	}
	return nil
}

// Flush sends what is collected, and passes it through compression to the
// connection: for streams that have to be current.
func (s *Stream) Flush() error {
	s.join()
	if err := s.write(s.buf); err != nil {
		return err
	}
	if err := s.conn.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.err = fmt.Errorf("writing the answer: %w", err)
	}
	return s.err
}

// send gives the collected rows to the writing goroutine. The first ones, with the
// header, it writes itself: headers are the handler's to change.
func (s *Stream) send() error {
	if s.err != nil {
		return s.err
	}
	if !s.begun {
		return s.write(s.buf)
	}
	if s.full == nil {
		s.full, s.failed, s.written = make(chan *bytes.Buffer, 1), make(chan struct{}), make(chan struct{})
		go s.writeAll()
	}
	select {
	case s.full <- s.buf:
		s.buf = buffers.Get().(*bytes.Buffer)
	case <-s.failed:
		s.err = s.fault
	}
	return s.err
}

func (s *Stream) writeAll() {
	defer close(s.written)
	for b := range s.full {
		if s.fault == nil {
			if s.fault = s.put(b); s.fault != nil {
				close(s.failed)
			}
		}
		b.Reset()
		release(b)
	}
}

// join ends the writing goroutine, once it has written what it was given.
func (s *Stream) join() {
	if s.full == nil {
		return
	}
	close(s.full)
	<-s.written
	s.full = nil
	if s.err == nil {
		s.err = s.fault
	}
}

// write writes a buffer and empties it.
func (s *Stream) write(b *bytes.Buffer) error {
	if s.err != nil {
		return s.err
	}
	if !s.begun {
		s.begun = true
		s.w.Header()["Content-Type"] = s.media
	}
	s.err = s.put(b)
	b.Reset()
	return s.err
}

// put writes a buffer to the client.
func (s *Stream) put(b *bytes.Buffer) error {
	if err := s.r.Context().Err(); err != nil {
		return err
	}
	if err := s.conn.SetWriteDeadline(s.now().Add(s.timeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("writing the answer: %w", err)
	}
	if _, err := s.w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

// Close completes the answer with the members of tail (nil, a struct or a map;
// arrays only). It must not be called after an error: the handler returns that
// one, which aborts an answer that has begun.
func (s *Stream) Close(tail any) error {
	if s.err != nil {
		return s.err
	}
	if s.array {
		members, err := membersOf(tail)
		if err != nil {
			s.err = err
			return err
		}
		s.buf.WriteByte(']')
		if len(members) > 0 {
			s.buf.WriteByte(',')
		}
		s.buf.Write(members)
		s.buf.WriteString("}\n")
	}
	s.join()
	return s.write(s.buf)
}

// Release returns the stream's buffer, once nothing is being written any more;
// deferred by the handler. Nothing else is called after it.
func (s *Stream) Release() {
	s.join()
	if s.buf != nil {
		s.buf.Reset()
		release(s.buf)
		s.buf = nil
	}
	s.err = errors.Join(s.err, errReleased)
}

var errReleased = errors.New("the stream has been released")

// membersOf encodes a struct or map without its braces.
func membersOf(v any) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	var buf bytes.Buffer
	if err := encode(&buf, v); err != nil {
		return nil, err
	}
	text := bytes.TrimSpace(buf.Bytes())
	if len(text) < 2 || text[0] != '{' {
		return nil, fmt.Errorf("encoding the answer: %T is not an object", v)
	}
	return text[1 : len(text)-1], nil
}
