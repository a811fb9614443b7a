package supervise

import (
	"errors"
	"fmt"
)

var (
	// ErrInvalidSpec: the spec cannot be started as it is.
	ErrInvalidSpec = errors.New("supervise: invalid spec")
	// ErrMailboxFull: the actor's mailbox refused the message. Retry later (503).
	ErrMailboxFull = errors.New("supervise: mailbox full")
	// ErrTimeout: no answer before the deadline of the context. The request may
	// still be handled.
	ErrTimeout = errors.New("supervise: no answer in time")
	// ErrStopped: there is no such actor, or it stopped before it answered.
	ErrStopped = errors.New("supervise: actor stopped")
	// ErrFailed: the actor failed while it handled the request.
	ErrFailed = errors.New("supervise: actor failed")
	// ErrUnexpectedReply: the actor answered with another type than asked for.
	ErrUnexpectedReply = errors.New("supervise: unexpected reply")
	// ErrChildExists: the branch has a child of that name.
	ErrChildExists = errors.New("supervise: child exists")
	// ErrNoChild: the branch has no child of that name.
	ErrNoChild = errors.New("supervise: no such child")
	// ErrNotBranch: the actor does not supervise.
	ErrNotBranch = errors.New("supervise: not a branch")
	// ErrStartTimeout: a child was not ready within its StartTimeout.
	ErrStartTimeout = errors.New("supervise: not ready in time")
	// ErrEnded: a permanent child stopped by itself.
	ErrEnded = errors.New("supervise: permanent child ended")
	// ErrAbandoned: actors did not stop in time and were left behind.
	ErrAbandoned = errors.New("supervise: actors abandoned")
	// ErrIntensity: a branch saw more failures than its strategy allows.
	ErrIntensity = errors.New("supervise: restart intensity exceeded")
)

// PanicError is a failure of an actor as its supervisor sees it.
type PanicError struct {
	Reason  any    // the value of panic
	Message string // Go type of the message being handled; "goroutine" in one of Context.Go
	Stack   string // of the goroutine that panicked, at most maxStack bytes
}

// maxStack bounds the stack kept of a failure.
const maxStack = 8 << 10

func (p *PanicError) Error() string {
	return fmt.Sprintf("panic in %s: %v", p.Message, p.Reason)
}

// Unwrap returns the value of panic if it is an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Reason.(error)
	return err
}

// IntensityError is the failure of a branch whose children failed too often. Its
// cause is the last child's failure.
type IntensityError struct {
	Branch string // id
	Child  string // id
	Cause  error
}

func (e *IntensityError) Error() string {
	return fmt.Sprintf("%s: too many restarts, last of %s: %v", e.Branch, e.Child, e.Cause)
}

// Unwrap returns ErrIntensity and the cause.
func (e *IntensityError) Unwrap() []error { return []error{ErrIntensity, e.Cause} }
