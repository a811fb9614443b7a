package app

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/consul"
)

// brokerService is what a node with a NATS server announces: where clients and other
// servers reach it.
const (
	brokerService = "marketprism-nats"
	routeMeta     = "route" // host:port for other servers
)

// hasServer reports whether this process runs a NATS server that others reach.
func (a *App) hasServer() bool {
	nats := a.cfg.Broker.NATS
	return a.runs(cluster.Broker) && nats.Mode == broker.Embedded && nats.Port > 0
}

// announceServer tells Consul where the NATS server is, before it starts: the servers
// of a cluster start together.
func (a *App) announceServer(ctx context.Context) error {
	nats := a.cfg.Broker.NATS
	if !a.hasServer() {
		return nil
	}
	meta := map[string]string{"version": a.options.Version}
	if nats.Clustered() {
		meta[routeMeta] = a.ownRoute()
	}
	return a.members.Announce(ctx, a.system, consul.Announcement{Service: brokerService, Host: a.seenAt(nats.Host), Port: nats.Port, Meta: meta})
}

// ownRoute is where other servers reach the one of this node.
func (a *App) ownRoute() string {
	c := a.cfg.Broker.NATS.Cluster
	return net.JoinHostPort(a.seenAt(c.Host), strconv.Itoa(c.Port))
}

// seenAt is how others reach what listens on host.
func (a *App) seenAt(host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return a.advertised()
	}
	return host
}

// brokerRoutes waits until Consul knows the routes of all servers; where they have met
// before, until it says anything, for a while.
func (a *App) brokerRoutes(ctx context.Context, all int, met bool) ([]string, error) {
	if a.members == nil {
		return nil, fmt.Errorf("nobody says where they are: set nats.cluster.routes, or cluster.provider: consul")
	}
	patience := make(<-chan time.Time)
	if met {
		patience = time.After(routePatience)
	}
	say := time.NewTicker(10 * time.Second)
	defer say.Stop()
	for {
		view := a.members.View(brokerService)
		routes := []string{a.ownRoute()}
		for _, m := range view.Members {
			if r := m.Meta[routeMeta]; r != "" && m.Node != a.node {
				routes = append(routes, r)
			}
		}
		slices.Sort(routes)
		if len(routes) >= all {
			return routes, nil
		}
		select {
		case <-view.Changed:
		case <-patience:
			return routes, nil
		case <-say.C:
			a.log.Warn("Consul does not know all nodes with the broker yet", zap.Int("expected", all), zap.Strings("known", routes))
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// routePatience is how long a start waits for Consul where it can do without.
const routePatience = 5 * time.Second

// findServers asks Consul where NATS servers are, for a process that has none, until it
// knows one.
func (a *App) findServers(ctx context.Context) (string, error) {
	for {
		var urls []string
		found, err := consul.Find(ctx, a.cfg.Cluster.Consul, brokerService)
		for _, f := range found {
			urls = append(urls, "nats://"+net.JoinHostPort(f.Host, strconv.Itoa(f.Port)))
		}
		if len(urls) > 0 {
			return strings.Join(urls, ","), nil
		}
		a.log.Warn("Consul knows no node with the broker yet; it is asked again", zap.Error(err))
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("looking for a node with the broker: %w", ctx.Err())
		case <-time.After(time.Second):
		}
	}
}
