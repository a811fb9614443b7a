package remoting

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster/wire"
)

// Why a call has no answer. Each comes with the node's name.
var (
	// ErrNotRunning: this node's own part does not run, yet or any more.
	ErrNotRunning = errors.New("remoting does not run")
	// ErrUnknownNode: no member has that name.
	ErrUnknownNode = errors.New("no such node")
	// ErrUnreachable: the node's port does not answer, refuses us, or the connection was
	// lost. Whether the question was heard is not known.
	ErrUnreachable = errors.New("the node cannot be reached")
	// ErrTimeout: no answer before the deadline. The question may still be handled.
	ErrTimeout = errors.New("the node does not answer in time")
	// ErrBusy: too many questions to that node are under way.
	ErrBusy = errors.New("too many questions to the node are under way")
	// ErrNoOwner: no node is known to own the stream.
	ErrNoOwner = errors.New("no node is known to own the stream")

	// errNoActor: the node runs, and has no such actor.
	errNoActor = errors.New("the node has no such actor")
)

// Refused is an answer that says no.
type Refused struct {
	Node   string
	Reason wire.Reason
	Text   string
	// Owner and Revision are given with NOT_OWNER.
	Owner    string
	Revision uint64
}

// Error implements error.
func (r *Refused) Error() string {
	text := r.Text
	if text == "" {
		text = strings.ToLower(strings.TrimPrefix(r.Reason.String(), "REASON_"))
	}
	if r.Node == "" {
		return text
	}
	return r.Node + ": " + text
}

// Refuse is a refusal by this node, for what answers questions here.
func Refuse(reason wire.Reason, format string, args ...any) error {
	return &Refused{Reason: reason, Text: fmt.Sprintf(format, args...)}
}

// refusal is an error as it is told to whoever asked.
func refusal(err error) *wire.Refusal {
	var r *Refused
	if errors.As(err, &r) {
		return &wire.Refusal{Reason: r.Reason, Text: r.Text, Owner: r.Owner, Revision: r.Revision}
	}
	reason := wire.Reason_REASON_FAILED
	switch {
	case errors.Is(err, supervise.ErrNoChild), errors.Is(err, supervise.ErrStopped):
		reason = wire.Reason_REASON_NOT_FOUND
	case errors.Is(err, supervise.ErrNotBranch):
		reason = wire.Reason_REASON_NOT_POSSIBLE
	case errors.Is(err, supervise.ErrMailboxFull):
		reason = wire.Reason_REASON_BUSY
	case errors.Is(err, supervise.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		reason = wire.Reason_REASON_TIMEOUT
	case errors.Is(err, context.Canceled):
		reason = wire.Reason_REASON_STOPPING
	}
	return &wire.Refusal{Reason: reason, Text: err.Error()}
}

// refused is a refusal as an error of whoever asked.
func refused(node string, r *wire.Refusal) error {
	return &Refused{Node: node, Reason: r.GetReason(), Text: r.GetText(), Owner: r.GetOwner(), Revision: r.GetRevision()}
}
