package app

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/marketprism/marketprism/actors/gateway"
	"github.com/marketprism/marketprism/actors/gateway/upstream"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/http/chassis"
	facade "github.com/marketprism/marketprism/http/gateway"
	"github.com/marketprism/marketprism/http/ui"
)

// gatewayServices are the services as the gateway's paths name them.
func gatewayServices() []gateway.Service {
	alias := map[string]gateway.Service{
		cluster.Storage: {Alias: "storage", Prefixed: true}, cluster.Scheduler: {Alias: "scheduler", Prefixed: true},
		cluster.Broker: {Alias: "broker", Prefixed: true}, cluster.Collector: {Alias: "collector"}, cluster.Monitoring: {Alias: "monitoring"},
	}
	var all []gateway.Service
	for _, name := range cluster.Services() {
		s := alias[name]
		s.Name = name
		all = append(all, s)
	}
	return all
}

// startGateway starts the branch behind the gateway.
func (a *App) startGateway(ctx context.Context) error {
	err := a.startAccess(ctx)
	if err != nil {
		return err
	}
	a.gateway, err = gateway.New(gateway.Options{
		Config: a.cfg.Gateway.Gateway, Registry: whereabouts{a}, Services: gatewayServices(), Self: cluster.Gateway, Prepare: a.prove, Certificates: a.certs, Registerer: a.registry,
	})
	if err != nil {
		return err
	}
	a.closers = append(a.closers, func() error { a.gateway.Close(); return nil })
	if _, err := a.system.StartChild(ctx, rootID, a.gateway.Spec()); err != nil {
		return fmt.Errorf("starting the gateway: %w", err)
	}
	return nil
}

func (a *App) registerGateway(s *chassis.Server) error {
	err := facade.Register(s, facade.Options{
		Branch: a.gateway, Config: a.cfg.Gateway.Entrance, Auth: a.auth, Logins: a.access, Audit: a.audit, Node: a.node, Version: a.options.Version,
	})
	if err != nil {
		return err
	}
	return ui.Register(s) // the gateway has the prefixes of all services itself
}

// gatewayHTTP are the limits of the gateway's server: pages of other origins that may
// ask may change things too.
func gatewayHTTP(c *config.Config) chassis.Config {
	limits := c.HTTP
	limits.TrustedOrigins = append(slices.Clone(limits.TrustedOrigins), c.Gateway.Entrance.CORS.Trusted()...)
	return limits
}

// settleWithin bounds the wait for the gateway to know how the services are.
const settleWithin = 3 * time.Second

// settleGateway waits until the gateway knows where the services are and how. One that
// does not answer is no reason not to start.
func (a *App) settleGateway(ctx context.Context) {
	if a.gateway == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	a.gateway.Settled(ctx)
}

// whereabouts is the registry of the gateway. What the configuration says does not
// change while the program runs; what Consul says does.
type whereabouts struct{ a *App }

// Watch implements gateway.Registry.
func (w whereabouts) Watch(ctx context.Context, service string, version uint64) ([]upstream.Address, uint64, error) {
	generation, err := w.next(ctx, service, version)
	if err != nil {
		return nil, version, err
	}
	urls, err := w.a.resolve(ctx, service)
	if err != nil {
		return nil, 0, err
	}
	var list []upstream.Address
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			return nil, 0, fmt.Errorf("where %s answers: %w", service, err)
		}
		port, err := strconv.Atoi(u.Port())
		if err != nil {
			return nil, 0, fmt.Errorf("where %s answers: %w", service, err)
		}
		list = append(list, upstream.Address{Host: u.Hostname(), Port: port, TLS: u.Scheme == "https"})
	}
	return list, generation, nil
}

// next waits for a version after the one that is known.
func (w whereabouts) next(ctx context.Context, service string, known uint64) (uint64, error) {
	for {
		version, changed := uint64(1), (<-chan struct{})(nil)
		if w.a.members != nil {
			view := w.a.members.View(service)
			version, changed = view.Generation+1, view.Changed
		}
		if version != known {
			return version, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
