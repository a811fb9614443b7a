package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/monitoring"
	"github.com/marketprism/marketprism/actors/monitoring/host"
	"github.com/marketprism/marketprism/actors/monitoring/relay"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/http/chassis"
	facade "github.com/marketprism/marketprism/http/monitoring"
	"github.com/marketprism/marketprism/http/ui"
)

// kept keeps the lines of a log too.
func (a *App) kept(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
		return zapcore.NewTee(c, a.lines.Core(c, a.node, a.serviceOf))
	}))
}

// startMonitoring starts the branch that watches, behind the broker and before what it
// watches; where its service does not run, what sends the log there.
func (a *App) startMonitoring(ctx context.Context) error {
	link := relay.Link{Stream: "SERVICE_LOGS", Node: a.node, Process: a.process}
	if !a.runs(cluster.Monitoring) {
		return a.startRelay(ctx, link)
	}
	link.Connect = func(ctx context.Context) (*nats.Conn, error) {
		return a.broker.ConnectClientsAs(ctx, broker.Monitoring)
	}
	var err error
	a.monitoring, err = monitoring.New(monitoring.Options{
		Config: a.cfg.Monitoring.Monitoring, Self: cluster.Monitoring, Services: cluster.Services(), Instances: a.resolve,
		Do:    a.asMonitoring(), //nolint:bodyclose // whoever asks closes
		Begin: a.listening, DataDir: a.cfg.Node.DataDir, Clocks: a.exchangeClocks, Registerer: a.registry,
	})
	if err != nil {
		return err
	}
	a.closers = append(a.closers, func() error { a.monitoring.Close(); return nil })
	store := bucket.New(
		func(ctx context.Context) (*nats.Conn, error) { return a.broker.ConnectAs(ctx, broker.Monitoring) },
		bucket.Options{Name: monitoringBucket, Description: "state of alerts, silences"},
	)
	a.closers = append(a.closers, func() error { store.Close(); return nil })
	a.told = store
	if err := a.makeNotify(store); err != nil {
		return err
	}
	if err := a.makePrometheus(store); err != nil {
		return err
	}
	further := append([]supervise.Spec{a.lines.Follower(link), a.traces.Follower(link), a.notify.Spec()}, a.prometheus.Specs()...)
	if _, err := a.system.StartChild(ctx, rootID, a.monitoring.Spec(further...)); err != nil {
		return fmt.Errorf("starting monitoring: %w", err)
	}
	return nil
}

// startRelay starts what brings the log and the traces to the monitoring-service of another
// process.
func (a *App) startRelay(ctx context.Context, link relay.Link) error {
	link.Connect = func(ctx context.Context) (*nats.Conn, error) { return a.broker.ConnectClientsAs(ctx, broker.Events) }
	cfg := a.cfg.Monitoring.Monitoring
	if cfg.Logs.Forward {
		if _, err := a.system.StartChild(ctx, rootID, a.lines.Forwarder(link)); err != nil {
			return fmt.Errorf("starting to forward the log: %w", err)
		}
	}
	if cfg.Traces.Forward {
		if _, err := a.system.StartChild(ctx, rootID, a.traces.Forwarder(link)); err != nil {
			return fmt.Errorf("starting to forward traces: %w", err)
		}
	}
	return nil
}

func (a *App) registerMonitoring(s *chassis.Server) error {
	o := facade.Options{
		AuditLog: a.audit,
		Tree:     a.system.Tree(), Branch: a.monitoring, Logs: a.lines, Notify: a.notify, Prometheus: a.prometheusFacade(),
		Operations: a.operations(), Nodes: a.clusterNodes(), Owners: a.clusterOwners(),
	}
	o.Settings, o.Fetch, o.Traces = a.settingsInForce, a.fetch, a.traces
	if !a.guarded() && !a.asked() {
		o.Mount, o.Carry = a.resolve, func(t *http.Transport) http.RoundTripper { return a.secure(t, nil) }
	}
	if err := errors.Join(facade.Register(s, o), a.registerCluster(s)); err != nil {
		return err
	}
	if o.Mount == nil {
		return ui.RegisterRedirect(s, a.entrance)
	}
	return ui.Register(s) // o.Mount has the services
}

// entrance is where a browser finds the gateway. An address of this machine alone is no use
// to one that called it by another name.
func (a *App) entrance(ctx context.Context, host string) (string, error) {
	found, err := a.resolve(ctx, cluster.Gateway)
	if err != nil || len(found) == 0 {
		return "", errors.Join(err, errors.New("no gateway is known"))
	}
	at, err := url.Parse(found[0])
	if err != nil {
		return "", fmt.Errorf("where the gateway is: %w", err)
	}
	if ip := net.ParseIP(at.Hostname()); host != "" && ip != nil && ip.IsLoopback() {
		at.Host = net.JoinHostPort(host, at.Port())
	}
	return at.Scheme + "://" + at.Host, nil
}

// exchangeClocks are those that the collector of this process measures.
func (a *App) exchangeClocks() []host.ExchangeClock {
	select {
	case <-a.listening: // from then on the collector is there, if it runs here
	default:
		return nil
	}
	if a.collector == nil {
		return nil
	}
	var clocks []host.ExchangeClock
	for _, c := range a.collector.Clocks() {
		clocks = append(clocks, host.ExchangeClock{Exchange: c.Exchange, Market: c.Market, OffsetSeconds: c.Offset.Seconds()})
	}
	return clocks
}
