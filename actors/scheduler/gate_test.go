package scheduler

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// A gate lets as many through as it has places, in order, and forgets who gave up.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2)
		var mu sync.Mutex
		var order []int
		quit, cancel := context.WithCancel(t.Context())
		for i := range 8 {
			ctx := t.Context()
			if i == 4 {
				ctx = quit
			}
			go func() {
				if err := g.enter(ctx); err != nil {
					if i != 4 || !errors.Is(err, context.Canceled) {
						t.Errorf("%d: %v", i, err)
					}
					return
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			}()
			synctest.Wait()
		}
		expect := func(what string, n int) {
			t.Helper()
			synctest.Wait()
			if len(order) != n {
				t.Errorf("%s: %v passed, want %d", what, order, n)
			}
		}
		expect("at first", 2)
		cancel()
		g.leave()
		expect("one left", 3)
		g.resize(5)
		expect("more places", 6)
		g.resize(1)
		for range 4 {
			g.leave()
		}
		expect("fewer places", 6)
		g.leave()
		expect("one again", 7)
		g.leave()
		if g.taken != 0 || g.waiting.Len() != 0 {
			t.Errorf("%d taken, %d waiting", g.taken, g.waiting.Len())
		}
		slices.Sort(order[3:6]) // these were let in together
		if !slices.Equal(order, []int{0, 1, 2, 3, 5, 6, 7}) {
			t.Errorf("passed in the order %v", order)
		}
	})
}
