package chassis

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// call is what the server knows about one request under way.
type call struct {
	identity
	server  *Server
	route   *route // nil until routed, and for what matches none
	chi     chi.Context
	start   time.Time
	wire    recorder // what goes out, compressed
	inner   recorder // what the handler writes
	body    *body    // nil without one
	err     error    // what WriteError was given
	stack   []byte   // of a panic
	aborted bool
}

type callKey struct{}

// callContext answers for the request, its identity and chi's routing context
// from one allocation.
type callContext struct {
	context.Context
	call *call
}

func (c *callContext) Value(key any) any {
	switch key.(type) {
	case callKey:
		return c.call
	case identityKey:
		return &c.call.identity
	}
	if key == chi.RouteCtxKey {
		return &c.call.chi
	}
	return c.Context.Value(key)
}

func callFrom(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// Logger returns the server's logger with the identity of the request that ctx
// belongs to, or a logger that discards when ctx belongs to none.
func Logger(ctx context.Context) *zap.Logger {
	c := callFrom(ctx)
	if c == nil {
		return zap.NewNop()
	}
	return c.server.log.With(c.fields()...)
}

func (c *call) fields() []zap.Field {
	return []zap.Field{
		zap.String("request_id", c.id),
		zap.String("trace_id", c.trace.TraceHex()),
		zap.String("span_id", c.trace.SpanHex()),
	}
}

// left reports whether err means that the client closed the connection, so
// that there is nobody to answer.
func (c *call) left(r *http.Request, err error) bool {
	return errors.Is(err, context.Canceled) && c.gone(r) && !errors.Is(context.Cause(r.Context()), ErrDraining)
}

// gone reports whether the client closed the connection, and not this server.
func (c *call) gone(r *http.Request) bool {
	return r.Context().Err() != nil && c.server.base.Err() == nil
}

// ServeHTTP serves one request. It is the outermost handler: whatever happens
// inside, the request is counted, logged and measured once.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{server: s, start: s.now()}
	c.id = r.Header.Get(HeaderRequestID)
	if !validRequestID(c.id) {
		c.id = NewRequestID()
	}
	c.trace = Extract(r.Header.Get)
	c.wire.ResponseWriter = w
	c.chi.Routes = s.mux
	c.chi.RouteMethod = r.Method
	if r.Method == http.MethodHead {
		c.chi.RouteMethod = http.MethodGet
	}
	h := w.Header()
	h[HeaderRequestID] = []string{c.id}
	h["X-Content-Type-Options"] = headerNosniff
	h["Content-Security-Policy"] = headerNoContent
	h["Referrer-Policy"] = headerNoReferrer
	h["Cross-Origin-Resource-Policy"] = headerSameOrigin
	h["Cache-Control"] = headerNoStore

	if s.spans != nil {
		s.spans.Begin(c.trace.SpanID)
	}
	s.underway.enter()
	s.metrics.inFlight.Inc()
	defer s.finish(c, r)
	s.compressed.ServeHTTP(&c.wire, r.WithContext(&callContext{r.Context(), c}))
	if c.body != nil {
		c.body.linger(&c.wire)
	}
}

// Header values shared by all answers; never written to.
var (
	headerNosniff    = []string{"nosniff"}
	headerNoContent  = []string{"default-src 'none'; frame-ancestors 'none'"}
	headerNoReferrer = []string{"no-referrer"}
	headerSameOrigin = []string{"same-origin"}
	headerNoStore    = []string{"no-store"}
	headerProblem    = []string{"application/problem+json"}
	headerBearer     = []string{`Bearer realm="marketprism"`}
	headerJSON       = []string{"application/json"}
)

// finish runs after the answer, or while a panic that aborts the connection
// goes up to net/http.
func (s *Server) finish(c *call, r *http.Request) {
	defer s.underway.leave()
	s.metrics.inFlight.Dec()
	took := s.now().Sub(c.start)
	code := c.inner.status
	switch {
	case code == 0 && c.wire.hijacked:
		code = http.StatusSwitchingProtocols
	case code == 0 && c.aborted:
		code = http.StatusInternalServerError
	case code == 0:
		code = http.StatusOK
	}
	s.metrics.observe(c.route, code, took)
	if s.spans != nil {
		s.spans.End(s.spanOf(c, r, code, took))
	}

	level := zapcore.InfoLevel
	switch {
	case code == http.StatusInternalServerError || c.stack != nil:
		level = zapcore.ErrorLevel
	case code > http.StatusInternalServerError || c.aborted:
		level = zapcore.WarnLevel
	case c.route != nil && c.route.quiet, code < http.StatusBadRequest && polls(r):
		level = zapcore.DebugLevel
	}
	entry := s.log.Check(level, "http request")
	if entry == nil {
		return
	}
	fields := append(make([]zap.Field, 0, 12), c.fields()...)
	fields = append(fields, zap.String("method", clip(r.Method, 16)))
	if c.route != nil {
		fields = append(fields, zap.String("route", c.route.Path))
	} else {
		fields = append(fields, zap.String("route", unmatched), zap.String("path", clip(r.URL.Path, 256)))
	}
	fields = append(fields, zap.Int("code", code),
		zap.Float64("dur_ms", float64(took)/float64(time.Millisecond)), zap.Int64("bytes", c.wire.bytes))
	if c.aborted {
		fields = append(fields, zap.Bool("aborted", true))
	}
	if c.err != nil {
		fields = append(fields, zap.NamedError("error", c.err))
	}
	if c.stack != nil {
		fields = append(fields, zap.ByteString("stack", c.stack))
	}
	entry.Write(fields...)
}

// HeaderPoll marks what a page asks again and again by itself, and nobody has asked for:
// such a request is logged at debug level unless it fails. Nothing else depends on it.
const HeaderPoll = "X-Dashboard-Poll"

func polls(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header[HeaderPoll] != nil
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// recorder notes what is written through it.
type recorder struct {
	http.ResponseWriter
	status   int // 0 until the header is written
	bytes    int64
	hijacked bool
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements http.Flusher, which the proxy of the standard library asks for.
func (w *recorder) Flush() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Hijack implements http.Hijacker, for WebSocket upgrades.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.hijacked = true
	}
	return conn, rw, err
}
