package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Actors is the supervision tree of a node; "" is the one that answers.
func (m *Monitoring) Actors(ctx context.Context, node string) (t ActorTree, err error) {
	return t, m.c.call(ctx, get(MonitoringService, "/api/v1/actors/tree", atNode(node)), &t)
}

func atNode(node string) url.Values {
	var p parameters
	p.set("node", node)
	return p.Values
}

// ActorNodes lists the nodes whose actors can be seen, with their trees if asked for.
func (m *Monitoring) ActorNodes(ctx context.Context, trees bool) ([]NodeActors, error) {
	var p parameters
	p.flag("tree", trees)
	var answer struct {
		Nodes []NodeActors `json:"nodes"`
	}
	err := m.c.call(ctx, get(MonitoringService, "/api/v1/actors/nodes", p.Values), &answer)
	return answer.Nodes, err
}

// Actor is one actor, with its messages by type.
func (m *Monitoring) Actor(ctx context.Context, id string) (a Actor, err error) {
	return a, m.c.call(ctx, get(MonitoringService, join("/api/v1/actors", id), nil), &a)
}

// ActorAt is one actor of a node, with its messages by type; "" is the node that answers.
func (m *Monitoring) ActorAt(ctx context.Context, node, id string) (a Actor, err error) {
	return a, m.c.call(ctx, get(MonitoringService, join("/api/v1/actors", id), atNode(node)), &a)
}

// ActorEvents lists what happened to actors behind an event's number, oldest first; actor
// may be "", for all.
func (m *Monitoring) ActorEvents(ctx context.Context, actor string, after int64) ([]ActorEvent, error) {
	var p parameters
	p.set("actor", actor)
	if after > 0 {
		p.set("after", strconv.FormatInt(after, 10))
	}
	var answer struct {
		Events []ActorEvent `json:"events"`
	}
	err := m.c.call(ctx, get(MonitoringService, "/api/v1/actors/events", p.Values), &answer)
	return answer.Events, err
}

// RestartActor restarts an actor of a node, "" for the one that answers. The reason is for
// the audit log.
func (m *Monitoring) RestartActor(ctx context.Context, id, node, reason string) (Operated, error) {
	return m.operate(ctx, id, "restart", node, reason)
}

// StopActor stops an actor with everything below it.
func (m *Monitoring) StopActor(ctx context.Context, id, node, reason string) (Operated, error) {
	return m.operate(ctx, id, "stop", node, reason)
}

// KillActor makes an actor fail, as a bug of its own would; its supervisor starts it again.
// It answers before that.
func (m *Monitoring) KillActor(ctx context.Context, id, node, reason string) (Operated, error) {
	return m.operate(ctx, id, "kill", node, reason)
}

// PauseActor stops collecting one instrument, by the id of its actor.
func (m *Monitoring) PauseActor(ctx context.Context, id, node, reason string) (Operated, error) {
	return m.operate(ctx, id, "pause", node, reason)
}

// ResumeActor collects one instrument again, by the id that its actor had.
func (m *Monitoring) ResumeActor(ctx context.Context, id, node, reason string) (Operated, error) {
	return m.operate(ctx, id, "resume", node, reason)
}

func (m *Monitoring) operate(ctx context.Context, id, word, node, reason string) (done Operated, err error) {
	r, err := because(join("/api/v1/actors", id, word), reason)
	if err != nil {
		return done, err
	}
	r.query = atNode(node)
	return done, m.c.call(ctx, r, &done)
}

// because is an order with a reason for the audit log.
func because(path, reason string) (*request, error) {
	return order(MonitoringService, http.MethodPost, path, map[string]string{"reason": reason})
}

// The states of a [Node].
const (
	Up          = "up"
	Draining    = "draining"    // it still has streams
	Drained     = "drained"     // it has none, and gets none
	Unreachable = "unreachable" // announced, and its collector does not answer
)

const clusterPath = "/api/v1/cluster"

// Cluster tells who is in the cluster and who has what; owners lists every stream with its
// node.
func (m *Monitoring) Cluster(ctx context.Context, owners bool) (v Cluster, err error) {
	query := url.Values{"owners": {strconv.FormatBool(owners)}}
	return v, m.c.call(ctx, get(MonitoringService, clusterPath, query), &v)
}

// Drain empties a node until Undrain; the reason is for the audit log, and for whoever
// looks.
func (m *Monitoring) Drain(ctx context.Context, node, reason string) (Ordered, error) {
	return m.node(ctx, node, "drain", reason)
}

// Undrain uses a node again.
func (m *Monitoring) Undrain(ctx context.Context, node, reason string) (Ordered, error) {
	return m.node(ctx, node, "undrain", reason)
}

func (m *Monitoring) node(ctx context.Context, node, word, reason string) (done Ordered, err error) {
	r, err := because(join(clusterPath+"/nodes", node, word), reason)
	if err != nil {
		return done, err
	}
	r.harmless = true
	return done, m.c.call(ctx, r, &done)
}

// StreamStanding tells how a stream stands, exchange/market/symbol, wherever it is
// collected.
func (m *Monitoring) StreamStanding(ctx context.Context, stream string) (s StreamStanding, err error) {
	return s, m.c.call(ctx, get(MonitoringService, join(clusterPath+"/streams", stream), nil), &s)
}

// ResyncStream fetches the book of a stream anew, wherever it is collected.
func (m *Monitoring) ResyncStream(ctx context.Context, stream, reason string) (done Resynced, err error) {
	r, err := because(join(clusterPath+"/streams", stream, "resync"), reason)
	if err != nil {
		return done, err
	}
	return done, m.c.call(ctx, r, &done)
}

// MoveStream has a node collect a stream, exchange/market/symbol, for so long; 0 is until
// it is unpinned. It answers at once: [Monitoring.Cluster] tells how far it is.
func (m *Monitoring) MoveStream(ctx context.Context, stream, node string, keep time.Duration, reason string) (MovedTo, error) {
	body := map[string]string{"node": node, "reason": reason}
	if keep > 0 {
		body["for"] = keep.String()
	}
	return m.move(ctx, stream, "move", body)
}

// UnpinStream lets a stream be placed as any other.
func (m *Monitoring) UnpinStream(ctx context.Context, stream, reason string) (MovedTo, error) {
	return m.move(ctx, stream, "unpin", map[string]string{"reason": reason})
}

func (m *Monitoring) move(ctx context.Context, stream, word string, body any) (done MovedTo, err error) {
	r, err := order(MonitoringService, http.MethodPost, join(clusterPath+"/streams", stream, word), body)
	if err != nil {
		return done, err
	}
	r.harmless = true
	return done, m.c.call(ctx, r, &done)
}
