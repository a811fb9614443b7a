package chassis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Options are what a Server is made of.
type Options struct {
	Service string // service name, as in the registry
	Version string // of the program
	Title   string // of the OpenAPI document; "" is Service
	About   string // what the service does; CommonMark
	Listen  string // host:port; port 0 picks a free one

	Config     Config
	Logger     *zap.Logger           // nil discards
	Registerer prometheus.Registerer // where the metrics go; may be shared by several servers
	Gatherer   prometheus.Gatherer   // what /metrics shows
	Now        func() time.Time      // nil is time.Now
	// Spans is told of every request; nil tells nobody.
	Spans Spans
	// Gate says who sends a request; nil lets everybody in, as on loopback.
	Gate Gate
	// TLS is what connections meet (certs.Pair.Server); nil is plain HTTP.
	TLS *tls.Config
}

// State is where a Server is in its life; the package comment draws it.
type State int

// The states, in order.
const (
	Created State = iota
	Starting
	Ready
	Draining
	Stopped
)

func (s State) String() string {
	return [...]string{"created", "starting", "ready", "draining", "stopped"}[s]
}

// Server is the HTTP server of one service.
type Server struct {
	service, version string
	title, about     string
	listen           string
	config           Config
	log              *zap.Logger
	now              func() time.Time
	spans            Spans
	gatherer         prometheus.Gatherer
	metrics          *metrics
	health           *Health
	origin           *http.CrossOriginProtection
	gate             Gate
	tls              *tls.Config

	mux        *chi.Mux
	compressed http.Handler // everything inside the access log

	base     context.Context // of every request; cancelled when draining is over
	cancel   context.CancelFunc
	draining context.Context // cancelled when draining begins
	drain    context.CancelFunc
	underway gate          // requests, hijacked ones included
	served   chan struct{} // closed when the accept loop has ended
	failed   chan error
	stopOnce sync.Once
	stopped  chan struct{}
	stopErr  error

	mu       sync.Mutex
	state    State
	sealed   bool // routes are complete
	known    map[string]bool
	open     [][]string // paths of open routes, by segment
	routes   []*route
	use      []func(http.Handler) http.Handler
	started  time.Time
	listener net.Listener
	http     *http.Server
	document []byte // OpenAPI
	page     []byte // documentation
	loopback bool
}

// New returns a server that does not listen yet.
func New(o Options) (*Server, error) {
	if o.Service == "" {
		return nil, errors.New("a server needs a service name")
	}
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Service, err)
	}
	if _, _, err := net.SplitHostPort(o.Listen); err != nil {
		return nil, fmt.Errorf("%s: listen address %q: %w", o.Service, o.Listen, err)
	}
	s := &Server{
		service: o.Service, version: o.Version, title: o.Title, about: o.About, listen: o.Listen,
		config: o.Config, log: o.Logger, now: o.Now, spans: o.Spans, gatherer: o.Gatherer,
		mux: chi.NewMux(), known: map[string]bool{},
		served: make(chan struct{}), failed: make(chan error, 1), stopped: make(chan struct{}),
		origin: http.NewCrossOriginProtection(), gate: o.Gate, tls: o.TLS,
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	s.log = s.log.With(zap.String("service", o.Service))
	if s.now == nil {
		s.now = time.Now
	}
	if s.title == "" {
		s.title = o.Service
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if s.gatherer == nil {
		s.gatherer = prometheus.NewRegistry()
	}
	var err error
	if s.metrics, err = newMetrics(o.Registerer, o.Service); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Service, err)
	}
	for _, origin := range o.Config.TrustedOrigins {
		if err := s.origin.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("%s: trusted_origins: %w", o.Service, err)
		}
	}
	s.started = s.now()
	s.health = newHealth(s)
	// The server's own life is the root here: a request outlives the context
	// that Start was called with, and ends by draining.
	s.base, s.cancel = context.WithCancel(context.Background())
	s.draining, s.drain = context.WithCancel(context.Background())
	s.mux.NotFound(s.notFound)
	s.mux.MethodNotAllowed(s.methodNotAllowed)
	return s, nil
}

// Use adds middleware around all routes, the built-in ones included: inside
// compression, recovery and origin checks, outside routing. First added is
// outermost. It has no effect after Start.
func (s *Server) Use(middleware ...func(http.Handler) http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.use = append(s.use, middleware...)
}

// Health returns the registry of checks behind /health.
func (s *Server) Health() *Health { return s.health }

// seal completes the routes and builds what depends on all of them.
func (s *Server) seal() error {
	if s.sealed {
		return nil
	}
	if err := s.addBuiltIn(); err != nil {
		return err
	}
	var handler http.Handler = s.mux
	for i := len(s.use) - 1; i >= 0; i-- {
		handler = s.use[i](handler)
	}
	var err error
	if s.compressed, err = s.compress(s.recovered(s.guarded(handler))); err != nil {
		return err
	}
	if s.document, err = s.describe(); err != nil {
		return fmt.Errorf("describing the routes: %w", err)
	}
	if s.page, err = s.RenderDocs(s.document); err != nil {
		return fmt.Errorf("rendering the documentation: %w", err)
	}
	s.sealed = true
	return nil
}

// Start binds the port and begins to serve; /readyz stays 503 until Ready. ctx
// bounds the binding only. A server is started once.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != Created {
		return fmt.Errorf("%s: cannot start a server that is %s", s.service, s.state)
	}
	if err := s.seal(); err != nil {
		return fmt.Errorf("%s: %w", s.service, err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", s.listen)
	if err != nil {
		return s.bindError(err)
	}
	s.listener = ln
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok {
		s.loopback = tcp.IP.IsLoopback()
	}
	errorLog, err := zap.NewStdLogAt(s.log.Named("net/http"), zap.DebugLevel)
	if err != nil {
		ln.Close() //nolint:errcheck // nothing was accepted
		return fmt.Errorf("%s: %w", s.service, err)
	}
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.config.ReadHeaderTimeout,
		WriteTimeout:      s.config.RequestTimeout + s.config.WriteTimeout,
		IdleTimeout:       s.config.IdleTimeout,
		MaxHeaderBytes:    s.config.MaxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return s.base },
		ErrorLog:          errorLog,
		TLSConfig:         s.tls,
	}
	s.started, s.state = s.now(), Starting
	go s.accept()
	s.log.Info("http listening", zap.String("address", ln.Addr().String()), zap.Bool("tls", s.tls != nil))
	return nil
}

func (s *Server) accept() {
	defer close(s.served)
	serve := s.http.Serve
	if s.tls != nil {
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") } // the configuration has the certificate
	}
	if err := serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		s.failed <- fmt.Errorf("%s: serving %s: %w", s.service, s.listener.Addr(), err)
	}
}

// bindError says what to do about a port that cannot be had.
func (s *Server) bindError(err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "; another program (or another MarketPrism) has it: stop that one, or give " + s.service + " another port in the configuration"
	case errors.Is(err, syscall.EACCES):
		hint = "; ports below 1024 need privileges: choose a higher one in the configuration"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "; this machine does not have that address: see node.listen in the configuration"
	}
	return fmt.Errorf("%s: cannot listen on %s: %w%s", s.service, s.listen, err, hint)
}

// Ready turns /readyz to 200. It has an effect while the server is starting only.
func (s *Server) Ready() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == Starting {
		s.state = Ready
	}
}

// State returns where the server is in its life.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Addr returns the bound host:port, or "" before Start.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// URL returns http://, or https:// with TLS, and Addr.
func (s *Server) URL() string {
	if s.tls != nil {
		return "https://" + s.Addr()
	}
	return "http://" + s.Addr()
}

// Draining ends when the server begins to drain: for what a handler does beyond the
// usual life of its request. Live routes need not look at it.
func (s *Server) Draining() context.Context { return s.draining }

// Failed delivers the error by which accepting connections ended, if it ends
// other than by Stop.
func (s *Server) Failed() <-chan error { return s.failed }

// Stop drains and ends the server, and returns when nothing of it runs any
// more. Requests still under way after Config.DrainTimeout, or when ctx ends,
// are cut off, which is the error it returns. Every caller gets the result of
// the one stop.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() {
		s.stopErr = s.stop(ctx)
		close(s.stopped)
	})
	<-s.stopped
	return s.stopErr
}

func (s *Server) stop(ctx context.Context) error {
	s.mu.Lock()
	before := s.state
	s.state = Draining
	s.mu.Unlock()
	defer func() {
		s.cancel()
		s.health.wait()
		s.mu.Lock()
		s.state = Stopped
		s.mu.Unlock()
	}()
	s.drain()
	if before == Created {
		return nil
	}
	if before == Ready {
		pause(ctx, s.config.DrainDelay)
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.DrainTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	<-s.served
	if err == nil {
		err = s.underway.wait(ctx) // hijacked connections, which Shutdown does not know
	}
	if err == nil {
		return nil
	}
	s.cancel()
	closeErr := s.http.Close()
	s.underway.wait(context.WithoutCancel(ctx)) //nolint:errcheck // cannot fail: it waits for as long as it takes
	return errors.Join(fmt.Errorf("%s: requests were cut off when draining took longer than %v: %w", s.service, s.config.DrainTimeout, err), closeErr)
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// gate counts requests under way.
type gate struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // made by wait, closed when n reaches 0
}

func (g *gate) enter() {
	g.mu.Lock()
	g.n++
	g.mu.Unlock()
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n--
	if g.n == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// wait returns when no request is under way, or ctx ends.
func (g *gate) wait(ctx context.Context) error {
	g.mu.Lock()
	if g.n == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
