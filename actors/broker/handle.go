package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
)

// ErrNotRunning: no server runs at the moment; it may soon.
var ErrNotRunning = errors.New("the message broker is not running")

// ErrBusy: too many requests at once. Retry later.
var ErrBusy = errors.New("too many broker requests at once")

// Time that one dial may take; connections try again for ever.
const dialTimeout = 5 * time.Second

// Handle is how the rest of the program reaches the broker. It outlives the
// server and the actor, and is safe for concurrent use.
type Handle struct {
	cfg     Config
	log     *zap.Logger
	metrics *metrics
	ask     func(ctx context.Context, all int, met bool) ([]string, error) // for routes
	free    func() (uint64, error)                                         // bytes free on the store's disk
	ref     atomic.Pointer[ref]
	certs   atomic.Pointer[certificates] // nil without TLS
	// registerer is of the metrics of certificates; nil exports none.
	registerer prometheus.Registerer

	complaints complaints

	mu      sync.Mutex
	server  *server.Server // nil when none runs
	changed chan struct{}  // closed when server changes
	up      bool           // ready: server running or connected, streams made
	since   time.Time
	reason  error // why it is not up
}

type ref struct {
	system *supervise.System
	pid    *actor.PID
}

// Options of a [Handle]; both may be nil.
type Options struct {
	Registerer prometheus.Registerer
	// Logger is told what connections meet.
	Logger *zap.Logger
	// Routes says where the servers of a cluster are, as host:port, this one included;
	// it waits until it knows all of so many, or, when these have met before, as soon
	// as it knows anything. It is asked where the configuration lists none.
	Routes func(ctx context.Context, all int, met bool) ([]string, error)
}

// New makes the handle of a broker that starts with [Handle.Spec].
func New(cfg Config, o Options) (*Handle, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("broker configuration: %w", err)
	}
	if cfg.Mode == Embedded && cfg.StoreDir == "" {
		return nil, errors.New("broker configuration: store_dir: must name a directory")
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if cfg.Mode == Embedded {
		if err := cfg.checkForm(); err != nil {
			return nil, err
		}
	}
	if cfg.Clustered() && len(cfg.Cluster.Routes) == 0 && o.Routes == nil {
		return nil, errors.New("broker configuration: cluster.routes: list all nodes with the broker, or let Consul find them")
	}
	h := &Handle{cfg: cfg, log: o.Logger, registerer: o.Registerer, ask: o.Routes, changed: make(chan struct{}), reason: ErrNotRunning, since: time.Now()}
	if cfg.Mode == Embedded && cfg.Username == "" {
		h.cfg.Username, h.cfg.Password = programUser, rand.Text()
	}
	h.free = func() (uint64, error) { return freeBytes(cfg.StoreDir) }
	var err error
	if h.metrics, err = newMetrics(h, o.Registerer); err != nil {
		return nil, fmt.Errorf("broker metrics: %w", err)
	}
	return h, nil
}

// Spec is the branch "broker", with those that stand on the server behind it. The
// server is ready when it runs and the configured streams exist.
func (h *Handle) Spec(behind ...supervise.Spec) supervise.Spec {
	return supervise.Branch("broker", supervise.DefaultStrategy(), append([]supervise.Spec{{
		Name:            "server",
		Kind:            "broker_server",
		New:             func() supervise.Actor { return newServerActor(h) },
		AwaitReady:      true,
		StartTimeout:    h.patience(),
		ShutdownTimeout: 30 * time.Second,
	}}, behind...)...)
}

// patience is how long a start may take: a large store takes its time to recover, and
// the first nodes of a cluster wait for the others.
func (h *Handle) patience() time.Duration {
	if h.cfg.Clustered() {
		return 30 * time.Minute
	}
	return 2 * time.Minute
}

// Connect makes a connection in the program's account, where the journal and the
// buckets are, with all rights there: it is the broker's own. It is then the caller's
// to close. It waits for the server as long as ctx lasts. The connection reconnects for
// ever, also to a server that was started anew, and buffers nothing meanwhile; opts are
// applied last.
func (h *Handle) Connect(ctx context.Context, name string, opts ...nats.Option) (*nats.Conn, error) {
	return h.dial(ctx, name, h.cfg.login(programAccount), opts)
}

// ConnectClients is Connect to the account of the clients. At an external server
// without clients_username it is the same account.
func (h *Handle) ConnectClients(ctx context.Context, name string, opts ...nats.Option) (*nats.Conn, error) {
	return h.dial(ctx, name, h.cfg.login(clientsAccount), opts)
}

// ConnectAs is Connect with the rights of one service.
func (h *Handle) ConnectAs(ctx context.Context, s Service, opts ...nats.Option) (*nats.Conn, error) {
	return h.dial(ctx, "marketprism "+string(s), h.cfg.serviceLogin(s, programAccount), opts)
}

// ConnectClientsAs is ConnectClients with the rights of one service.
func (h *Handle) ConnectClientsAs(ctx context.Context, s Service, opts ...nats.Option) (*nats.Conn, error) {
	return h.dial(ctx, "marketprism "+string(s), h.cfg.serviceLogin(s, clientsAccount), opts)
}

// oneAccount reports whether clients have no account of their own.
func (h *Handle) oneAccount() bool { return h.cfg.login(clientsAccount) == h.cfg.login(programAccount) }

// Config is the broker's configuration.
func (h *Handle) Config() Config { return h.cfg }

func (h *Handle) dial(ctx context.Context, name string, as login, opts []nats.Option) (*nats.Conn, error) {
	all := append([]nats.Option{
		nats.Name(name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(50 * time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 100*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.Timeout(dialTimeout),
		nats.PingInterval(20 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.IgnoreAuthErrorAbort(), // else a connection that is refused twice is gone for good
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if refused(err) {
				h.complain(name, as, err)
				return
			}
			h.log.Warn("broker connection", zap.String("connection", name), zap.Error(err))
		}),
	}, h.address(as)...)
	all = append(all, opts...)
	for {
		changed := h.watch()
		nc, err := nats.Connect(h.cfg.URL, all...)
		if err == nil {
			return nc, nil
		}
		h.complain(name, as, err)
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connecting to the broker: %w (%w)", err, ctx.Err())
		case <-changed:
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (h *Handle) address(as login) []nats.Option {
	if h.cfg.Mode == Embedded {
		return []nats.Option{nats.InProcessServer(h), nats.UserInfo(as.username, as.password)}
	}
	var options []nats.Option
	if as.username != "" {
		options = append(options, nats.UserInfo(as.username, as.password))
	}
	if h.cfg.TLS.CAFile != "" {
		options = append(options, nats.RootCAs(h.cfg.TLS.CAFile))
	}
	if h.cfg.TLS.CertFile != "" {
		options = append(options, nats.ClientCert(h.cfg.TLS.CertFile, h.cfg.TLS.KeyFile))
	}
	return options
}

// InProcessConn dials the server that runs now. It implements
// nats.InProcessConnProvider. Error: ErrNotRunning.
func (h *Handle) InProcessConn() (net.Conn, error) {
	srv := h.running()
	if srv == nil {
		return nil, ErrNotRunning
	}
	return srv.InProcessConn()
}

// ClientURL is where other processes reach the embedded server: nats://host:port;
// "" when it does not listen or is external.
func (h *Handle) ClientURL() string {
	srv := h.running()
	if srv == nil || h.cfg.Port == 0 {
		return ""
	}
	return srv.ClientURL()
}

// Up says whether the broker is usable, and if not, why.
func (h *Handle) Up() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.up {
		return nil
	}
	return h.reason
}

// Status describes the server and its streams. Errors: those of supervise.Ask,
// ErrBusy, ErrNotRunning.
func (h *Handle) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, h, statusRequest{ctx})
}

// Streams lists the JetStream streams. Errors: as of Status.
func (h *Handle) Streams(ctx context.Context) ([]StreamStatus, error) {
	return ask[[]StreamStatus](ctx, h, streamsRequest{ctx})
}

func ask[T any](ctx context.Context, h *Handle, message any) (T, error) {
	r := h.ref.Load()
	if r == nil {
		var zero T
		return zero, supervise.ErrStopped
	}
	return supervise.Ask[T](ctx, r.system, r.pid, message)
}

func (h *Handle) running() *server.Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.server
}

// watch returns a channel that is closed at the next change of the server.
func (h *Handle) watch() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

// serve makes srv the server to dial; nil: none.
func (h *Handle) serve(srv *server.Server) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.server = srv
	close(h.changed)
	h.changed = make(chan struct{})
}

// withdraw is serve(nil) if srv still is the one.
func (h *Handle) withdraw(srv *server.Server) {
	h.mu.Lock()
	same := h.server == srv
	h.mu.Unlock()
	if same {
		h.serve(nil)
	}
}

func (h *Handle) setUp(reason error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if up := reason == nil; up != h.up {
		h.up, h.since = up, time.Now()
	}
	h.reason = reason
}
