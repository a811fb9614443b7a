package chassis

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Handler serves one route. An error it returns is answered by WriteError.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Media types of the façades.
const (
	mediaJSON = "application/json"
	// MediaNDJSON is one JSON value a line.
	MediaNDJSON = "application/x-ndjson"
	// MediaEvents is server-sent events.
	MediaEvents = "text/event-stream"
)

// Any is the Method of a route that takes every method.
const Any = "*"

// NoTimeout is the Timeout of a route without a deadline.
const NoTimeout = time.Duration(-1)

// Route is one operation: what is registered on the router, and what the
// OpenAPI document says of it.
type Route struct {
	Method string // GET, POST, … or Any. GET serves HEAD too, unless Live
	Path   string // chi pattern: /a/{b}, or /a/* for everything below

	ID          string // operationId; "" makes one of method and path
	Tag         string // group in the documentation
	Summary     string // one line, without a full stop
	Description string // CommonMark
	Deprecated  bool
	// Hidden keeps the route out of the OpenAPI document: a page, or what another
	// service describes.
	Hidden bool

	// Quiet logs requests that succeed at debug level: another server's line tells of them,
	// or nobody asks.
	Quiet bool
	// Open answers those too who show no credential, or a wrong one: a page and its files,
	// which hold no data.
	Open bool

	// Params describes query and header parameters; a path parameter of Path
	// that is not described here is a string.
	Params []Param
	// Request is a value of the body's Go type; nil is no body.
	Request any
	// Accepts are the media types of the body; empty means JSON when Request is
	// set. "*/*" takes any. A body without a Content-Type is always accepted.
	Accepts []string
	// Optional says that the body may be empty.
	Optional bool
	// Responses are the documented answers. Problem answers are added by the
	// chassis. None means 200 with any JSON.
	Responses []Response

	// BodyLimit is the largest body in bytes; 0 is Config.MaxBodyBytes.
	BodyLimit int64
	// Timeout is the deadline; 0 is Config.RequestTimeout, below 0 is none.
	Timeout time.Duration
	// Live marks an answer that never ends by itself (SSE, WebSocket): no
	// deadline, and its context is cancelled when the server starts to drain.
	Live bool

	Handler Handler
}

// Param describes one parameter of a route.
type Param struct {
	Name     string
	In       string // query (the default), path or header
	Type     any    // a value of its Go type; nil is a string
	Required bool
	Doc      string
	Default  any
	Example  any
	Enum     []string
	Min, Max any // inclusive; nil is none
}

// Response describes one answer of a route.
type Response struct {
	Status  int    // 0 is 200
	Doc     string // "" is the status in words
	Body    any    // a value of the body's Go type; nil is none documented
	Media   string // "" is application/json
	Headers map[string]string
}

// route is a Route as registered.
type route struct {
	Route
	accepts     []string // nil: the body is not looked at
	acceptsJSON bool
	limit       int64
	timeout     time.Duration // 0 is none
	quiet       bool          // logged at debug level unless it fails
	series      routeSeries
}

// Handle adds routes. It reports, joined, every route that cannot be served or
// described: a bad pattern, a repeated one, a missing handler. Routes are added
// before Start; afterwards it is an error.
func (s *Server) Handle(routes ...Route) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed {
		return fmt.Errorf("%s: routes are added before the server starts", s.service)
	}
	var errs []error
	for _, r := range routes {
		if err := s.add(r, false); err != nil {
			errs = append(errs, fmt.Errorf("route %s %s: %w", r.Method, r.Path, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Server) add(r Route, quiet bool) error {
	if r.Handler == nil {
		return errors.New("has no handler")
	}
	if r.Method != Any && !slices.Contains(methods, r.Method) {
		return fmt.Errorf("method must be one of %s, or Any", strings.Join(methods, ", "))
	}
	if _, err := pathParams(r.Path); err != nil {
		return err
	}
	key := r.Method + " " + r.Path
	if s.known[key] {
		return errors.New("is registered twice")
	}
	rt := &route{Route: r, accepts: r.Accepts, limit: r.BodyLimit, timeout: r.Timeout, quiet: quiet || r.Quiet}
	if rt.accepts == nil && r.Request != nil {
		rt.accepts = []string{mediaJSON}
	}
	rt.acceptsJSON = slices.Contains(rt.accepts, mediaJSON)
	if rt.limit == 0 {
		rt.limit = s.config.MaxBodyBytes
	}
	switch {
	case r.Live || r.Timeout < 0:
		rt.timeout = 0
	case r.Timeout == 0:
		rt.timeout = s.config.RequestTimeout
	}
	rt.series = s.metrics.route(r.Path)
	s.known[key] = true
	if r.Open {
		s.open = append(s.open, strings.Split(r.Path, "/"))
	}
	s.routes = append(s.routes, rt)
	if r.Method == Any {
		s.mux.Handle(r.Path, s.serve(rt))
		return nil
	}
	s.mux.Method(r.Method, r.Path, s.serve(rt))
	return nil
}

// methods are those that a route may have.
var methods = []string{
	http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// pathParams returns the parameter names of a pattern.
func pathParams(pattern string) ([]string, error) {
	if !strings.HasPrefix(pattern, "/") {
		return nil, errors.New("the path must begin with /")
	}
	var names []string
	segments := strings.Split(pattern[1:], "/")
	for i, seg := range segments {
		if seg == "*" && i == len(segments)-1 {
			continue
		}
		if !strings.ContainsAny(seg, "{}*:") {
			continue
		}
		name := strings.TrimSuffix(strings.TrimPrefix(seg, "{"), "}")
		if len(name) != len(seg)-2 || name == "" || strings.ContainsAny(name, "{}*:") {
			return nil, fmt.Errorf("%q must be a {name} on its own, without an expression", seg)
		}
		if slices.Contains(names, name) {
			return nil, fmt.Errorf("{%s} stands in it twice", name)
		}
		names = append(names, name)
	}
	return names, nil
}

// serve applies the limits of a route around its handler.
func (s *Server) serve(rt *route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := callFrom(r.Context())
		c.route = rt
		if rt.Live && r.Method == http.MethodHead {
			s.methodNotAllowed(w, r)
			return
		}
		ctx, cancel := s.bound(r.Context(), rt)
		defer cancel()
		r = r.WithContext(ctx)
		s.setWriteDeadline(c, rt)
		if err := s.admit(w, r, rt); err != nil {
			WriteError(w, r, err)
			return
		}
		if err := rt.Handler(w, r); err != nil {
			WriteError(w, r, err)
		}
	}
}

func (s *Server) bound(ctx context.Context, rt *route) (context.Context, context.CancelFunc) {
	if rt.Live {
		live, cancel := context.WithCancelCause(ctx)
		stop := context.AfterFunc(s.draining, func() { cancel(ErrDraining) })
		return live, func() { stop(); cancel(nil) }
	}
	if rt.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, rt.timeout, errDeadline)
}

// setWriteDeadline replaces the server's write timeout where a route's own
// deadline is not the usual one.
func (s *Server) setWriteDeadline(c *call, rt *route) {
	if rt.timeout == s.config.RequestTimeout {
		return
	}
	var until time.Time // none: streams move it themselves
	if rt.timeout > 0 {
		until = s.now().Add(rt.timeout + s.config.WriteTimeout)
	}
	http.NewResponseController(c.wire.ResponseWriter).SetWriteDeadline(until) //nolint:errcheck // only a test's recorder has none
}

// recovered answers a panic with 500 and keeps its stack for the log.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callFrom(r.Context())
		c.inner.ResponseWriter = w
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // the sentinel, as net/http compares it
				if c.gone(r) && c.inner.status == 0 {
					c.inner.status = statusClientGone
				}
				c.aborted = c.inner.status != statusClientGone && !c.gone(r)
				panic(v)
			}
			s.metrics.panics.Inc()
			c.stack = debug.Stack()
			WriteError(&c.inner, r, fmt.Errorf("panic: %v", v))
		}()
		next.ServeHTTP(&c.inner, r)
	})
}
