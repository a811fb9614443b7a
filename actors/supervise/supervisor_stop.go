package supervise

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"
)

// stopInOrder stops those added at run time at once, then the others one after
// the other in reverse start order, and then calls done.
func (s *supervisor) stopInOrder(children []*child, done func()) {
	var static, dynamic []*child
	for _, ch := range children {
		ch.disarmUnless(childStopping)
		switch {
		case ch.pid == nil:
			ch.rest()
		case ch.spec.dynamic:
			dynamic = append(dynamic, ch)
		default:
			static = append(static, ch)
		}
	}
	left := len(dynamic)
	if left == 0 {
		s.stopReverse(static, done)
		return
	}
	for _, ch := range dynamic {
		s.stop(ch, func() {
			if left--; left == 0 {
				s.stopReverse(static, done)
			}
		})
	}
}

func (s *supervisor) stopReverse(children []*child, done func()) {
	for len(children) > 0 {
		last := children[len(children)-1]
		children = children[:len(children)-1]
		if last.pid != nil {
			rest := children
			s.stop(last, func() { s.stopReverse(rest, done) })
			return
		}
	}
	done()
}

func (ch *child) disarmUnless(state childState) {
	if ch.state != state {
		ch.disarm()
	}
}

// rest makes a child that is not alive one to be started with the others.
func (ch *child) rest() {
	if ch.state == childEnded {
		return
	}
	ch.state = childIdle
	if ch.node != nil && ch.node.ended() {
		ch.node.setState(Stopped) // it may have waited for a restart
	}
}

// stop drains a child and calls done when it has stopped. After its
// ShutdownTimeout the drain is cut short, after another the child is abandoned.
func (s *supervisor) stop(ch *child, done func()) {
	ch.onStopped = append(ch.onStopped, done)
	if ch.state == childStopping {
		return
	}
	ch.disarm()
	ch.state = childStopping
	ch.node.stopping()
	if ch.suspended || ch.spec.branch != nil {
		s.halt(ch)
	} else {
		s.c.Poison(ch.pid)
	}
	s.armStop(ch)
}

func (s *supervisor) armStop(ch *child) {
	if ch.spec.ShutdownTimeout > 0 {
		s.arm(ch, ch.spec.ShutdownTimeout, func(gen uint64) any { return stopLate{ch, gen} })
	}
}

// halt stops a child with what is left in its mailbox.
func (s *supervisor) halt(ch *child) {
	if ch.pid != nil {
		ch.halted = true
		s.c.Stop(ch.pid)
	}
}

func (s *supervisor) stopLate(ch *child) {
	if !ch.halted {
		s.halt(ch)
		s.armStop(ch)
		return
	}
	s.node.sys.abandon(ch.node)
	// The library counts the child among its own until it has terminated.
	s.node.queue.PostSystemMessage(&actor.Terminated{Who: ch.pid})
}

// childEnded is the library's word that a child is gone.
func (s *supervisor) childEnded(ch *child) {
	was := ch.state
	ch.disarm()
	ch.pid, ch.suspended, ch.halted = nil, false, false
	switch {
	case was == childStopping:
		ch.state = childIdle
		s.settled(ch)
		called := ch.onStopped
		ch.onStopped = nil
		for _, done := range called {
			done()
		}
	case s.phase >= phaseFailing, s.affected[ch]:
		ch.state = childIdle
	case ch.spec.Restart == Temporary:
		s.drop(ch, ErrStopped)
	case ch.spec.Restart == Transient:
		ch.state = childEnded
		s.answer(ch, nil, ErrStopped)
		s.settled(ch)
	default:
		ch.state = childUp
		ch.node.fail(ErrEnded)
		s.failed(ch, ErrEnded)
	}
}

// dismiss stops a child that is not to come back.
func (s *supervisor) dismiss(ch *child, err error) {
	if ch.pid == nil {
		s.drop(ch, err)
		return
	}
	s.stop(ch, func() { s.drop(ch, err) })
}

// drop forgets a child that is not alive.
func (s *supervisor) drop(ch *child, err error) {
	ch.disarm()
	ch.removed = true
	s.children = slices.DeleteFunc(slices.Clone(s.children), func(c *child) bool { return c == ch })
	s.branch.children = slices.DeleteFunc(s.branch.children, func(spec Spec) bool { return spec.Name == ch.spec.Name })
	if ch.node != nil {
		s.node.sys.tree.forget(ch.node)
	}
	s.answer(ch, nil, err)
	s.settled(ch)
}

// answer replies to those who wait for the child to be ready.
func (s *supervisor) answer(ch *child, pid *actor.PID, err error) {
	waiting := ch.waiting
	ch.waiting = nil
	for _, w := range waiting {
		s.reply(w.to, ChildReply{Name: ch.spec.Name, PID: pid, Err: err})
	}
}

func (s *supervisor) reply(to *actor.PID, r ChildReply) {
	if to != nil {
		s.c.Send(to, r)
	}
}

func (s *supervisor) add(spec Spec, from *actor.PID) {
	err := spec.Validate()
	switch {
	case err != nil:
	case s.phase >= phaseFailing:
		err = ErrStopped
	case s.byName(spec.Name) != nil:
		err = ErrChildExists
	}
	if err != nil {
		s.reply(from, ChildReply{Name: spec.Name, Err: err})
		return
	}
	spec = spec.clone()
	spec.dynamic = true
	s.branch.children = append(s.branch.children, spec)
	ch := &child{spec: spec.withDefaults(), waiting: []waiter{{from}}}
	s.children = append(s.children, ch)
	if s.phase == phaseRunning {
		s.spawn(ch)
	}
}

func (s *supervisor) remove(name string, from *actor.PID) {
	ch := s.byName(name)
	if ch == nil {
		s.reply(from, ChildReply{Name: name, Err: ErrNoChild})
		return
	}
	gone := func() {
		s.drop(ch, ErrStopped)
		s.reply(from, ChildReply{Name: name})
	}
	if ch.pid == nil {
		gone()
		return
	}
	s.stop(ch, gone)
}

func (s *supervisor) cycle(name string, from *actor.PID) {
	ch := s.byName(name)
	switch {
	case ch == nil:
		s.reply(from, ChildReply{Name: name, Err: ErrNoChild})
	case s.phase >= phaseRegrouping || ch.state == childStopping:
		s.reply(from, ChildReply{Name: name, Err: ErrStopped})
	default:
		ch.waiting = append(ch.waiting, waiter{from})
		if ch.state != childIdle { // else it is about to be started
			s.node.log().Info("restart requested", zap.String("child", name))
			s.restart(ch)
		}
	}
}
