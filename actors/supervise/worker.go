package supervise

import (
	"context"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"
)

// Worker is an actor whose work is one goroutine that is told to finish, and not cut
// off, when the actor is asked to stop: open ends then, and ctx only with the
// incarnation. work returns once what waited has been seen to, or ctx has ended.
func Worker(work func(ctx, open context.Context, log *zap.Logger)) Actor {
	return &worker{work: work}
}

type worker struct {
	work   func(ctx, open context.Context, log *zap.Logger)
	finish context.CancelFunc
}

type finished struct{}

// Receive handles one message.
func (w *worker) Receive(c *Context) {
	switch c.Message().(type) {
	case *actor.Started:
		open, finish := context.WithCancel(c.Ctx())
		w.finish = finish
		c.Go(func(ctx context.Context) {
			w.work(ctx, open, c.Log())
			c.After(0, finished{})
		})
	case finished:
		c.Drained()
	}
}

// Drain implements [Drainer].
func (w *worker) Drain(*Context) { w.finish() }
