package supervise

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// node is the record of one spawned actor: what its queue, its incarnations and
// its supervisor share, and what the tree shows.
type node struct {
	sys     *System
	id      string
	parent  string
	name    string
	spec    Spec
	boss    *queue // of the supervisor that owns it; nil without one
	self    *actor.PID
	kind    *kindMetrics
	queue   *queue
	meter   *meter
	tracers tracers
	order   uint64        // of spawning; siblings are shown in this order
	done    chan struct{} // closed when stopped

	busy        atomic.Int64 // nanoseconds
	deadLetters atomic.Uint64
	goroutines  atomic.Int64
	incarnation atomic.Uint64

	mu           sync.Mutex
	state        State
	startedAt    time.Time
	restarts     uint64
	failures     uint64
	last         *Failure
	backoffUntil time.Time
	note         string
	budget       budget

	// Rate, refreshed by readers.
	rateAt      time.Time
	rateHandled uint64
	rateBusy    int64
	rate, ratio float64
}

// budget is a copy of a supervisor's window for readers.
type budget struct {
	at    []time.Time
	total uint64
}

func (n *node) pid() *actor.PID { return n.self }

func (n *node) addBusy(nanos int64) {
	n.busy.Add(nanos)
	n.kind.busy.Add(nanos)
}

func (n *node) ended() bool {
	select {
	case <-n.done:
		return true
	default:
		return false
	}
}

func (n *node) setState(s State) {
	n.mu.Lock()
	n.state = s
	n.mu.Unlock()
}

// begin marks the start of an incarnation.
func (n *node) begin() {
	first := n.incarnation.Load() == 1
	now := n.sys.clock.Now()
	n.mu.Lock()
	n.startedAt = now
	n.backoffUntil, n.note = time.Time{}, ""
	if first {
		n.state = Starting
	} else {
		n.state = Restarting
		n.restarts++
	}
	n.mu.Unlock()
	if first {
		n.kind.started.Inc()
		n.event(Event{Kind: EventStarted, Time: now})
		return
	}
	n.kind.restarted.Inc()
	n.event(Event{Kind: EventRestarted, Time: now})
}

// up marks the actor as ready.
func (n *node) up() {
	n.mu.Lock()
	ok := n.state == Starting || n.state == Restarting
	if ok {
		n.state = Running
	}
	n.mu.Unlock()
	if ok {
		n.event(Event{Kind: EventReady})
	}
}

// stopping marks the beginning of a stop.
func (n *node) stopping() {
	n.mu.Lock()
	first := n.state != Stopping && n.state != Stopped
	if first {
		n.state = Stopping
	}
	n.mu.Unlock()
	if first {
		n.event(Event{Kind: EventStopping})
	}
}

// stopped marks the end. It is called once.
func (n *node) stopped() {
	n.setState(Stopped)
	n.kind.stopped.Inc()
	n.event(Event{Kind: EventStopped})
	close(n.done)
}

// fail records a failure.
func (n *node) fail(err error) {
	f := n.record(err)
	n.kind.failures.Inc()
	n.event(Event{Kind: EventFailed, Time: f.Time, Failure: f})
}

func (n *node) record(err error) *Failure {
	f := &Failure{Time: n.sys.clock.Now(), Reason: err.Error()}
	var p *PanicError
	if errors.As(err, &p) {
		f.Message, f.Stack = p.Message, p.Stack
		if err == error(p) { //nolint:errorlint // what was wrapped around it is part of the reason
			f.Reason = fmt.Sprint(p.Reason)
		}
	}
	f.Reason = bounded(f.Reason, maxReason)
	n.mu.Lock()
	n.failures++
	n.last = f
	if n.state != Stopping && n.state != Stopped {
		n.state = Failed
	}
	n.mu.Unlock()
	return f
}

// backoff marks the wait for a restart.
func (n *node) backoff(delay time.Duration, left int) {
	now := n.sys.clock.Now()
	n.mu.Lock()
	n.state = InBackoff
	n.backoffUntil = now.Add(delay)
	n.mu.Unlock()
	n.event(Event{Kind: EventBackoff, Time: now, Delay: delay.Seconds(), Left: &left})
}

// escalate marks that a supervisor gives up.
func (n *node) escalate(err error) {
	f := n.record(err)
	n.kind.escalated.Inc()
	n.event(Event{Kind: EventEscalated, Time: f.Time, Failure: f})
}

// spend shows the window of a supervisor after one more restart of a child.
func (n *node) spend(w *window) {
	n.mu.Lock()
	n.budget.at = append(n.budget.at[:0], w.at...)
	n.budget.total++
	n.mu.Unlock()
}

// refill shows the full budget of a supervisor's new incarnation.
func (n *node) refill() {
	n.mu.Lock()
	n.budget.at = n.budget.at[:0]
	n.mu.Unlock()
}

func (n *node) event(e Event) {
	if e.Time.IsZero() {
		e.Time = n.sys.clock.Now()
	}
	e.ID, e.Parent, e.Actor, e.Exchange = n.id, n.parent, n.spec.Kind, n.spec.Exchange
	n.sys.tree.publish(e)
}

const maxReason = 1 << 10

func bounded(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// inherit takes over what outlives an actor that its supervisor starts anew.
func (n *node) inherit(old *node) {
	old.mu.Lock()
	defer old.mu.Unlock()
	n.order = old.order
	n.restarts, n.failures, n.last = old.restarts, old.failures, old.last
	n.budget.total = old.budget.total
	n.incarnation.Store(old.incarnation.Load())
	n.deadLetters.Store(old.deadLetters.Load())
	n.busy.Store(old.busy.Load())
	n.meter.handled.Store(old.meter.handled.Load())
}

// snapshot is the node as the tree shows it.
func (n *node) snapshot(now time.Time) Node {
	out := Node{
		ID: n.id, Parent: n.parent, Name: n.name, Kind: n.spec.Kind, Exchange: n.spec.Exchange,
		Supervisor:  n.spec.branch != nil,
		Restart:     n.spec.Restart.String(),
		Incarnation: n.incarnation.Load(),
		Mailbox:     n.queue.snapshot(),
		Handled:     n.meter.handled.Load(),
		BusySeconds: seconds(n.busy.Load()),
		Goroutines:  int(n.goroutines.Load()),
		DeadLetters: n.deadLetters.Load(),
	}
	if since := n.queue.runSince.Load(); since != 0 {
		out.RunningFor = seconds(max(0, n.sys.nanos()-since))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	out.State, out.StartedAt, out.Restarts, out.Failures = n.state, n.startedAt, n.restarts, n.failures
	out.LastFailure, out.Note = n.last, n.note
	if n.state == InBackoff {
		until := n.backoffUntil
		out.BackoffUntil = &until
	}
	if n.spec.branch != nil {
		out.Strategy = n.spec.branch.strategy.String()
		out.Budget = n.budget.status(n.spec.branch.strategy, now)
	}
	n.refreshRate(now, out.Handled)
	out.Rate, out.BusyRatio = n.rate, n.ratio
	return out
}

func (n *node) refreshRate(now time.Time, handled uint64) {
	busy := n.busy.Load()
	if since := n.queue.runSince.Load(); since != 0 {
		busy += max(0, n.sys.nanos()-since)
	}
	if n.rateAt.IsZero() {
		n.rateAt, n.rateHandled, n.rateBusy = now, handled, busy
		return
	}
	span := now.Sub(n.rateAt).Seconds()
	if span < 1 {
		return
	}
	n.rate = float64(handled-n.rateHandled) / span
	n.ratio = min(1, seconds(max(0, busy-n.rateBusy))/span)
	n.rateAt, n.rateHandled, n.rateBusy = now, handled, busy
}

func (b *budget) status(s Strategy, now time.Time) *BudgetStatus {
	out := &BudgetStatus{Restarts: s.Restarts, Within: s.Within.Seconds(), Total: b.total}
	spent := 0
	for _, at := range b.at {
		if now.Sub(at) >= s.Within {
			continue
		}
		if spent == 0 {
			next := at.Add(s.Within)
			out.NextAt = &next
		}
		spent++
	}
	out.Left = max(0, s.Restarts-spent)
	return out
}
