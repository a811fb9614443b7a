package supervise

import (
	"context"
	"runtime/debug"
	"sync"
)

// Crew is goroutines that one owner begins and waits for, such as the helpers of a
// goroutine of [Context.Go]. A panic in one of them does not end the process: it ends
// [Crew.Ctx], and the owner is told by [Crew.Wait], which is to fail with it, so that its
// own supervisor starts it anew.
type Crew struct {
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu    sync.Mutex
	first *PanicError
}

// NewCrew makes a crew that nobody has joined yet. It must be waited for.
func NewCrew(ctx context.Context) *Crew {
	c := &Crew{}
	c.ctx, c.cancel = context.WithCancel(ctx)
	return c
}

// Ctx ends with that of [NewCrew], with the first panic, and when the crew has been
// waited for.
func (c *Crew) Ctx() context.Context { return c.ctx }

// Go begins a goroutine, with [Crew.Ctx]. It may not be called while none runs and the
// crew is waited for.
func (c *Crew) Go(fn func(ctx context.Context)) {
	c.work.Go(func() {
		defer c.recovered()
		fn(c.ctx)
	})
}

func (c *Crew) recovered() {
	reason := recover()
	if reason == nil {
		return
	}
	c.mu.Lock()
	if c.first == nil {
		c.first = thrown(reason)
	}
	c.mu.Unlock()
	c.cancel()
}

// thrown is the panic of a goroutine, seen from where it is recovered; that of a crew
// below stays as it is.
func thrown(reason any) *PanicError {
	if p, ok := reason.(*PanicError); ok {
		return p
	}
	return &PanicError{Reason: reason, Message: "goroutine", Stack: bounded(string(debug.Stack()), maxStack)}
}

// Wait waits for all goroutines. The error is the first panic of one, a [*PanicError];
// an owner that panics with it hands it on with its stack.
func (c *Crew) Wait() error {
	c.work.Wait()
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == nil {
		return nil
	}
	return c.first
}

// Stop ends [Crew.Ctx] and waits.
func (c *Crew) Stop() error {
	c.cancel()
	return c.Wait()
}
