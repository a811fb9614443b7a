package collector

import (
	"math"
	"sync/atomic"
	"time"
)

// room lets a socket wait a moment for a stream whose mailbox is full, so that a
// burst is held back in the socket's buffers instead of being lost. It does not
// wait for a stream that makes no progress: others share the socket.
type room struct {
	waiting atomic.Int32
	made    chan struct{}
	// stuck is the number of deliveries handled when a wait was in vain; progress
	// since is what makes the next one worth while.
	stuck atomic.Uint64
}

func (m *room) init() {
	m.made = make(chan struct{}, 1)
	m.stuck.Store(math.MaxUint64)
}

// roomLook bounds how long a missed signal can matter.
const roomLook = 10 * time.Millisecond

// signal tells waiters that there is room. It costs one load when there are none.
func (m *room) signal() {
	if m.waiting.Load() == 0 {
		return
	}
	select {
	case m.made <- struct{}{}:
	default:
	}
}

// await waits until there is room, patience is over, or the stream is known to be
// stuck; handled counts what the stream has handled.
func (m *room) await(patience time.Duration, handled *atomic.Uint64, there func() bool) {
	if patience <= 0 || handled.Load() == m.stuck.Load() {
		return
	}
	m.waiting.Add(1)
	defer m.waiting.Add(-1)
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(roomLook)
	defer look.Stop()
	for {
		select {
		case <-m.made:
		case <-look.C:
		case <-deadline.C:
			m.stuck.Store(handled.Load())
			return
		}
		if there() {
			return
		}
	}
}
