package app

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/cluster/remoting"
	"github.com/marketprism/marketprism/cluster/wire"
	"github.com/marketprism/marketprism/http/chassis"
	facade "github.com/marketprism/marketprism/http/monitoring"
)

// asked is what this node answers others.
type asked struct{ a *App }

// begun refuses while the node starts: what it would be asked of is not made yet.
func (n asked) begun() error {
	select {
	case <-n.a.listening:
		return nil
	default:
		return remoting.Refuse(wire.Reason_REASON_BUSY, "the node is starting")
	}
}

// Describe implements [remoting.Local].
func (n asked) Describe(context.Context) (*wire.NodeAnswer, error) {
	d := &wire.NodeAnswer{Node: n.a.node, Version: n.a.options.Version, Services: n.a.services, StartedUnixMs: n.a.created.UnixMilli()}
	if n.begun() == nil && n.a.collector != nil {
		recording, waiting := n.a.collector.Streams()
		d.StreamsRecording, d.StreamsWaiting = uint32(recording), uint32(waiting)
		if n.a.placement != nil {
			p, _ := n.a.placement.Plan()
			d.PlanRevision = p.Revision
		}
	}
	return d, nil
}

// Tree implements [remoting.Local].
func (n asked) Tree(context.Context) ([]byte, error) {
	return json.Marshal(n.a.system.Tree().Snapshot())
}

// Actor implements [remoting.Local].
func (n asked) Actor(_ context.Context, id string) ([]byte, error) {
	node, ok := n.a.system.Tree().Node(id)
	if !ok {
		return nil, remoting.Refuse(wire.Reason_REASON_NOT_FOUND, "no actor %q", id)
	}
	return json.Marshal(node)
}

// actions are the words of the HTTP interface for what can be done.
var actions = map[wire.Action]string{
	wire.Action_ACTION_RESTART: "restart", wire.Action_ACTION_STOP: "stop",
	wire.Action_ACTION_PAUSE: "pause", wire.Action_ACTION_RESUME: "resume",
	wire.Action_ACTION_KILL: "kill",
}

// Operate implements [remoting.Local]. This node's settings say whether it may be done.
func (n asked) Operate(ctx context.Context, from string, o *wire.Operation) error {
	if err := n.begun(); err != nil {
		return err
	}
	operations := n.a.operations()
	err := operations.Do(ctx, n.a.system.Tree(), actions[o.GetAction()], o.GetActor(), o.GetWhy())
	n.a.logged("an operation", from, o.GetBy(), o.GetActor(), err)
	return refuse(err)
}

// operations are what may be done to the actors of this node.
func (a *App) operations() facade.Operations {
	o := facade.Operations{Allowed: a.cfg.Monitoring.Monitoring.Actors.Allowed(a.guarded()), Supervisor: a.system, Audit: a.audit}
	if a.collector != nil {
		o.Streams = pausing{a}
	}
	return o
}

// refuse tells what an HTTP client would be told.
func refuse(err error) error {
	var answer *chassis.Error
	if !errors.As(err, &answer) {
		return err
	}
	reason := wire.Reason_REASON_FAILED
	switch answer.HTTPStatus() {
	case http.StatusForbidden:
		reason = wire.Reason_REASON_NOT_ALLOWED
	case http.StatusNotFound:
		reason = wire.Reason_REASON_NOT_FOUND
	case http.StatusConflict:
		reason = wire.Reason_REASON_NOT_POSSIBLE
	}
	return remoting.Refuse(reason, "%s", answer.ProblemDetail())
}

// refusalProblem is the way back.
func refusalProblem(no *remoting.Refused) error {
	switch no.Reason {
	case wire.Reason_REASON_NOT_ALLOWED:
		return chassis.Forbidden("%v", no).WithCode("operations_not_allowed")
	case wire.Reason_REASON_NOT_FOUND:
		return chassis.NotFound("%v", no)
	case wire.Reason_REASON_NOT_POSSIBLE:
		return chassis.Conflict("%v", no).WithCode("not_possible")
	case wire.Reason_REASON_UNSUPPORTED:
		return chassis.NewError(http.StatusBadGateway, "node_too_old", "%v", no)
	case wire.Reason_REASON_BUSY, wire.Reason_REASON_STOPPING:
		return chassis.Unavailable(time.Second, "%v", no)
	}
	return chassis.NewError(http.StatusBadGateway, "node_failed", "%v", no)
}

// owned are the streams of this node's collector, as others ask for them.
type owned struct{ a *App }

// Owner implements [remoting.Streams].
func (o owned) Owner(stream string) (string, uint64, bool) {
	if asked(o).begun() != nil || o.a.placement == nil {
		return "", 0, false
	}
	p, ok := o.a.placement.Plan()
	if !ok {
		return "", 0, false
	}
	node, ok := p.Owners[stream]
	return node, p.Revision, ok
}

// Book implements [remoting.Streams].
func (o owned) Book(ctx context.Context, stream string) (*wire.BookAnswer, error) {
	id, ok := streamID(stream)
	if !ok {
		return nil, remoting.Refuse(wire.Reason_REASON_NOT_FOUND, "%s is no stream", stream)
	}
	b, err := o.a.collector.OrderBook(ctx, id.Exchange, id.Market.String(), id.Symbol, 1)
	if err != nil {
		return nil, err
	}
	a := &wire.BookAnswer{
		State: b.State, Sequence: b.Sequence, TimeUnixNs: b.Time, AgeNs: int64(b.Age * 1e9),
		BidLevels: uint32(b.BidLevels), AskLevels: uint32(b.AskLevels),
	}
	if len(b.Bids) > 0 {
		a.BestBid = b.Bids[0].Price.String()
	}
	if len(b.Asks) > 0 {
		a.BestAsk = b.Asks[0].Price.String()
	}
	return a, nil
}

// Resync implements [remoting.Streams].
func (o owned) Resync(ctx context.Context, stream string) error {
	id, ok := streamID(stream)
	if !ok {
		return remoting.Refuse(wire.Reason_REASON_NOT_FOUND, "%s is no stream", stream)
	}
	return o.a.collector.RefreshBook(ctx, id.Exchange, id.Market.String(), id.Symbol)
}

// nodes are the nodes of the cluster, for the façade.
type nodes struct{ a *App }

// Self implements [facade.Nodes].
func (n nodes) Self() string { return n.a.node }

// Names implements [facade.Nodes].
func (n nodes) Names() (all []string) {
	for _, p := range n.a.remoting.Peers() {
		all = append(all, p.Node)
	}
	return all
}

// Describe implements [facade.Nodes].
func (n nodes) Describe(ctx context.Context, node string) (facade.About, error) {
	d, err := n.a.remoting.Describe(ctx, node)
	if err != nil {
		return facade.About{}, problem(err)
	}
	return facade.About{
		Version: d.GetVersion(), Services: d.GetServices(), Started: time.UnixMilli(d.GetStartedUnixMs()).UTC(),
		Recording: int(d.GetStreamsRecording()), Waiting: int(d.GetStreamsWaiting()), Plan: d.GetPlanRevision(),
	}, nil
}

// Tree implements [facade.Nodes].
func (n nodes) Tree(ctx context.Context, node string) ([]byte, error) {
	text, err := n.a.remoting.Tree(ctx, node)
	return text, problem(err)
}

// Actor implements [facade.Nodes].
func (n nodes) Actor(ctx context.Context, node, id string) ([]byte, error) {
	text, err := n.a.remoting.Actor(ctx, node, id)
	return text, problem(err)
}

// operateWithin bounds an operation at another node: an actor is drained before it ends.
const operateWithin = 20 * time.Second

// Operate implements [facade.Nodes].
func (n nodes) Operate(ctx context.Context, node, action, id, by, why string) error {
	ctx, cancel := context.WithTimeout(ctx, operateWithin)
	defer cancel()
	o := &wire.Operation{Actor: id, By: by, Why: why}
	for known, word := range actions {
		if word == action {
			o.Action = known
		}
	}
	return problem(n.a.remoting.Operate(ctx, node, o))
}

// Standing implements [facade.Owners].
func (n nodes) Standing(ctx context.Context, stream string) (facade.StreamStanding, error) {
	b, owner, err := n.a.remoting.Book(ctx, stream)
	if err != nil {
		return facade.StreamStanding{}, problem(err)
	}
	s := facade.StreamStanding{
		Stream: stream, Owner: owner, State: b.GetState(), Sequence: b.GetSequence(), BestBid: b.GetBestBid(), BestAsk: b.GetBestAsk(),
		BidLevels: int(b.GetBidLevels()), AskLevels: int(b.GetAskLevels()),
	}
	if ns := b.GetTimeUnixNs(); ns != 0 {
		t := time.Unix(0, ns).UTC()
		s.Time = &t
	}
	if ns := b.GetAgeNs(); ns >= 0 {
		age := float64(ns) / 1e9
		s.Age = &age
	}
	return s, nil
}

// Resync implements [facade.Owners].
func (n nodes) Resync(ctx context.Context, stream, by string) (string, error) {
	owner, err := n.a.remoting.Resync(ctx, stream, by)
	return owner, problem(err)
}

// clusterOwners are nil where there is this node alone.
func (a *App) clusterOwners() facade.Owners {
	if a.remoting == nil {
		return nil
	}
	return nodes{a}
}

// clusterNodes are nil where there is this node alone.
func (a *App) clusterNodes() facade.Nodes {
	if a.remoting == nil {
		return nil
	}
	return nodes{a}
}
