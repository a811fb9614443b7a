package supervise

import "fmt"

// kill makes one incarnation of an actor fail; one that began since is left alone.
type kill struct {
	incarnation uint64
	why         string
}

// KilledReason is how the reason of a failure begins that [System.Kill] has brought about.
const KilledReason = "killed by hand"

// Kill makes a child of a branch fail, as a panic of its own over the next message would:
// that message is kept, its supervisor spends a restart, waits and starts it again, or
// escalates. It is for rehearsing failures; why is part of the failure's reason. It returns
// at once: the tree tells what came of it. Errors: ErrStopped; ErrNoChild for the root and
// for what no branch owns.
func (s *System) Kill(id, why string) error {
	n, ok := s.tree.get(id)
	switch {
	case !ok || n.ended():
		return fmt.Errorf("%s: %w", id, ErrStopped)
	case n.boss == nil:
		return fmt.Errorf("%s: %w", id, ErrNoChild)
	}
	n.queue.postControl(&kill{n.incarnation.Load(), why})
	return nil
}

// kill ends the incarnation that was meant.
func (b *base) kill(m *kill) {
	if m.incarnation != b.node.incarnation.Load() || b.ending {
		return
	}
	reason := KilledReason
	if m.why != "" {
		reason += ": " + m.why
	}
	defer b.fail(m)
	panic(&PanicError{Reason: reason, Message: "kill"})
}
