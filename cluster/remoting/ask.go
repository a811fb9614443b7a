package remoting

import (
	"context"
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/cluster/wire"
)

// Describe asks a node what it is. The errors of this and of the other questions are
// [*Refused], ErrUnknownNode, ErrUnreachable, ErrTimeout, ErrBusy, ErrNotRunning, and
// those of ctx; each names the node.
func (r *Remoting) Describe(ctx context.Context, node string) (*wire.NodeAnswer, error) {
	a, err := r.askNode(ctx, node, &wire.Call{Question: &wire.Call_Node{Node: &wire.NodeQuestion{}}})
	return a.GetNode(), err
}

// Tree asks a node for its supervision tree, as JSON of the HTTP interface.
func (r *Remoting) Tree(ctx context.Context, node string) ([]byte, error) {
	a, err := r.askNode(ctx, node, &wire.Call{Question: &wire.Call_Tree{Tree: &wire.TreeQuestion{}}})
	return a.GetTree().GetJson(), err
}

// Actor asks a node for one of its actors, as JSON of the HTTP interface.
func (r *Remoting) Actor(ctx context.Context, node, id string) ([]byte, error) {
	a, err := r.askNode(ctx, node, &wire.Call{Question: &wire.Call_Actor{Actor: &wire.ActorQuestion{Id: id}}})
	return a.GetActor().GetJson(), err
}

// Operate has a node do something to one of its actors.
func (r *Remoting) Operate(ctx context.Context, node string, o *wire.Operation) error {
	_, err := r.askNode(ctx, node, &wire.Call{Question: &wire.Call_Operation{Operation: o}})
	return err
}

// Book asks the owner of a stream how its book stands, and says which node that is. A
// further error is ErrNoOwner.
func (r *Remoting) Book(ctx context.Context, stream string) (*wire.BookAnswer, string, error) {
	a, err := r.askOwner(ctx, stream, &wire.Call{Question: &wire.Call_Book{Book: &wire.BookQuestion{Stream: stream}}})
	return a.GetBook(), a.GetFrom(), err
}

// Resync has the owner of a stream fetch its book anew, and says which node that is.
func (r *Remoting) Resync(ctx context.Context, stream, by string) (string, error) {
	a, err := r.askOwner(ctx, stream, &wire.Call{Question: &wire.Call_Resync{Resync: &wire.Resync{Stream: stream, By: by}}})
	return a.GetFrom(), err
}

func (r *Remoting) askNode(ctx context.Context, node string, c *wire.Call) (*wire.Reply, error) {
	i := r.current.Load()
	if i == nil {
		return nil, ErrNotRunning
	}
	return i.askNode(ctx, node, nodeID, c)
}

// askNode asks an actor that every node has.
func (i *incarnation) askNode(ctx context.Context, node, id string, c *wire.Call) (*wire.Reply, error) {
	m, ok := i.provider.Member(node)
	if !ok {
		return nil, fmt.Errorf("%s: %w", node, ErrUnknownNode)
	}
	r, err := i.calls.ask(ctx, node, actor.NewPID(m.Address(), id), c)
	if errors.Is(err, errNoActor) { // it begins, or ends
		err = fmt.Errorf("%s: %w: %w", node, ErrUnreachable, err)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// askOwner asks the actor that speaks for a stream. One that was known and is there no
// more, or no longer the owner's, is looked for once again.
func (r *Remoting) askOwner(ctx context.Context, stream string, c *wire.Call) (*wire.Reply, error) {
	i := r.current.Load()
	if i == nil {
		return nil, ErrNotRunning
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, i.calls.timeout)
		defer cancel()
	}
	for again := false; ; again = true {
		node, pid, err := i.lookup.find(ctx, stream)
		if err != nil {
			return nil, err
		}
		answer, err := i.calls.ask(ctx, node, pid, c)
		if err == nil {
			return answer, nil
		}
		i.cluster.PidCache.RemoveByValue(stream, StreamKind, pid)
		var no *Refused
		moved := errors.Is(err, errNoActor) || errors.As(err, &no) && no.Reason == wire.Reason_REASON_NOT_OWNER
		if again || !moved {
			return nil, err
		}
	}
}
