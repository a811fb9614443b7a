package app

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/scheduler"
	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/consul"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/http/chassis"
)

// nodeService is what every node announces beside its services: that it lives. Leases
// hang on it.
const nodeService = "marketprism-node"

// joinCluster makes this node a member, where Consul knows who is one.
func (a *App) joinCluster(ctx context.Context) error {
	if err := a.makeRemoting(); err != nil {
		return err
	}
	if !a.cfg.Cluster.ByConsul() {
		return a.startRemoting(ctx)
	}
	var err error
	a.members, err = consul.New(consul.Options{
		Config: a.cfg.Cluster.Consul, Name: a.node, Services: append(cluster.Services(), nodeService, brokerService), Vital: nodeService,
		Registerer: a.registry, Log: a.log,
	})
	if err != nil {
		return err
	}
	if _, err := a.system.StartChild(ctx, rootID, a.members.Spec()); err != nil {
		return fmt.Errorf("starting the part in Consul: %w", err)
	}
	// It is probed at a port that is open as long as the process lives; the services
	// listen later.
	port, lasting := ports(a.cfg)[a.services[0]], 0
	if a.remoting != nil {
		port = a.remoting.Port()
		lasting = port
	}
	a.claim = a.members.NewClaim(nodeService, a.advertised(), lasting, a.created, a.log)
	if err := a.claim.Take(ctx); err != nil {
		return err
	}
	if err := a.claim.Keep(ctx, a.system, a.fail); err != nil {
		return err
	}
	if err := a.announceServer(ctx); err != nil {
		return err
	}
	err = a.members.Announce(ctx, a.system, consul.Announcement{
		Service: nodeService, Host: a.advertised(), Port: port, Lasting: lasting > 0,
		Meta:   a.announced(map[string]string{"version": a.options.Version, servicesMeta: strings.Join(a.services, " "), sinceMeta: a.created.UTC().Format(time.RFC3339)}),
		Health: a.fitness.status,
	})
	if err != nil {
		return err
	}
	return a.startRemoting(ctx)
}

// advertised is the address at which others reach this node.
func (a *App) advertised() string {
	if a.cfg.Node.Advertise != "" {
		return a.cfg.Node.Advertise
	}
	return reachable(a.cfg.Node.Listen)
}

// announce tells Consul where the services of this process listen.
func (a *App) announce(ctx context.Context) error {
	if a.members == nil {
		return nil
	}
	var all []consul.Announcement
	for _, name := range a.services {
		s := a.servers[name]
		port, err := portOf(s.Addr())
		if err != nil {
			return fmt.Errorf("the address of %s: %w", name, err)
		}
		meta := map[string]string{"version": a.options.Version}
		if name == cluster.Collector {
			meta[saysMeta] = "markets"
			meta[weightMeta] = strconv.FormatFloat(a.cfg.Cluster.Placement.Weight, 'g', -1, 64)
		}
		all = append(all, consul.Announcement{
			Service: name, Host: a.advertised(), Port: port, Meta: meta,
			Health: func() (consul.Status, string) {
				if state := s.State(); state != chassis.Ready {
					return consul.Critical, state.String()
				}
				if name == cluster.Storage {
					if err := a.incomplete(); err != nil {
						return consul.Critical, err.Error()
					}
				}
				if name == cluster.Collector {
					return a.fitness.status()
				}
				return consul.Passing, "ready"
			},
		})
	}
	return a.members.Announce(ctx, a.system, all...)
}

// withdrawWithin bounds how long a stop waits for Consul.
const withdrawWithin = 5 * time.Second

// withdraw takes announcements back; a Consul that does not listen finds out by itself.
func (a *App) withdraw(ctx context.Context, services ...string) {
	if a.members == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, withdrawWithin)
	defer cancel()
	if err := a.members.Withdraw(ctx, a.system, services...); err != nil {
		a.log.Warn("Consul was not told that this node leaves", zap.Error(err))
	}
}

// disclaim gives the name of the node back.
func (a *App) disclaim(ctx context.Context) {
	if a.claim == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, withdrawWithin)
	defer cancel()
	if err := a.claim.Release(ctx); err != nil {
		a.log.Warn("Consul was not told that the name of this node is free", zap.Error(err))
	}
}

// unlisted says that Consul has listed others, and not this node, for so long that they
// take it for gone.
func (a *App) unlisted(now time.Time) (lasts time.Duration, err error) {
	since := a.members.Missing(nodeService)
	if since.IsZero() {
		return 0, nil
	}
	if lasts = now.Sub(since); lasts <= 2*a.cfg.Cluster.Consul.TTL {
		return lasts, nil
	}
	return lasts, fmt.Errorf("the list of Consul has had other nodes, and not this one, for %v", lasts.Round(time.Second))
}

// clusterCheck warns while Consul does not take the heartbeats, or a new token or
// certificate for it cannot be used.
func (a *App) clusterCheck(context.Context) chassis.CheckResult {
	fields := map[string]any{"nodes": len(a.members.View(nodeService).Members)}
	if err := cmp.Or(a.members.Err(), a.members.Fault()); err != nil {
		return chassis.CheckResult{Status: chassis.Warn, Err: err, Fields: fields}
	}
	return chassis.CheckResult{Status: chassis.Pass, Fields: fields}
}

// instances are where a service answers: where the configuration says, else where
// Consul does, else on this node.
func (a *App) instances(ctx context.Context, service string) ([]cluster.Instance, error) {
	if a.members != nil && len(a.cfg.Cluster.Services.Instances()[service]) == 0 {
		found, err := a.members.Instances(ctx, service)
		return secured(a.cfg, found, err)
	}
	return StaticRegistry(a.cfg).Instances(ctx, service)
}

// schedulerLease is the job of the scheduler that leads.
const schedulerLease = "scheduler"

// leaseOfScheduler decides which scheduler of the cluster leads: Consul, or else the
// broker that they share.
func (a *App) leaseOfScheduler(documents ledger.Documents, term time.Duration) scheduler.Lease {
	if a.members != nil {
		others := func() bool { return a.spread(cluster.Scheduler) }
		return resigning{resigning{a.members.NewLease(schedulerLease, nodeService, a.log), &a.resigned, others}, &a.fitness.idle, others}
	}
	return scheduler.NewSharedLease(documents, a.node, term)
}

// spread reports whether Consul knows of a service on another node too, this one
// included.
func (a *App) spread(service string) bool {
	return a.members != nil && len(a.members.View(service).Members) > 1
}

// Registry finds services for a program that does not stay: where the configuration
// says, else it asks Consul.
func Registry(c *config.Config) cluster.Registry {
	if c.Cluster.ByConsul() {
		return asking{c}
	}
	return StaticRegistry(c)
}

// asking is a registry that asks Consul each time.
type asking struct{ c *config.Config }

// Instances implements [cluster.Registry].
func (r asking) Instances(ctx context.Context, service string) ([]cluster.Instance, error) {
	if len(r.c.Cluster.Services.Instances()[service]) > 0 {
		return StaticRegistry(r.c).Instances(ctx, service)
	}
	found, err := consul.Find(ctx, r.c.Cluster.Consul, service)
	return secured(r.c, found, err)
}
