package forward

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/marketprism/marketprism/actors/gateway/upstream"
)

// stream is a request's body on its way.
type stream struct {
	src     io.Reader
	read    atomic.Bool // something was
	fault   atomic.Pointer[error]
	alarm   *time.Timer // put off while something moves; nil: none
	timeout time.Duration
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	s.read.Store(true)
	n, err := s.src.Read(p)
	if err != nil && err != io.EOF {
		s.fault.CompareAndSwap(nil, &err)
	}
	if s.alarm != nil && s.alarm.Stop() {
		s.alarm.Reset(s.timeout)
	}
	return n, err
}

// Close implements io.Closer. It does nothing: whoever has the request closes its body,
// and until then it can be sent to another instance.
func (s *stream) Close() error { return nil }

// answer is the body of an answer on its way.
type answer struct {
	src    io.ReadCloser
	try    *upstream.Try
	cancel context.CancelCauseFunc
	client context.Context // done when the client has left
	idle   time.Duration   // 0: for ever
	alarm  *time.Timer
}

var errIdle = errors.New("the answer does not go on")

// Read implements io.Reader.
func (a *answer) Read(p []byte) (int, error) {
	if a.idle > 0 {
		if a.alarm == nil {
			a.alarm = time.AfterFunc(a.idle, func() { a.cancel(errIdle) })
		} else {
			a.alarm.Reset(a.idle)
		}
	}
	n, err := a.src.Read(p)
	if a.alarm != nil {
		a.alarm.Stop()
	}
	switch {
	case err == nil:
	case err == io.EOF:
		a.try.Judge(upstream.Succeeded)
	case a.client.Err() != nil:
		a.try.Judge(upstream.Unclear)
	default:
		a.try.Judge(upstream.Failed)
	}
	return n, err
}

// Close implements io.Closer. An answer that was not read to its end has shown nothing
// bad of the instance.
func (a *answer) Close() error {
	err := a.src.Close()
	if a.client.Err() == nil {
		a.try.Judge(upstream.Succeeded)
	}
	a.try.End()
	a.cancel(nil)
	return err
}

// upgraded is a connection after a protocol switch.
type upgraded struct {
	*answer
	dst io.Writer
}

// Write implements io.Writer.
func (u *upgraded) Write(p []byte) (int, error) { return u.dst.Write(p) }
