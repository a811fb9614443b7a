package app

import (
	"net/http"
	"strings"
	"time"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/coordinator"
	"github.com/marketprism/marketprism/http/collector"
	"github.com/marketprism/marketprism/internal/identity"
)

// others are the collectors of the other nodes, as this node's façade knows them.
type others struct {
	a              *App
	plain, carried http.RoundTripper
}

// makeOthers is nil where this is the only collector.
func (a *App) makeOthers() collector.Others {
	if a.placement == nil {
		return nil
	}
	base := func() *http.Transport { return &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute} }
	o := &others{a: a, plain: a.secure(base(), nil), carried: a.carry(cluster.Collector)(base())}
	a.closers = append(a.closers, func() error {
		for _, t := range []http.RoundTripper{o.plain, o.carried} {
			(&http.Client{Transport: t}).CloseIdleConnections()
		}
		return nil
	})
	return o
}

// Name implements [collector.Others].
func (o *others) Name() string { return o.a.node }

// Whose implements [collector.Others]. What this node records it answers itself, also
// while the plan gives it to another already.
func (o *others) Whose(exchange, marketWord, symbol string) string {
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
func (o *others) knows(plan coordinator.Plan, exchange string) (node string) {
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

// Nodes implements [collector.Others].
func (o *others) Nodes() (urls map[string]string, changed <-chan struct{}) {
	v := o.a.members.View(cluster.Collector)
	urls = map[string]string{}
	for _, m := range v.Members {
		if m.Node != o.a.node {
			urls[m.Node] = cluster.Instance{Service: cluster.Collector, Host: m.Host, Port: m.Port, TLS: o.a.certs != nil}.URL()
		}
	}
	return urls, v.Changed
}

// RoundTrip implements [http.RoundTripper]: whoever has asked this node asks the other.
func (o *others) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get(identity.Header) != "" {
		return o.plain.RoundTrip(r)
	}
	return o.carried.RoundTrip(r)
}
