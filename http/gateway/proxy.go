package gateway

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	branch "github.com/marketprism/marketprism/actors/gateway"
	"github.com/marketprism/marketprism/actors/gateway/forward"
	"github.com/marketprism/marketprism/actors/gateway/upstream"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/identity"
)

// passage is one request on its way through.
type passage struct {
	destination
	call    forward.Call
	who     identity.Principal
	known   bool          // who
	client  *http.Request // as it came
	w       http.ResponseWriter
	began   time.Time
	fault   error // found while the request was made ready
	cancel  context.CancelCauseFunc
	leave   func() // ends counting it as a request under way
	stream  func() // ends counting it as a stream; nil while it is none
	undrain func() bool
	watch   *watch   // of a stream; nil where nobody is asked
	keep    *keeping // the answer; nil: is not kept
}

type passageKey struct{}

func passageOf(ctx context.Context) *passage { return ctx.Value(passageKey{}).(*passage) }

func (f *service) proxyRoutes() []chassis.Route {
	route := func(path, id, summary, about string) chassis.Route {
		return chassis.Route{
			Method: chassis.Any, Path: path, ID: id, Tag: tagProxy, Summary: summary, Description: about,
			BodyLimit: f.Config.MaxBodyBytes, Timeout: chassis.NoTimeout, Handler: f.pass,
		}
	}
	return []chassis.Route{
		route(apiBase+"{service}/*", "proxy", "A route of a service",
			"By the name of the service, /api/v1/{service}/X is its /api/v1/X. storage, scheduler and broker stand for their services and stay in the path; collector and monitoring stand for theirs and do not."),
		route(wsBase+"{service}/*", "proxySocket", "A WebSocket of a service", "/ws/{service}/X is its /ws/X."),
	}
}

// pass sends a request to the service that it is for.
func (f *service) pass(w http.ResponseWriter, r *http.Request) error {
	d, ok, err := f.find(r)
	if err != nil {
		return err
	}
	if !ok {
		chassis.Unrouted(w, r)
		return nil
	}
	p := &passage{destination: d, client: r, w: w}
	if p.who, p.known, err = f.admit(w, r, d.Target); err != nil {
		return err
	}
	if err := f.sendable(w, r, p); err != nil {
		return err
	}
	if !f.Branch.Requests().Enter() {
		f.Branch.Refused(branch.RefusedOverload)
		return chassis.Unavailable(time.Second, "too many requests are under way at the gateway").WithCode("overloaded")
	}
	p.leave = sync.OnceFunc(f.Branch.Requests().Leave)
	defer p.leave()
	if answered, err := f.fromCache(w, r, p); answered || err != nil {
		return err
	}
	f.send(w, r, p)
	return nil
}

// sendable refuses what no service should get.
func (f *service) sendable(w http.ResponseWriter, r *http.Request, p *passage) error {
	switch {
	case p.upstream == nil:
		f.Branch.Refused(branch.RefusedUnknown)
		return chassis.Unavailable(unknownRetry, "there is no service %q", clip(p.Service)).WithCode("unknown_service")
	case f.loops(r):
		f.Branch.Refused(branch.RefusedLoop)
		return chassis.NewError(http.StatusLoopDetected, "loop", "the request has come through this gateway already")
	case r.Header.Get("Upgrade") != "":
		return chassis.Handshake(w, r)
	}
	return nil
}

// unknownRetry is when a service that nobody runs may be asked for again.
const unknownRetry = 5 * time.Second

// loops says whether a request has passed here before. Once is allowed: the gateway is a
// service that can be asked by its name.
func (f *service) loops(r *http.Request) bool {
	n := 0
	for _, line := range r.Header["Via"] {
		n += strings.Count(line, f.via)
	}
	return n > 1
}

func (f *service) send(w http.ResponseWriter, r *http.Request, p *passage) {
	ctx, cancel := context.WithCancelCause(r.Context())
	p.cancel, p.began = cancel, f.Now()
	p.call = forward.Call{Pool: p.upstream.Pool, Budget: p.upstream.Budget, Path: p.Path}
	defer func() {
		cancel(nil)
		if p.stream != nil {
			p.undrain()
			p.watch.stop()
			p.stream()
		}
	}()
	ctx = forward.With(context.WithValue(ctx, passageKey{}, p), &p.call)
	f.proxy.ServeHTTP(&paced{ResponseWriter: w, timeout: f.Config.WriteTimeout}, r.WithContext(ctx))
}

func (f *service) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        f.rewrite,
		Transport:      sender{f.Branch.Forwarder()},
		FlushInterval:  -1,
		BufferPool:     &buffers{},
		ModifyResponse: f.answered,
		ErrorHandler:   f.failed,
		ErrorLog:       log.New(io.Discard, "", 0), // the access log says that an answer was cut off
	}
}

// sender sends what was made ready without a fault.
type sender struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (s sender) RoundTrip(r *http.Request) (*http.Response, error) {
	if p := passageOf(r.Context()); p.fault != nil {
		return nil, p.fault
	}
	return s.next.RoundTrip(r)
}

// answered looks at an answer before it goes to the client.
func (f *service) answered(resp *http.Response) error {
	p := passageOf(resp.Request.Context())
	f.Branch.Sent(p.upstream, branch.Answered, f.Now().Sub(p.began))
	f.putDown(p, resp.StatusCode, nil)
	if forward.Endless(resp) {
		if err := f.becomeStream(p); err != nil {
			return err
		}
	}
	f.cleanAnswer(resp, p)
	return f.toCache(resp, p)
}

// becomeStream counts a request as a stream from now on, which ends when the server
// drains.
func (f *service) becomeStream(p *passage) error {
	if !f.Branch.Streams().Enter() {
		f.Branch.Refused(branch.RefusedStreams)
		return chassis.Unavailable(5*time.Second, "too many WebSockets and event streams are under way at the gateway").WithCode("overloaded")
	}
	p.leave()
	p.stream = f.Branch.Streams().Leave
	p.undrain = context.AfterFunc(f.server.Draining(), func() { p.cancel(chassis.ErrDraining) })
	if p.known {
		p.watch = watchOver(streamLook, func() bool { return f.Auth.Still(p.who, p.Target) }, func() { p.cancel(errWithdrawn) })
	}
	return nil
}

// failed answers a request that could not be sent on.
func (f *service) failed(w http.ResponseWriter, r *http.Request, err error) {
	p := passageOf(r.Context())
	outcome, answer := f.explain(r.Context(), p, err)
	f.putDown(p, 0, answer)
	if outcome != "" {
		f.Branch.Sent(p.upstream, outcome, f.Now().Sub(p.began))
	}
	w.Header()["X-Gateway-Service"] = []string{p.Service}
	chassis.WriteError(p.w, r, answer)
}

// explain says what became of a request, "" where it was not sent, and what the client
// is answered.
func (f *service) explain(ctx context.Context, p *passage, err error) (outcome string, answer error) {
	var failed *forward.Error
	if !errors.As(err, &failed) {
		var known *chassis.Error
		switch {
		case errors.As(err, &known):
			return "", err
		case ctx.Err() != nil:
			return branch.ClientLeft, err
		}
		return string(forward.Broken), badGateway("bad_answer", "%s gave an answer that cannot be passed on", p.Service).WithCause(err)
	}
	outcome = string(failed.Stage)
	switch failed.Stage {
	case forward.Unpicked:
		return "", f.unpicked(p, failed)
	case forward.NotReached:
		return outcome, chassis.Unavailable(time.Second, "%s cannot be reached; the request was not sent", p.Service).WithCode("unreachable").WithCause(err)
	case forward.TimedOut:
		return outcome, chassis.NewError(http.StatusGatewayTimeout, "upstream_timeout", "%s did not answer in time; it may have handled the request", p.Service).WithCause(err)
	}
	return outcome, badGateway("upstream_failed", "%s broke off before it answered; it may have handled the request", p.Service).WithCause(err)
}

func badGateway(code, format string, args ...any) *chassis.Error {
	return chassis.NewError(http.StatusBadGateway, code, format, args...)
}

// unpicked answers where no instance could be asked.
func (f *service) unpicked(p *passage, failed *forward.Error) error {
	why, code, after := branch.RefusedUnhealthy, "unhealthy", 2*time.Second
	switch {
	case errors.Is(failed, upstream.ErrOpen):
		why, code, after = branch.RefusedBreaker, "breaker_open", f.Branch.Config().Upstreams.Breaker.OpenFor
	case errors.Is(failed, upstream.ErrNone):
		code, after = "not_running", unknownRetry
	}
	f.Branch.Refused(why)
	return chassis.Unavailable(after, "%s: %v", p.Service, failed.Err).WithCode(code)
}

// buffers are what bodies are copied through.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return new([bufferSize]byte)[:]
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) {
	if cap(p) >= bufferSize {
		b.pool.Put((*[bufferSize]byte)(p[:bufferSize]))
	}
}

// paced is an answer that its client must take piece by piece.
type paced struct {
	http.ResponseWriter
	timeout time.Duration
	until   time.Time
}

// Write implements io.Writer.
func (w *paced) Write(p []byte) (int, error) {
	if now := time.Now(); w.until.Sub(now) < w.timeout/2 {
		w.until = now.Add(w.timeout)
		if err := http.NewResponseController(w.ResponseWriter).SetWriteDeadline(w.until); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return 0, err
		}
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *paced) Unwrap() http.ResponseWriter { return w.ResponseWriter }

var _ io.Writer = (*paced)(nil)

func clip(s string) string { return s[:min(len(s), 100)] }
