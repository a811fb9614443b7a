package supervise

import (
	"context"
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
)

// askPrefix begins the ids of askers.
const askPrefix = "ask"

// asker is the process an answer is sent to: it takes the first message.
type asker struct{ reply chan any }

// refusal tells an asker that there will be no answer.
type refusal struct{ err error }

func (a *asker) SendUserMessage(_ *actor.PID, message any) {
	select {
	case a.reply <- actor.UnwrapEnvelopeMessage(message):
	default: // answered already
	}
}

func (a *asker) SendSystemMessage(*actor.PID, any) {}
func (a *asker) Stop(*actor.PID)                   {}

// Ask sends message to pid and waits for a T, until ctx ends. It fails at once
// with ErrMailboxFull when the mailbox refuses, ErrStopped when there is no such
// actor, ErrFailed when the actor panics over it, and with the actor's own error
// when it responds with one; ErrTimeout when the deadline of ctx passes. It
// blocks: for HTTP façades and tests, never in Receive.
func Ask[T any](ctx context.Context, s *System, pid *actor.PID, message any) (T, error) {
	var zero T
	answer, err := s.ask(ctx, pid, message)
	if err != nil {
		return zero, fmt.Errorf("asking %s with %s: %w", pid.GetId(), nameOf(message), err)
	}
	switch a := answer.(type) {
	case T:
		return a, nil
	case error:
		return zero, a
	}
	return zero, fmt.Errorf("%w: %s answered %s with %s", ErrUnexpectedReply, pid.GetId(), nameOf(message), nameOf(answer))
}

func (s *System) ask(ctx context.Context, pid *actor.PID, message any) (any, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	a := &asker{reply: make(chan any, 1)}
	registry := s.actors.ProcessRegistry
	self, _ := registry.Add(a, askPrefix+registry.NextId())
	defer registry.Remove(self)
	if err := s.Tell(pid, &actor.MessageEnvelope{Message: message, Sender: self}); err != nil {
		return nil, err
	}
	select {
	case answer := <-a.reply:
		switch r := answer.(type) {
		case refusal:
			return nil, r.err
		case *actor.DeadLetterResponse:
			return nil, ErrStopped
		}
		return answer, nil
	case <-ctx.Done():
		return nil, ended(ctx)
	}
}

// ended is why ctx ended, or nil.
func ended(ctx context.Context) error {
	err := ctx.Err()
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return err
}

// refuse tells the sender of a request, if it asks, that there will be no answer.
func (s *System) refuse(sender *actor.PID, err error) {
	if sender == nil {
		return
	}
	if p, ok := s.actors.ProcessRegistry.Get(sender); ok {
		if a, ok := p.(*asker); ok {
			a.SendUserMessage(sender, refusal{err})
		}
	}
}

// Tell sends without waiting and reports at once what became of message: nil (it
// is in the mailbox), ErrMailboxFull or ErrStopped. With DropOldest it is never
// refused. A remote actor's refusal is not seen.
func (s *System) Tell(pid *actor.PID, message any) error {
	if pid == nil {
		return ErrStopped
	}
	registry := s.actors.ProcessRegistry
	if pid.Address == localAddress || pid.Address == registry.Address {
		if n, ok := s.tree.get(pid.Id); ok {
			return n.queue.post(message)
		}
	}
	if _, ok := registry.Get(pid); !ok {
		s.deadLetter(pid, message)
		return ErrStopped
	}
	s.actors.Root.Send(pid, message)
	return nil
}

// localAddress is protoactor's address of a system without remoting.
const localAddress = "nonhost"
