// Package app is the only wiring: it turns a configuration into one supervision
// tree and one HTTP server a service, starts them in order, and stops them in the
// reverse order.
//
// # Order
//
//	broker ─ monitoring ─ journal ─ storage ─ scheduler ─ collector ─ gateway   the tree, each branch ready before the next
//	   every server listens, then turns ready
//
// Stopping: the servers end first, each with its /readyz at 503 and its requests
// drained; the collector closes its sockets and drains, the recorders flush to
// acknowledgement, the readers publish what they have applied, the broker stops.
//
// # Failure
//
// A branch beyond its restart budget fails upward; at the top the App fails:
// [App.Failed] delivers why, readiness is gone, and the process is expected to
// stop the App and to exit non-zero.
package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/deadletters"
	"github.com/marketprism/marketprism/actors/broker/messages"
	"github.com/marketprism/marketprism/actors/broker/outbox"
	"github.com/marketprism/marketprism/actors/broker/tasks"
	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/actors/gateway"
	"github.com/marketprism/marketprism/actors/gateway/access"
	recorder "github.com/marketprism/marketprism/actors/journal"
	"github.com/marketprism/marketprism/actors/monitoring"
	"github.com/marketprism/marketprism/actors/monitoring/logs"
	"github.com/marketprism/marketprism/actors/monitoring/notify"
	"github.com/marketprism/marketprism/actors/monitoring/traces"
	"github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/actors/trust"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/consul"
	"github.com/marketprism/marketprism/cluster/coordinator"
	"github.com/marketprism/marketprism/cluster/remoting"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/http/chassis"
	entrance "github.com/marketprism/marketprism/http/gateway"
	watch "github.com/marketprism/marketprism/http/monitoring"
	"github.com/marketprism/marketprism/internal/certs"
	"github.com/marketprism/marketprism/internal/event"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/remote"
	"github.com/marketprism/marketprism/persistence/router"
)

// Options are what an App is made of.
type Options struct {
	Config *config.Config
	// Services are those that this process runs; none means all six.
	Services []string
	// Exchanges are all that there are; the configuration says which are used.
	Exchanges []connectors.Exchange
	Version   string
	Log       *zap.Logger
}

// App is the running program, or a part of it.
type App struct {
	options  Options
	cfg      *config.Config
	services []string
	log      *zap.Logger
	registry *prometheus.Registry

	system    *supervise.System
	members   *consul.Node // nil with the static provider
	claim     *consul.Claim
	placement *coordinator.Coordinator // nil unless this is one collector of several
	remoting  *remoting.Remoting       // nil where there are no others
	created   time.Time
	node      string // its name
	broker    *broker.Handle
	events    *outbox.Outbox
	letters   *deadletters.Box // this and those below: nil where the broker's service does not run
	desk      *messages.Desk
	tasks     atomic.Pointer[tasks.Queues]
	opener    *recorder.Opener // of the journal, with the recorders' rights
	reading   *recorder.Opener // the same, with those of storage
	recorders *recorder.Handle
	hot       router.Hot     // nil when another process has the store
	engine    *router.Engine // hot and cold as one
	store     *storage.Handle
	far       *remote.Reader // the store of another process; nil when this one has it
	collector *collector.Collector
	scheduler *scheduler.Handle
	gateway   *gateway.Handle
	audit     *audit.Log
	trust     *trust.Trust
	certs     *certs.Pair  // nil without TLS
	access    *access.Desk // nil where the gateway's service does not run
	auth      *entrance.Auth
	resigned  resignation // it is being emptied
	fitness   fitness

	monitoring *monitoring.Handle // nil where its service does not run
	prometheus *monitoring.Prometheus
	notify     *notify.Handle
	told       bucket.Store // of notifications; nil as monitoring
	lines      *logs.Ring   // of the log
	process    string       // one run of this process, among others
	settings   atomic.Pointer[func() watch.InForce]
	traces     *traces.Recorder

	servers   map[string]*chassis.Server
	listening chan struct{}  // closed once all do
	closers   []func() error // in order of making
	failed    chan error

	stopping sync.Once
	stopped  error         // what Stop has returned
	ending   chan struct{} // closed by Stop
	watchers sync.WaitGroup
}

// New checks the options; nothing runs yet.
func New(o Options) (*App, error) {
	services, err := cluster.Named(o.Services)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	a := &App{
		options: o, cfg: o.Config, created: time.Now(), node: nodeName(o.Config.Node.ID), services: services, log: o.Log, registry: prometheus.NewRegistry(),
		servers: map[string]*chassis.Server{}, failed: make(chan error, 1), ending: make(chan struct{}), listening: make(chan struct{}),
	}
	a.lines, a.process = logs.NewRing(o.Config.Monitoring.Monitoring.Logs), chassis.NewRequestID()
	a.log = a.kept(a.log)
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := a.registry.Register(c); err != nil {
			return nil, fmt.Errorf("registering the process's metrics: %w", err)
		}
	}
	return a, nil
}

// runs reports whether this process runs a service.
func (a *App) runs(service string) bool { return slices.Contains(a.services, service) }

// Start starts everything and returns when every service is ready. After an error
// nothing runs any more.
func (a *App) Start(ctx context.Context) error {
	begin := time.Now()
	if err := a.start(ctx); err != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		return errors.Join(err, a.Stop(stop))
	}
	a.log.Info("started", zap.Strings("services", a.services), zap.Float64("dur_ms", float64(time.Since(begin))/1e6))
	return nil
}

func (a *App) start(ctx context.Context) error {
	if err := os.MkdirAll(a.cfg.Node.DataDir, 0o755); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	if err := free(a.cfg.Node.DataDir, a.services); err != nil {
		return err
	}
	release, err := claim(a.cfg.Node.DataDir, a.services)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, release)
	a.system, err = supervise.NewSystem(ctx, supervise.Options{Logger: a.log, Registerer: a.registry, Config: supervise.DefaultConfig()})
	if err != nil {
		return fmt.Errorf("making the actor system: %w", err)
	}
	if err := a.openCertificates(); err != nil {
		return err
	}
	if err := a.openTraces(ctx); err != nil {
		return err
	}
	if err := a.startTree(ctx); err != nil {
		return err
	}
	if err := a.startServers(ctx); err != nil {
		return err
	}
	close(a.listening)
	urls := map[string]string{}
	for name := range a.servers {
		urls[name] = a.ownURL(name)
	}
	remove, err := writePIDs(a.cfg.Node.DataDir, urls)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, remove)
	for _, name := range a.services {
		a.servers[name].Ready()
	}
	if err := a.announce(ctx); err != nil {
		return err
	}
	a.settleGateway(ctx)
	a.watch()
	a.tell(event.ServiceStarted)
	return a.watchLife(ctx)
}

// watch passes on the first thing that ends the program, until Stop.
func (a *App) watch() {
	for _, s := range a.servers {
		a.watchers.Go(func() {
			select {
			case err := <-s.Failed():
				a.fail(err)
			case <-a.ending:
			}
		})
	}
	a.watchers.Go(func() {
		select {
		case <-a.system.Fatal():
			a.fail(a.system.Err())
		case <-a.ending:
		}
	})
}

func (a *App) fail(err error) {
	if err == nil {
		return
	}
	select {
	case a.failed <- err:
	default: // one is enough
	}
}

// Failed delivers what the program cannot go on with; at most one error.
func (a *App) Failed() <-chan error { return a.failed }

// URL is where a service of this process answers; "" for others.
func (a *App) URL(service string) string {
	if a.servers[service] != nil {
		return a.ownURL(service)
	}
	return ""
}

// Collector is the collector's handle; nil when this process runs none.
func (a *App) Collector() *collector.Collector { return a.collector }

// Drain stops the collector, and waits until queries see everything that it
// collected. The services go on.
func (a *App) Drain(ctx context.Context) error {
	if err := a.stopCollector(ctx); err != nil {
		return err
	}
	if a.store == nil {
		return nil
	}
	for k := range a.recorders.Shards() {
		if err := a.store.CaughtUp(ctx, k); err != nil {
			return fmt.Errorf("waiting for the store: %w", err)
		}
	}
	return nil
}

// Stored counts what the store holds; it has no tables when this process runs
// none.
func (a *App) Stored(ctx context.Context) (persistence.Stats, error) {
	if a.store == nil {
		return persistence.Stats{}, nil
	}
	return a.store.Stats(ctx)
}

func (a *App) stopCollector(ctx context.Context) error {
	if a.collector == nil {
		return nil
	}
	if err := errors.Join(a.stopPlacement(ctx), ignoreGone(a.system.StopChild(ctx, rootID, collector.Name))); err != nil {
		return fmt.Errorf("stopping the collector: %w", err)
	}
	return nil
}

// ignoreGone takes a child that is there no more for one that has stopped.
func ignoreGone(err error) error {
	if errors.Is(err, supervise.ErrNoChild) || errors.Is(err, supervise.ErrStopped) {
		return nil
	}
	return err
}

// Stop stops everything in order, within ctx. Further calls wait for the first, whose
// ctx counts, and return what it returned.
func (a *App) Stop(ctx context.Context) error {
	a.stopping.Do(func() { a.stopped = a.stop(ctx) })
	return a.stopped
}

func (a *App) stop(ctx context.Context) error {
	begin := time.Now()
	close(a.ending)
	a.watchers.Wait()
	if a.events != nil {
		a.tell(event.ServiceStopping)
	}
	a.withdraw(ctx, a.services...)
	a.leave(ctx)
	var errs []error
	for _, name := range slices.Backward(a.services) {
		if s := a.servers[name]; s != nil {
			if err := s.Stop(ctx); err != nil {
				errs = append(errs, fmt.Errorf("stopping %s: %w", name, err))
			}
		}
	}
	if a.system != nil {
		errs = append(errs, a.stopCollector(ctx))
		if err := a.system.Stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stopping the actors: %w", err))
		}
		a.withdraw(ctx, nodeService, brokerService) // last: leases hang on it
		a.disclaim(ctx)
	}
	for _, c := range slices.Backward(a.closers) {
		errs = append(errs, c())
	}
	err := errors.Join(errs...)
	a.log.Info("stopped", zap.Float64("dur_ms", float64(time.Since(begin))/1e6), zap.Error(err))
	return err
}

// rootID is the root of the tree.
const rootID = "root"

// listen is where a service listens.
func (a *App) listen(service string) string {
	return net.JoinHostPort(a.cfg.Node.Listen, strconv.Itoa(ports(a.cfg)[service]))
}

func (a *App) path(parts ...string) string {
	return filepath.Join(append([]string{a.cfg.Node.DataDir}, parts...)...)
}
