package monitoring

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
)

// Nodes are those of the cluster, this one included. Errors are answers: [*chassis.Error].
type Nodes interface {
	// Self is this node's name, Names are those of all.
	Self() string
	Names() []string
	Describe(ctx context.Context, node string) (About, error)
	// Tree and Actor are the bodies of their routes, as the node itself answers them.
	Tree(ctx context.Context, node string) ([]byte, error)
	Actor(ctx context.Context, node, id string) ([]byte, error)
	Operate(ctx context.Context, node, action, id, by, why string) error
}

// About is what a node says of itself.
type About struct {
	Version   string    `json:"version" required:"true"`
	Services  []string  `json:"services" required:"true" doc:"names of those that it runs"`
	Started   time.Time `json:"started_at" required:"true" doc:"of its process"`
	Recording int       `json:"streams_recording" required:"true" doc:"that its collector records"`
	Waiting   int       `json:"streams_waiting" required:"true" doc:"until their owner before lets go"`
	Plan      uint64    `json:"plan_revision" required:"true" doc:"that it follows; 0 is none"`
}

// nodeParam is the parameter that names another node; there is none without others.
func (f *service) nodeParam() []chassis.Param {
	return []chassis.Param{{Name: "node", Doc: "Of which node; this one unless it is given. GET " + base + "actors/nodes lists them.", Example: "node-2"}}
}

// asked is the node that a request names, "" for this one, and the actor with it, for
// the audit log.
func (f *service) asked(r *http.Request, id string) (node, target string, err error) {
	q := chassis.QueryOf(r)
	node = q.Text("node", "")
	if err := q.Err(); err != nil {
		return "", "", err
	}
	switch {
	case node == "" || f.Nodes != nil && node == f.Nodes.Self():
		return "", id, nil
	case f.Nodes == nil || !slices.Contains(f.Nodes.Names(), node):
		return "", "", chassis.NotFound("no node %.100q; GET %sactors/nodes lists those there are", node, base).WithCode("no_such_node")
	}
	return node, node + "/" + id, nil
}

// nodeTree is one node with its tree, or why there is none.
type nodeTree struct {
	Node  string          `json:"node" required:"true" doc:"its name; local where there is this one alone"`
	Self  bool            `json:"self" required:"true" doc:"the node that answers"`
	About *About          `json:"about,omitempty" doc:"what it says of itself; absent where this node is alone"`
	Took  float64         `json:"answered_in_seconds,omitempty" doc:"how long it took to say so"`
	Tree  json.RawMessage `json:"tree,omitempty" doc:"as actors/tree answers it"`
	Error string          `json:"error,omitempty" doc:"why the node does not answer"`
}

type nodeList struct {
	Nodes     []nodeTree `json:"nodes" required:"true"`
	Count     int        `json:"count" required:"true"`
	Timestamp time.Time  `json:"timestamp" required:"true"`
}

func (f *service) nodesRoute() chassis.Route {
	return chassis.Route{
		Method: http.MethodGet, Path: base + "actors/nodes", ID: "actorNodes", Tag: tagActors,
		Summary: "The nodes whose actors can be seen, with their trees if asked for",
		Description: "Each is asked at once, over remoting; one that does not answer in time has an `error` instead. " +
			"Without a cluster there is this node alone.",
		Params:    []chassis.Param{{Name: "tree", Type: false, Default: false, Doc: "With the tree of each."}},
		Responses: []chassis.Response{{Body: nodeList{}}}, Handler: f.nodes,
	}
}

func (f *service) nodes(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	trees := q.Bool("tree", false)
	if err := q.Err(); err != nil {
		return err
	}
	names, self := []string{"local"}, "local"
	if f.Nodes != nil {
		names, self = f.Nodes.Names(), f.Nodes.Self()
	}
	list := nodeList{Nodes: make([]nodeTree, len(names)), Count: len(names), Timestamp: f.Now()}
	var work sync.WaitGroup
	for i, name := range names {
		list.Nodes[i] = nodeTree{Node: name, Self: name == self}
		work.Go(func() { f.meet(r.Context(), &list.Nodes[i], trees) })
	}
	work.Wait()
	return chassis.WriteJSON(w, r, http.StatusOK, list)
}

// meet asks one node.
func (f *service) meet(ctx context.Context, n *nodeTree, tree bool) {
	begin := time.Now()
	var err error
	if f.Nodes != nil {
		var about About
		about, err = f.Nodes.Describe(ctx, n.Node)
		n.About, n.Took = &about, time.Since(begin).Seconds()
	}
	switch {
	case err != nil || !tree:
	case n.Self:
		n.Tree, err = json.Marshal(f.Tree.Snapshot())
	default:
		n.Tree, err = f.Nodes.Tree(ctx, n.Node)
	}
	if err == nil {
		return
	}
	n.About, n.Took, n.Tree, n.Error = nil, 0, nil, err.Error()
	var answer *chassis.Error
	if errors.As(err, &answer) {
		n.Error = answer.ProblemDetail()
	}
}
