package chassis

import (
	"net/http"
	"time"
)

// Spans is told of every request, when it begins and when it has ended. Both must
// return at once.
type Spans interface {
	Begin(span [8]byte)
	End(s Span)
}

// Span is a request that has ended.
type Span struct {
	Trace     Trace
	Service   string
	RequestID string
	Method    string
	Route     string // pattern; "unmatched" for none
	Path      string // at most 256 bytes
	Code      int
	Start     time.Time
	Took      time.Duration
	Live      bool  // a stream, which lasts as long as its client likes
	Err       error // what was answered as a problem; nil for none
}

func (s *Server) spanOf(c *call, r *http.Request, code int, took time.Duration) Span {
	span := Span{
		Trace: c.trace, Service: s.service, RequestID: c.id, Method: clip(r.Method, 16), Route: unmatched, Path: clip(r.URL.Path, 256),
		Code: code, Start: c.start, Took: took, Err: c.err,
	}
	if c.route != nil {
		span.Route, span.Live = c.route.Path, c.route.Live || code == http.StatusSwitchingProtocols
	}
	return span
}
