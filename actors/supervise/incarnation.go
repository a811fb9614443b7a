package supervise

import (
	"context"
	"sync"
	"time"
)

// incarnation owns what one instance of an actor has begun: goroutines, timers
// and operations in flight. Their results carry it and are dropped once another
// has taken its place.
type incarnation struct {
	node   *node
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	ended   bool
	running int
	idle    chan struct{} // closed when running falls to 0, while someone waits
	timers  map[*timer]struct{}
}

// delivery brings a result home on the control lane.
type delivery struct {
	inc     *incarnation
	message any       // nil: nothing to handle
	op      *InFlight // of an operation
	timer   *timer
	failure *PanicError
}

type timer struct {
	every   time.Duration // 0: once
	message any
	pending Timer
	stopped bool
}

func newIncarnation(n *node) *incarnation {
	ctx, cancel := context.WithCancel(n.sys.ctx)
	return &incarnation{node: n, ctx: ctx, cancel: cancel, timers: make(map[*timer]struct{})}
}

// run starts fn on a goroutine and reports whether it did: not after the end.
func (i *incarnation) run(fn func(ctx context.Context)) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended {
		return false
	}
	i.running++
	i.node.goroutines.Add(1)
	go func() {
		defer i.returned()
		defer i.recovered()
		fn(i.ctx)
	}()
	return true
}

func (i *incarnation) returned() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.running--
	i.node.goroutines.Add(-1)
	if i.running == 0 && i.idle != nil {
		close(i.idle)
		i.idle = nil
	}
}

// recovered turns a panic of a goroutine into a failure of the actor.
func (i *incarnation) recovered() {
	reason := recover()
	if reason == nil {
		return
	}
	p := thrown(reason)
	i.mu.Lock()
	ended := i.ended
	i.mu.Unlock()
	if ended {
		i.node.swallow(p)
		return
	}
	i.node.queue.postControl(&delivery{inc: i, failure: p})
}

// end cancels everything.
func (i *incarnation) end() {
	i.mu.Lock()
	i.ended = true
	for t := range i.timers {
		t.stopped = true
		t.pending.Stop()
	}
	clear(i.timers)
	i.mu.Unlock()
	i.cancel()
}

// wait waits for the goroutines, at most limit, and returns how many are left.
func (i *incarnation) wait(limit time.Duration) int {
	i.mu.Lock()
	if i.running == 0 {
		i.mu.Unlock()
		return 0
	}
	idle := make(chan struct{})
	i.idle = idle
	i.mu.Unlock()
	late := make(chan struct{})
	deadline := i.node.sys.clock.AfterFunc(limit, func() { close(late) })
	defer deadline.Stop()
	select {
	case <-idle:
		return 0
	case <-late:
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.idle = nil
	return i.running
}

// after arms a timer; every > 0 repeats it.
func (i *incarnation) after(d, every time.Duration, message any) (stop func()) {
	t := &timer{every: every, message: message}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended {
		return func() {}
	}
	i.timers[t] = struct{}{}
	i.arm(t, d)
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		t.stopped = true
		t.pending.Stop()
		delete(i.timers, t)
	}
}

// arm needs the lock.
func (i *incarnation) arm(t *timer, d time.Duration) {
	t.pending = i.node.sys.clock.AfterFunc(d, func() {
		i.node.queue.postControl(&delivery{inc: i, message: t.message, timer: t})
	})
}

// due reports whether a timer's message is still wanted, and arms it again. The
// next beat of a repeated timer is counted from here, so that beats never pile up.
func (i *incarnation) due(t *timer) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if t.stopped {
		return false
	}
	if t.every > 0 {
		i.arm(t, t.every)
	} else {
		delete(i.timers, t)
	}
	return true
}
