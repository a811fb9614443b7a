package upstream_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marketprism/marketprism/actors/gateway/upstream"
)

func listing(port int) upstream.Listing {
	return upstream.Listing{Address: upstream.Address{Host: "127.0.0.1", Port: port}, HealthPath: "/health", ProbePath: "/readyz"}
}

func pool(c upstream.Config, ports ...int) *upstream.Pool {
	p := upstream.NewPool("thing", c, nil)
	var list []upstream.Listing
	for _, port := range ports {
		list = append(list, listing(port))
	}
	p.Set(list)
	return p
}

// ask sends n requests with an outcome; it counts them by port.
func ask(t *testing.T, p *upstream.Pool, n int, outcome func(port int) upstream.Outcome) map[int]int {
	t.Helper()
	by := map[int]int{}
	for range n {
		try, err := p.Pick(nil)
		if err != nil {
			t.Fatal(err)
		}
		by[try.Port]++
		try.Judge(outcome(try.Port))
		try.End()
	}
	return by
}

func well(int) upstream.Outcome { return upstream.Succeeded }

func state(p *upstream.Pool, port int) upstream.View {
	for _, i := range p.Instances() {
		if i.Port == port {
			return i.View(time.Now())
		}
	}
	return upstream.View{}
}

func TestLeastBusy(t *testing.T) {
	p := pool(upstream.DefaultConfig(), 1, 2)
	var held []*upstream.Try
	for range 100 {
		try, err := p.Pick(nil)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, try)
	}
	for _, i := range p.Instances() {
		if i.Under() != 50 {
			t.Errorf("%v has %d of 100 requests", i.Address, i.Under())
		}
	}
	for _, try := range held {
		try.End()
		try.End() // counts once
	}
	for _, i := range p.Instances() {
		if i.Under() != 0 {
			t.Errorf("%v has %d requests", i.Address, i.Under())
		}
	}
}

func TestNoneAndTried(t *testing.T) {
	p := pool(upstream.DefaultConfig())
	if _, err := p.Pick(nil); !errors.Is(err, upstream.ErrNone) {
		t.Errorf("got %v", err)
	}
	p = pool(upstream.DefaultConfig(), 1, 2)
	a, err := p.Pick(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Pick([]*upstream.Instance{a.Instance})
	if err != nil || b.Port == a.Port {
		t.Errorf("got %v, %v", b, err)
	}
	if _, err := p.Pick([]*upstream.Instance{a.Instance, b.Instance}); !errors.Is(err, upstream.ErrTried) {
		t.Errorf("got %v", err)
	}
}

func TestProbes(t *testing.T) {
	p := pool(upstream.DefaultConfig(), 1, 2)
	one := p.Instances()[0]
	gone := errors.New("gone")
	if one.Probed(gone, time.Now()); state(p, 1).State != upstream.Unknown {
		t.Error("one probe is enough")
	}
	if changed := one.Probed(gone, time.Now()); !changed || state(p, 1).State != upstream.Unhealthy || state(p, 1).Fault != "gone" {
		t.Errorf("after two: %+v", state(p, 1))
	}
	if by := ask(t, p, 20, well); by[2] != 20 {
		t.Errorf("requests went to %v", by)
	}
	p.Instances()[1].Probed(gone, time.Now())
	p.Instances()[1].Probed(gone, time.Now())
	if _, err := p.Pick(nil); !errors.Is(err, upstream.ErrUnhealthy) {
		t.Errorf("got %v", err)
	}
	if changed := one.Probed(nil, time.Now()); !changed || state(p, 1).State != upstream.Healthy {
		t.Error("a probe that passes takes it back")
	}
	if by := ask(t, p, 20, well); by[1] != 20 {
		t.Errorf("requests went to %v", by)
	}
}

// TestEjection: one that fails is set aside while there is another one, for longer each
// time, and comes back by a request that succeeds.
func TestEjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := upstream.DefaultConfig()
		c.Breaker.Enabled = false
		p := pool(c, 1, 2)
		sick := func(port int) upstream.Outcome {
			if port == 1 {
				return upstream.Failed
			}
			return upstream.Succeeded
		}
		if by := ask(t, p, 200, sick); by[1] != 5 || state(p, 1).State != upstream.Ejected || p.Ejections() != 1 {
			t.Fatalf("%v, %+v, %d ejections", by, state(p, 1), p.Ejections())
		}
		<-time.After(c.Ejection.Base)
		if by := ask(t, p, 100, sick); by[1] != 1 || p.Ejections() != 2 {
			t.Errorf("the trial: %v, %d ejections", by, p.Ejections())
		}
		<-time.After(c.Ejection.Base)
		if by := ask(t, p, 100, sick); by[1] != 0 {
			t.Errorf("the second time is not longer: %v", by)
		}
		<-time.After(c.Ejection.Base)
		ask(t, p, 100, well)
		if by := ask(t, p, 100, well); by[1] == 0 || state(p, 1).State == upstream.Ejected {
			t.Errorf("it has not come back: %v, %+v", by, state(p, 1))
		}
	})
}

// TestLastOneStays: whatever it does, the last usable instance is asked.
func TestLastOneStays(t *testing.T) {
	c := upstream.DefaultConfig()
	c.Breaker.Enabled = false
	p := pool(c, 1)
	if by := ask(t, p, 100, func(int) upstream.Outcome { return upstream.Failed }); by[1] != 100 || p.Ejections() != 0 {
		t.Errorf("%v, %d ejections", by, p.Ejections())
	}
	p = pool(c, 1, 2)
	ask(t, p, 100, func(port int) upstream.Outcome {
		if port == 1 {
			return upstream.Failed
		}
		return upstream.Succeeded
	})
	for range 2 { // the good one dies
		p.Instances()[1].Probed(errors.New("gone"), time.Now())
	}
	if by := ask(t, p, 10, well); by[1] != 10 {
		t.Errorf("requests went to %v", by)
	}
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := upstream.DefaultConfig()
		p := pool(c, 1)
		ask(t, p, c.Breaker.MinRequests, func(int) upstream.Outcome { return upstream.Failed })
		if _, err := p.Pick(nil); !errors.Is(err, upstream.ErrOpen) || p.Trips() != 1 || state(p, 1).Breaker != "open" {
			t.Fatalf("%v, %d trips, %s", err, p.Trips(), state(p, 1).Breaker)
		}
		<-time.After(c.Breaker.OpenFor + time.Millisecond)
		// Clients that leave decide nothing, and do not use up the trials.
		ask(t, p, 50, func(int) upstream.Outcome { return upstream.Unclear })
		if state(p, 1).Breaker != "half-open" {
			t.Errorf("it is %s", state(p, 1).Breaker)
		}
		ask(t, p, c.Breaker.Trials, well)
		if state(p, 1).Breaker != "closed" {
			t.Errorf("it is %s", state(p, 1).Breaker)
		}
	})
}

func TestSet(t *testing.T) {
	p := pool(upstream.DefaultConfig(), 1, 2)
	one := p.Instances()[0]
	one.Probed(nil, time.Now())
	p.Set([]upstream.Listing{listing(3), listing(1), listing(1)})
	if list := p.Instances(); len(list) != 2 || list[1] != one {
		t.Errorf("%d instances", len(list))
	}
	p.Configure(func() upstream.Config { c := upstream.DefaultConfig(); c.Breaker.Enabled = false; return c }())
	if v := state(p, 1); v.Breaker != "" || v.State != upstream.Healthy {
		t.Errorf("%+v", v)
	}
}

// TestTogether is for the race detector: requests, probes and changes at once.
func TestTogether(t *testing.T) {
	p := pool(upstream.DefaultConfig(), 1, 2, 3)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				try, err := p.Pick(nil)
				if err != nil {
					continue
				}
				if g == 0 && i%3 == 0 {
					try.Judge(upstream.Failed)
				}
				try.End()
			}
		})
	}
	wg.Go(func() {
		for i := range 200 {
			p.Set([]upstream.Listing{listing(1), listing(2 + i%2)})
			for _, at := range p.Instances() {
				at.Probed(nil, time.Now())
			}
		}
	})
	wg.Wait()
	for _, i := range p.Instances() {
		if i.Under() != 0 {
			t.Errorf("%v has %d requests", i.Address, i.Under())
		}
	}
}

func BenchmarkPick(b *testing.B) {
	p := pool(upstream.DefaultConfig(), 1, 2, 3)
	b.ReportAllocs()
	for b.Loop() {
		try, err := p.Pick(nil)
		if err != nil {
			b.Fatal(err)
		}
		try.Judge(upstream.Succeeded)
		try.End()
	}
}
