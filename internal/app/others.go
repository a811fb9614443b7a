package app

import (
	"net/http"
	"strings"
	"time"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/coordinator"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/http/collector"
	"github.com/marketprism/marketprism/internal/identity"
)

// neighbours are a service on the other nodes, as this node's façade of it knows them.
type neighbours struct {
	a              *App
	service        string
	plain, carried http.RoundTripper
}

// neighboursOf is nil where Consul tells of no others.
func (a *App) neighboursOf(service string) facade.Others {
	if a.members == nil {
		return nil
	}
	base := func() *http.Transport { return &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute} }
	n := &neighbours{a: a, service: service, plain: a.secure(base(), nil), carried: a.carry(service)(base())}
	a.closers = append(a.closers, func() error {
		for _, t := range []http.RoundTripper{n.plain, n.carried} {
			(&http.Client{Transport: t}).CloseIdleConnections()
		}
		return nil
	})
	return n
}

// Name implements [facade.Others].
func (n *neighbours) Name() string { return n.a.node }

// Nodes implements [facade.Others].
func (n *neighbours) Nodes() (urls map[string]string, changed <-chan struct{}) {
	v := n.a.members.View(n.service)
	urls = map[string]string{}
	for _, m := range v.Members {
		if m.Node != n.a.node {
			urls[m.Node] = cluster.Instance{Service: n.service, Host: m.Host, Port: m.Port, TLS: n.a.certs != nil}.URL()
		}
	}
	return urls, v.Changed
}

// RoundTrip implements [http.RoundTripper]: whoever has asked this node asks the other.
func (n *neighbours) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get(identity.Header) != "" {
		return n.plain.RoundTrip(r)
	}
	return n.carried.RoundTrip(r)
}

// owners are the collectors of the other nodes, and who has which stream.
type owners struct {
	facade.Others
	a *App
}

// makeOthers is nil where this is the only collector.
func (a *App) makeOthers() collector.Others {
	if a.placement == nil {
		return nil
	}
	return &owners{a.neighboursOf(cluster.Collector), a}
}

// Whose implements [collector.Others]. What this node records it answers itself, also
// while the plan gives it to another already.
func (o *owners) Whose(exchange, marketWord, symbol string) string {
	plan, _ := o.a.placement.Plan()
	id, here, err := o.a.collector.Locate(exchange, marketWord, symbol)
	if err != nil {
		return o.knows(plan, exchange)
	}
	if owner := plan.Owners[id.String()]; !here && owner != o.a.node {
		return owner
	}
	return ""
}

// knows is a node that has streams of an exchange that this one does not know the
// symbols of; "" when it does, or nobody has any.
func (o *owners) knows(plan coordinator.Plan, exchange string) (node string) {
	if o.a.collector.Knows(exchange) {
		return ""
	}
	for id, owner := range plan.Owners {
		if strings.HasPrefix(id, exchange+"/") && owner != o.a.node && (node == "" || owner < node) {
			node = owner
		}
	}
	return node
}
