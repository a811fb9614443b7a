package monitoring

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	branch "github.com/marketprism/marketprism/actors/monitoring"
	"github.com/marketprism/marketprism/actors/monitoring/host"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
)

// The questions that the façade asks; *monitoring.Handle answers them all.
type (
	// Watcher says how the services are.
	Watcher interface {
		Standings() []branch.Standing
		Standing(service string) (branch.Standing, []branch.Point, error)
		Changes(service string, limit int) []branch.Change
		CheckAll(ctx context.Context) ([]branch.Standing, error)
		Rounds() uint64
		Started() time.Time
	}
	// Machine says how the machine is.
	Machine interface {
		Host() (host.Sample, bool)
	}
	// Reporter makes and keeps reports.
	Reporter interface {
		MakeReport(tree supervise.Snapshot, alerts []branch.Alert) *branch.Report
		Report(id string) (*branch.Report, error)
		Reports(limit int) []*branch.Report
	}
	// Branch is all of them.
	Branch interface {
		Watcher
		Machine
		Reporter
	}
)

// Tree is the registry of all actors; *supervise.Tree is one.
type Tree interface {
	Snapshot() supervise.Snapshot
	Node(id string) (supervise.Node, bool)
	// Find lists those that have every word in their id or kind.
	Find(words []string, limit int) (found []supervise.Found, of int)
	// Events returns the history after a sequence number, oldest first.
	Events(after uint64, limit int) []supervise.Event
	// Recent returns the last events, oldest first.
	Recent(limit int) []supervise.Event
	// Subscribe delivers events from now on; one that is too slow loses some.
	Subscribe(buffer int) (events <-chan supervise.Event, cancel func())
	// Trace delivers what one actor handles from now on.
	Trace(id string, buffer int) (messages <-chan supervise.Traced, dropped func() uint64, cancel func(), ok bool)
}

// Options are what the façade stands on.
type Options struct {
	Tree   Tree
	Branch Branch
	// Logs are the last log lines; nil for a façade without them.
	Logs Logs
	// Traces are those that were slow or failed; nil for a façade without them.
	Traces Traces
	// Settings are those in force; nil for a façade without them.
	Settings func() InForce
	// AuditLog says who did what; nil for a façade without it.
	AuditLog AuditReader
	// Fetch asks the other services, for live pages; nil asks none.
	Fetch Fetch
	// Mount finds the services whose paths are served here too, for the dashboard; nil
	// mounts none, which is a must where clients have identities.
	Mount Whereabouts
	// Carry wraps what carries those requests, for TLS; nil leaves it as it is.
	Carry func(*http.Transport) http.RoundTripper
	// Nodes are those of the cluster, and Owners ask those that have streams; nil where
	// there is this node alone.
	Nodes  Nodes
	Owners Owners
	// Operations are what may be done to actors; the zero value refuses all.
	Operations Operations
	// Notify knows what fires, and keeps silences; nil for a façade without alerts.
	Notify Notifier
	// Prometheus answers Prometheus' interface; nil leaves it out.
	Prometheus *Prometheus
	// Beat is the time between two signs of life on a stream of events; 0 is 15 s.
	Beat time.Duration
	// Now is the time of answers; nil is time.Now.
	Now func() time.Time
}

// Service is the service's name in every answer.
const Service = "monitoring-service"

const (
	tagActors = "actors"
	tagHealth = "health of all services"
	tagReport = "reports"
)

// base is the path that all routes of the service begin with.
const base = "/api/v1/"

type service struct {
	Options
	began time.Time
	pages pages
}

// Register adds the routes and the health checks of the façade to a server.
func Register(s *chassis.Server, o Options) error {
	if o.Tree == nil || o.Branch == nil {
		return errors.New("monitoring façade: Tree and Branch are needed")
	}
	if o.Beat == 0 {
		o.Beat = 15 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &service{Options: o, began: o.Now(), pages: newPages()}
	s.Health().Add("actor_tree", f.check)
	for _, standing := range o.Branch.Standings() {
		if standing.Service != Service {
			s.Health().Add(standing.Service, f.checkService(standing.Service))
		}
	}
	if o.Notify != nil {
		s.Health().Add("alerts", f.checkAlerts)
	}
	if o.Prometheus != nil {
		p := &prometheus{*o.Prometheus, o.Now}
		if err := s.Handle(p.routes()...); err != nil {
			return err
		}
	}
	if o.Mount != nil {
		if err := s.Handle(newMount(s, o.Mount, o.Carry).routes()...); err != nil {
			return err
		}
	}
	return s.Handle(facade.Answered(slices.Concat(f.actorRoutes(), f.ownerRoutes(), f.healthRoutes(), f.reportRoutes(), f.logRoutes(), f.operationRoutes(), f.traceRoutes(), f.programRoutes(), f.liveRoutes(), f.alertRoutes(), f.alertmanagerRoutes()))...)
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

// checkService says what the last check found of another service.
func (f *service) checkService(name string) chassis.Check {
	return func(context.Context) chassis.CheckResult {
		standing, _, err := f.Branch.Standing(name)
		if err != nil {
			return chassis.Failed(err)
		}
		result := chassis.CheckResult{Status: chassis.Pass, Result: standing.Status, Fields: map[string]any{
			"service_status": standing.Status, "since": standing.Since, "instances": len(standing.Instances),
		}}
		switch fault, warning := standing.Verdict(); {
		case fault != nil:
			result.Status, result.Err = chassis.Fail, fault
		case warning != nil:
			result.Status, result.Err = chassis.Warn, warning
		}
		return result
	}
}

// answered gives the branch's own errors their answers.
func answered(h chassis.Handler) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := h(w, r)
		switch {
		case errors.Is(err, branch.ErrNoService):
			return chassis.NotFound("no service of that name is watched; GET %sservices lists those there are", base).WithCode("unknown_service")
		case errors.Is(err, branch.ErrNoReport):
			return chassis.NotFound("no report of that id is kept; GET %sreports lists those there are", base).WithCode("unknown_report")
		}
		return err
	}
}

var _ Branch = (*branch.Handle)(nil)
