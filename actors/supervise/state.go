package supervise

import "fmt"

// State is where an actor is in its life; the diagram is in the package's
// documentation.
type State uint8

const (
	// Starting: from spawn until ready.
	Starting State = iota
	// Running: ready, and handling messages.
	Running
	// Restarting: a new incarnation has begun and is not ready yet.
	Restarting
	// InBackoff: failed, and waiting for its restart; messages queue up.
	InBackoff
	// Stopping: draining its mailbox, or ending its goroutines.
	Stopping
	// Stopped: gone, as asked.
	Stopped
	// Failed: gone, or waiting for its parent, after a failure that is not
	// restarted here.
	Failed
)

var stateNames = [...]string{"starting", "running", "restarting", "backoff", "stopping", "stopped", "failed"}

// String returns the name used in the tree.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText returns the name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("unknown actor state %q", text)
}
