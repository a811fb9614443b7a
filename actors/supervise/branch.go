package supervise

import "github.com/asynkron/protoactor-go/actor"

// AddChild asks a branch to add a child, which starts once the static ones have;
// actors send it with a sender and get a [ChildReply]. Further calls for a name
// that exists are refused.
type AddChild struct{ Spec Spec }

// RemoveChild asks a branch to stop a child, drained, and to forget it.
type RemoveChild struct{ Name string }

// CycleChild asks a branch to restart a child now. It costs no budget.
type CycleChild struct{ Name string }

// ChildReply answers AddChild, RemoveChild and CycleChild once it is done: the
// child is ready, gone, or ready again.
type ChildReply struct {
	Name string
	PID  *actor.PID // nil with an error and after RemoveChild
	Err  error      // ErrInvalidSpec, ErrChildExists, ErrNoChild, ErrStopped
}

// branch is what a Spec of Branch starts. Specs added at run time join it, so
// that they outlive a restart of the branch.
type branch struct {
	strategy Strategy
	children []Spec
}

// clone is a copy of s that shares no branch with it.
func (s Spec) clone() Spec {
	if s.branch == nil {
		return s
	}
	copied := &branch{strategy: s.branch.strategy, children: make([]Spec, len(s.branch.children))}
	for i, child := range s.branch.children {
		copied.children[i] = child.clone()
	}
	s.branch = copied
	return s
}
