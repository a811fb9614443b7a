package remoting

import (
	"context"

	"github.com/marketprism/marketprism/cluster/wire"
)

// Local is what a node answers for itself. Errors become refusals: those of Refuse as
// they are, those of supervise by what they say, others as FAILED.
type Local interface {
	Describe(ctx context.Context) (*wire.NodeAnswer, error)
	// Tree and Actor are the JSON of the HTTP interface.
	Tree(ctx context.Context) ([]byte, error)
	Actor(ctx context.Context, id string) ([]byte, error)
	Operate(ctx context.Context, from string, o *wire.Operation) error
}

// Streams are those of a node's collector, each named exchange/market/symbol.
type Streams interface {
	// Owner is the node that has a stream by the plan in force here; revision is that of
	// the plan, 0 without one.
	Owner(stream string) (node string, revision uint64, ok bool)
	Book(ctx context.Context, stream string) (*wire.BookAnswer, error)
	Resync(ctx context.Context, stream string) error
}

// serveNode answers questions to this node.
func (i *incarnation) serveNode(ctx context.Context, c *wire.Call) (*wire.Reply, error) {
	local := i.r.o.Local
	switch q := c.GetQuestion().(type) {
	case *wire.Call_Node:
		a, err := local.Describe(ctx)
		return &wire.Reply{Answer: &wire.Reply_Node{Node: a}}, err
	case *wire.Call_Tree:
		text, err := local.Tree(ctx)
		return &wire.Reply{Answer: &wire.Reply_Tree{Tree: &wire.Document{Json: text}}}, err
	case *wire.Call_Actor:
		text, err := local.Actor(ctx, q.Actor.GetId())
		return &wire.Reply{Answer: &wire.Reply_Actor{Actor: &wire.Document{Json: text}}}, err
	case *wire.Call_Operation:
		err := local.Operate(ctx, c.GetFrom(), q.Operation)
		return &wire.Reply{Answer: &wire.Reply_Done{Done: &wire.Done{}}}, err
	}
	return nil, Refuse(wire.Reason_REASON_UNSUPPORTED, "this version does not know the question")
}
