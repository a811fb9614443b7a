package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/marketprism/marketprism/actors/gateway/limit"
	"github.com/marketprism/marketprism/actors/gateway/upstream"
	"github.com/marketprism/marketprism/internal/certs"
)

// Stage is how far a request came.
type Stage string

// The stages.
const (
	Unpicked   Stage = "unpicked"    // no instance can be asked: see upstream.Pool.Pick
	NotReached Stage = "not_reached" // nobody answers there: it was not sent
	Broken     Stage = "broken"      // the connection broke before the answer: it may have been handled
	TimedOut   Stage = "timed_out"   // no answer in time: it may have been handled
)

// Error is a request that was not answered.
type Error struct {
	Stage    Stage
	Service  string
	Attempts int // how often it was sent, or tried to be
	Err      error
}

func (e *Error) Error() string {
	return fmt.Sprintf("sending to %s (%s): %v", e.Service, e.Stage, e.Err)
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Call is one request on its way.
type Call struct {
	Pool   *upstream.Pool
	Budget *limit.Budget
	// Path is the path as the service sees it, decoded.
	Path string

	// Attempts counts how often it was sent; Instance is who answered. They are read
	// once RoundTrip has returned.
	Attempts int
	Instance upstream.Address
}

type callKey struct{}

// With returns a context whose request is that call.
func With(ctx context.Context, c *Call) context.Context { return context.WithValue(ctx, callKey{}, c) }

// Forwarder sends requests on. It implements http.RoundTripper, for requests whose
// context has a [Call]. It is safe for concurrent use.
type Forwarder struct {
	settings atomic.Pointer[Config]
	networks *Networks
	trusted  carrier // to instances of the registry
	guarded  carrier // to those that clients have registered
	repeats  atomic.Uint64
}

// carrier carries requests over connections that it keeps.
type carrier interface {
	http.RoundTripper
	CloseIdleConnections()
}

// New makes a forwarder; registered instances are dialled in networks only. Instances of
// the registry that answer by HTTPS are shown the certificate of a pair; nil is TLS with
// the authorities of the system, and without a certificate.
func New(c Config, networks *Networks, pair *certs.Pair) *Forwarder {
	f := &Forwarder{networks: networks}
	f.settings.Store(&c)
	trusted := f.transport(nil)
	f.trusted = trusted
	if pair != nil {
		trusted.DialTLSContext = f.bounded(pair.DialBy(trusted.DialContext))
		f.trusted = pair.Transport(trusted)
	}
	f.guarded = f.transport(networks.control)
	return f
}

// Configure takes up new settings.
func (f *Forwarder) Configure(c Config) { f.settings.Store(&c) }

// Close ends idle connections.
func (f *Forwarder) Close() {
	f.trusted.CloseIdleConnections()
	f.guarded.CloseIdleConnections()
}

// Repeats counts requests that were sent again.
func (f *Forwarder) Repeats() uint64 { return f.repeats.Load() }

// Limits of the connections to instances.
const (
	idlePerInstance = 512
	idleFor         = 45 * time.Second // shorter than a server keeps them
	maxAnswerHeader = 256 << 10
)

func (f *Forwarder) transport(control func(network, address string, c syscall.RawConn) error) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			d := net.Dialer{Timeout: f.settings.Load().ConnectTimeout, KeepAlive: 30 * time.Second, Control: control}
			return d.DialContext(ctx, network, address)
		},
		MaxIdleConns: 8 * idlePerInstance, MaxIdleConnsPerHost: idlePerInstance, IdleConnTimeout: idleFor,
		MaxResponseHeaderBytes: maxAnswerHeader, DisableCompression: true, ExpectContinueTimeout: time.Second,
	}
}

// bounded bounds connecting and shaking hands.
func (f *Forwarder) bounded(dial certs.Dialer) certs.Dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*f.settings.Load().ConnectTimeout)
		defer cancel()
		return dial(ctx, network, address)
	}
}

// Direct sends one request to one instance, as it is.
func (f *Forwarder) Direct(i *upstream.Instance, r *http.Request) (*http.Response, error) {
	if i.Registered {
		return f.guarded.RoundTrip(r)
	}
	return f.trusted.RoundTrip(r)
}

// RoundTrip implements http.RoundTripper. Errors: *Error, that of the request's
// context, or that of reading its body.
func (f *Forwarder) RoundTrip(r *http.Request) (*http.Response, error) {
	call, ok := r.Context().Value(callKey{}).(*Call)
	if !ok {
		return nil, errors.New("a request without a call")
	}
	c := f.settings.Load()
	s := &sending{f: f, c: c, call: call, r: r, safe: idempotent(r), timeout: c.timeout(call.Pool.Service(), call.Path)}
	if err := s.take(); err != nil {
		return nil, err
	}
	call.Budget.Deposit()
	return s.run()
}

// idempotent says whether a request may be handled twice
// (https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2).
func idempotent(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return r.Header.Get("Upgrade") == ""
	}
	return r.Header.Get("Idempotency-Key") != ""
}

// sending is one request while it is being sent.
type sending struct {
	f       *Forwarder
	c       *Config
	call    *Call
	r       *http.Request
	safe    bool // to be handled twice
	timeout time.Duration
	kept    []byte // the whole body; nil: none, or not kept
	stream  *stream
	tried   []*upstream.Instance
}

// take keeps the body if it is short.
func (s *sending) take() error {
	if s.r.Body == nil || s.r.Body == http.NoBody {
		return nil
	}
	s.stream = &stream{src: s.r.Body}
	if n := s.r.ContentLength; n < 0 || n > s.c.BufferBytes {
		return nil
	}
	s.kept = make([]byte, s.r.ContentLength)
	if _, err := io.ReadFull(s.stream, s.kept); err != nil {
		return fmt.Errorf("reading the body: %w", err)
	}
	return nil
}

// whole says whether the body could be sent once more.
func (s *sending) whole() bool { return s.stream == nil || s.kept != nil }

func (s *sending) run() (*http.Response, error) {
	var last error
	for {
		try, err := s.call.Pool.Pick(s.tried)
		if errors.Is(err, upstream.ErrTried) && last != nil {
			if s.pause() != nil {
				return nil, last
			}
			s.tried = nil
			try, err = s.call.Pool.Pick(nil)
		}
		if err != nil {
			if last != nil {
				return nil, last
			}
			return nil, &Error{Unpicked, s.call.Pool.Service(), s.call.Attempts, err}
		}
		s.call.Attempts++
		s.call.Instance = try.Address
		resp, err := s.send(try)
		if err == nil && !s.elsewhere(resp) {
			return resp, nil
		}
		if err != nil && !s.again(err) {
			return nil, err
		}
		if resp != nil {
			_ = resp.Body.Close() // another instance is asked
			err = &Error{Broken, s.call.Pool.Service(), s.call.Attempts, fmt.Errorf("the instance answered %d", resp.StatusCode)}
		}
		s.f.repeats.Add(1)
		s.tried = append(s.tried, try.Instance)
		last = err
	}
}

// pause waits before the same instance is tried again.
func (s *sending) pause() error {
	d := s.c.Pause << min(s.call.Attempts-1, 10)
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d/2 + rand.N(d/2+1))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.r.Context().Done():
		return s.r.Context().Err()
	}
}

// again says whether a request that failed is sent once more.
func (s *sending) again(err error) bool {
	var failed *Error
	if !errors.As(err, &failed) || errors.Is(err, ErrForbidden) || s.r.Context().Err() != nil {
		return false
	}
	switch {
	case failed.Stage == NotReached && (s.whole() || !s.stream.read.Load()):
	case failed.Stage == Broken && s.safe && s.whole():
	default:
		return false
	}
	return s.mayRepeat()
}

// elsewhere says whether an instance that answered that it cannot is passed over for
// another one.
func (s *sending) elsewhere(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return false
	}
	return s.safe && s.whole() && len(s.call.Pool.Instances()) > len(s.tried)+1 && s.mayRepeat()
}

func (s *sending) mayRepeat() bool {
	return s.call.Attempts < s.c.Attempts && s.call.Budget.Withdraw(time.Now())
}

// send sends the request to one instance.
func (s *sending) send(try *upstream.Try) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(s.r.Context())
	var alarm *time.Timer
	if s.timeout > 0 {
		alarm = time.AfterFunc(s.timeout, func() { cancel(errSlow) })
	}
	out := s.request(ctx, try, alarm)
	resp, err := s.f.Direct(try.Instance, out)
	if alarm != nil {
		alarm.Stop()
	}
	if err != nil {
		err = s.explain(ctx, err)
		try.Judge(judgement(err))
		try.End()
		cancel(nil)
		return nil, err
	}
	s.judge(resp, try, cancel)
	return resp, nil
}

// request makes the request for one instance.
func (s *sending) request(ctx context.Context, try *upstream.Try, alarm *time.Timer) *http.Request {
	out := s.r.WithContext(ctx)
	out.URL = &url.URL{Scheme: try.Scheme(), Host: try.Address.String(), Path: s.r.URL.Path, RawPath: s.r.URL.RawPath, RawQuery: s.r.URL.RawQuery}
	out.Host = ""
	switch {
	case s.kept != nil:
		out.Body = io.NopCloser(bytes.NewReader(s.kept)) // without GetBody: the transport repeats nothing on its own
	case s.stream != nil:
		s.stream.alarm, s.stream.timeout = alarm, s.timeout
		out.Body = s.stream
	}
	return out
}

var errSlow = errors.New("no answer in time")

// explain says how far a request came that was not answered.
func (s *sending) explain(ctx context.Context, err error) error {
	service, n := s.call.Pool.Service(), s.call.Attempts
	if s.stream != nil {
		if fault := s.stream.fault.Load(); fault != nil {
			return fmt.Errorf("reading the body: %w", *fault)
		}
	}
	if errors.Is(context.Cause(ctx), errSlow) {
		return &Error{TimedOut, service, n, fmt.Errorf("%w (%v)", errSlow, s.timeout)}
	}
	if s.r.Context().Err() != nil {
		return context.Cause(s.r.Context())
	}
	var op *net.OpError
	if errors.Is(err, ErrForbidden) || errors.As(err, &op) && op.Op == "dial" {
		return &Error{NotReached, service, n, err}
	}
	return &Error{Broken, service, n, err}
}

func judgement(err error) upstream.Outcome {
	var failed *Error
	if errors.As(err, &failed) {
		return upstream.Failed
	}
	return upstream.Unclear
}

// broken says whether a status says that the instance cannot do its work. 503 with
// Retry-After is an instance that can, and says when.
func broken(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	case http.StatusServiceUnavailable:
		return resp.Header.Get("Retry-After") == ""
	}
	return false
}

// Endless says whether an answer ends only when somebody leaves.
func Endless(resp *http.Response) bool {
	return resp.StatusCode == http.StatusSwitchingProtocols || strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
}

// judge says what an answer shows of the instance, and has its end counted.
func (s *sending) judge(resp *http.Response, try *upstream.Try, cancel context.CancelCauseFunc) {
	a := &answer{src: resp.Body, try: try, cancel: cancel, client: s.r.Context()}
	switch {
	case broken(resp):
		try.Judge(upstream.Failed)
	case Endless(resp):
		try.Judge(upstream.Succeeded)
	default:
		a.idle = s.c.IdleTimeout
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		if both, ok := resp.Body.(io.ReadWriteCloser); ok {
			resp.Body = &upgraded{answer: a, dst: both}
			return
		}
	}
	resp.Body = a
}
