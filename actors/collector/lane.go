package collector

import (
	"slices"
	"sync"
	"sync/atomic"
)

// lane carries what must reach a stream actor even when its mailbox is full. It
// is bounded by what the stream has begun (requests, entries) and by the changes
// of its sessions' state.
type lane struct {
	n  atomic.Int32 // length, to look without the lock
	mu sync.Mutex
	// items in the order of their arrival.
	items []laneItem
}

// laneItem is due once the actor has handled as many deliveries as had been sent
// to it before: an interruption must not overtake what was received before it.
type laneItem struct {
	after   uint64
	message any
}

func (l *lane) put(after uint64, message any) {
	l.mu.Lock()
	l.items = append(l.items, laneItem{after, message})
	l.n.Store(int32(len(l.items)))
	l.mu.Unlock()
}

// take removes what is due and appends it to dst.
func (l *lane) take(handled uint64, dst []any) []any {
	if l.n.Load() == 0 {
		return dst
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = slices.DeleteFunc(l.items, func(i laneItem) bool {
		if i.after > handled {
			return false
		}
		dst = append(dst, i.message)
		return true
	})
	l.n.Store(int32(len(l.items)))
	return dst
}
