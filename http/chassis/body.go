package chassis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
)

// body bounds what a handler reads of a request: size, progress and deadline.
// Every error it returns knows its answer (413, 408, 400).
type body struct {
	src      io.ReadCloser
	conn     *http.ResponseController
	limit    int64
	left     int64         // of limit
	idle     time.Duration // for the next bytes
	deadline time.Time     // of the whole request; zero is none
	now      func() time.Time
	peeked   []byte // read ahead, not yet delivered
	err      error  // sticky
	drain    bool   // refused with bytes still on the way
}

func (b *body) Read(p []byte) (int, error) {
	if len(b.peeked) > 0 {
		n := copy(p, b.peeked)
		b.peeked = b.peeked[n:]
		return n, nil
	}
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p))-1 > b.left {
		p = p[:b.left+1]
	}
	until := b.now().Add(b.idle)
	if !b.deadline.IsZero() && b.deadline.Before(until) {
		until = b.deadline
	}
	b.setDeadline(until)
	n, err := b.src.Read(p)
	if int64(n) > b.left {
		n, err = int(b.left), TooLarge(b.limit)
		b.drain = true
	}
	b.left -= int64(n)
	if err != nil {
		b.err = bodyError(err)
		if b.err == io.EOF { //nolint:errorlint // bare, as set above
			b.setDeadline(time.Time{}) // the next read waits for the client to leave, for as long as the handler runs
		}
	}
	return n, b.err
}

// setDeadline moves the connection's read deadline. A connection without one
// (a test's recorder) has no slow client either.
func (b *body) setDeadline(t time.Time) {
	if err := b.conn.SetReadDeadline(t); err != nil && !errors.Is(err, http.ErrNotSupported) && b.err == nil {
		b.err = bodyError(err)
	}
}

func (b *body) Close() error {
	if b.err == nil {
		b.err = http.ErrBodyReadAfterClose
	}
	return b.src.Close()
}

// empty reports whether nothing comes at all, reading one byte ahead when the
// length is not declared.
func (b *body) empty() (bool, error) {
	if len(b.peeked) > 0 {
		return false, nil
	}
	one := make([]byte, 1)
	n, err := b.Read(one)
	if n > 0 {
		b.peeked = one
		return false, nil
	}
	if err == io.EOF { //nolint:errorlint // Read returns it bare
		return true, nil
	}
	return false, err
}

// Bounds of reading on after a refusal: most clients look at the answer only
// when they have sent everything, and lose it to a reset connection otherwise.
const (
	lingerBytes = 256 << 20
	lingerTime  = 5 * time.Second
)

// linger sends the refusal and swallows what the client still sends.
func (b *body) linger(w *recorder) {
	if !b.drain || w.hijacked {
		return
	}
	w.Flush()
	if b.conn.SetReadDeadline(b.now().Add(min(lingerTime, b.idle))) != nil {
		return
	}
	io.CopyN(io.Discard, b.src, lingerBytes) //nolint:errcheck // the connection closes either way
}

// bodyError gives an error of reading a body its status.
func bodyError(err error) error {
	var known *Error
	var timeout net.Error
	switch {
	case err == io.EOF: //nolint:errorlint // the end, as readers return it
		return err
	case errors.As(err, &known):
		return err
	case errors.As(err, &timeout) && timeout.Timeout():
		return NewError(http.StatusRequestTimeout, "slow_body", "the body did not arrive in time").WithCause(err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return BadRequest("the body ended early").WithCode("truncated_body").WithCause(err)
	default:
		return BadRequest("the body could not be read").WithCode("unreadable_body").WithCause(err)
	}
}

// ReadBody reads the whole body of r, within the limit of its route.
func ReadBody(r *http.Request) ([]byte, error) {
	size := r.ContentLength
	if size <= 0 || size > 1<<20 {
		size = 512
	}
	buf := make([]byte, 0, size+1)
	for {
		n, err := r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF { // the end, as readers return it
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
	}
}

// admit applies a route's rules to the body of r: its size as declared, its
// coding and its content type. An empty body has no type to be wrong.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, rt *route) error {
	if r.Body == nil || r.Body == http.NoBody {
		r.Body = http.NoBody
		return nil
	}
	c := callFrom(r.Context())
	deadline, _ := r.Context().Deadline()
	b := &body{
		src: r.Body, conn: http.NewResponseController(c.wire.ResponseWriter), now: s.now,
		limit: rt.limit, left: rt.limit, idle: s.config.BodyIdleTimeout, deadline: deadline,
	}
	c.body, r.Body = b, b
	b.setDeadline(s.now().Add(b.idle)) // also for what net/http reads on its own when the handler does not
	if r.ContentLength > rt.limit {
		b.err, b.drain = TooLarge(rt.limit), !expectsContinue(r)
		return b.err
	}
	if rt.accepts == nil {
		return nil
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		w.Header().Set("Accept-Encoding", "identity")
		return s.unlessEmpty(b, r, "the content coding %q is not accepted; send the body as it is", coding)
	}
	contentType := r.Header.Get("Content-Type")
	if contentType == "" || contentType == "application/json" && rt.acceptsJSON {
		return nil
	}
	if acceptable(contentType, rt.accepts) {
		return nil
	}
	if rt.acceptsJSON && isForm(contentType) {
		return b.formJSON(r)
	}
	return s.unlessEmpty(b, r, "the content type %q is not accepted here; send "+strings.Join(rt.accepts, " or "), contentType)
}

// isForm recognises what `curl -d` says of every body that it is not told the type
// of.
func isForm(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == "application/x-www-form-urlencoded"
}

// formJSON takes a body that is called a form for the JSON that it is. It is read
// whole, to tell.
func (b *body) formJSON(r *http.Request) error {
	text, err := ReadBody(r)
	if err != nil {
		return err
	}
	if len(text) > 0 && !json.Valid(text) {
		return NewError(http.StatusUnsupportedMediaType, "unsupported_media_type",
			"forms are not accepted here, and the body is no JSON either; send JSON, with `-H 'Content-Type: application/json'` if this is curl")
	}
	b.peeked = text
	r.ContentLength = int64(len(text))
	r.Header.Set("Content-Type", mediaJSON)
	return nil
}

func (s *Server) unlessEmpty(b *body, r *http.Request, format, what string) error {
	if r.ContentLength < 0 {
		empty, err := b.empty()
		if empty || err != nil {
			return err
		}
	}
	b.drain = !expectsContinue(r)
	return NewError(http.StatusUnsupportedMediaType, "unsupported_media_type", format, clip(what, 100))
}

// acceptable reports whether contentType is one of accepted, or of its family
// (+json), in UTF-8.
func acceptable(contentType string, accepted []string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return false
	}
	for _, a := range accepted {
		if a == "*/*" || media == a || a == mediaJSON && strings.HasSuffix(media, "+json") {
			return true
		}
	}
	return false
}

func expectsContinue(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Expect"), "100-continue")
}

// Context causes of a request's end, beside the client's leaving.
var (
	// ErrDraining ends live routes when the server stops.
	ErrDraining = errors.New("the server is stopping")
	errDeadline = fmt.Errorf("the request's deadline: %w", context.DeadlineExceeded)
)
