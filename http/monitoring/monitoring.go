package monitoring

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
)

// Tree is the registry of all actors; *supervise.Tree is one.
type Tree interface {
	Snapshot() supervise.Snapshot
	Node(id string) (supervise.Node, bool)
	// Events returns the history after a sequence number, oldest first.
	Events(after uint64, limit int) []supervise.Event
	// Subscribe delivers events from now on; one that is too slow loses some.
	Subscribe(buffer int) (events <-chan supervise.Event, cancel func())
}

// Options are what the façade stands on.
type Options struct {
	Tree Tree
	// Beat is the time between two signs of life on a stream of events; 0 is 15 s.
	Beat time.Duration
}

// Service is the service's name in every answer.
const Service = "monitoring-service"

const (
	tagActors  = "actors"
	tagHealth  = "health of all services"
	tagMetrics = "metrics and alerts"
)

// base is the path that all routes of the service begin with.
const base = "/api/v1/"

type service struct{ Options }

// Register adds the routes and the health check of the façade to a server.
func Register(s *chassis.Server, o Options) error {
	if o.Tree == nil {
		return errors.New("monitoring façade: Tree is needed")
	}
	if o.Beat == 0 {
		o.Beat = 15 * time.Second
	}
	f := &service{o}
	s.Health().Add("actors", f.check)
	return s.Handle(facade.Answered(append(f.actorRoutes(), laterRoutes()...))...)
}

// check warns while something of the tree is failing or waiting to restart.
func (f *service) check(context.Context) chassis.CheckResult {
	tree := f.Tree.Snapshot()
	troubled := 0
	for i := range tree.Actors {
		if tree.Actors[i].BackoffUntil != nil {
			troubled++
		}
	}
	fields := map[string]any{"actors": len(tree.Actors), "waiting_to_restart": troubled}
	switch {
	case !tree.Ready:
		return chassis.CheckResult{Status: chassis.Fail, Err: errors.New("the tree is not complete"), Fields: fields}
	case troubled > 0:
		return chassis.CheckResult{Status: chassis.Warn, Err: fmt.Errorf("%d actors failed and wait to be restarted", troubled), Fields: fields}
	}
	return chassis.CheckResult{Status: chassis.Pass, Fields: fields}
}

// laterRoutes come with the monitoring branch.
func laterRoutes() []chassis.Route {
	var routes []chassis.Route
	for _, l := range []struct{ method, path, tag, summary string }{
		{http.MethodGet, base + "overview", tagHealth, "Everything at a glance"},
		{http.MethodGet, base + "services", tagHealth, "Health of every service"},
		{http.MethodGet, base + "services/{name}", tagHealth, "Health of one service"},
		{http.MethodPost, "/health-check-all", tagHealth, "Checking every service now"},
		{http.MethodPost, base + "health-check-all", tagHealth, "Checking every service now"},
		{http.MethodPost, "/generate-report", tagHealth, "Making a report"},
		{http.MethodPost, base + "generate-report", tagHealth, "Making a report"},
		{http.MethodGet, base + "alerts", tagMetrics, "Active alerts and their history"},
		{http.MethodGet, base + "query", tagMetrics, "An instant PromQL query"},
		{http.MethodGet, base + "query_range", tagMetrics, "A PromQL query over a range"},
		{http.MethodPost, base + "actors/{id}/restart", tagActors, "Restarting an actor"},
		{http.MethodPost, base + "actors/{id}/stop", tagActors, "Stopping an actor"},
	} {
		routes = append(routes, facade.Later(l.method, l.path, l.tag, l.summary))
	}
	return routes
}
