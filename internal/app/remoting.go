package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/provider"
	"github.com/marketprism/marketprism/cluster/remoting"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/certs"
)

// remotingMeta is where the announcement of a node says which port it is asked at.
const remotingMeta = "remoting"

// makeRemoting makes this node's part, where there are others; it takes the port, which
// is announced.
func (a *App) makeRemoting() error {
	c := a.cfg.Cluster.Remoting
	byConsul := a.cfg.Cluster.ByConsul()
	if !c.Enabled || !byConsul && len(c.Peers) == 0 {
		return nil
	}
	pair, err := a.remotingCertificates()
	if err != nil {
		return err
	}
	o := remoting.Options{
		Config: c, Node: a.node, Cluster: a.cfg.Cluster.Consul.Name, Listen: a.cfg.Node.Listen, Advertise: a.advertised(),
		Certificates: pair, Members: a.remotingMembers, Local: asked{a}, Log: a.log, Registerer: a.registry,
	}
	if !byConsul {
		var others []provider.Member
		for _, p := range c.Others() {
			others = append(others, provider.Member{Node: p.Node, Host: p.Host, Port: p.Port})
		}
		o.Members = provider.Static(others...)
	}
	if byConsul && a.runs(cluster.Collector) {
		o.Streams = owned{a}
	}
	a.remoting, err = remoting.New(o)
	return err
}

// remotingCertificates are those of the port: its own, or the node's; nil without any.
func (a *App) remotingCertificates() (*certs.Pair, error) {
	c := a.cfg.Cluster.Remoting.TLS
	if !c.Enabled() {
		return a.certs, nil
	}
	pair, err := certs.Open(certs.Options{Config: c, Name: "remoting", Log: a.log, Registerer: a.registry})
	if err != nil {
		return nil, fmt.Errorf("cluster.remoting.tls: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background()) // until Stop
	a.watchers.Go(func() { pair.Watch(ctx) })
	a.watchers.Go(func() { <-a.ending; cancel() })
	return pair, nil
}

// startRemoting has this node be asked.
func (a *App) startRemoting(ctx context.Context) error {
	if a.remoting == nil {
		return nil
	}
	if _, err := a.system.StartChild(ctx, rootID, a.remoting.Spec()); err != nil {
		return errors.Join(fmt.Errorf("starting remoting: %w", err), a.remoting.Err())
	}
	return nil
}

// announced is what a node's announcement says, with the port of remoting.
func (a *App) announced(meta map[string]string) map[string]string {
	if a.remoting != nil {
		meta[remotingMeta] = strconv.Itoa(a.remoting.Port())
	}
	return meta
}

// remotingMembers are the nodes that Consul knows, as far as they can be asked.
func (a *App) remotingMembers() provider.View {
	v := a.members.View(nodeService)
	r := provider.View{Changed: v.Changed}
	for _, m := range v.Members {
		port, err := strconv.Atoi(m.Meta[remotingMeta])
		if err != nil || port < 1 || port > 65535 {
			continue // one that cannot be asked, or of a version before
		}
		one := provider.Member{Node: m.Node, Host: m.Host, Port: port}
		if slices.Contains(strings.Fields(m.Meta[servicesMeta]), cluster.Collector) {
			one.Kinds = []string{remoting.StreamKind}
		}
		r.Members = append(r.Members, one)
	}
	return r
}

// remotingCheck warns while nobody can ask this node.
func (a *App) remotingCheck(context.Context) chassis.CheckResult {
	up := 0
	peers := a.remoting.Peers()
	for _, p := range peers {
		if p.Up && !p.Self {
			up++
		}
	}
	fields := map[string]any{"nodes": len(peers), "connected": up, "port": a.remoting.Port()}
	if err := a.remoting.Err(); err != nil {
		return chassis.CheckResult{Status: chassis.Warn, Err: err, Fields: fields}
	}
	return chassis.CheckResult{Status: chassis.Pass, Fields: fields}
}

// logged says in the log what another node had done here.
func (a *App) logged(what, from, by, target string, err error) {
	fields := []zap.Field{zap.String("from", from), zap.String("by", by), zap.String("target", target), zap.Error(err)}
	if err != nil {
		a.log.Warn(what+" was asked for by another node, and refused", fields...)
		return
	}
	a.log.Info(what+" was asked for by another node, and done", fields...)
}

// problem is the answer of an HTTP request for a question to another node that failed.
func problem(err error) error {
	var no *remoting.Refused
	switch {
	case err == nil:
		return nil
	case errors.As(err, &no):
		return refusalProblem(no)
	case errors.Is(err, remoting.ErrNoOwner):
		return chassis.NotFound("%v", err).WithCode("no_owner")
	case errors.Is(err, remoting.ErrUnknownNode):
		return chassis.NotFound("%v", err).WithCode("no_such_node")
	case errors.Is(err, remoting.ErrTimeout):
		return chassis.NewError(http.StatusGatewayTimeout, "node_timeout", "%v", err)
	case errors.Is(err, context.Canceled):
		return err
	}
	return chassis.NewError(http.StatusBadGateway, "node_unreachable", "%v", err)
}
