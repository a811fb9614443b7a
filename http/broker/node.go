package broker

import (
	"errors"
	"net/http"

	branch "github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/http/chassis"
)

const tagNodes = "nodes"

// nodeList is the answer of nodes.
type nodeList struct {
	Clustered bool                `json:"clustered" required:"true" doc:"whether the broker runs on several nodes"`
	Expected  int                 `json:"expected" required:"true" doc:"on how many"`
	Leader    string              `json:"leader" required:"true" doc:"who decides which streams there are; empty without a majority, and where the broker stands alone"`
	Nodes     []branch.PeerStatus `json:"nodes" required:"true" doc:"none where the broker stands alone"`
}

func (f *service) nodeRoutes(prefix string) []chassis.Route {
	return []chassis.Route{
		{Method: http.MethodGet, Path: prefix + "nodes", Tag: tagNodes, Summary: "The nodes with the broker",
			Responses: []chassis.Response{{Body: nodeList{}}}, Handler: f.nodes},
		{Method: http.MethodDelete, Path: prefix + "nodes/{node}", Tag: tagNodes, Summary: "Take a node that will not come back out of the broker",
			Description: "It counts for the majority until then, however long it is away. One that runs is 409.",
			Responses:   []chassis.Response{{Body: done{}}}, Handler: f.removeNode},
	}
}

func (f *service) nodes(w http.ResponseWriter, r *http.Request) error {
	out := nodeList{Expected: 1, Nodes: []branch.PeerStatus{}}
	if c := f.Branch.Cluster(); c != nil {
		out = nodeList{true, c.Expected, c.Leader, c.Peers}
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func (f *service) removeNode(w http.ResponseWriter, r *http.Request) error {
	node, err := chassis.PathParam(r, "node")
	if err != nil {
		return err
	}
	err = f.Branch.Remove(r.Context(), node)
	switch {
	case errors.Is(err, branch.ErrNoNode):
		return chassis.NotFound("%v", err)
	case errors.Is(err, branch.ErrAlone), errors.Is(err, branch.ErrNodeOnline):
		return chassis.Conflict("%v", err)
	case err != nil:
		return err
	}
	if f.Removed != nil {
		f.Removed(r.Context(), node)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, done{true})
}
