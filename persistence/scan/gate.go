package scan

import (
	"sync"

	"github.com/marketprism/marketprism/persistence"
)

// Gate lets calls into a store until it is shut, and lets its end wait for those
// under way. The zero value is open. It is safe for concurrent use.
type Gate struct {
	mu    sync.Mutex // orders calls.Add and Shut
	shut  bool
	calls sync.WaitGroup
}

// Enter begins a call; whoever may enter must [Gate.Leave]. The error is
// persistence.ErrClosed.
func (g *Gate) Enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return persistence.ErrClosed
	}
	g.calls.Add(1)
	return nil
}

// Leave ends a call.
func (g *Gate) Leave() { g.calls.Done() }

// Shut lets nobody in any more.
func (g *Gate) Shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
}

// IsShut reports whether it is.
func (g *Gate) IsShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}

// Wait returns when every call is over; the gate must be shut.
func (g *Gate) Wait() { g.calls.Wait() }
