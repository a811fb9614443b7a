package remoting

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/cluster/wire"
)

const (
	// underWay bounds the questions to one node that wait for their answers.
	underWay = 128
	// lookFor bounds the look whether a port is open.
	lookFor = time.Second
	// retryAfter is for how long the library does nothing after a connection that could
	// not be made: calls fail at once meanwhile.
	retryAfter = 2500 * time.Millisecond
	// askPrefix begins the ids of askers; the library's next id begins with $.
	askPrefix = "ask"
)

// calls are the questions of this node that are under way.
type calls struct {
	system  *actor.ActorSystem
	self    string // address
	node    string
	timeout time.Duration
	metrics *metrics
	log     *zap.Logger

	mu    sync.Mutex
	links map[string]*link // by address
	ended bool
}

// link is the way to one address.
type link struct {
	up      bool
	asking  int
	trouble error         // why the last connection could not be made
	at      time.Time     // of trouble
	down    chan struct{} // closed when the connection is lost, or cannot be made
}

// link is that to an address; calls.mu is held.
func (k *calls) link(address string) *link {
	l := k.links[address]
	if l == nil {
		k.forget()
		l = &link{down: make(chan struct{})}
		k.links[address] = l
	}
	return l
}

// forget drops the links that hold nothing off any more; calls.mu is held.
func (k *calls) forget() {
	for address, l := range k.links {
		if l.asking == 0 && !l.up && time.Since(l.at) >= retryAfter {
			delete(k.links, address)
		}
	}
}

// connected and lost are told by the library.
func (k *calls) connected(address string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.link(address)
	l.up, l.trouble = true, nil
}

func (k *calls) lost(address string) { k.fail(address, nil) }

// fail ends the calls that wait for an address. A trouble holds off those that follow.
func (k *calls) fail(address string, trouble error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.link(address)
	switch {
	case trouble != nil:
		k.log.Warn("no connection to a node can be made", zap.String("address", address), zap.Error(trouble))
		l.trouble, l.at = trouble, time.Now()
	case l.up && !k.ended:
		k.log.Info("the connection to a node has ended; the next question makes another", zap.String("address", address))
	}
	l.up = false
	close(l.down)
	l.down = make(chan struct{})
	if l.asking == 0 && trouble == nil {
		delete(k.links, address)
	}
}

// end fails all calls, and those that follow.
func (k *calls) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	for _, l := range k.links {
		close(l.down)
		l.down = make(chan struct{})
	}
}

// isUp reports whether there is a connection to an address.
func (k *calls) isUp(address string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.links[address]
	return l != nil && l.up || address == k.self
}

// begin takes part in the traffic to an address.
func (k *calls) begin(address string) (down <-chan struct{}, look bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return nil, false, ErrNotRunning
	}
	l := k.link(address)
	switch {
	case l.asking >= underWay:
		return nil, false, ErrBusy
	case !l.up && l.trouble != nil && time.Since(l.at) < retryAfter:
		return nil, false, fmt.Errorf("%w: %w", ErrUnreachable, l.trouble)
	}
	l.asking++
	return l.down, !l.up && address != k.self, nil
}

func (k *calls) done(address string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.links[address]
	if l.asking--; l.asking == 0 && !l.up && l.trouble == nil {
		delete(k.links, address) // a node may have another address when it is back
	}
}

// whyDown is why the calls to an address were failed.
func (k *calls) whyDown(address string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return ErrNotRunning
	}
	if l := k.links[address]; l != nil && l.trouble != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, l.trouble)
	}
	return fmt.Errorf("%w: the connection was lost", ErrUnreachable)
}

// ask sends a question to an actor of a node, and waits for the answer. Its errors have
// the node's name.
func (k *calls) ask(ctx context.Context, node string, to *actor.PID, c *wire.Call) (*wire.Reply, error) {
	begin := time.Now()
	r, err := k.try(ctx, to, c)
	if err == nil && r.GetRefusal() != nil {
		err = refused(node, r.GetRefusal())
	} else if err != nil && !errors.Is(err, errNoActor) {
		err = fmt.Errorf("%s: %w", node, err)
	}
	k.metrics.answered(c, time.Since(begin), err)
	return r, err
}

func (k *calls) try(ctx context.Context, to *actor.PID, c *wire.Call) (*wire.Reply, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, k.timeout)
		defer cancel()
	}
	down, look, err := k.begin(to.GetAddress())
	if err != nil {
		return nil, err
	}
	defer k.done(to.GetAddress())
	if look {
		if err := open(ctx, to.GetAddress()); err != nil {
			return nil, err
		}
	}
	c.From = k.node
	deadline, _ := ctx.Deadline()
	c.WithinMs = uint32(max(1, time.Until(deadline).Milliseconds()))
	a := &asker{answers: make(chan any, 1)}
	registry := k.system.ProcessRegistry
	self, _ := registry.Add(a, askPrefix+registry.NextId())
	defer registry.Remove(self)
	if err := send(k.system, to, &actor.MessageEnvelope{Message: c, Sender: self}); err != nil {
		return nil, err
	}
	select {
	case answer := <-a.answers:
		return understood(answer)
	case <-down:
		return nil, k.whyDown(to.GetAddress())
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("%w: %w", ErrTimeout, ctx.Err())
		}
		return nil, ctx.Err()
	}
}

// understood reads an answer.
func understood(answer any) (*wire.Reply, error) {
	switch a := answer.(type) {
	case *wire.Reply:
		return a, nil
	case *actor.DeadLetterResponse:
		if a.GetTarget() != nil { // the library here could not send it
			return nil, fmt.Errorf("%w: no connection", ErrUnreachable)
		}
		return nil, errNoActor
	}
	return nil, fmt.Errorf("%w: the answer is a %T", ErrUnreachable, answer)
}

// open reports whether somebody listens at an address: the library takes two seconds to
// find out.
func open(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return c.Close()
}

// send gives a message to the library, which panics when it is stopped meanwhile.
func send(system *actor.ActorSystem, to *actor.PID, message any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: sending: %v", ErrNotRunning, p)
		}
	}()
	system.Root.Send(to, message)
	return nil
}

// asker is the process that an answer is sent to. It takes the first message.
type asker struct{ answers chan any }

// SendUserMessage implements actor.Process.
func (a *asker) SendUserMessage(_ *actor.PID, message any) {
	select {
	case a.answers <- actor.UnwrapEnvelopeMessage(message):
	default: // answered already
	}
}

// SendSystemMessage implements actor.Process.
func (a *asker) SendSystemMessage(*actor.PID, any) {}

// Stop implements actor.Process.
func (a *asker) Stop(*actor.PID) {}

// watch follows what the library says of connections.
func (k *calls) watch() {
	k.system.EventStream.Subscribe(func(e any) {
		switch e := e.(type) {
		case *remote.EndpointConnectedEvent:
			k.connected(e.Address)
		case *remote.EndpointTerminatedEvent:
			k.lost(e.Address)
		}
	})
}
