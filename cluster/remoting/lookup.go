package remoting

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	library "github.com/asynkron/protoactor-go/cluster"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster/provider"
	"github.com/marketprism/marketprism/cluster/wire"
)

// StreamKind is the kind of the actors that speak for streams, each at its owner. The
// identity of one is exchange/market/symbol.
const StreamKind = "stream"

const (
	// findWithin bounds the library's own questions for an actor.
	findWithin = time.Second
	// hops is how often a caller follows a node that knows another owner.
	hops = 3
	// sweepEvery is how often actors are looked for that need not be there, idleFor how
	// long one lives without a question.
	sweepEvery = 15 * time.Second
	idleFor    = 5 * time.Minute
	// streamAtOnce is how many questions about one stream are answered at once.
	streamAtOnce = 4
)

// lookup finds the actor that speaks for a stream: where the plan has it, and nowhere
// else. It implements the library's IdentityLookup.
type lookup struct {
	i *incarnation

	mu       sync.Mutex
	active   map[string]*spokesman // by stream
	stopping bool
}

// spokesman is the actor of a stream, at its owner.
type spokesman struct {
	name string
	used atomic.Int64 // Unix ns
}

// Setup implements the library's IdentityLookup. The library listens already, and has an
// address: the actors that peers may name are started.
func (l *lookup) Setup(c *library.Cluster, _ []string, _ bool) { l.i.setUp(c) }

// Get implements the library's IdentityLookup; nil is nobody.
func (l *lookup) Get(id *library.ClusterIdentity) *actor.PID {
	if id.GetKind() != StreamKind {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), findWithin)
	defer cancel()
	_, pid, err := l.find(ctx, id.GetIdentity())
	if err != nil {
		l.i.log.Debug("nobody speaks for a stream", zap.String("stream", id.GetIdentity()), zap.Error(err))
		return nil
	}
	return pid
}

// RemovePid implements the library's IdentityLookup.
func (l *lookup) RemovePid(id *library.ClusterIdentity, pid *actor.PID) {
	l.i.cluster.PidCache.RemoveByValue(id.GetIdentity(), id.GetKind(), pid)
}

// Shutdown implements the library's IdentityLookup: nobody is activated any more.
func (l *lookup) Shutdown() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopping = true
}

// owner is the node that has a stream by the plan that is followed here; without one, any
// node that follows one, which is asked.
func (l *lookup) owner(stream string) (node string, revision uint64, err error) {
	if s := l.i.r.o.Streams; s != nil {
		if node, revision, ok := s.Owner(stream); ok {
			return node, revision, nil
		} else if revision > 0 {
			return "", revision, fmt.Errorf("%w: %s is not in plan %d", ErrNoOwner, stream, revision)
		}
	}
	for _, m := range l.i.provider.Members() {
		if m.Node != l.i.r.o.Node && follows(m) {
			return m.Node, 0, nil
		}
	}
	return "", 0, fmt.Errorf("%w: no member follows a plan", ErrNoOwner)
}

// follows reports whether a member follows the plan.
func follows(m provider.Member) bool {
	for _, kind := range m.Kinds {
		if kind == StreamKind {
			return true
		}
	}
	return false
}

// find is the actor that speaks for a stream, and its node.
func (l *lookup) find(ctx context.Context, stream string) (node string, pid *actor.PID, err error) {
	cache := l.i.cluster.PidCache
	if pid, ok := cache.Get(stream, StreamKind); ok {
		return l.nodeAt(pid.GetAddress()), pid, nil
	}
	node, revision, err := l.owner(stream)
	for hop := 0; err == nil && hop < hops; hop++ {
		var activated *wire.Activated
		if activated, err = l.activate(ctx, node, stream, revision); err == nil {
			m, ok := l.i.provider.Member(node)
			if !ok {
				return node, nil, fmt.Errorf("%s: %w", node, ErrUnknownNode)
			}
			pid = actor.NewPID(m.Address(), activated.GetActor())
			cache.Set(stream, StreamKind, pid)
			return node, pid, nil
		}
		var no *Refused
		if errors.As(err, &no) && no.Reason == wire.Reason_REASON_NOT_OWNER && no.Owner != "" && no.Owner != node {
			node, revision, err = no.Owner, no.Revision, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: nodes follow different plans", ErrNoOwner)
	}
	return node, nil, err
}

func (l *lookup) activate(ctx context.Context, node, stream string, revision uint64) (*wire.Activated, error) {
	r, err := l.i.askNode(ctx, node, activatorID, &wire.Call{Question: &wire.Call_Activation{
		Activation: &wire.Activation{Stream: stream, Revision: revision},
	}})
	if err != nil {
		return nil, err
	}
	return r.GetActivated(), nil
}

func (l *lookup) nodeAt(address string) string {
	for _, m := range l.i.provider.Members() {
		if m.Address() == address {
			return m.Node
		}
	}
	return address
}

// serve answers the activator's questions: this node speaks for its own streams alone.
func (l *lookup) serve(ctx context.Context, c *wire.Call) (*wire.Reply, error) {
	q, ok := c.GetQuestion().(*wire.Call_Activation)
	if !ok {
		return nil, Refuse(wire.Reason_REASON_UNSUPPORTED, "the activator does not answer that")
	}
	stream := q.Activation.GetStream()
	revision, err := l.own(stream)
	if err != nil {
		return nil, err
	}
	name, fresh, err := l.reserve(stream)
	if err != nil {
		return nil, err
	}
	if fresh {
		_, err = l.i.system.StartChild(ctx, streamsID, l.i.deskSpec(name, "spokesman", streamAtOnce, l.speak(stream)))
		if err != nil && !errors.Is(err, supervise.ErrChildExists) {
			l.forget(stream)
			return nil, err
		}
	}
	return &wire.Reply{Answer: &wire.Reply_Activated{Activated: &wire.Activated{Actor: streamsID + "/" + name, Revision: revision}}}, nil
}

// own refuses a stream that is not this node's.
func (l *lookup) own(stream string) (revision uint64, err error) {
	if l.i.r.o.Streams == nil {
		return 0, Refuse(wire.Reason_REASON_NOT_POSSIBLE, "the node collects nothing")
	}
	node, revision, ok := l.i.r.o.Streams.Owner(stream)
	switch {
	case ok && node == l.i.r.o.Node:
		return revision, nil
	case ok:
		return revision, &Refused{Reason: wire.Reason_REASON_NOT_OWNER, Owner: node, Revision: revision, Text: fmt.Sprintf("%s is %s's by plan %d", stream, node, revision)}
	}
	return revision, Refuse(wire.Reason_REASON_NOT_FOUND, "%s is not in plan %d", stream, revision)
}

// reserve notes that a stream has an actor; fresh when it is to be started.
func (l *lookup) reserve(stream string) (name string, fresh bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopping {
		return "", false, &Refused{Reason: wire.Reason_REASON_STOPPING}
	}
	s := l.active[stream]
	if fresh = s == nil; fresh {
		s = &spokesman{name: strings.NewReplacer("%", "%25", "/", "%2F", "$", "%24").Replace(stream)}
		l.active[stream] = s
	}
	s.used.Store(time.Now().UnixNano())
	return s.name, fresh, nil
}

func (l *lookup) forget(stream string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.active, stream)
}

// speak answers questions about a stream, for as long as it is this node's.
func (l *lookup) speak(stream string) func(context.Context, *wire.Call) (*wire.Reply, error) {
	return func(ctx context.Context, c *wire.Call) (*wire.Reply, error) {
		if _, err := l.own(stream); err != nil {
			return nil, err
		}
		l.mu.Lock()
		if s := l.active[stream]; s != nil {
			s.used.Store(time.Now().UnixNano())
		}
		l.mu.Unlock()
		switch c.GetQuestion().(type) {
		case *wire.Call_Book:
			b, err := l.i.r.o.Streams.Book(ctx, stream)
			return &wire.Reply{Answer: &wire.Reply_Book{Book: b}}, err
		case *wire.Call_Resync:
			err := l.i.r.o.Streams.Resync(ctx, stream)
			return &wire.Reply{Answer: &wire.Reply_Done{Done: &wire.Done{}}}, err
		}
		return nil, Refuse(wire.Reason_REASON_UNSUPPORTED, "a stream does not answer that")
	}
}

// sweep stops the actors of streams that are another node's, or that nobody asks for.
func (l *lookup) sweep(ctx context.Context) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			l.sweepOnce(ctx)
		}
	}
}

func (l *lookup) sweepOnce(ctx context.Context) {
	for stream, s := range l.idle() {
		err := l.i.system.StopChild(ctx, streamsID, s.name)
		if err != nil && !errors.Is(err, supervise.ErrNoChild) {
			l.i.log.Warn("the actor of a stream was not stopped", zap.String("stream", stream), zap.Error(err))
		}
		// Until now it could not be started anew.
		l.forget(stream)
	}
}

func (l *lookup) idle() map[string]*spokesman {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[string]*spokesman{}
	for stream, s := range l.active {
		if _, err := l.own(stream); err != nil || time.Since(time.Unix(0, s.used.Load())) > idleFor {
			found[stream] = s
		}
	}
	return found
}
