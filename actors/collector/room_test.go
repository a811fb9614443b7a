package collector

import (
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := room{made: make(chan struct{}, 1)}
		m.stuck.Store(math.MaxUint64)
		var handled atomic.Uint64
		var free atomic.Bool

		go func() {
			<-time.After(30 * time.Millisecond)
			handled.Add(1)
			free.Store(true)
			m.signal()
		}()
		begin := time.Now()
		m.await(time.Second, &handled, free.Load)
		if waited := time.Since(begin); waited != 30*time.Millisecond {
			t.Errorf("waited %v for room that came after 30 ms", waited)
		}

		free.Store(false)
		begin = time.Now()
		m.await(time.Second, &handled, free.Load)
		m.await(time.Second, &handled, free.Load)
		if waited := time.Since(begin); waited != time.Second {
			t.Errorf("waited %v for a stream that makes no progress, want one patience", waited)
		}

		handled.Add(1)
		begin = time.Now()
		m.await(time.Second, &handled, free.Load)
		if waited := time.Since(begin); waited != time.Second {
			t.Errorf("waited %v for a stream that works again", waited)
		}
	})
}
