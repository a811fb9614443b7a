package supervise

import (
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

const (
	// sampleEvery is how many messages share one measurement of wait and of handling.
	sampleEvery = 64
	// maxBatch bounds what the runner takes from the ring under one lock, firstBatch
	// is what there is room for at first.
	maxBatch   = 64
	firstBatch = 4
)

const (
	idle int32 = iota
	scheduled
)

// queue is the mailbox of one actor: a bounded ring for its messages and two
// lanes that are never dropped, one for the system's lifecycle messages, which
// pass at any time, and one for what the actor itself has begun (control), which
// waits while the actor is suspended.
//
// A gated queue, that of a supervisor, hands Stop and Restart to the actor as an
// orderly message first, and to the library once release is called; its control
// lane is never suspended.
type queue struct {
	node       *node
	gated      bool
	overflow   Overflow
	onOverflow func(any)

	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher
	run        func()
	status     atomic.Int32

	mu        sync.Mutex
	system    lane
	control   lane
	user      ring
	pushed    uint64
	maxDepth  int
	suspended bool
	closed    bool
	pill      any // the poison pill: no message is taken after it
	given     bool
	drains    bool // the actor is a Drainer
	draining  bool // and was asked
	drained   bool // and is done

	// Runner only.
	open  bool   // gated: the next Stop or Restart passes
	batch []slot // taken from the ring, not handled yet
	space []slot // what batch is cut from

	urgent atomic.Bool  // something is on a lane: look before the next of the batch
	left   atomic.Int32 // length of batch, for readers

	dropped  atomic.Uint64
	waits    sampled
	runSince atomic.Int64 // nanos at which the current run began; 0 when idle
}

// orderly is what a gated queue makes of Stop and Restart.
type orderly struct{ signal any }

// drainRequest asks the actor to end what it has in flight.
type drainRequest struct{}

func newQueue(n *node) *queue {
	q := &queue{
		node:       n,
		gated:      n.spec.branch != nil,
		overflow:   n.spec.Mailbox.Overflow,
		onOverflow: n.spec.Mailbox.OnOverflow,
		user:       ring{limit: n.spec.Mailbox.Capacity},
	}
	q.run = q.process
	q.status.Store(scheduled)
	return q
}

// RegisterHandlers, Start, PostUserMessage, PostSystemMessage and
// UserMessageCount are protoactor's Mailbox.
func (q *queue) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	q.invoker, q.dispatcher = invoker, dispatcher
}

// Start lets the queue run. Until then it counts as scheduled: the tree knows the
// actor before the library has told the queue what to run on, and a message that
// comes in between waits.
func (q *queue) Start() {
	q.status.Store(idle)
	q.schedule()
}

func (q *queue) UserMessageCount() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.user.n + int(q.left.Load())
}

// PostUserMessage takes message or gives one up, counted. It never blocks.
func (q *queue) PostUserMessage(message any) { _ = q.post(message) }

// post is PostUserMessage that says what became of message.
func (q *queue) post(message any) error {
	if _, ok := message.(*actor.PoisonPill); ok {
		q.poison(message)
		return nil
	}
	q.mu.Lock()
	if q.closed || q.pill != nil {
		q.mu.Unlock()
		q.node.sys.deadLetter(q.node.pid(), message)
		return ErrStopped
	}
	var oldest any
	if q.user.full() {
		if q.overflow == DropNewest {
			q.mu.Unlock()
			q.giveUp(message)
			return ErrMailboxFull
		}
		oldest = q.user.pop().message
	}
	s := slot{message: message}
	if q.pushed%sampleEvery == 0 || q.user.n == 0 {
		s.at = q.node.sys.nanos()
	}
	q.pushed++
	q.user.push(s)
	if q.user.n > q.maxDepth {
		q.maxDepth = q.user.n
	}
	q.mu.Unlock()
	q.schedule()
	if oldest != nil {
		q.giveUp(oldest)
	}
	return nil
}

func (q *queue) poison(pill any) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	q.pill = pill
	q.mu.Unlock()
	q.schedule()
}

func (q *queue) giveUp(message any) {
	q.dropped.Add(1)
	q.node.kind.dropped.Inc()
	q.node.sys.refuse(actor.UnwrapEnvelopeSender(message), ErrMailboxFull)
	if q.onOverflow != nil {
		q.onOverflow(actor.UnwrapEnvelopeMessage(message))
	}
}

func (q *queue) PostSystemMessage(message any) {
	q.mu.Lock()
	q.system.push(message)
	q.urgent.Store(true)
	q.mu.Unlock()
	q.schedule()
}

// postControl delivers message past the ring. It is dropped after the stop.
func (q *queue) postControl(message any) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	q.control.push(message)
	q.urgent.Store(true)
	q.mu.Unlock()
	q.schedule()
}

// release lets the signal of an orderly stop or restart through. Runner only.
func (q *queue) release(signal any) {
	q.open = true
	q.PostSystemMessage(signal)
}

// incarnate begins a new incarnation. Runner only.
func (q *queue) incarnate(drains bool) {
	q.mu.Lock()
	q.drains, q.draining, q.drained = drains, false, false
	q.mu.Unlock()
}

// finishDrain lets the pending poison pill through.
func (q *queue) finishDrain() {
	q.mu.Lock()
	q.drained = true
	q.mu.Unlock()
	q.schedule()
}

// close refuses all further messages and sends those left to the dead letters.
// Runner only.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	left := make([]any, 0, len(q.batch)+q.user.n)
	for _, s := range q.batch {
		left = append(left, s.message)
	}
	q.batch = nil
	q.left.Store(0)
	for q.user.n > 0 {
		left = append(left, q.user.pop().message)
	}
	q.control, q.user.slots, q.given = lane{}, nil, true
	q.mu.Unlock()
	for _, message := range left {
		q.node.sys.deadLetter(q.node.pid(), message)
	}
}

func (q *queue) schedule() {
	if q.status.CompareAndSwap(idle, scheduled) {
		q.dispatcher.Schedule(q.run)
	}
}

func (q *queue) process() {
	since := q.node.sys.nanos()
	q.runSince.Store(since)
	for {
		q.drainOnce()
		if q.pending() { // after a failure, or a race with a post
			continue
		}
		q.node.meter.flush()
		now := q.node.sys.nanos()
		q.node.addBusy(now - since)
		since = now
		q.runSince.Store(0)
		q.status.Store(idle)
		if !q.pending() || !q.status.CompareAndSwap(idle, scheduled) {
			return
		}
		q.runSince.Store(since)
	}
}

// drainOnce invokes messages until there are none, or one of them panics.
func (q *queue) drainOnce() {
	var message any
	defer func() {
		if reason := recover(); reason != nil {
			q.invoker.EscalateFailure(reason, message)
		}
	}()
	for {
		var system bool
		if message, system = q.next(); message == nil {
			return
		}
		if system {
			q.invokeSystem(message)
		} else {
			q.invoker.InvokeUserMessage(message)
		}
	}
}

func (q *queue) invokeSystem(message any) {
	switch message.(type) {
	case *actor.SuspendMailbox:
		q.suspend(true)
	case *actor.ResumeMailbox:
		q.suspend(false)
	case *actor.Stop, *actor.Restart:
		if q.gated && !q.open {
			q.invoker.InvokeUserMessage(&orderly{signal: message})
			return
		}
		q.open = false
		q.invoker.InvokeSystemMessage(message)
	default:
		q.invoker.InvokeSystemMessage(message)
	}
}

func (q *queue) suspend(on bool) {
	q.mu.Lock()
	q.suspended = on
	q.mu.Unlock()
}

// next takes the next message that may be handled now, or nil.
func (q *queue) next() (message any, system bool) {
	if len(q.batch) > 0 && !q.urgent.Load() && !q.suspended { // only the runner writes suspended
		return q.fromBatch(), false
	}
	q.mu.Lock()
	switch {
	case q.system.n > 0:
		message, system = q.system.pop(), true
		q.urgent.Store(q.system.n+q.control.n > 0)
	case q.control.n > 0 && (!q.suspended || q.gated):
		message = q.control.pop()
		q.urgent.Store(q.control.n > 0)
	case q.suspended:
	case len(q.batch) > 0:
		q.mu.Unlock()
		return q.fromBatch(), false
	case q.user.n > 0:
		most := min(maxBatch, max(1, q.user.limit/16))
		if n := min(most, q.user.n); n > len(q.space) { // most actors never have many
			q.space = make([]slot, min(most, max(firstBatch, 2*n)))
		}
		q.batch = q.space[:min(len(q.space), q.user.n)]
		for i := range q.batch {
			q.batch[i] = q.user.pop()
		}
		q.left.Store(int32(len(q.batch)))
		q.mu.Unlock()
		return q.fromBatch(), false
	case q.pill == nil || q.given:
	case q.drains && !q.draining:
		q.draining = true
		message = drainRequest{}
	case !q.drains || q.drained:
		q.given = true
		message = q.pill
	}
	q.mu.Unlock()
	return message, system
}

// fromBatch takes the first message of the batch, which must not be empty.
func (q *queue) fromBatch() any {
	s := q.batch[0]
	q.batch[0] = slot{}
	q.batch = q.batch[1:]
	q.left.Store(int32(len(q.batch)))
	if s.at != 0 {
		wait := q.node.sys.nanos() - s.at
		q.waits.add(wait)
		q.node.kind.wait.Observe(seconds(wait))
	}
	return s.message
}

// pending reports whether next would find a message.
func (q *queue) pending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.system.n > 0:
		return true
	case q.control.n > 0 && (!q.suspended || q.gated):
		return true
	case q.suspended:
		return false
	case q.user.n > 0 || q.left.Load() > 0:
		return true
	}
	return q.pill != nil && !q.given && (!q.drains || !q.draining || q.drained)
}

// snapshot is the queue as the tree shows it.
func (q *queue) snapshot() MailboxStatus {
	now := q.node.sys.nanos()
	q.mu.Lock()
	s := MailboxStatus{
		Depth:    q.user.n + int(q.left.Load()),
		MaxDepth: q.maxDepth,
		Capacity: q.user.limit,
		Overflow: q.overflow.String(),
	}
	if at := q.user.oldest(); q.user.n > 0 && at != 0 {
		s.OldestFor = seconds(now - at)
	}
	q.mu.Unlock()
	s.Dropped = q.dropped.Load()
	s.WaitLast, s.WaitMean, s.WaitMax = q.waits.read()
	s.WaitP99 = q.waits.p99()
	return s
}
