package supervise

import (
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// phase is where a supervisor is in its own life.
type phase uint8

const (
	phaseStarting   phase = iota // static children start, one after the other
	phaseRunning                 // all static children are or have been ready
	phaseRegrouping              // some stop, to be started again together
	phaseFailing                 // beyond the intensity: all stop, then it fails itself
	phaseFailed                  // waits for its parent
	phaseEnding                  // all stop, then it stops or restarts
	phaseReleased
)

// supervisor is the actor of a branch. All of it runs on the branch's goroutine.
type supervisor struct {
	node     *node
	branch   *branch
	c        *Context
	children []*child // in start order, those added at run time last
	window   window

	phase    phase
	queue    []*child        // still to be started in order
	current  *child          // its readiness is awaited
	affected map[*child]bool // of a regrouping
	round    int             // counts regroupings
	failure  error           // why it is failing
	signal   any             // the stop or restart to release when all have stopped
}

type childState uint8

const (
	childIdle childState = iota // not alive, to be started with the others
	childStarting
	childUp
	childBackoff
	childStopping
	childEnded // a transient child that has ended well
)

// child is one spec of a supervisor and, while pid is set, its actor.
type child struct {
	spec      Spec
	node      *node
	pid       *actor.PID
	state     childState
	suspended bool      // failed: it handles nothing until restarted
	halted    bool      // its drain was cut short
	failures  int       // in a row
	upSince   time.Time // zero until ready
	above     uint64    // only a later incarnation counts as ready
	gen       uint64    // of its timer
	timer     func()    // stops it
	waiting   []waiter  // for ready
	onStopped []func()
	removed   bool
}

// waiter is a request to be answered by a ChildReply; to may be nil.
type waiter struct{ to *actor.PID }

// Messages of a supervisor to itself and from its children.
type (
	childReady struct {
		node        *node
		incarnation uint64
	}
	restartDue struct {
		child *child
		gen   uint64
	}
	startLate  restartDue
	stopLate   restartDue
	regroupDue struct{ round int }
)

func newSupervisor(n *node) *supervisor {
	b := n.spec.branch
	s := &supervisor{node: n, branch: b, window: window{limit: b.strategy.Restarts, within: b.strategy.Within}}
	for _, spec := range b.children {
		s.children = append(s.children, &child{spec: spec.withDefaults()})
	}
	return s
}

// Receive handles one message.
func (s *supervisor) Receive(c *Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		s.c = c
		s.node.refill()
		s.startIdle()
	case *actor.Terminated:
		if ch := s.byPID(m.Who); ch != nil {
			s.childEnded(ch)
		}
	case childReady:
		s.childReady(m)
	case restartDue:
		if m.child.gen == m.gen && m.child.state == childBackoff {
			s.restart(m.child)
		}
	case startLate:
		if m.child.gen == m.gen && m.child.state == childStarting {
			m.child.node.fail(ErrStartTimeout)
			s.failed(m.child, ErrStartTimeout)
		}
	case stopLate:
		if m.child.gen == m.gen && m.child.state == childStopping {
			s.stopLate(m.child)
		}
	case regroupDue:
		if m.round == s.round && s.phase == phaseRegrouping {
			s.affected = nil
			s.startIdle()
		}
	case AddChild:
		s.add(m.Spec, c.Sender())
	case RemoveChild:
		s.remove(m.Name, c.Sender())
	case CycleChild:
		s.cycle(m.Name, c.Sender())
	}
}

func (s *supervisor) byPID(pid *actor.PID) *child {
	for _, ch := range s.children {
		if ch.pid != nil && ch.pid.Id == pid.Id {
			return ch
		}
	}
	return nil
}

func (s *supervisor) byName(name string) *child {
	for _, ch := range s.children {
		if ch.spec.Name == name {
			return ch
		}
	}
	return nil
}

// startIdle starts what is not alive: static children one after the other, then
// the others at once.
func (s *supervisor) startIdle() {
	s.phase, s.current, s.queue = phaseStarting, nil, nil
	for _, ch := range s.children {
		if ch.state == childIdle && !ch.spec.dynamic {
			s.queue = append(s.queue, ch)
		}
	}
	s.advance()
}

func (s *supervisor) advance() {
	for s.phase == phaseStarting && s.current == nil {
		if len(s.queue) == 0 {
			s.startRest()
			return
		}
		ch := s.queue[0]
		s.queue = s.queue[1:]
		if ch.state == childIdle && !ch.removed {
			s.current = ch
			s.spawn(ch)
		}
	}
}

func (s *supervisor) startRest() {
	s.phase = phaseRunning
	for _, ch := range slices.Clone(s.children) {
		if ch.state == childIdle && s.phase == phaseRunning {
			s.spawn(ch)
		}
	}
	if s.phase == phaseRunning {
		s.c.Ready()
	}
}

func (s *supervisor) spawn(ch *child) {
	ch.state, ch.above, ch.upSince = childStarting, 0, time.Time{}
	pid, err := s.c.SpawnNamed(s.node.sys.props(ch.spec, s.node.queue), ch.spec.Name)
	if n, ok := s.node.sys.tree.get(s.node.id + "/" + ch.spec.Name); ok {
		ch.node = n
	}
	if err != nil { // an abandoned actor of that name is still there
		err = fmt.Errorf("starting %s: %w", ch.spec.Name, err)
		s.node.log().Error("child does not start", errorFields(err)...)
		s.failed(ch, err)
		return
	}
	ch.pid = pid
	s.armStart(ch)
}

func (s *supervisor) armStart(ch *child) {
	if ch.spec.StartTimeout > 0 {
		s.arm(ch, ch.spec.StartTimeout, func(gen uint64) any { return startLate{ch, gen} })
	}
}

func (s *supervisor) arm(ch *child, d time.Duration, message func(gen uint64) any) {
	ch.disarm()
	ch.timer = s.c.After(d, message(ch.gen))
}

func (ch *child) disarm() {
	ch.gen++
	if ch.timer != nil {
		ch.timer()
		ch.timer = nil
	}
}

// restart makes a new incarnation in place, or a new actor if there is none.
func (s *supervisor) restart(ch *child) {
	ch.disarm()
	if ch.pid == nil {
		s.spawn(ch)
		return
	}
	ch.state, ch.suspended, ch.upSince = childStarting, false, time.Time{}
	ch.above = ch.node.incarnation.Load()
	s.armStart(ch)
	s.c.Context.(actor.Supervisor).RestartChildren(ch.pid)
}

func (s *supervisor) childReady(m childReady) {
	for _, ch := range s.children {
		if ch.node == m.node && ch.state == childStarting && m.incarnation > ch.above {
			ch.disarm()
			ch.state, ch.upSince = childUp, s.node.sys.clock.Now()
			s.answer(ch, ch.pid, nil)
			s.settled(ch)
			return
		}
	}
}

// settled lets the next child start.
func (s *supervisor) settled(ch *child) {
	if s.current == ch {
		s.current = nil
		s.advance()
	}
}

// childFailed is the library's word that a child has failed and is suspended.
func (s *supervisor) childFailed(pid *actor.PID, err error) {
	ch := s.byPID(pid)
	if ch == nil { // abandoned earlier
		s.c.Stop(pid)
		return
	}
	ch.suspended = true
	switch err.(type) { //nolint:errorlint // the library hands over what the child itself failed with
	case *PanicError, *IntensityError: // the child has recorded it
	default:
		ch.node.fail(err)
	}
	s.failed(ch, err)
}

// failed answers one failure.
func (s *supervisor) failed(ch *child, err error) {
	switch {
	case s.phase >= phaseFailing, ch.state == childStopping, s.affected[ch]:
		s.halt(ch)
		return
	case ch.state == childBackoff:
		return
	case ch.spec.Restart == Temporary:
		s.publish(ch, err, actor.StopDirective)
		s.dismiss(ch, err)
		return
	}
	now := s.node.sys.clock.Now()
	within := s.window.add(now)
	s.node.spend(&s.window)
	if !within {
		s.publish(ch, err, actor.EscalateDirective)
		s.giveUp(ch, err)
		return
	}
	s.publish(ch, err, actor.RestartDirective)
	if !ch.upSince.IsZero() && now.Sub(ch.upSince) >= s.branch.strategy.Backoff.ResetAfter {
		ch.failures = 0
	}
	delay := s.branch.strategy.Backoff.Delay(ch.failures, s.node.sys.jitter())
	ch.failures++
	if s.branch.strategy.Scope == OneForOne {
		s.announce(ch, delay)
		ch.state = childBackoff
		s.arm(ch, delay, func(gen uint64) any { return restartDue{ch, gen} })
		return
	}
	s.regroup(ch, delay)
}

// announce shows a backoff in the tree.
func (s *supervisor) announce(ch *child, delay time.Duration) {
	if ch.node != nil {
		ch.node.backoff(delay, s.window.limit-len(s.window.at))
	}
}

func (s *supervisor) publish(ch *child, err error, d actor.Directive) {
	pid := ch.pid
	if pid == nil {
		pid = s.c.ActorSystem().NewLocalPID(s.node.id + "/" + ch.spec.Name)
	}
	s.c.ActorSystem().EventStream.Publish(&actor.SupervisorEvent{Child: pid, Reason: err, Directive: d})
}

// regroup stops the failed child and those bound to it, and starts them again
// after delay.
func (s *supervisor) regroup(failed *child, delay time.Duration) {
	if s.affected == nil {
		s.affected = make(map[*child]bool)
	}
	from := 0
	if s.branch.strategy.Scope == RestForOne {
		from = slices.Index(s.children, failed)
	}
	for _, ch := range s.children[from:] {
		s.affected[ch] = true
	}
	s.phase, s.current, s.queue = phaseRegrouping, nil, nil
	s.round++
	round := s.round
	s.stopInOrder(s.children[from:], func() {
		if s.phase == phaseRegrouping && s.round == round {
			s.announce(failed, delay)
			s.c.After(delay, regroupDue{round: round})
		}
	})
}

// giveUp stops all children and then fails upward.
func (s *supervisor) giveUp(ch *child, cause error) {
	id := s.node.id + "/" + ch.spec.Name
	s.failure = &IntensityError{Branch: s.node.id, Child: id, Cause: cause}
	s.phase, s.current, s.queue = phaseFailing, nil, nil
	s.node.escalate(s.failure)
	s.node.sys.escalated(s.node, s.failure)
	s.stopInOrder(s.children, s.allStopped)
}

// end is the gate's word that the branch is to stop or to restart.
func (s *supervisor) end(signal any) {
	if s.phase == phaseReleased {
		s.node.queue.release(signal)
		return
	}
	if _, stop := signal.(*actor.Stop); stop || s.signal == nil {
		s.signal = signal
	}
	if _, stop := s.signal.(*actor.Stop); stop {
		s.node.stopping()
	}
	if s.phase == phaseFailing || s.phase == phaseEnding {
		return // all are stopping already
	}
	s.phase, s.current, s.queue = phaseEnding, nil, nil
	s.stopInOrder(s.children, s.allStopped)
}

func (s *supervisor) allStopped() {
	for _, ch := range s.children {
		s.answer(ch, nil, ErrStopped)
	}
	switch {
	case s.signal != nil:
		s.phase = phaseReleased
		s.node.queue.release(s.signal)
	case s.node.sys.isRoot(s.node):
		s.phase = phaseFailed // the root: the process is to end
	default:
		s.phase = phaseFailed
		s.c.Context.(actor.Supervisor).EscalateFailure(s.failure, nil)
	}
}
