package supervise

import "fmt"

// DefaultMailboxCapacity is the number of messages a mailbox holds unless its
// spec says otherwise.
const DefaultMailboxCapacity = 1024

// Overflow says which message a full mailbox gives up. Both are counted.
type Overflow uint8

const (
	// DropNewest refuses the message being sent. It is the zero value.
	DropNewest Overflow = iota
	// DropOldest gives up the message that has waited longest.
	DropOldest
)

// String returns drop_newest or drop_oldest.
func (o Overflow) String() string {
	switch o {
	case DropNewest:
		return "drop_newest"
	case DropOldest:
		return "drop_oldest"
	}
	return fmt.Sprintf("Overflow(%d)", uint8(o))
}

// Mailbox is the bound and the overflow policy of one mailbox. A send never
// blocks. Where the loss of a message matters, the sender uses [System.Tell],
// which reports it, or the owner of the mailbox sets OnOverflow.
type Mailbox struct {
	// Capacity is in messages; 0 means DefaultMailboxCapacity. A batch of at most a
	// sixteenth of it, and of 64, may be on its way to the actor besides.
	Capacity int
	Overflow Overflow
	// OnOverflow, if set, gets each message given up, on the sender's goroutine. It
	// must return at once and must not send to the same actor.
	OnOverflow func(message any)
}

func (m Mailbox) validate() error {
	if m.Capacity < 0 {
		return fmt.Errorf("mailbox capacity %d is negative", m.Capacity)
	}
	if m.Overflow > DropOldest {
		return fmt.Errorf("mailbox overflow %s is unknown", m.Overflow)
	}
	return nil
}
