package gateway

import (
	"errors"
	"sync"
	"time"
)

// streamLook is how often it is asked whether the client of a stream is still good.
const streamLook = 5 * time.Second

var errWithdrawn = errors.New("the client's credential is not good any more")

// watch ends a stream once its client may not have it any more.
type watch struct {
	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

// watchOver looks every so often whether still holds, until that fails, when end is
// called, or until stop.
func watchOver(every time.Duration, still func() bool, end func()) *watch {
	w := &watch{}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(every, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case w.over:
		case still():
			w.timer.Reset(every)
		default:
			end()
		}
	})
	return w
}

// stop ends the looking; of nil it does nothing.
func (w *watch) stop() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.timer.Stop()
}
