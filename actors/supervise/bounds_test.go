package supervise_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
)

func TestBackoffDelay(t *testing.T) {
	b := supervise.Backoff{Base: 100 * time.Millisecond, Cap: 10 * time.Second, Jitter: 0.2, ResetAfter: time.Second}
	for _, tc := range []struct {
		n    int
		u    float64
		want time.Duration
	}{
		{0, 0.5, 100 * time.Millisecond},
		{3, 0.5, 800 * time.Millisecond},
		{6, 0.5, 6400 * time.Millisecond},
		{7, 0.5, 10 * time.Second},
		{1000, 0.5, 10 * time.Second},
		{0, 0, 80 * time.Millisecond},
		{7, 0, 8 * time.Second},
		{7, 0.75, 11 * time.Second},
	} {
		if got := b.Delay(tc.n, tc.u); got != tc.want {
			t.Errorf("Delay(%d, %v) = %s, want %s", tc.n, tc.u, got, tc.want)
		}
	}
}

func TestStrategyValidation(t *testing.T) {
	if err := supervise.DefaultConfig().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	for name, spoil := range map[string]func(*supervise.Config){
		"scope":    func(c *supervise.Config) { c.Root.Scope = 7 },
		"restarts": func(c *supervise.Config) { c.Root.Restarts = -1 },
		"within":   func(c *supervise.Config) { c.Root.Within = 0 },
		"base":     func(c *supervise.Config) { c.Root.Backoff.Base = 0 },
		"cap":      func(c *supervise.Config) { c.Root.Backoff.Cap = 1 },
		"jitter":   func(c *supervise.Config) { c.Root.Backoff.Jitter = 1.1 },
		"reset":    func(c *supervise.Config) { c.Root.Backoff.ResetAfter = 0 },
		"history":  func(c *supervise.Config) { c.EventHistory = 0 },
	} {
		c := supervise.DefaultConfig()
		spoil(&c)
		if c.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestCredits(t *testing.T) {
	c := supervise.NewCredits(100)
	if !c.TryTake(60) || c.TryTake(41) || !c.TryTake(40) || c.TryTake(1) || !c.TryTake(0) {
		t.Error("the pool of 100 gives 60 and 40 and no more")
	}
	c.Return(30)
	if c.Available() != 30 || c.Capacity() != 100 || c.Exhausted() != 2 {
		t.Errorf("available %d, capacity %d, exhausted %d; want 30, 100, 2", c.Available(), c.Capacity(), c.Exhausted())
	}
	for name, misuse := range map[string]func(){
		"return of more than was taken": func() { c.Return(71) },
		"negative return":               func() { c.Return(-1) },
		"negative take":                 func() { c.TryTake(-1) },
		"no capacity":                   func() { supervise.NewCredits(0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s does not panic", name)
				}
			}()
			misuse()
		}()
	}
	if c.Available() != 30 {
		t.Errorf("misuse changed the pool: %d available", c.Available())
	}
}

func TestCreditsNeverExceedTheirCapacity(t *testing.T) {
	c := supervise.NewCredits(1000)
	var out, most atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range int64(20000) {
				n := i%300 + 1
				if c.TryTake(n) {
					now := out.Add(n)
					for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
					}
					out.Add(-n)
					c.Return(n)
				}
			}
		})
	}
	wg.Wait()
	if c.Available() != 1000 || most.Load() > 1000 {
		t.Errorf("%d available at the end, at most %d out; want 1000 and no more than 1000", c.Available(), most.Load())
	}
}
